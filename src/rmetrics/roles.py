"""The reader role of Grafana: what it may see, as an SQL script.

Every viewer of Grafana can send any SQL to the data source, so these grants are the only wall: aggregates, targets,
views, freshness, and the harmless columns of the runs. Raw tables and ``sync_runs.detail`` stay closed. A view runs
with its owner's rights, so the views decide what of the raw data can be seen.
"""

from rmetrics.postgres import quoted

READER = "grafana_reader"
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
    """The script that makes the reader role and gives it exactly its grants. Running it again changes nothing.

    Args:
        schema: the schema that is published into.
        role: the role's name.

    Raises:
        SettingsError: one of them is no plain identifier.
    """
    who, where = quoted(role), quoted(schema)
    return f"""\
-- The role with which Grafana reads. Run it as the owner of the tables, after the schema:
--   rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then give it a password, which no script should hold:
--   \\password {role}

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

-- Whatever was granted by hand goes. No default privileges: they would open every raw table made later.
REVOKE ALL ON ALL TABLES IN SCHEMA {where} FROM {who};
GRANT SELECT ON {", ".join(f"{where}.{quoted(name)}" for name in READABLE)} TO {who};
GRANT SELECT ({", ".join(RUN_COLUMNS)}) ON {where}."sync_runs" TO {who};
"""
