"""Fills an empty table: foreign keys are checked once after the COPY instead of row by row.

PostgreSQL looks up every copied row in the referenced table, which takes longer than the COPY itself. If the user may
disable these checks in this transaction, they are off during the COPY only, and one query over both tables replaces
them: a row without a match still fails the publish. Other writers are locked out of both tables meanwhile; readers are
not.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Session, quoted


@dataclass(frozen=True, slots=True)
class _ForeignKey:
    """Names as SQL identifiers; pairs of referencing and referenced columns."""

    name: str
    target: str
    pairs: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def keys_checked_at_once(session: Session, table: str) -> Iterator[None]:
    """Wraps the COPY into an empty table.

    Raises:
        PostgresError: a row references one that does not exist.
    """
    keys = _foreign_keys(session, table) if _may_switch_off(session, table) else []
    if not keys or not _lock_out_writers(session, [quoted(table), *(k.target for k in keys)]):
        yield
        return
    session.execute("SET LOCAL session_replication_role = replica")
    yield
    session.execute("SET LOCAL session_replication_role = origin")
    for key in keys:
        _check(session, table, key)


def _named(session: Session, table: str) -> str:
    """A table's name with its schema: an unqualified name could resolve to another table."""
    return f"{quoted(session.schema)}.{quoted(table)}" if session.schema else quoted(table)


def _may_switch_off(session: Session, table: str) -> bool:
    """Whether the user may disable triggers and only foreign keys would be affected."""
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


def _lock_out_writers(session: Session, tables: list[str]) -> bool:
    """Locks out other writers until the end of the transaction; False if one is active."""
    session.execute(  # the driver has no savepoints, so the server must catch the error
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
            f"table {table}: {lost} rows violate the foreign key {key.name}: {key.target} lacks their keys",
            "Nothing was changed. Please report this with the output of `rmetrics doctor`.",
        )
