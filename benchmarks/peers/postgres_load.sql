-- From loaded text to typed tables, the newest export wins per key. A row with a cell that cannot be read is left out.

CREATE FUNCTION as_money(t text) RETURNS numeric(12, 2) IMMUTABLE PARALLEL SAFE LANGUAGE sql AS
$$SELECT CASE WHEN t ~ '^-?\$?[0-9,]*\.?[0-9]+$' THEN replace(replace(t, '$', ''), ',', '')::numeric(12, 2) END$$;
CREATE FUNCTION crm_day(t text) RETURNS date IMMUTABLE PARALLEL SAFE LANGUAGE sql AS
$$SELECT CASE WHEN t ~ '^[A-Z][a-z]{2} [A-Z][a-z]{2} [0-9]{2} [0-9]{4}$' THEN to_date(substr(t, 5), 'Mon DD YYYY') END$$;

CREATE UNLOGGED TABLE jobs AS
SELECT DISTINCT ON (job_id) * FROM (
    SELECT "Job #" AS job_id, "UUID" AS job_uuid, "Job Type" AS type, "Source" AS source_raw, "Status" AS status,
           "Created" AS created, crm_day("Created") AS created_on, crm_day("Job Date") AS job_date,
           "Tech" AS technician, "City" AS city, "Zip Code" AS zip, as_money("Total") AS total,
           as_money("Amount Paid") AS amount_paid, regexp_replace("Primary Phone", '[^0-9]', '', 'g') AS client_phone,
           export
    FROM text_jobs
) t
WHERE created IS NULL OR created_on IS NOT NULL
ORDER BY job_id, export DESC;

CREATE UNLOGGED TABLE payments AS
SELECT DISTINCT ON (payment_id) *, (paid_at AT TIME ZONE 'America/New_York')::date AS paid_on,
       status IS NULL OR lower(status) NOT IN ('failed', 'voided', 'pending', 'processing') AS counted
FROM (
    SELECT "Transaction ID" AS payment_id, "Job #" AS job_ref, "Date"::timestamptz AS paid_at,
           as_money("Amount") AS amount, "Method" AS method, "Status" AS status, export
    FROM text_payments
) t
WHERE paid_at IS NOT NULL AND amount IS NOT NULL
ORDER BY payment_id, export DESC;

CREATE UNLOGGED TABLE elocals_leads AS
SELECT DISTINCT ON (lead_id) *, (lead_at AT TIME ZONE 'America/New_York')::date AS lead_on
FROM (
    SELECT "Unique ID" AS lead_id, "Time"::timestamptz AS lead_at, as_money("Cost") AS cost, "Cost" AS cell,
           "Status" AS status,
           60 * split_part("Duration", ':', 1)::integer + split_part("Duration", ':', 2)::integer AS duration_s,
           "Service Zip Code" AS zip, regexp_replace("Caller ID", '[^0-9]', '', 'g') AS phone, export
    FROM text_elocals_leads
) t
WHERE lead_at IS NOT NULL AND (cell IS NULL OR cost IS NOT NULL)
ORDER BY lead_id, export DESC;

CREATE UNLOGGED TABLE proref_leads AS
SELECT DISTINCT ON ("Lead ID") "Lead ID" AS lead_id, to_timestamp("Lead Date", 'MM/DD/YYYY HH12:MI AM') AS lead_at,
       "Current Status" AS current_status, "Zip" AS zip, regexp_replace("Phone", '[^0-9]', '', 'g') AS phone,
       to_date("Lead Date", 'MM/DD/YYYY') AS lead_on
FROM text_proref_leads
WHERE "Lead Date" IS NOT NULL
ORDER BY "Lead ID", export DESC;

CREATE UNLOGGED TABLE calls AS
SELECT DISTINCT ON (from_number, to_number, minute, duration_s, occurrence) *, started_at::date AS call_on,
       starts_with(lower(call_status), 'answered') AS answered,
       CASE WHEN tracking_source LIKE 'Google%' THEN 'Google' END AS source
FROM (
    SELECT *, row_number() OVER (PARTITION BY from_number, to_number, minute, duration_s, export) AS occurrence
    FROM (
        SELECT "Start Time"::timestamp AS started_at, date_trunc('minute', "Start Time"::timestamp) AS minute,
               "Duration (seconds)"::integer AS duration_s, "Source" AS tracking_source,
               "Call Status" AS call_status, "Agent Name" AS answered_by,
               regexp_replace("Phone Number", '[^0-9]', '', 'g') AS from_number,
               regexp_replace("Destination Number", '[^0-9]', '', 'g') AS to_number, export
        FROM text_calls
    ) t WHERE started_at IS NOT NULL
) n
ORDER BY from_number, to_number, minute, duration_s, occurrence, export DESC;

CREATE UNLOGGED TABLE google_spend AS
SELECT DISTINCT ON (month) * FROM (
    SELECT ("Month" || '-01')::date AS month, as_money("Spend") AS spend, export FROM text_google_spend
) t
WHERE spend IS NOT NULL
ORDER BY month, export DESC;

ANALYZE jobs, payments, elocals_leads, proref_leads, calls;
