-- From rmetrics' typed Parquet files to the tables of duckdb_typed.sql: the newest export wins per key.
-- The variables hold the typed files of each feed, from old to new.

CREATE MACRO local_day(t) AS CAST(t AT TIME ZONE 'America/New_York' AS DATE);

CREATE TABLE jobs AS
SELECT * EXCLUDE (filename, _line), local_day(created_at) AS created_on
FROM read_parquet(getvariable('jobs'), filename = true, union_by_name = true)
QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY list_position(getvariable('jobs'), filename) DESC) = 1;

CREATE TABLE payments AS
SELECT * EXCLUDE (filename, _line), local_day(paid_at) AS paid_on,
       status IS NULL OR lower(status) NOT IN ('failed', 'voided', 'pending', 'processing') AS counted
FROM read_parquet(getvariable('payments'), filename = true, union_by_name = true)
QUALIFY row_number() OVER (
    PARTITION BY payment_id ORDER BY list_position(getvariable('payments'), filename) DESC) = 1;

CREATE TABLE elocals_leads AS
SELECT * EXCLUDE (filename, _line), local_day(lead_at) AS lead_on
FROM read_parquet(getvariable('elocals_leads'), filename = true, union_by_name = true)
QUALIFY row_number() OVER (
    PARTITION BY lead_id ORDER BY list_position(getvariable('elocals_leads'), filename) DESC) = 1;

CREATE TABLE proref_leads AS
SELECT * EXCLUDE (filename, _line), local_day(lead_at) AS lead_on
FROM read_parquet(getvariable('proref_leads'), filename = true, union_by_name = true)
QUALIFY row_number() OVER (
    PARTITION BY lead_id ORDER BY list_position(getvariable('proref_leads'), filename) DESC) = 1;

CREATE TABLE calls AS
SELECT * EXCLUDE (filename, _line), local_day(started_at) AS call_on,
       CASE WHEN tracking_source LIKE 'Google%' THEN 'Google' END AS source
FROM read_parquet(getvariable('calls'), filename = true, union_by_name = true)
QUALIFY row_number() OVER (PARTITION BY call_id ORDER BY list_position(getvariable('calls'), filename) DESC) = 1;

CREATE TABLE google_spend AS
SELECT month, spend
FROM read_parquet(getvariable('google_spend'), filename = true, union_by_name = true)
WHERE spend IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY month ORDER BY list_position(getvariable('google_spend'), filename) DESC) = 1;
