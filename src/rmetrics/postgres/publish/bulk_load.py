"""Fills large empty tables without keys, and builds the keys afterwards in the same transaction.

Row-by-row insertion into two or three B-trees takes most of the time of a first load; sorting once takes a fraction.
So the keys, indexes and foreign keys of an empty table are dropped, then rebuilt from their definitions in the catalog,
comments included. The catalog's descriptions before and after are compared.

This requires the tables' owner and locks the tables: readers of a table that is still empty wait until the commit.
It never waits itself while holding a lock. In unusual circumstances (a trigger, another user's foreign key, an index in
its own tablespace, an active reader), ``KeylessLoadError`` makes the publish load in the ordinary way.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import HERE, Session, literal, quoted

WORTH = 10_000
"""Minimum number of rows for building keys afterwards: for fewer, the extra statements cost more than they save."""
_SORT_MEMORY = "128MB"  # for the sort of one index at a time
_TRIGGER = "_fill_time"  # the schema script's own trigger, which reads no table
_DATA = "23"  # the SQLSTATE class of constraint violations: the rows are wrong, however they are loaded
_LOST = ("08", "57P", "25P")  # connection or transaction lost: the next run tries again


class KeylessLoadError(PostgresError):
    """Tables cannot be loaded without their keys; nothing was changed, and the ordinary load is still possible."""


@dataclass(frozen=True, slots=True)
class _Part:
    """An index, key or foreign key as described by the catalog.

    Attributes:
        table, name: SQL identifiers; the table's includes its schema.
        constraint: ``p``, ``u`` or ``f``; empty for an index without a constraint.
        definition: of the index or the foreign key.
        suffix: DEFERRABLE and the like, for keys.
        comment, index_comment: on the constraint, on the index.
    """

    table: str
    name: str
    constraint: str
    definition: str
    suffix: str
    comment: str | None
    index_comment: str | None

    def build(self) -> Iterator[str]:
        """Yields the statements that recreate it."""
        constraint = f"ALTER TABLE {self.table} ADD CONSTRAINT {self.name}"
        if self.constraint == "f":
            yield f"{constraint} {self.definition}"
        else:
            yield self.definition
        if self.constraint in ("p", "u"):
            kind = "PRIMARY KEY" if self.constraint == "p" else "UNIQUE"
            yield f"{constraint} {kind} USING INDEX {self.name}{self.suffix}"
        if self.comment is not None:
            yield f"COMMENT ON CONSTRAINT {self.name} ON {self.table} IS {literal(self.comment)}"
        if self.index_comment is not None:
            schema = self.table.partition(".")[0]
            yield f"COMMENT ON INDEX {schema}.{self.name} IS {literal(self.index_comment)}"


@contextlib.contextmanager
def keys_built_after(session: Session, rows: Mapping[str, int], own: Collection[str]) -> Iterator[frozenset[str]]:
    """Removes the keys of large empty tables for the duration of a block that fills them.

    Args:
        session: in a transaction.
        rows: the number of rows to be loaded, by empty table.
        own: all tables that are ours.

    Yields:
        The tables without keys inside the block. At its end their keys are restored and the tables analysed.

    Raises:
        KeylessLoadError: not possible here; roll back and load in the ordinary way.
        PostgresError: the rows violate a key.
    """
    large = [n for n in rows if rows[n] >= WORTH]
    plain = _plain(session, own) if large else {}
    tied = {n: plain[n] for n in large if n in plain and plain[n] <= plain.keys()}
    empty = _empty(session, {name for names in tied.values() for name in names})
    bare = [n for n, names in tied.items() if names <= empty]
    if not bare:
        yield frozenset()
        return
    with _keyless_load_errors():
        touched = sorted({*bare, *(name for n in bare for name in tied[n])})
        named = ", ".join(_named(session, t) for t in touched)
        # All in one statement with NOWAIT, so that no deadlock is possible.
        session.execute(f"LOCK TABLE {named} IN ACCESS EXCLUSIVE MODE NOWAIT")
        if _empty(session, touched) != set(touched):
            raise KeylessLoadError("another program has just filled a table", "")
        before = _parts(session, bare)
        _drop(session, before)
        _truncate_unlogged(session, bare)
    yield frozenset(bare)
    with _keyless_load_errors():
        session.query(
            "SELECT set_config('maintenance_work_mem', $1, true) "
            "WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < pg_size_bytes($1)",
            [_SORT_MEMORY],
        )
        for statement in (s for part in before for s in part.build()):
            session.execute(statement)
        if _parts(session, bare) != before:
            raise KeylessLoadError("the keys of a table differ from those before its first load", "")
        for name in bare:
            session.execute(f"ANALYZE {_named(session, name)}")


@contextlib.contextmanager
def _keyless_load_errors() -> Iterator[None]:
    try:
        yield
    except PostgresError as error:
        if error.state.startswith((_DATA, *_LOST)):
            raise
        raise KeylessLoadError(error.message, error.hint, error.state) from None


def _named(session: Session, table: str) -> str:
    return f"{quoted(session.schema or 'public')}.{quoted(table)}"


def _plain(session: Session, tables: Collection[str]) -> dict[str, frozenset[str]]:
    """The tables whose keys can be dropped and recreated exactly, each with the tables that foreign keys tie it to.

    Excludes tables of other owners, in inheritance, with foreign or disabled triggers, or with an index that is
    invalid, clustered, a replica identity, part of an exclusion constraint, in another tablespace or with adjusted
    statistics.
    """
    rows = session.query(
        "SELECT c.relname::text, coalesce(string_agg(DISTINCT "
        f"CASE WHEN r.relnamespace = c.relnamespace THEN r.relname::text ELSE r.oid::text || '.' END, ','), '') "
        "FROM pg_class AS c "
        "LEFT JOIN pg_constraint AS k ON k.contype = 'f' AND c.oid IN (k.confrelid, k.conrelid) "
        "LEFT JOIN pg_class AS r ON r.oid IN (k.confrelid, k.conrelid) AND r.oid <> c.oid "
        f"WHERE c.relnamespace = {HERE} AND c.relname = ANY (string_to_array($1, ',')) AND c.relkind = 'r' "
        "AND NOT c.relispartition AND NOT c.relhassubclass AND c.relreplident <> 'i' "
        "AND pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(c.relnamespace, 'CREATE') "
        "AND NOT EXISTS (SELECT 1 FROM pg_trigger AS t WHERE t.tgrelid = c.oid "
        f"AND (t.tgenabled <> 'O' OR NOT (t.tgisinternal OR t.tgname = c.relname || '{_TRIGGER}'))) "
        "AND NOT EXISTS (SELECT 1 FROM pg_constraint AS x WHERE x.conrelid = c.oid AND x.contype = 'x') "
        "AND NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS n ON n.oid = i.indexrelid "
        "WHERE i.indrelid = c.oid AND (NOT i.indisvalid OR i.indisclustered OR n.reltablespace <> 0 "
        "OR EXISTS (SELECT 1 FROM pg_attribute AS a WHERE a.attrelid = n.oid AND coalesce(a.attstattarget, -1) >= 0) "
        "OR EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = n.oid "
        "AND d.deptype IN ('e', 'x')))) GROUP BY c.relname",
        [",".join(tables)],
    )
    return {str(name): frozenset(n for n in tied.split(",") if n) for name, tied in rows}


def _empty(session: Session, tables: Collection[str]) -> set[str]:
    """Those of the tables that have no rows."""
    asked = (f"SELECT '{t}' WHERE NOT EXISTS (SELECT 1 FROM {_named(session, t)})" for t in sorted(tables))
    return {str(name) for (name,) in session.query(" UNION ALL ".join(asked))} if tables else set()


def _parts(session: Session, tables: Sequence[str]) -> list[_Part]:
    """The indexes, keys, and foreign keys from and to some tables, in the order in which they can be built."""
    rows = session.query(
        "WITH t AS (SELECT oid FROM pg_class "
        f"WHERE relnamespace = {HERE} AND relname = ANY (string_to_array($1, ','))) "
        "SELECT * FROM (SELECT i.indrelid::bigint AS id, quote_ident(c.relname) AS name, "
        "coalesce(k.contype::text, '') AS kind, "
        "pg_get_indexdef(i.indexrelid) AS definition, "
        "CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END "
        "|| CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END AS suffix, "
        "obj_description(k.oid, 'pg_constraint') AS about, obj_description(c.oid, 'pg_class') AS about_index "
        "FROM t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid "
        "LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u') "
        "UNION ALL "
        "SELECT k.conrelid::bigint, quote_ident(k.conname), 'f', pg_get_constraintdef(k.oid), '', "
        "obj_description(k.oid, 'pg_constraint'), NULL FROM pg_constraint AS k "
        "WHERE k.contype = 'f' AND (k.conrelid IN (SELECT oid FROM t) OR k.confrelid IN (SELECT oid FROM t)) "
        ") AS part ORDER BY kind = 'f', id, kind = 'p' DESC, name",
        [",".join(tables)],
    )
    names = dict(
        session.query(
            "SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname) FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = ANY (string_to_array($1, ',')::oid[])",
            [",".join(str(row[0]) for row in rows)],
        )
    )
    return [_Part(names[table], *rest) for table, *rest in rows]


def _drop(session: Session, parts: Sequence[_Part]) -> None:
    for part in reversed(parts):  # foreign keys before the keys they refer to
        if part.constraint:
            session.execute(f"ALTER TABLE {part.table} DROP CONSTRAINT {part.name}")
        else:
            session.execute(f"DROP INDEX {part.table.partition('.')[0]}.{part.name}")


def _truncate_unlogged(session: Session, tables: Sequence[str]) -> None:
    """Truncates tables where that lets the server skip the write-ahead log for the load (``wal_level = minimal``).

    Skips tables that ever held rows: an older snapshot may still see them, and TRUNCATE would remove them from it.
    """
    sizes = ", ".join(f"pg_relation_size('{_named(session, t)}') = 0" for t in tables)
    minimal, *never_filled = session.query(f"SELECT current_setting('wal_level') = 'minimal', {sizes}")[0]
    fresh = [_named(session, t) for t, never in zip(tables, never_filled, strict=True) if never]
    if minimal and fresh:
        session.execute(f"TRUNCATE {', '.join(fresh)}")
