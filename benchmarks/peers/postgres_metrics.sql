-- From typed tables to the daily metrics, with the rules written out.

CREATE TEMP TABLE linked AS
SELECT coalesce(n.job_id, u.job_id) AS job_id, p.paid_on, (p.amount * 100)::bigint AS cents
FROM payments p
LEFT JOIN jobs n ON n.job_id = p.job_ref
LEFT JOIN jobs u ON u.job_uuid = p.job_ref
WHERE p.counted;
ANALYZE linked;

CREATE TEMP TABLE facts AS
WITH paid AS (
    SELECT job_id, sum(cents) AS cents FROM linked WHERE job_id IS NOT NULL GROUP BY job_id
), spellings AS (
    SELECT source_raw, lower(regexp_replace(source_raw, '\s+', '', 'g')) AS fold,
           CASE lower(regexp_replace(source_raw, '[\s\-]+', '', 'g'))
               WHEN 'elocals' THEN 'eLocals' WHEN 'elocal' THEN 'eLocals'
               WHEN 'elocal.com' THEN 'eLocals' WHEN 'elocals.com' THEN 'eLocals'
               WHEN 'proreferral' THEN 'Pro Referral' WHEN 'pro_referral' THEN 'Pro Referral'
               WHEN 'proreferral.com' THEN 'Pro Referral'
               WHEN 'google' THEN 'Google' WHEN 'googleads' THEN 'Google'
               WHEN 'rely' THEN 'Rely' WHEN 'nsa' THEN 'NSA'
               WHEN 'liberty' THEN 'Liberty' WHEN 'lhg' THEN 'Liberty' WHEN 'libertyhomeguard' THEN 'Liberty'
               WHEN 'retention' THEN 'Retention' WHEN 'unattributed' THEN 'Unattributed'
           END AS known
    FROM (SELECT DISTINCT source_raw FROM jobs WHERE source_raw IS NOT NULL) s
), own AS (
    SELECT DISTINCT ON (fold) fold, btrim(j.source_raw) AS own
    FROM jobs j JOIN spellings s USING (source_raw)
    WHERE s.known IS NULL
    ORDER BY fold, j.created_on NULLS LAST, length(j.job_id), j.job_id
)
SELECT j.job_id, j.created_on AS date, coalesce(s.known, o.own, 'Unattributed') AS source,
       CASE WHEN j.type LIKE '%COD%' THEN 'COD' WHEN j.type LIKE '%INS%' THEN 'INS' ELSE 'OTHER' END AS segment,
       coalesce(j.type IN ('COD Service', 'INS Service'), false) AS is_unit,
       coalesce(j.type IN ('COD Repair', 'INS Repair') OR (j.type = 'COD Service' AND p.cents > 10000), false)
           AS is_repair
FROM jobs j
LEFT JOIN paid p USING (job_id)
LEFT JOIN spellings s USING (source_raw)
LEFT JOIN own o ON s.known IS NULL AND o.fold = s.fold;
ANALYZE facts;

CREATE TEMP TABLE daily_jobs AS
SELECT date, source, segment, count(*) AS jobs, count(*) FILTER (WHERE is_unit) AS units,
       count(*) FILTER (WHERE is_repair) AS repairs
FROM facts WHERE date IS NOT NULL GROUP BY date, source, segment;

CREATE TEMP TABLE daily_revenue AS
SELECT coalesce(f.date, l.paid_on) AS date, coalesce(f.source, 'Unattributed') AS source,
       coalesce(f.segment, 'OTHER') AS segment, sum(l.cents)::bigint AS cents
FROM linked l LEFT JOIN facts f USING (job_id)
GROUP BY 1, 2, 3;

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
    SELECT month, (spend * 100)::bigint AS cents,
           extract(day FROM CASE WHEN month = date_trunc('month', last_day)::date THEN last_day
                                 ELSE month + interval '1 month' - interval '1 day' END)::bigint AS days
    FROM google_spend, reach
)
SELECT month + place AS date,
       (abs(cents) / days + CASE WHEN place < abs(cents) % days THEN 1 ELSE 0 END) * sign(cents)::bigint AS cents
FROM months, generate_series(0, days::integer - 1) AS place;

-- Each day over the segments of its leads, by largest remainder; ties in the order COD, INS, OTHER.
CREATE TEMP TABLE google_costs AS
WITH weighed AS (
    SELECT d.date, d.cents, coalesce(l.segment, 'COD') AS segment, coalesce(l.leads, 1) AS weight,
           sum(coalesce(l.leads, 1)) OVER (PARTITION BY d.date)::bigint AS whole
    FROM google_days d LEFT JOIN daily_leads l ON l.date = d.date AND l.source = 'Google'
), parts AS (
    SELECT *, abs(cents) * weight / whole AS part, abs(cents) * weight % whole AS rest FROM weighed
), turns AS (
    SELECT *, abs(cents) - sum(part) OVER (PARTITION BY date) AS left_over,
           row_number() OVER (PARTITION BY date ORDER BY rest DESC, segment) AS turn
    FROM parts
)
SELECT date, segment, ((part + CASE WHEN turn <= left_over THEN 1 ELSE 0 END) * sign(cents))::bigint AS cents
FROM turns;

CREATE TABLE daily_metrics AS
WITH every AS (
    SELECT date, source, segment, jobs, 0 AS leads, units, repairs, 0 AS gross, 0 AS cost FROM daily_jobs
    UNION ALL SELECT date, source, segment, 0, leads, 0, 0, 0,
                     CASE source WHEN 'Pro Referral' THEN leads * 2000 ELSE 0 END FROM daily_leads
    UNION ALL SELECT date, source, segment, 0, 0, 0, 0, cents, 0 FROM daily_revenue
    UNION ALL SELECT lead_on, 'eLocals', 'COD', 0, 0, 0, 0, 0, (sum(cost) * 100)::bigint
              FROM elocals_leads WHERE cost > 0 GROUP BY lead_on
    UNION ALL SELECT date, 'Google', segment, 0, 0, 0, 0, 0, cents FROM google_costs
), summed AS (
    SELECT date, source, segment, sum(jobs) AS jobs, sum(leads) AS leads, sum(units) AS units,
           sum(repairs) AS repairs, sum(gross) AS gross, sum(cost) AS cost
    FROM every WHERE date IS NOT NULL GROUP BY date, source, segment
)
SELECT date, source, segment, jobs, leads, units, repairs,
       gross * 0.01 AS revenue_gross, gross * 0.0040 AS revenue40, cost * 0.01 AS cost
FROM summed
WHERE jobs <> 0 OR leads <> 0 OR units <> 0 OR repairs <> 0 OR gross <> 0 OR cost <> 0;
