"""The DDL: the schema script, tables and columns that only the rules define, and the schema version in force."""

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import HERE, Session, catalog, literal, quoted, statements
from rmetrics.postgres.ownership import own_relations, read_note, record_relations, refuse_foreign
from rmetrics.postgres.upgrade import upgrade
from rmetrics.rules.names import CALLS, PAYMENTS, TARGETS

if TYPE_CHECKING:
    from rmetrics.tables import PgTable

_NO_RIGHT = "42501"
_DEPENDENT = ("0A000", "2BP01")  # a view uses the column, or groups by the key
_OLDEST_SERVER = 140_000


def _tables_and_views(script: str) -> list[str]:
    return re.findall(r"^CREATE (?:TABLE|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\w+)", script, re.MULTILINE)


def _indexes(script: str) -> list[str]:
    """The indexes of a script, including those of its keys."""
    made = re.findall(r"^CREATE INDEX(?: IF NOT EXISTS)? (\w+)", script, re.MULTILINE)
    return made + re.findall(r"^\s*CONSTRAINT (\w+)\s+(?:PRIMARY KEY|UNIQUE)", script, re.MULTILINE)


def require_writable(session: Session) -> None:
    """Refuses a server that cannot be published to.

    Raises:
        PostgresError: the server is a standby, read-only, or too old; the hint names the remedy.
    """
    number, version, standby, read_only = session.query(
        "SELECT current_setting('server_version_num')::integer, current_setting('server_version'), "
        "pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
    )[0]
    where = session.server.label
    if number < _OLDEST_SERVER:
        raise PostgresError(f"PostgreSQL at {where} is version {version}", "Upgrade the server to version 14 or newer.")
    if standby:
        raise PostgresError(
            f"PostgreSQL at {where} is a standby, which does not accept writes",
            "Name the primary in RMETRICS_POSTGRES_DSN; among several hosts, ?target_session_attrs=read-write selects "
            "it.",
        )
    if read_only:
        raise PostgresError(
            f"PostgreSQL at {where} allows this user only to read (default_transaction_read_only is on)",
            "Turn it off for the user that syncs: ALTER ROLE ... SET default_transaction_read_only = off "
            "(it may also be set for the database or in the DSN).",
        )


def _begin_change(session: Session) -> None:
    """Serialises schema changes, with a time limit on waiting for locks."""
    session.execute("SET LOCAL lock_timeout = '10s'")
    session.execute("SET LOCAL statement_timeout = 0")
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended('rmetrics:schema:' || $1, 0))", [session.schema])


def apply_schema(session: Session, script: str, schema: str) -> None:
    """Creates missing tables and views and upgrades those of an earlier version, in one transaction.

    Idempotent. Keeps rows, grants, and the user's own views.

    Raises:
        PostgresError: a table or view of one of these names was not created by rmetrics, or the user may not create
            them.
    """
    needed = _tables_and_views(script)
    require_writable(session)
    with _as_owner(), session.transaction():
        _begin_change(session)
        if not session.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [schema]):
            session.execute(f"CREATE SCHEMA {quoted(schema)}")
        own = own_relations(session)
        refuse_foreign(session, needed, own, indexes=_indexes(script))
        if upgrade(session, statements(script)) and "published_parts" in own:
            # Only the lake has the values of an added column: the empty digest makes the next sync compare every row.
            expect_rewrite(session)
        for statement in statements(script):
            session.execute(statement)
        record_relations(session, own | set(needed), digest=schema_digest(script))


def schema_digest(script: str) -> str:
    """A digest that identifies a version of the schema script."""
    return hashlib.sha256(script.encode()).hexdigest()[:16]


def schema_in_force(session: Session) -> str:
    """The digest of the script applied last; empty if unknown."""
    note = read_note(session)
    return note.digest if note is not None else ""


