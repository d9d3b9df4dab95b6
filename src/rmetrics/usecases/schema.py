"""``rmetrics schema``: the DDL in force, and applying it."""

from rmetrics.postgres.connection import connect
from rmetrics.postgres.ddl import apply_schema, clear_withheld, create_table, expect_rewrite, fit_tables, reshape
from rmetrics.postgres.embedded import server
from rmetrics.postgres.ownership import own_relations
from rmetrics.postgres.roles import roles_script
from rmetrics.rules import load_rules
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script
from rmetrics.tables import published_tables


def schema_ddl(settings: Settings) -> str:
    """Returns ``schema.sql`` and the tables that only the rules declare."""
    script = schema_script()
    known = script.split()
    own = [t for t in published_tables(load_rules(settings.rules_dir, settings.company)) if t.name not in known]
    extra = [s + ";" for t in own for s in create_table(t)]
    if not extra:
        return script
    return script.rstrip() + "\n\n\n-- Feeds declared only in the rules\n\n" + "\n".join(extra) + "\n"


def schema_apply(settings: Settings) -> str:
    """Applies the schema to the server; returns the server's label.

    Empties the table of a feed whose key or column types were edited; the next sync fills it. Clears columns that the
    rules do not publish.
    """
    rules = load_rules(settings.rules_dir, settings.company)
    with server(settings.dsn, settings.server_dir) as target, connect(target, schema=settings.pg_schema) as session:
        apply_schema(session, schema_script(), settings.pg_schema)
        tables = published_tables(rules)
        fit_tables(session, tables)
        with session.transaction():
            own = own_relations(session)
            if [*reshape(session, tables, own), *clear_withheld(session, tables, own)]:
                expect_rewrite(session)  # an emptied table has no part left that could ask for it
        return target.label


def schema_roles(settings: Settings) -> str:
    """Returns the script of the role with which Grafana reads the schema."""
    return roles_script(settings.pg_schema)
