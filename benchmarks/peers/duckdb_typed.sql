-- From text exports to typed tables, the newest export wins per key. A row with a cell that cannot be read is left out.
-- The variables hold the exports of each feed, from old to new.

CREATE MACRO as_money(t) AS TRY_CAST(replace(replace(t, '$', ''), ',', '') AS DECIMAL(12, 2));
CREATE MACRO crm_day(t) AS TRY_CAST(try_strptime(t, '%a %b %d %Y') AS DATE);
CREATE MACRO phone(t) AS regexp_replace(t, '[^0-9]', '', 'g');
CREATE MACRO local_day(t) AS CAST(t AT TIME ZONE 'America/New_York' AS DATE);

CREATE TABLE jobs AS
WITH cells AS (
    SELECT *, list_position(getvariable('jobs'), filename) AS export
    FROM read_csv(getvariable('jobs'), all_varchar = true, filename = true, union_by_name = true)
), typed AS (
    SELECT "Job #" AS job_id, "UUID" AS job_uuid, "Job Type" AS type, "Source" AS source_raw, "Status" AS status,
           crm_day("Created") AS created_on, crm_day("Job Date") AS job_date, "Tech" AS technician, "City" AS city,
           "Zip Code" AS zip, as_money("Total") AS total, as_money("Amount Paid") AS amount_paid,
           phone("Primary Phone") AS client_phone, export
    FROM cells
    WHERE ("Created" IS NULL OR crm_day("Created") IS NOT NULL)
      AND ("Job Date" IS NULL OR crm_day("Job Date") IS NOT NULL)
      AND ("Total" IS NULL OR as_money("Total") IS NOT NULL)
      AND ("Amount Paid" IS NULL OR as_money("Amount Paid") IS NOT NULL)
)
SELECT * FROM typed
QUALIFY row_number() OVER (PARTITION BY job_id ORDER BY export DESC) = 1;

CREATE TABLE payments AS
WITH cells AS (
    SELECT *, list_position(getvariable('payments'), filename) AS export
    FROM read_csv(getvariable('payments'), all_varchar = true, filename = true, union_by_name = true)
), typed AS (
    SELECT "Transaction ID" AS payment_id, "Job #" AS job_ref, TRY_CAST("Date" AS TIMESTAMPTZ) AS paid_at,
           as_money("Amount") AS amount, "Method" AS method, "Status" AS status, export
    FROM cells
)
SELECT *, local_day(paid_at) AS paid_on,
       status IS NULL OR lower(status) NOT IN ('failed', 'voided', 'pending', 'processing') AS counted
FROM typed
WHERE paid_at IS NOT NULL AND amount IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY payment_id ORDER BY export DESC) = 1;

CREATE TABLE elocals_leads AS
WITH cells AS (
    SELECT *, list_position(getvariable('elocals_leads'), filename) AS export
    FROM read_csv(getvariable('elocals_leads'), all_varchar = true, filename = true, union_by_name = true)
), typed AS (
    SELECT "Unique ID" AS lead_id, try_strptime("Time", '%Y-%m-%d %H:%M:%S %z') AS lead_at, as_money("Cost") AS cost,
           "Status" AS status, 60 * CAST(split_part("Duration", ':', 1) AS INTEGER)
                               + CAST(split_part("Duration", ':', 2) AS INTEGER) AS duration_s,
           "Service Zip Code" AS zip, phone("Caller ID") AS phone, export
    FROM cells
    WHERE "Cost" IS NULL OR as_money("Cost") IS NOT NULL
)
SELECT *, local_day(lead_at) AS lead_on FROM typed
WHERE lead_at IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY lead_id ORDER BY export DESC) = 1;

CREATE TABLE proref_leads AS
WITH cells AS (
    SELECT *, list_position(getvariable('proref_leads'), filename) AS export
    FROM read_csv(getvariable('proref_leads'), all_varchar = true, filename = true, union_by_name = true)
)
SELECT "Lead ID" AS lead_id, try_strptime("Lead Date", '%m/%d/%Y %I:%M %p') AS lead_at,
       "Current Status" AS current_status, "Zip" AS zip, phone("Phone") AS phone, CAST(lead_at AS DATE) AS lead_on
FROM cells
WHERE lead_at IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY lead_id ORDER BY export DESC) = 1;

-- The export has no id: equal calls of one export are told apart by their number in it.
CREATE TABLE calls AS
WITH cells AS (
    SELECT *, list_position(getvariable('calls'), filename) AS export
    FROM read_csv(getvariable('calls'), all_varchar = true, filename = true, union_by_name = true)
), typed AS (
    SELECT TRY_CAST("Start Time" AS TIMESTAMP) AS started_at, CAST("Duration (seconds)" AS INTEGER) AS duration_s,
           "Source" AS tracking_source, "Call Status" AS call_status, "Agent Name" AS answered_by,
           phone("Phone Number") AS from_number, phone("Destination Number") AS to_number, export
    FROM cells
), numbered AS (
    SELECT *, row_number() OVER (
        PARTITION BY from_number, to_number, date_trunc('minute', started_at), duration_s, export) AS occurrence
    FROM typed WHERE started_at IS NOT NULL
)
SELECT *, CAST(started_at AS DATE) AS call_on, starts_with(lower(call_status), 'answered') AS answered,
       CASE WHEN tracking_source LIKE 'Google%' THEN 'Google' END AS source
FROM numbered
QUALIFY row_number() OVER (
    PARTITION BY from_number, to_number, date_trunc('minute', started_at), duration_s, occurrence
    ORDER BY export DESC) = 1;

CREATE TABLE google_spend AS
WITH cells AS (
    SELECT *, list_position(getvariable('google_spend'), filename) AS export
    FROM read_csv(getvariable('google_spend'), all_varchar = true, filename = true, union_by_name = true)
)
SELECT CAST("Month" || '-01' AS DATE) AS month, as_money("Spend") AS spend
FROM cells
WHERE spend IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY month ORDER BY export DESC) = 1;
