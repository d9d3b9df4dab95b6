-- Three roles: rmetrics_owner owns the tables and makes new ones, rmetrics_writer syncs, grafana_reader is Grafana's.
-- Run it as a superuser, or as the owner of the tables who may create roles, after the schema:
--   rmetrics schema --apply && rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then give the two that log in their passwords, which no script should hold:
--   \password rmetrics_writer
--   \password grafana_reader
-- and let the syncs log in as rmetrics_writer. After an upgrade, or when rules ask for a new table or column, a sync says so:
-- run `rmetrics schema --apply` as the owner, then this script again.

DO $$ BEGIN CREATE ROLE "rmetrics_owner" NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE "rmetrics_writer" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
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

-- The owner: whoever runs this stays able to act as it. Only tables and views of rmetrics are in this schema.
GRANT "rmetrics_owner" TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA "public" TO "rmetrics_owner";
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid) IS NOT NULL
  LOOP EXECUTE format('ALTER %s "public".%I OWNER TO "rmetrics_owner"', r.kind, r.relname); END LOOP; END $$;

-- The writer: rows, and the temporary tables a publish stages them in. Tables the owner makes later are open to it.
DO $$ BEGIN EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO "rmetrics_writer"', current_database()); END $$;
GRANT USAGE ON SCHEMA "public" TO "rmetrics_writer";
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "public" TO "rmetrics_writer";
ALTER DEFAULT PRIVILEGES FOR ROLE "rmetrics_owner" IN SCHEMA "public" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "rmetrics_writer";

-- The reader. Whatever was granted by hand goes. No default privileges: they would open every raw table made later.
REVOKE ALL ON ALL TABLES IN SCHEMA "public" FROM "grafana_reader";
GRANT SELECT ON "public"."daily_metrics", "public"."monthly_metrics", "public"."targets", "public"."metric_changes", "public"."feed_status", "public"."monthly_vs_target", "public"."daily_cumulative", "public"."call_funnel", "public"."data_freshness", "public"."run_findings" TO "grafana_reader";
GRANT SELECT (run_id, started_at, finished_at, status, version, files, rows_read, rows_rejected) ON "public"."sync_runs" TO "grafana_reader";
