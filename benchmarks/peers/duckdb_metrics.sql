-- From typed tables to the daily metrics, with the rules written out.

CREATE TEMP TABLE linked AS
SELECT coalesce(n.job_id, u.job_id) AS job_id, p.paid_on, CAST(p.amount * 100 AS BIGINT) AS cents
FROM payments p
LEFT JOIN jobs n ON n.job_id = p.job_ref
LEFT JOIN jobs u ON u.job_uuid = p.job_ref
WHERE p.counted;

CREATE TEMP TABLE facts AS
WITH paid AS (
    SELECT job_id, sum(cents) AS cents FROM linked WHERE job_id IS NOT NULL GROUP BY job_id
), named AS (
    SELECT job_id, type, created_on AS date, source_raw,
           CASE regexp_replace(lower(source_raw), '[\s\-]+', '', 'g')
               WHEN 'elocals' THEN 'eLocals' WHEN 'elocal' THEN 'eLocals'
               WHEN 'elocal.com' THEN 'eLocals' WHEN 'elocals.com' THEN 'eLocals'
               WHEN 'proreferral' THEN 'Pro Referral' WHEN 'pro_referral' THEN 'Pro Referral'
               WHEN 'proreferral.com' THEN 'Pro Referral'
               WHEN 'google' THEN 'Google' WHEN 'googleads' THEN 'Google'
               WHEN 'rely' THEN 'Rely' WHEN 'nsa' THEN 'NSA'
               WHEN 'liberty' THEN 'Liberty' WHEN 'lhg' THEN 'Liberty' WHEN 'libertyhomeguard' THEN 'Liberty'
               WHEN 'retention' THEN 'Retention' WHEN 'unattributed' THEN 'Unattributed'
           END AS known
    FROM jobs
), own AS (
    SELECT regexp_replace(lower(source_raw), '\s+', '', 'g') AS fold,
           trim(arg_min(source_raw, (coalesce(date, DATE '9999-12-31'), length(job_id), job_id))) AS own
    FROM named WHERE known IS NULL AND source_raw IS NOT NULL GROUP BY fold
)
SELECT n.job_id, n.date, coalesce(n.known, o.own, 'Unattributed') AS source,
       CASE WHEN n.type LIKE '%COD%' THEN 'COD' WHEN n.type LIKE '%INS%' THEN 'INS' ELSE 'OTHER' END AS segment,
       coalesce(n.type IN ('COD Service', 'INS Service'), false) AS is_unit,
       coalesce(n.type IN ('COD Repair', 'INS Repair') OR (n.type = 'COD Service' AND p.cents > 10000), false)
           AS is_repair
FROM named n
LEFT JOIN paid p USING (job_id)
LEFT JOIN own o ON n.known IS NULL AND o.fold = regexp_replace(lower(n.source_raw), '\s+', '', 'g');

CREATE TEMP TABLE daily_jobs AS
SELECT date, source, segment, count(*) AS jobs, count_if(is_unit) AS units, count_if(is_repair) AS repairs
FROM facts WHERE date IS NOT NULL GROUP BY ALL;

CREATE TEMP TABLE daily_revenue AS
SELECT coalesce(f.date, l.paid_on) AS date, coalesce(f.source, 'Unattributed') AS source,
       coalesce(f.segment, 'OTHER') AS segment, sum(l.cents)::BIGINT AS cents
FROM linked l LEFT JOIN facts f USING (job_id)
GROUP BY ALL;

CREATE TEMP TABLE daily_leads AS
SELECT lead_on AS date, 'eLocals' AS source, 'COD' AS segment, count(*) AS leads
FROM elocals_leads WHERE cost > 0 GROUP BY lead_on
UNION ALL
SELECT lead_on, 'Pro Referral', 'COD', count(*)
FROM proref_leads WHERE current_status IS DISTINCT FROM 'Passed' GROUP BY lead_on
UNION ALL
SELECT date, source, segment, jobs FROM daily_jobs WHERE source IN ('Google', 'Retention')
UNION ALL
SELECT date, source, segment, units FROM daily_jobs WHERE source IN ('Rely', 'NSA', 'Liberty') AND units > 0;