@contextlib.contextmanager
def _as_owner() -> Iterator[None]:
    """Explains a missing privilege: only the tables' owner may change the schema."""
    try:
        yield
    except PostgresError as error:
        if error.state != _NO_RIGHT:
            raise
        raise PostgresError(
            f"{error.message}: tables or columns must be created, and this user may not create them",
            "As the owner of the tables, run rmetrics schema --apply, then the script of rmetrics schema --roles "
            "again.",
        ) from None


def has_all(session: Session, names: Sequence[str]) -> bool:
    """Whether all of these tables and views exist in the schema and were created by rmetrics."""
    return set(names) <= own_relations(session)


def is_complete(session: Session, script: str) -> bool:
    """Whether the schema has all of a script's tables and views, created by rmetrics, and their indexes."""
    own, wanted = own_relations(session), set(_indexes(script))
    if not set(_tables_and_views(script)) <= own:
        return False
    found = session.query(
        "SELECT c.relname::text FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid "
        "JOIN pg_class AS t ON t.oid = i.indrelid "
        f"WHERE t.relnamespace = {HERE} AND t.relname = ANY (string_to_array($1, ','))",
        [",".join(own)],
    )
    return wanted <= {str(name) for (name,) in found}


def create_table(table: "PgTable") -> list[str]:
    """The DDL of a table that only TOML defines, in the style of ``schema.sql``."""
    lines = [f"    {quoted(c.name)} {c.type}{' NOT NULL' if c.not_null else ''}" for c in table.columns]
    lines.append(f"    {_key_of(table)}")
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


def _key_of(table: "PgTable") -> str:
    key = ", ".join(quoted(k) for k in table.key)
    return f"CONSTRAINT {quoted((table.name + '_pkey')[:63])} PRIMARY KEY ({key})"


def add_column(table: "PgTable", name: str) -> list[str]:
    """The DDL of a column that TOML adds to a table."""
    column = next(c for c in table.columns if c.name == name)
    ddl = [f"ALTER TABLE {quoted(table.name)} ADD COLUMN IF NOT EXISTS {quoted(name)} {column.type}"]
    if column.comment:
        ddl.append(f"COMMENT ON COLUMN {quoted(table.name)}.{quoted(name)} IS {literal(column.comment)}")
    return ddl


def fit_tables(session: Session, tables: "Sequence[PgTable]") -> None:
    """Creates the tables and columns that the rules require and the database lacks.

    Raises:
        PostgresError: a table of that name was not created by rmetrics, or the user may not create one.
    """
    with _as_owner(), session.transaction():
        _begin_change(session)
        own = own_relations(session)
        names = [t.name for t in tables]
        refuse_foreign(session, names, own, indexes=[f"{t.name}_pkey"[:63] for t in tables])
        for table in tables:
            existing = catalog(session, table.name)
            added = [s for c in table.names if c not in existing for s in add_column(table, c)]
            for statement in added if existing else create_table(table):
                session.execute(statement)
            if existing and added:
                expect_rewrite(session, table.name)
        if not set(names) <= own:
            record_relations(session, own | set(names))


