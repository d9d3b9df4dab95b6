-- Three roles: rmetrics_owner owns the tables and creates new ones, rmetrics_writer syncs, grafana_reader is for Grafana.
-- Run this after the schema, as a superuser or as an owner of the tables who may create roles:
--   rmetrics schema --apply && rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then set passwords for the two that log in; no script should contain them:
--   \password rmetrics_writer
--   \password grafana_reader
-- and let syncs log in as rmetrics_writer. If an upgrade or new rules need a new table or column, a sync reports it:
-- run `rmetrics schema --apply` as the owner, then this script again, which grants rights table by table.

DO $$ BEGIN CREATE ROLE "rmetrics_owner" NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE "rmetrics_writer" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE "grafana_reader" LOGIN CONNECTION LIMIT 20; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE "grafana_reader" SET search_path = "public";
ALTER ROLE "grafana_reader" SET statement_timeout = '15s';
-- A precaution only: the role can turn this off. The grants below are the protection.
ALTER ROLE "grafana_reader" SET default_transaction_read_only = on;
ALTER ROLE "grafana_reader" SET timezone = 'UTC';

REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'grafana_reader'); END $$;
GRANT USAGE ON SCHEMA "public" TO "grafana_reader";

-- The owner: the user of this script can still act as it.
GRANT "rmetrics_owner" TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA "public" TO "rmetrics_owner";

-- The writer: may create the temporary tables of a publish. Earlier scripts granted it every table of the owner.
DO $$ BEGIN EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO "rmetrics_writer"', current_database()); END $$;
GRANT USAGE ON SCHEMA "public" TO "rmetrics_writer";
ALTER DEFAULT PRIVILEGES FOR ROLE "rmetrics_owner" IN SCHEMA "public" REVOKE ALL ON TABLES FROM "rmetrics_writer";

-- For each table of rmetrics: the owner owns it, the writer writes its rows, the reader reads aggregates
-- (its other grants are revoked). Anything else in this schema is not ours and remains unchanged.
DO $$ DECLARE t record; BEGIN
  FOR t IN WITH carriers AS (
    SELECT c.oid, c.relname::text AS name, obj_description(c.oid, 'pg_class') AS comment,
           obj_description(k.oid, 'pg_constraint') AS note
    FROM pg_class AS c LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.conname = c.relname || '_pkey'
    WHERE c.relnamespace = '"public"'::regnamespace AND c.relname IN ('sync_runs', 'published_parts') AND c.relkind = 'r'),
  noted AS (
    SELECT name, oid, CASE WHEN note LIKE 'rmetrics schema %{%' THEN substr(note, strpos(note, '{'))::jsonb ELSE '{}' END made
    FROM carriers WHERE note LIKE 'rmetrics schema %' OR (name = 'sync_runs' AND comment LIKE '%rmetrics%')),
  best AS (
    SELECT made, coalesce(made ->> name = oid::text, false) AS fits FROM noted ORDER BY 2 DESC, name DESC LIMIT 1)
    SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM pg_class AS c, best
    WHERE c.relnamespace = '"public"'::regnamespace AND c.relkind IN ('r', 'v') AND CASE
      WHEN fits THEN made ->> c.relname::text = c.oid::text
      ELSE obj_description(c.oid, 'pg_class') IS NOT NULL AND (made ? c.relname::text OR c.relname IN (
        'jobs', 'payments', 'calls', 'elocals_leads', 'proref_leads', 'google_spend', 'daily_metrics',
        'monthly_metrics', 'measures', 'measure_daily', 'dimension_monthly', 'journeys', 'journey_metrics',
        'targets', 'business', 'sync_runs', 'metric_changes', 'member_changes', 'published_parts',
        'feed_status', 'forecasts', 'monthly_vs_target', 'measure_monthly', 'measure_vs_target',
        'daily_cumulative', 'month_forecast', 'weekly_metrics', 'quarterly_metrics', 'yearly_metrics',
        'call_funnel', 'call_classes', 'speed_to_lead', 'journey_funnel', 'jobs_matched', 'data_freshness',
        'run_findings')) END
  LOOP
    EXECUTE format('ALTER %s "public".%I OWNER TO "rmetrics_owner"', t.kind, t.relname); -- owner
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON "public".%I TO "rmetrics_writer"', t.relname); -- writer
    EXECUTE format('REVOKE ALL ON "public".%I FROM "grafana_reader"', t.relname); -- reader
    IF t.relname IN ('daily_metrics', 'monthly_metrics', 'measures', 'measure_daily', 'dimension_monthly', 'measure_monthly',
        'measure_vs_target', 'targets', 'metric_changes', 'member_changes', 'feed_status', 'forecasts',
        'monthly_vs_target', 'daily_cumulative', 'month_forecast', 'weekly_metrics', 'quarterly_metrics',
        'yearly_metrics', 'call_funnel', 'call_classes', 'speed_to_lead', 'journey_metrics', 'journey_funnel',
        'jobs_matched', 'data_freshness', 'run_findings')
    THEN EXECUTE format('GRANT SELECT ON "public".%I TO "grafana_reader"', t.relname); END IF; -- reader
  END LOOP; END $$;
GRANT SELECT (run_id, started_at, finished_at, status, version, files, rows_read, rows_rejected) ON "public"."sync_runs" TO "grafana_reader";
