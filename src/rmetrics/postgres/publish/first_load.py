"""Filling an empty table: COPY without a look-up per row for its foreign keys, which are checked once at the end.

PostgreSQL looks up every row of a COPY in the table it refers to, which takes longer than the COPY. Where the user may
switch that off for this transaction, it is off for the COPY alone, and one query over both tables takes its place:
a row without its match fails the publish as before. Nobody else writes to the two tables meanwhile; readers go on.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Session, quoted


@dataclass(frozen=True, slots=True)
class _ForeignKey:
    """Names as SQL identifiers; pairs of referring and referred columns."""

    name: str
    target: str
    pairs: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def keys_checked_at_once(session: Session, table: str) -> Iterator[None]:
    """Wraps the COPY into an empty table.

    Raises:
        PostgresError: a row refers to one that is not there.
    """
    keys = _foreign_keys(session, table) if _may_switch_off(session, table) else []
    if not keys or not _alone(session, [quoted(table), *(k.target for k in keys)]):
        yield
        return
    session.execute("SET LOCAL session_replication_role = replica")
    yield
    session.execute("SET LOCAL session_replication_role = origin")
    for key in keys:
        _check(session, table, key)


def _named(session: Session, table: str) -> str:
    """A table's name with its schema: alone it might be found elsewhere."""
    return f"{quoted(session.schema)}.{quoted(table)}" if session.schema else quoted(table)


def _may_switch_off(session: Session, table: str) -> bool:
    """Whether this user may, and nothing but foreign keys would be switched off."""
    version = int(session.query("SELECT current_setting('server_version_num')")[0][0])
    may = "has_parameter_privilege('session_replication_role', 'SET')"
    if version < 150_000:
        may = "current_setting('is_superuser')::boolean"
    found = session.query(
        f"SELECT {may} AND current_setting('session_replication_role') = 'origin' "
        "AND NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT tgisinternal) "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'f' "
        "AND (condeferrable OR confmatchtype <> 's' OR NOT convalidated))",
        [_named(session, table)],
    )
    return bool(found[0][0])


def _foreign_keys(session: Session, table: str) -> list[_ForeignKey]:
    rows = session.query(
        "SELECT c.conname::text, format('%I.%I', n.nspname, r.relname), quote_ident(a.attname), quote_ident(f.attname) "
        "FROM pg_constraint AS c "
        "JOIN pg_class AS r ON r.oid = c.confrelid JOIN pg_namespace AS n ON n.oid = r.relnamespace "
        "CROSS JOIN LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (mine, theirs, place) "
        "JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = k.mine "
        "JOIN pg_attribute AS f ON f.attrelid = c.confrelid AND f.attnum = k.theirs "
        "WHERE c.conrelid = to_regclass($1) AND c.contype = 'f' ORDER BY c.conname, k.place",
        [_named(session, table)],
    )
    keys: dict[str, _ForeignKey] = {}
    for name, target, mine, theirs in rows:
        before = keys[name].pairs if name in keys else ()
        keys[name] = _ForeignKey(name, target, (*before, (mine, theirs)))
    return list(keys.values())


def _alone(session: Session, tables: list[str]) -> bool:
    """Keeps other writers out until the end of the transaction; False where one is at work."""
    session.execute(  # the driver knows no savepoints: what fails has to be caught in the server
        f"DO $$ BEGIN LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE NOWAIT; "
        "PERFORM set_config('rmetrics.alone', 'yes', true); "
        "EXCEPTION WHEN lock_not_available THEN PERFORM set_config('rmetrics.alone', 'no', true); END $$"
    )
    return bool(session.query("SELECT current_setting('rmetrics.alone') = 'yes'")[0][0])


def _check(session: Session, table: str, key: _ForeignKey) -> None:
    filled = " AND ".join(f"t.{mine} IS NOT NULL" for mine, _ in key.pairs)
    same = " AND ".join(f"r.{theirs} = t.{mine}" for mine, theirs in key.pairs)
    lost = session.query(
        f"SELECT count(*) FROM {quoted(table)} AS t WHERE {filled} "
        f"AND NOT EXISTS (SELECT 1 FROM {key.target} AS r WHERE {same})"
    )[0][0]
    if lost:
        raise PostgresError(
            f"table {table}: {lost} rows violate the foreign key {key.name}: {key.target} lacks what they name",
            "Nothing was changed. Please report this with the output of `rmetrics doctor`.",
        )
