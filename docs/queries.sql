-- Sample queries over the published tables: for psql, any SQL tool, or a panel of Grafana. Each is independent and
-- reads only what the reader role may read. "This month" is the month of the last day in the data, so they also work
-- on a day without an export. Ratios are computed from sums and are NULL if the denominator is 0.

-- name: month-to-month
-- Month to month by source: the brief's first dashboard. All measures of the last 12 months.
SELECT month, source,
       sum(leads) AS leads, sum(units) AS units, sum(repairs) AS repairs,
       sum(revenue40) AS revenue40, sum(cost) AS cost, sum(profit) AS profit,
       round(sum(cost) / nullif(sum(leads), 0), 2) AS cpl,
       round(sum(repairs) / nullif(sum(leads), 0), 4) AS conv_l2r
FROM monthly_metrics
WHERE month > (SELECT max(month) FROM monthly_metrics) - interval '12 months'
GROUP BY month, source
ORDER BY month, source;

-- name: repairs-against-target
-- Day by day since the first of this month: repairs so far and the pace of the target. The brief's second dashboard.
WITH this_month AS (
    SELECT date_trunc('month', max(date)::timestamp)::date AS month, max(date) AS last_day FROM daily_metrics
), calendar AS (
    SELECT day::date AS date, month, last_day, (month + interval '1 month')::date - month AS days
    FROM this_month, generate_series(month, month + interval '1 month' - interval '1 day', interval '1 day') AS day
), actual AS (
    SELECT date, sum(repairs) AS repairs
    FROM daily_metrics
    WHERE date >= (SELECT month FROM this_month)
    GROUP BY date
)
SELECT date,
       CASE WHEN date <= last_day THEN sum(coalesce(actual.repairs, 0)) OVER (ORDER BY date) END AS repairs_to_date,
       round(target_repairs * (date - calendar.month + 1) / days, 2) AS target_pace
FROM calendar
LEFT JOIN actual USING (date)
LEFT JOIN targets ON targets.month = calendar.month AND targets.source = 'ALL' AND targets.segment = 'ALL'
ORDER BY date;

-- name: cpl-against-ceiling
-- Cost per lead this month, by source, against its ceiling.
SELECT source, leads, cost, round(cpl, 2) AS cpl, target_cpl_max AS ceiling, cpl_over AS over_ceiling
FROM monthly_vs_target
WHERE month = (SELECT max(month) FROM monthly_metrics) AND segment = 'ALL' AND source <> 'ALL' AND cost > 0
ORDER BY cpl DESC NULLS LAST, source;

-- name: conversion-by-source
-- Leads that became visits, and visits that became repairs, in the last three months. NULL for sources without known
-- leads.
SELECT source, sum(leads) AS leads, sum(units) AS units, sum(repairs) AS repairs,
       round(sum(units) / nullif(sum(leads), 0), 4) AS conv_l2u,
       round(sum(repairs) / nullif(sum(units), 0), 4) AS conv_u2r,
       round(sum(repairs) / nullif(sum(leads), 0), 4) AS conv_l2r
FROM monthly_metrics
WHERE month > (SELECT max(month) FROM monthly_metrics) - interval '3 months'
GROUP BY source
ORDER BY leads DESC, source;

-- name: profit-by-source
-- Revenue after payout and profit after the cost of leads, by source, this year.
SELECT source, sum(revenue_gross) AS revenue_gross, sum(revenue40) AS revenue40, sum(cost) AS cost,
       sum(profit) AS profit, round(sum(revenue40) / nullif(sum(cost), 0), 2) AS earned_per_dollar
FROM monthly_metrics
WHERE month >= (SELECT date_trunc('year', max(month)::timestamp) FROM monthly_metrics)
GROUP BY source
ORDER BY profit DESC, source;

-- name: month-to-date
-- This month so far against the same days of last month, never a partial month against a full one.
WITH last AS (
    SELECT max(date) AS day, date_trunc('month', max(date)::timestamp)::date AS month FROM daily_metrics
)
SELECT daily_metrics.source,
       sum(leads)     FILTER (WHERE date >= month) AS leads,
       sum(leads)     FILTER (WHERE date < month)  AS leads_last_month,
       sum(repairs)   FILTER (WHERE date >= month) AS repairs,
       sum(repairs)   FILTER (WHERE date < month)  AS repairs_last_month,
       sum(revenue40) FILTER (WHERE date >= month) AS revenue40,
       sum(revenue40) FILTER (WHERE date < month)  AS revenue40_last_month
FROM daily_metrics, last
WHERE date >= (SELECT month - interval '1 month' FROM last)
  AND extract(day FROM date) <= extract(day FROM day)
GROUP BY daily_metrics.source
ORDER BY daily_metrics.source;

-- name: targets-attained
-- Share of the target reached this month, by source; 1 means reached.
SELECT source, repairs, target_repairs, round(repairs_attained, 3) AS repairs_attained,
       revenue40, target_revenue40, round(revenue40_attained, 3) AS revenue40_attained,
       round(conv_l2r, 4) AS conv_l2r, target_conv_l2r
FROM monthly_vs_target
WHERE month = (SELECT max(month) FROM monthly_metrics) AND segment = 'ALL'
  AND (target_repairs IS NOT NULL OR target_revenue40 IS NOT NULL)
ORDER BY source = 'ALL' DESC, repairs_attained, source;