def reshape(session: Session, tables: "Sequence[PgTable]", own: Collection[str]) -> list[str]:
    """Gives the tables of feeds the key and the column types of edited rules.

    A table whose rows cannot stay is emptied, for a publish to fill. Its grants, and views of columns that keep their
    type, remain.

    Args:
        session: in a transaction; that of the publish, unless its user may not change tables.
        tables: all tables; types of columns that the schema script declares are left as they are.
        own: all tables that are ours.

    Returns:
        The names of the tables emptied.

    Raises:
        PostgresError: this user may not change them, or a view needs what would change.
    """
    emptied = list[str]()
    for table in tables:
        if not (table.custom or table.name in (PAYMENTS, CALLS, TARGETS)) or table.name not in own:
            continue
        existing, key = catalog(session, table.name), _primary_key(session, table.name)
        typed = table.columns if table.custom else ()
        other_types = [c for c in typed if c.name in existing and existing[c.name].type != c.type]
        unfilled = [n for n, c in existing.items() if c.not_null and not c.generated and n not in table.names]
        fits = key is not None and key.columns == frozenset(table.key) and not other_types
        if fits and not unfilled:
            continue
        name, filled = quoted(table.name), {c.name for c in table.columns if c.not_null}
        with _as_owner(), _views_named(table.name):
            if not fits:
                session.execute(f"DELETE FROM {name}")
                session.execute("DELETE FROM published_parts WHERE table_name = $1", [table.name])
                if key is not None:
                    session.execute(f"ALTER TABLE {name} DROP CONSTRAINT {quoted(key.name)}")
            for column in (n for n, c in existing.items() if c.not_null and not c.generated and n not in filled):
                session.execute(f"ALTER TABLE {name} ALTER COLUMN {quoted(column)} DROP NOT NULL")
            for c in other_types:
                session.execute(f"ALTER TABLE {name} ALTER COLUMN {quoted(c.name)} TYPE {c.type} USING NULL")
            if not fits:
                session.execute(f"ALTER TABLE {name} ADD {_key_of(table)}")
                for statement in create_table(table):  # its indexes
                    session.execute(statement)
                emptied.append(table.name)
    return emptied


@contextlib.contextmanager
def _views_named(table: str) -> Iterator[None]:
    """Explains that a view keeps a table from being reshaped."""
    try:
        yield
    except PostgresError as error:
        if error.state not in _DEPENDENT:
            raise
        raise PostgresError(
            f"{error.message}: the rules changed the key of table {table} or the type of a column, and a view needs it",
            "Drop that view, sync, then create it again.",
        ) from None


class _Key(NamedTuple):
    name: str
    columns: frozenset[str]


def _primary_key(session: Session, table: str) -> _Key | None:
    rows = session.query(
        "SELECT k.conname::text, a.attname::text FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey) "
        f"WHERE k.contype = 'p' AND c.relnamespace = {HERE} AND c.relname = $1",
        [table],
    )
    return _Key(str(rows[0][0]), frozenset(str(column) for _, column in rows)) if rows else None


def has_columns(session: Session, tables: "Sequence[PgTable]") -> bool:
    """Whether rmetrics created each of the tables and all of their columns exist."""
    if not has_all(session, [t.name for t in tables]):
        return False
    rows = session.query(
        "SELECT c.relname::text, a.attname::text FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
        f"WHERE c.relnamespace = {HERE} AND c.relname = ANY (string_to_array($1, ',')) "
        "AND a.attnum > 0 AND NOT a.attisdropped",
        [",".join(t.name for t in tables)],
    )
    return {(t.name, name) for t in tables for name in t.names} <= {(str(t), str(n)) for t, n in rows}


def clear_withheld(session: Session, tables: "Sequence[PgTable]", own: Collection[str]) -> list[str]:
    """Clears columns that earlier rules published and the present ones do not.

    Args:
        session: in a transaction; in that of the publish, if it fails, the columns keep their values.
        tables: all tables.
        own: all tables that are ours.

    Returns:
        The names of the tables changed.

    Raises:
        PostgresError: this user may not change them.
    """
    changed = list[str]()
    for table in (t for t in tables if t.withheld and t.name in own):
        existing = catalog(session, table.name)
        for name in (n for n in table.withheld if n in existing):
            if existing[name].not_null:
                with _as_owner():
                    session.execute(f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {quoted(name)} DROP NOT NULL")
            rows = session.execute(
                f"UPDATE {quoted(table.name)} SET {quoted(name)} = NULL WHERE {quoted(name)} IS NOT NULL"
            )
            changed += [table.name] if rows else []
    return changed


def expect_rewrite(session: Session, table: str = "") -> None:
    """Has the next publish compare every row of a table, or of all: no rows have an empty digest."""
    session.execute("UPDATE published_parts SET digest = '' WHERE $1 IN ('', table_name)", [table])
