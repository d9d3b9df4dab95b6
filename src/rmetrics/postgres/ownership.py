"""Finds the tables and views that rmetrics created, so that it never writes to anybody else's.

Names, columns and comments prove nothing: they can be coincidental or copied. So the oids of created tables and views,
which are unique within a database, are recorded in a note: a comment on the primary keys of both ``sync_runs`` and
``published_parts``, in case one is dropped. Only the owner can change it, everyone can read it, and ``pg_dump``
includes it.

Without a matching note (a schema applied by hand or by an early version, or a restored dump, where all oids are new),
the tables of the schema script count as ours if the schema has a ``sync_runs`` of ours and their contents were
published. The note is written the next time tables are created.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import HERE, Session, literal, quoted

NOTE = "rmetrics schema "
CARRIERS = ("sync_runs", "published_parts")  # the tables on whose keys the note stands
BOOKKEEPING = (
    "business",
    "sync_runs",
    "metric_changes",
    "member_changes",
    "published_parts",
    "feed_status",
    "forecasts",
)
TABLES = (
    "jobs",
    "payments",
    "calls",
    "elocals_leads",
    "proref_leads",
    "google_spend",
    "daily_metrics",
    "monthly_metrics",
    "measures",
    "measure_daily",
    "dimension_monthly",
    "journeys",
    "journey_metrics",
    "targets",
    *BOOKKEEPING,
)
VIEWS = (
    "monthly_vs_target",
    "measure_monthly",
    "measure_vs_target",
    "daily_cumulative",
    "month_forecast",
    "weekly_metrics",
    "quarterly_metrics",
    "yearly_metrics",
    "call_funnel",
    "call_classes",
    "speed_to_lead",
    "journey_funnel",
    "jobs_matched",
    "data_freshness",
    "run_findings",
)

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "f": "foreign table",
    "v": "view",
    "m": "materialized view",
    "S": "sequence",
    "c": "type",
    "i": "index",
    "I": "index",
}


@dataclass(frozen=True, slots=True)
class Note:
    """The record of a schema that rmetrics created.

    Attributes:
        digest: of the schema script applied last; empty if unknown.
        made: oids of the tables and views that rmetrics created, by name.
    """

    digest: str = ""
    made: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return NOTE + self.digest + " " + json.dumps(dict(sorted(self.made.items())), separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Relation:
    oid: int
    kind: str
    commented: bool
    names_rmetrics: bool


def read_note(session: Session) -> Note | None:
    """The note of the current schema, None if there is none; prefers one that matches its table's oid."""
    notes = list(_notes(session))
    return next((note for _, note, fits in notes if fits), notes[0][1] if notes else None)


def _notes(session: Session) -> Iterator[tuple[str, Note, bool]]:
    """Yields every note with the table that carries it and whether the note names that table's oid."""
    rows = session.query(
        "SELECT c.relname::text, c.oid::bigint, obj_description(k.oid, 'pg_constraint') FROM pg_constraint AS k "
        "JOIN pg_class AS c ON c.oid = k.conrelid AND k.conname = c.relname || '_pkey' "
        f"WHERE c.relnamespace = {HERE} AND c.relname = ANY (string_to_array($1, ',')) ORDER BY c.relname DESC",
        [",".join(CARRIERS)],
    )
    for name, oid, text in rows:
        if text is not None and text.startswith(NOTE):
            note = _parsed(text)
            yield name, note, note.made.get(name) == oid


def _parsed(text: str) -> Note:
    digest, brace, made = text.removeprefix(NOTE).partition("{")
    try:
        found = json.loads(brace + made) if brace else {}
        return Note(digest.strip(), {str(name): int(oid) for name, oid in found.items()})
    except (ValueError, TypeError):  # an edited comment proves nothing
        return Note(digest.strip())


def own_relations(session: Session) -> frozenset[str]:
    """The names of the tables and views in the current schema that rmetrics created."""
    existing, notes = _relations(session), list(_notes(session))
    for _, note, fits in notes:
        if fits:
            return frozenset(name for name, found in existing.items() if note.made.get(name) == found.oid)
    runs = existing.get("sync_runs")
    if runs is None or runs.kind != "r" or not (notes or runs.names_rmetrics):
        return frozenset()
    return frozenset(_without_note(session, existing, notes[0][1] if notes else Note()))


def _relations(session: Session) -> dict[str, _Relation]:
    rows = session.query(
        "SELECT relname::text, oid::bigint, relkind::text, obj_description(oid, 'pg_class') IS NOT NULL, "
        "coalesce(obj_description(oid, 'pg_class') LIKE '%rmetrics%', false) FROM pg_class "
        f"WHERE relnamespace = {HERE} AND relkind IN ('r', 'v')"
    )
    return {name: _Relation(int(oid), kind, bool(commented), bool(us)) for name, oid, kind, commented, us in rows}