-- name: projection
-- Expected end of this month: an estimate from weekdays and holidays, and the range of four of five months. Written by
-- the last sync; no row with fewer than eight weeks of data.
SELECT measure, as_of, reached, estimate, low, high, past_months, target, round(estimate_of_target, 3) AS of_target
FROM month_forecast
WHERE source = 'ALL' AND measure IN ('repairs', 'revenue40')
ORDER BY measure;

-- name: weeks
-- The last 13 weeks, all sources together, and whether each is complete: an incomplete week is not comparable.
SELECT week, sum(leads) AS leads, sum(repairs) AS repairs, sum(revenue40) AS revenue40,
       round(sum(cost) / nullif(sum(leads), 0), 2) AS cpl, bool_and(whole) AS whole
FROM weekly_metrics
WHERE week > (SELECT max(week) FROM weekly_metrics) - 91
GROUP BY week
ORDER BY week;

-- name: stalest-data
-- The oldest data: by feed, its last day, its age in days, and the time of the last publish.
SELECT feed, rows, last_date, age_days, last_export_at, last_run_at
FROM data_freshness
ORDER BY age_days DESC NULLS FIRST, feed;

-- name: call-funnel
-- From call to repair in the last 12 months with calls, all sources together.
SELECT month, sum(inbound) AS inbound, sum(answered) AS answered, sum(missed) AS missed,
       round(sum(answered) / nullif(sum(answered) + sum(missed), 0), 4) AS answer_rate,
       sum(with_job) AS with_job, sum(jobs) AS jobs, sum(units) AS units, sum(repairs) AS repairs
FROM call_funnel
WHERE month > (SELECT max(month) FROM call_funnel) - interval '12 months'
GROUP BY month
ORDER BY month;

-- name: lost-calls
-- Calls lost in the newest month, by source, and the time until callers were reached.
WITH newest AS (SELECT max(month) AS month FROM call_classes)
SELECT source, of.calls AS lost, speed.calls AS may_be_leads, reached, median_s, p90_s
FROM speed_to_lead AS speed
LEFT JOIN (SELECT month, source, calls FROM call_classes WHERE class = 'missed and lost') AS of USING (month, source)
WHERE month = (SELECT month FROM newest)
ORDER BY lost DESC NULLS LAST, source;

-- name: changed-since-yesterday
-- Published figures changed in the last 24 hours: old value, new value and cause.
SELECT finished_at, month, date, source, segment, metric, old_value, new_value, cause
FROM metric_changes
JOIN sync_runs USING (run_id)
WHERE finished_at > now() - interval '24 hours'
ORDER BY finished_at DESC, month DESC, date DESC NULLS FIRST, source, segment, metric;

-- name: segment-mix
-- Share of each segment in repairs and revenue, month by month, over the last year.
SELECT month, segment, sum(repairs) AS repairs, sum(revenue40) AS revenue40,
       round(sum(revenue40) / nullif(sum(sum(revenue40)) OVER (PARTITION BY month), 0), 4) AS part_of_revenue
FROM monthly_metrics
WHERE month > (SELECT max(month) FROM monthly_metrics) - interval '12 months'
GROUP BY month, segment
ORDER BY month, segment;

-- name: month-to-month-in-grafana
-- The first one as a panel: whole months of the dashboard's range, its variables, the business time zone as a literal.
SELECT to_char(month, 'YYYY-MM') AS month, source, sum(repairs) AS repairs
FROM monthly_metrics
WHERE source IN (${source:sqlstring}) AND segment IN (${segment:sqlstring})
  AND month >= date_trunc('month', ($__timeFrom())::timestamptz AT TIME ZONE 'America/New_York')::date
  AND month <= (($__timeTo())::timestamptz AT TIME ZONE 'America/New_York')::date
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: repairs-against-target-in-grafana
-- The second one as a time series over any range that begins with a month: filter and plot on time, never on date.
SELECT time AS "time", repairs_to_date AS "Repairs", repairs_pace AS "Target pace"
FROM daily_cumulative
WHERE $__timeFilter(time) AND source = 'ALL'
ORDER BY 1;

-- name: funnel-of-a-month
-- Outcomes of the leads of the newest month: answered, booked, visited, repaired, paid, and the cost of each step.
SELECT source, touches, answered, booked, visited, repaired, paid, cost, revenue_gross,
       round(cost_per_booked, 2) AS cost_per_booked, round(cost_per_repair, 2) AS cost_per_repair, round(roas, 2) AS roas
FROM journey_funnel
WHERE month = (SELECT max(month) FROM journey_metrics WHERE touches > 0)
ORDER BY source = 'ALL', touches DESC, source;

-- name: who-says-what
-- Agreement of the source in the CRM with the source of the touch, over the last year.
SELECT source, source_matched, sum(jobs) AS jobs, sum(paid) AS paid
FROM jobs_matched
WHERE month > (SELECT max(month) FROM monthly_metrics) - interval '12 months'
GROUP BY source, source_matched
ORDER BY source, source_matched;

-- name: leads-without-a-job
-- Reasons why leads of the newest month have no job, by source.
SELECT source, touches, no_job, no_number, shared, outside_window,
       round((touches - booked)::numeric / nullif(touches, 0), 4) AS without_a_job
FROM journey_metrics
WHERE touches > 0 AND month = (SELECT max(month) FROM journey_metrics WHERE touches > 0)
ORDER BY touches DESC, source;