CREATE TEMP TABLE google_days AS
WITH reach AS (
    SELECT greatest((SELECT max(date) FROM daily_jobs), (SELECT max(paid_on) FROM payments WHERE counted),
                    (SELECT max(lead_on) FROM elocals_leads), (SELECT max(lead_on) FROM proref_leads),
                    (SELECT max(call_on) FROM calls)) AS last_day
), months AS (
    SELECT month, CAST(spend * 100 AS BIGINT) AS cents,
           CASE WHEN month = date_trunc('month', last_day) THEN day(last_day) ELSE day(last_day(month)) END AS days
    FROM google_spend, reach
)
SELECT month + CAST(place AS INTEGER) AS date,
       (abs(cents) // days + CASE WHEN place < abs(cents) % days THEN 1 ELSE 0 END) * sign(cents) AS cents
FROM (SELECT *, unnest(range(days)) AS place FROM months);

-- Each day over the segments of its leads, by largest remainder; ties in the order COD, INS, OTHER.
CREATE TEMP TABLE google_costs AS
WITH weighed AS (
    SELECT d.date, d.cents, coalesce(l.segment, 'COD') AS segment, coalesce(l.leads, 1) AS weight,
           sum(coalesce(l.leads, 1)) OVER (PARTITION BY d.date) AS whole
    FROM google_days d LEFT JOIN daily_leads l ON l.date = d.date AND l.source = 'Google'
), parts AS (
    SELECT *, abs(cents) * weight // whole AS part, abs(cents) * weight % whole AS rest FROM weighed
), turns AS (
    SELECT *, abs(cents) - sum(part) OVER (PARTITION BY date) AS left_over,
           row_number() OVER (PARTITION BY date ORDER BY rest DESC, segment) AS turn
    FROM parts
)
SELECT date, segment, (part + CASE WHEN turn <= left_over THEN 1 ELSE 0 END) * sign(cents) AS cents FROM turns;

CREATE TABLE daily_metrics AS
WITH every AS (
    SELECT date, source, segment, jobs, 0 AS leads, units, repairs, 0 AS gross, 0 AS cost FROM daily_jobs
    UNION ALL SELECT date, source, segment, 0, leads, 0, 0, 0,
                     CASE source WHEN 'Pro Referral' THEN leads * 2000 ELSE 0 END FROM daily_leads
    UNION ALL SELECT date, source, segment, 0, 0, 0, 0, cents, 0 FROM daily_revenue
    UNION ALL SELECT lead_on, 'eLocals', 'COD', 0, 0, 0, 0, 0, CAST(sum(cost) * 100 AS BIGINT)
              FROM elocals_leads WHERE cost > 0 GROUP BY lead_on
    UNION ALL SELECT date, 'Google', segment, 0, 0, 0, 0, 0, cents FROM google_costs
), summed AS (
    SELECT date, source, segment, sum(jobs)::BIGINT AS jobs, sum(leads)::BIGINT AS leads, sum(units)::BIGINT AS units,
           sum(repairs)::BIGINT AS repairs, sum(gross)::BIGINT AS gross, sum(cost)::BIGINT AS cost
    FROM every WHERE date IS NOT NULL GROUP BY date, source, segment
)
SELECT date, source, segment, jobs, leads, units, repairs,
       CAST(gross AS DECIMAL(18, 2)) * 0.01 AS revenue_gross, CAST(gross AS DECIMAL(18, 2)) * 0.0040 AS revenue40,
       CAST(cost AS DECIMAL(18, 2)) * 0.01 AS cost
FROM summed
WHERE jobs <> 0 OR leads <> 0 OR units <> 0 OR repairs <> 0 OR gross <> 0 OR cost <> 0
ORDER BY ALL;
