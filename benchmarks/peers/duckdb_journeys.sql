-- From the tables of duckdb_lake.sql to the lead or call that each job came from: the last one with the customer's
-- number on the day the job was entered. No extensions or several numbers in a cell, no numbers that many customers
-- share, no links of the CRM, no first touch, no outcomes and no money of touches: the floor of journeys.

CREATE TABLE touches AS
SELECT 'eLocals' AS source, phone AS number, lead_on AS day FROM elocals_leads WHERE cost > 0 AND lead_on IS NOT NULL
UNION ALL
SELECT 'Pro Referral', phone, lead_on FROM proref_leads
WHERE current_status IS DISTINCT FROM 'Passed' AND lead_on IS NOT NULL
UNION ALL
SELECT source, from_number, call_on FROM calls WHERE source IS NOT NULL AND call_on IS NOT NULL;

CREATE TABLE matches AS
SELECT j.job_id, t.source
FROM (SELECT job_id, client_phone AS number, created_on AS day FROM jobs WHERE created_on IS NOT NULL) j
ASOF JOIN touches t ON t.number = j.number AND t.day <= j.day
WHERE t.day = j.day;
