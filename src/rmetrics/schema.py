"""The DDL: the schema script, tables and columns that only the rules know, and what is in force."""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from rmetrics.errors import PostgresError
from rmetrics.postgres import Session, catalog, quoted, statements
from rmetrics.tables import PgTable
from rmetrics.upgrade import upgrade

_MARK = "rmetrics schema "


def relations(script: str) -> list[str]:
    """The tables, views and indexes a schema script creates."""
    return re.findall(r"^CREATE (?:TABLE|INDEX|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\w+)", script, re.MULTILINE)


def apply_schema(session: Session, script: str, schema: str) -> None:
    """Creates what is missing and upgrades what an earlier version made, in one transaction.

    Applying it again changes nothing. Rows, grants, and views of the user's own stay.
    """
    with _as_owner(), session.transaction():
        session.execute("SET LOCAL lock_timeout = '10s'")
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended('rmetrics:schema:' || $1, 0))", [schema])
        if not session.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]):
            session.execute(f"CREATE SCHEMA {quoted(schema)}")
        if upgrade(session, statements(script)) and has_all(session, ["published_parts"]):
            # What an added column must hold is known to the lake alone: the next sync compares every row.
            session.execute("UPDATE published_parts SET digest = ''")
        for statement in statements(script):
            session.execute(statement)
        if "sync_runs" in relations(script):
            mark = literal(_MARK + schema_digest(script))
            session.execute(f"COMMENT ON CONSTRAINT sync_runs_pkey ON sync_runs IS {mark}")


def schema_digest(script: str) -> str:
    """A digest that tells one version of the schema from another."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def schema_in_force(session: Session) -> str:
    """The digest of the script that was applied last; empty where that is not known."""
    rows = session.query(
        "SELECT obj_description(oid, 'pg_constraint') FROM pg_constraint "
        "WHERE conrelid = to_regclass('sync_runs') AND conname = 'sync_runs_pkey'"
    )
    mark = str(rows[0][0] or "") if rows else ""
    return mark.removeprefix(_MARK) if mark.startswith(_MARK) else ""


@contextlib.contextmanager
def _as_owner() -> Iterator[None]:
    """Tells the writer of what only the owner may do."""
    try:
        yield
    except PostgresError as error:
        if not any(sign in error.message for sign in ("permission denied", "must be owner")):
            raise
        raise PostgresError(
            f"{error.message}: tables and columns have to be made, and this user may not make them",
            "As the owner of the tables: rmetrics schema --apply, then the script of rmetrics schema --roles again.",
        ) from None


def has_all(session: Session, names: Sequence[str]) -> bool:
    """Whether all relations exist where the session looks first."""
    found = session.query(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = current_schema() AND c.relname = ANY (string_to_array($1, ','))",
        [",".join(names)],
    )
    return int(found[0][0]) == len(set(names))


def create_table(table: PgTable) -> list[str]:
    """The DDL of a table that only TOML knows, in the style of ``schema.sql``."""
    lines = [f"    {quoted(c.name)} {c.type}{' NOT NULL' if c.not_null else ''}" for c in table.columns]
    key = ", ".join(quoted(k) for k in table.key)
    lines.append(f"    CONSTRAINT {quoted((table.name + '_pkey')[:63])} PRIMARY KEY ({key})")
    if any(c.name == "job_id" for c in table.columns) and "job_id" not in table.key:
        lines.append(
            f"    CONSTRAINT {quoted((table.name + '_job_id_fkey')[:63])} FOREIGN KEY (job_id) REFERENCES jobs (job_id)"
        )
    ddl = [f"CREATE TABLE IF NOT EXISTS {quoted(table.name)} (\n" + ",\n".join(lines) + "\n)"]
    if table.part and table.part not in table.key:
        index = quoted((f"{table.name}_{table.part}_idx")[:63])
        ddl.append(f"CREATE INDEX IF NOT EXISTS {index} ON {quoted(table.name)} ({quoted(table.part)})")
    if any(c.name == "job_id" for c in table.columns) and "job_id" not in table.key:
        index = quoted((f"{table.name}_job_id_idx")[:63])
        ddl.append(f"CREATE INDEX IF NOT EXISTS {index} ON {quoted(table.name)} (job_id)")
    if table.comment:
        ddl.append(f"COMMENT ON TABLE {quoted(table.name)} IS {literal(table.comment)}")
    ddl += [
        f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(c.name)} IS {literal(c.comment)}"
        for c in table.columns
        if c.comment
    ]
    return ddl


def add_column(table: PgTable, name: str) -> list[str]:
    """The DDL of a column that TOML added to a table."""
    column = next(c for c in table.columns if c.name == name)
    ddl = [f"ALTER TABLE {quoted(table.name)} ADD COLUMN IF NOT EXISTS {quoted(name)} {column.type}"]
    if column.comment:
        ddl.append(f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(name)} IS {literal(column.comment)}")
    return ddl


def literal(text: str) -> str:
    """A text as an SQL literal; COMMENT takes no parameters."""
    return "'" + text.replace("\x00", "").replace("'", "''") + "'"


def fit_tables(session: Session, tables: Sequence[PgTable]) -> None:
    """Creates tables and columns that the rules ask for and the database lacks."""
    with _as_owner(), session.transaction():
        session.execute("SET LOCAL lock_timeout = '10s'")
        for table in tables:
            there = catalog(session, table.name)
            ddl = (
                create_table(table)
                if not there
                else [s for c in table.names if c not in there for s in add_column(table, c)]
            )
            for statement in [*ddl, *withhold(table, there)]:
                session.execute(statement)


def withhold(table: PgTable, there: Mapping[str, tuple[str, bool, bool]]) -> list[str]:
    """Takes values out of columns that were published before the rules said ``publish = false``."""
    found = []
    for name in (n for n in table.withheld if n in there):
        if there[name][1]:
            found.append(f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {quoted(name)} DROP NOT NULL")
        found.append(f"UPDATE {quoted(table.name)} SET {quoted(name)} = NULL WHERE {quoted(name)} IS NOT NULL")
    return found