def _without_note(session: Session, existing: Mapping[str, _Relation], note: Note) -> Iterator[str]:
    """Yields our relations as far as they can be found without oids: a table with rows must have been published."""
    parts = existing.get("published_parts")
    known = parts is not None and parts.kind == "r" and parts.commented
    published = bool(session.query("SELECT 1 FROM sync_runs WHERE status = 'ok' LIMIT 1"))
    listed = {str(n) for (n,) in session.query("SELECT DISTINCT table_name FROM published_parts")} if known else set()
    for name, found in existing.items():
        if found.kind == "v":
            sure = found.commented and (name in VIEWS or name in note.made)
        elif name in ("sync_runs", "metric_changes", "member_changes"):
            sure = found.commented
        elif name in BOOKKEEPING:
            sure = found.commented and (known or not published)
        elif name in TABLES or name in note.made:
            sure = found.commented and (name in listed or not published or _empty(session, name))
        else:
            sure = name in listed
        if sure:
            yield name


def _empty(session: Session, name: str) -> bool:
    may = session.query(
        f"SELECT has_table_privilege(oid, 'SELECT') FROM pg_class WHERE relname = $1 AND relnamespace = {HERE}",
        [name],
    )
    return bool(may and may[0][0]) and not session.query(f"SELECT 1 FROM {quoted(name)} LIMIT 1")


def record_relations(session: Session, made: Collection[str], *, digest: str | None = None) -> None:
    """Records our relations: those recorded before that still exist, and those just created.

    Args:
        session: of the tables' owner, in a transaction.
        made: names of the tables and views that were just created or were ours before.
        digest: of the schema script just applied; None keeps the recorded one.
    """
    before = read_note(session) or Note()
    existing = _relations(session)
    note = Note(before.digest if digest is None else digest, {n: existing[n].oid for n in made if n in existing})
    stand = {name: schema for name, schema, _ in _notes(session)}
    for name in CARRIERS:
        if name in note.made and stand.get(name) != note:
            session.execute(f"COMMENT ON CONSTRAINT {name}_pkey ON {name} IS {literal(str(note))}")


# -- conflicting names


def refuse_foreign(
    session: Session, names: Sequence[str], own: Collection[str], *, indexes: Collection[str] = ()
) -> None:
    """Refuses to continue if a required name is taken by a relation that rmetrics did not create.

    Args:
        session: of the schema to check.
        names: tables and views that must be ours or not exist.
        own: the relations that are ours.
        indexes: names of the indexes and keys of these tables.

    Raises:
        PostgresError: names the conflicting relations; nothing was changed.
    """
    found = _foreign(session, names, own) or _foreign_indexes(session, indexes, own)
    if not found:
        return
    where = str(session.query("SELECT current_schema()::text")[0][0])
    listed = ", ".join(f"the {kind} {where}.{name}" for name, kind in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    verb = "was" if len(found) == 1 else "were"
    raise PostgresError(
        f"{listed}{more} {verb} not created by rmetrics, which needs this name; nothing was changed",
        f"Rename {'it' if len(found) == 1 else 'them'}, or publish to a separate schema: "
        "RMETRICS_PG_SCHEMA=rmetrics (the first sync creates the schema).",
    )


def _foreign(session: Session, names: Sequence[str], own: Collection[str]) -> list[tuple[str, str]]:
    wanted = ",".join(n for n in dict.fromkeys(names) if n not in own)
    rows = session.query(
        "SELECT relname::text, relkind::text FROM pg_class "
        f"WHERE relnamespace = {HERE} "
        "AND relname = ANY (string_to_array($1, ',')) AND relkind <> 'c' "
        "UNION ALL SELECT typname::text, 'c' FROM pg_type AS t "
        f"WHERE typnamespace = {HERE} "
        "AND typname = ANY (string_to_array($1, ',')) "
        "AND NOT EXISTS (SELECT 1 FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c') "
        "ORDER BY 1",
        [wanted],
    )
    return [(name, _KINDS.get(kind, "relation")) for name, kind in rows]


def _foreign_indexes(session: Session, indexes: Collection[str], own: Collection[str]) -> list[tuple[str, str]]:
    rows = session.query(
        "SELECT c.relname::text, c.relkind::text FROM pg_class AS c "
        "LEFT JOIN pg_index AS i ON i.indexrelid = c.oid LEFT JOIN pg_class AS t ON t.oid = i.indrelid "
        f"WHERE c.relnamespace = {HERE} "
        "AND c.relname = ANY (string_to_array($1, ',')) "
        "AND NOT coalesce(t.relname = ANY (string_to_array($2, ',')), false) ORDER BY 1",
        [",".join(indexes), ",".join(own)],
    )
    return [(name, _KINDS.get(kind, "relation")) for name, kind in rows]


def require_own(session: Session, names: Sequence[str]) -> frozenset[str]:
    """Returns our relations after checking that all the named ones are among them.

    Raises:
        PostgresError: one of them belongs to somebody else or does not exist.
    """
    own = own_relations(session)
    refuse_foreign(session, names, own)
    if missing := [n for n in names if n not in own]:
        raise PostgresError(
            f"the table {missing[0]} no longer exists; nothing was changed",
            "Run: rmetrics schema --apply, then sync again.",
        )
    return own
