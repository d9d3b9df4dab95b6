"""Three roles as one SQL script: the owner creates tables, the writer syncs, the reader is for Grafana.

The writer fills tables but can neither create nor drop one, so a leaked sync password can destroy nothing that the
next sync does not restore. Every Grafana viewer can send arbitrary SQL to the data source, so the reader's grants are
the only protection: aggregates, targets, views, freshness, and the harmless columns of the runs. Raw tables and
``sync_runs.detail`` are not readable. A view runs with its owner's rights, so the views determine how much of the raw
data is visible.
"""

import textwrap
from collections.abc import Sequence

from rmetrics.postgres.connection import quoted
from rmetrics.postgres.ownership import CARRIERS, NOTE, TABLES, VIEWS

OWNER, WRITER, READER = "rmetrics_owner", "rmetrics_writer", "grafana_reader"
READABLE = (
    "daily_metrics",
    "monthly_metrics",
    "measures",
    "measure_daily",
    "dimension_monthly",
    "measure_monthly",
    "measure_vs_target",
    "targets",
    "metric_changes",
    "member_changes",
    "feed_status",
    "forecasts",
    "monthly_vs_target",
    "daily_cumulative",
    "month_forecast",
    "weekly_metrics",
    "quarterly_metrics",
    "yearly_metrics",
    "call_funnel",
    "call_classes",
    "speed_to_lead",
    "journey_metrics",
    "journey_funnel",
    "jobs_matched",
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
    """Returns the script that creates the roles and sets their exact grants. Idempotent.

    Args:
        schema: the schema that is published to.
        role: the reader's name.

    Raises:
        SettingsError: one of them is not a plain identifier.
    """
    who, where, owner, writer = quoted(role), quoted(schema), quoted(OWNER), quoted(WRITER)
    return f"""\
-- Three roles: {OWNER} owns the tables and creates new ones, {WRITER} syncs, {role} is for Grafana.
-- Run this after the schema, as a superuser or as an owner of the tables who may create roles:
--   rmetrics schema --apply && rmetrics schema --roles | psql "$RMETRICS_POSTGRES_DSN"
-- then set passwords for the two that log in; no script should contain them:
--   \\password {WRITER}
--   \\password {role}
-- and let syncs log in as {WRITER}. If an upgrade or new rules need a new table or column, a sync reports it:
-- run `rmetrics schema --apply` as the owner, then this script again, which grants rights table by table.

DO $$ BEGIN CREATE ROLE {owner} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {writer} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {who} LOGIN CONNECTION LIMIT 20; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE {who} SET search_path = {where};
ALTER ROLE {who} SET statement_timeout = '15s';
-- A precaution only: the role can turn this off. The grants below are the protection.
ALTER ROLE {who} SET default_transaction_read_only = on;
ALTER ROLE {who} SET timezone = 'UTC';

REVOKE CREATE ON SCHEMA {where} FROM PUBLIC;
DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database()); END $$;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), '{role}'); END $$;
GRANT USAGE ON SCHEMA {where} TO {who};

-- The owner: the user of this script can still act as it.
GRANT {owner} TO CURRENT_USER;
GRANT USAGE, CREATE ON SCHEMA {where} TO {owner};

-- The writer: may create the temporary tables of a publish. Earlier scripts granted it every table of the owner.
DO $$ BEGIN EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO {writer}', current_database()); END $$;
GRANT USAGE ON SCHEMA {where} TO {writer};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {where} REVOKE ALL ON TABLES FROM {writer};

-- For each table of rmetrics: the owner owns it, the writer writes its rows, the reader reads aggregates
-- (its other grants are revoked). Anything else in this schema is not ours and remains unchanged.
DO $$ DECLARE t record; BEGIN
  FOR t IN {_own(schema)}
  LOOP
    EXECUTE format('ALTER %s {where}.%I OWNER TO {owner}', t.kind, t.relname); -- owner
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON {where}.%I TO {writer}', t.relname); -- writer
    EXECUTE format('REVOKE ALL ON {where}.%I FROM {who}', t.relname); -- reader
    IF t.relname IN ({_listed(READABLE)})
    THEN EXECUTE format('GRANT SELECT ON {where}.%I TO {who}', t.relname); END IF; -- reader
  END LOOP; END $$;
GRANT SELECT ({", ".join(RUN_COLUMNS)}) ON {where}."sync_runs" TO {who};
"""


def _own(schema: str) -> str:
    """SQL of the tables and views that rmetrics created, from the note that ``ownership`` keeps."""
    return f"""\
WITH carriers AS (
    SELECT c.oid, c.relname::text AS name, obj_description(c.oid, 'pg_class') AS comment,
           obj_description(k.oid, 'pg_constraint') AS note
    FROM pg_class AS c LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.conname = c.relname || '_pkey'
    WHERE c.relnamespace = '"{schema}"'::regnamespace AND c.relname IN ({_listed(CARRIERS)}) AND c.relkind = 'r'),
  noted AS (
    SELECT name, oid, CASE WHEN note LIKE '{NOTE}%{{%' THEN substr(note, strpos(note, '{{'))::jsonb ELSE '{{}}' END made
    FROM carriers WHERE note LIKE '{NOTE}%' OR (name = 'sync_runs' AND comment LIKE '%rmetrics%')),
  best AS (
    SELECT made, coalesce(made ->> name = oid::text, false) AS fits FROM noted ORDER BY 2 DESC, name DESC LIMIT 1)
    SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind FROM pg_class AS c, best
    WHERE c.relnamespace = '"{schema}"'::regnamespace AND c.relkind IN ('r', 'v') AND CASE
      WHEN fits THEN made ->> c.relname::text = c.oid::text
      ELSE obj_description(c.oid, 'pg_class') IS NOT NULL AND (made ? c.relname::text OR c.relname IN (
        {_listed((*TABLES, *VIEWS))})) END"""


def _listed(names: Sequence[str]) -> str:
    return textwrap.fill(", ".join(f"'{name}'" for name in names), 110, subsequent_indent=" " * 8)
