"""Three roles as one SQL script: the owner makes tables, the writer syncs, the reader is Grafana's.

The writer fills tables and can neither make nor drop one, so a lost password of a sync cannot take anything away that
the next sync would not bring back. Every viewer of Grafana can send any SQL to the data source, so the reader's grants
are the only wall: aggregates, targets, views, freshness, and the harmless columns of the runs. Raw tables and
``sync_runs.detail`` stay closed. A view runs with its owner's rights, so the views decide what of the raw data can be
seen.
"""

from rmetrics.postgres import quoted

OWNER, WRITER, READER = "rmetrics_owner", "rmetrics_writer", "grafana_reader"
READABLE = (
    "daily_metrics",
    "monthly_metrics",
    "targets",
    "metric_changes",
    "feed_status",
    "monthly_vs_target",
    "daily_cumulative",
    "call_funnel",
    "data_freshness",
    "run_findings",
)
RUN_COLUMNS = (
    "run_id",
    "started_at",
    "finished_at",
    "status",
    "version",
    "files",
    "rows_read",
    "rows_rejected",
)


def roles_script(schema: str = "public", role: str = READER) -> str:
    """The script that makes the roles and gives each exactly its grants. Running it again changes nothing.

    Args:
        schema: the schema that is published into.
        role: the reader's name.

    Raises:
        SettingsError: one of them is no plain identifier.
    """
    who, where, owner, writer = quoted(role), quoted(schema), quoted(OWNER), quoted(WRITER)
    return f"""\
-- Three roles: {OWNER} owns the tables and makes new ones, {WRITER} syncs, {role} is Grafana's.
-- Run it as a superuser, or as the owner of the tables who may create roles, after the schema:
--   rmetrics schema --apply && rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then give the two that log in their passwords, which no script should hold:
--   \\password {WRITER}
--   \\password {role}
-- and let the syncs log in as {WRITER}. After an upgrade, or when rules ask for a new table or column, a sync says so:
-- run `rmetrics schema --apply` as the owner, then this script again.

DO $$ BEGIN CREATE ROLE {owner} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {writer} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {who} LOGIN CONNECTION LIMIT 20; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE {who} SET search_path = {where};
ALTER ROLE {who} SET statement_timeout = '15s';
-- Hygiene only, the role can switch it off. The grants below are the wall.
ALTER ROLE {who} SET default_transaction_read_only = on;
ALTER ROLE {who} SET timezone = 'UTC';

REVOKE CREATE ON SCHEMA {where} FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), '{role}'); END $$;
GRANT USAGE ON SCHEMA {where} TO {who};

-- The owner: whoever runs this stays able to act as it. Only tables and views of rmetrics are in this schema.
GRANT {owner} TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA {where} TO {owner};
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM pg_class AS c
    WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid) IS NOT NULL
  LOOP EXECUTE format('ALTER %s {where}.%I OWNER TO {owner}', r.kind, r.relname); END LOOP; END $$;

-- The writer: rows, and the temporary tables a publish stages them in. Tables the owner makes later are open to it.
DO $$ BEGIN EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO {writer}', current_database()); END $$;
GRANT USAGE ON SCHEMA {where} TO {writer};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {where} TO {writer};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {where} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {writer};

-- The reader. Whatever was granted by hand goes. No default privileges: they would open every raw table made later.
REVOKE ALL ON ALL TABLES IN SCHEMA {where} FROM {who};
GRANT SELECT ON {", ".join(f"{where}.{quoted(name)}" for name in READABLE)} TO {who};
GRANT SELECT ({", ".join(RUN_COLUMNS)}) ON {where}."sync_runs" TO {who};
"""
