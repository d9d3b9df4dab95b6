-- The role with which Grafana reads. Run it as the owner of the tables, after the schema:
--   rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then give it a password, which no script should hold:
--   \password grafana_reader

DO $$ BEGIN CREATE ROLE "grafana_reader" LOGIN CONNECTION LIMIT 20; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE "grafana_reader" SET search_path = "public";
ALTER ROLE "grafana_reader" SET statement_timeout = '15s';
-- Hygiene only, the role can switch it off. The grants below are the wall.
ALTER ROLE "grafana_reader" SET default_transaction_read_only = on;
ALTER ROLE "grafana_reader" SET timezone = 'UTC';

REVOKE CREATE ON SCHEMA "public" FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), 'grafana_reader'); END $$;
GRANT USAGE ON SCHEMA "public" TO "grafana_reader";

-- Whatever was granted by hand goes. No default privileges: they would open every raw table made later.
REVOKE ALL ON ALL TABLES IN SCHEMA "public" FROM "grafana_reader";
GRANT SELECT ON "public"."daily_metrics", "public"."monthly_metrics", "public"."targets", "public"."metric_changes", "public"."feed_status", "public"."monthly_vs_target", "public"."daily_cumulative", "public"."call_funnel", "public"."data_freshness", "public"."run_findings" TO "grafana_reader";
GRANT SELECT (run_id, started_at, finished_at, status, version, files, rows_read, rows_rejected) ON "public"."sync_runs" TO "grafana_reader";
