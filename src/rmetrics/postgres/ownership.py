"""Which tables and views of a PostgreSQL schema rmetrics made itself, so that nobody else's is ever written.

A name, columns or comments prove nothing: all of them can be somebody else's, or copied. So whatever makes a table
notes its oid, which no other table of that database has. The note is a comment on the keys of ``sync_runs`` and of
``published_parts``, in case one is dropped: only the owner can change it, everyone can read it, and ``pg_dump`` takes
it along.

Without a note that fits (a schema applied by hand or by an early version, a restored dump, where all oids are new)
the tables of the schema script count as ours where a ``sync_runs`` of ours stands beside them and what they hold was
published. The next time that tables are made, the note is written.
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
    """What was noted of a schema.

    Attributes:
        digest: of the schema script that was applied last; empty where that is not known.
        made: the oids of the tables and views that rmetrics made, by name.
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
    about_us: bool


def read_note(session: Session) -> Note | None:
    """The note of the schema that is looked at; None where there is none. One that fits its table comes first."""
    notes = list(_notes(session))
    return next((note for _, note, fits in notes if fits), notes[0][1] if notes else None)


def _notes(session: Session) -> Iterator[tuple[str, Note, bool]]:
    """Every note: the table on whose key it stands, and whether it names that table's oid."""
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
    except (ValueError, TypeError):  # somebody edited the comment: it proves nothing
        return Note(digest.strip())


def own_relations(session: Session) -> frozenset[str]:
    """The names of the tables and views that rmetrics made in the schema that is looked at."""
    there, notes = _relations(session), list(_notes(session))
    for _, note, fits in notes:
        if fits:
            return frozenset(name for name, found in there.items() if note.made.get(name) == found.oid)
    runs = there.get("sync_runs")
    if runs is None or runs.kind != "r" or not (notes or runs.about_us):
        return frozenset()
    return frozenset(_without_note(session, there, notes[0][1] if notes else Note()))


def _relations(session: Session) -> dict[str, _Relation]:
    rows = session.query(
        "SELECT relname::text, oid::bigint, relkind::text, obj_description(oid, 'pg_class') IS NOT NULL, "
        "coalesce(obj_description(oid, 'pg_class') LIKE '%rmetrics%', false) FROM pg_class "
        f"WHERE relnamespace = {HERE} AND relkind IN ('r', 'v')"
    )
    return {name: _Relation(int(oid), kind, bool(commented), bool(us)) for name, oid, kind, commented, us in rows}


def _without_note(session: Session, there: Mapping[str, _Relation], note: Note) -> Iterator[str]:
    """Ours as far as can be told without oids: a table that holds rows must be one that a run published."""
    parts = there.get("published_parts")
    known = parts is not None and parts.kind == "r" and parts.commented
    published = bool(session.query("SELECT 1 FROM sync_runs WHERE status = 'ok' LIMIT 1"))
    listed = {str(n) for (n,) in session.query("SELECT DISTINCT table_name FROM published_parts")} if known else set()
    for name, found in there.items():
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


def take_note(session: Session, made: Collection[str], *, digest: str | None = None) -> None:
    """Notes what is ours: what was, as far as it is still there, and what has just been made.

    Args:
        session: of the tables' owner, in a transaction.
        made: names of tables and views that were just made, or were ours before.
        digest: of the schema script that was just applied; None keeps the one that is noted.
    """
    before = read_note(session) or Note()
    there = _relations(session)
    note = Note(before.digest if digest is None else digest, {n: there[n].oid for n in made if n in there})
    stand = {name: held for name, held, _ in _notes(session)}
    for name in CARRIERS:
        if name in note.made and stand.get(name) != note:
            session.execute(f"COMMENT ON CONSTRAINT {name}_pkey ON {name} IS {literal(str(note))}")


# -- what is in the way


def refuse_foreign(
    session: Session, names: Sequence[str], own: Collection[str], *, indexes: Collection[str] = ()
) -> None:
    """Refuses to go on where a name that is needed is taken by something that rmetrics did not make.

    Args:
        session: of the schema that is looked at.
        names: tables and views that must be ours, or not there at all.
        own: those that are ours.
        indexes: names of the indexes and keys of these tables.

    Raises:
        PostgresError: names what is in the way. Nothing was changed.
    """
    found = _foreign(session, names, own) or _foreign_indexes(session, indexes, own)
    if not found:
        return
    where = str(session.query("SELECT current_schema()::text")[0][0])
    listed = ", ".join(f"the {kind} {where}.{name}" for name, kind in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    verb = "was" if len(found) == 1 else "were"
    raise PostgresError(
        f"{listed}{more} {verb} not made by rmetrics, and rmetrics needs the name; nothing was changed",
        f"Rename {'it' if len(found) == 1 else 'them'}, or publish into a schema of its own: "
        "RMETRICS_PG_SCHEMA=rmetrics (the first sync makes the schema).",
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
    """The relations that are ours, of which all that are named must be part.

    Raises:
        PostgresError: one of them is somebody else's, or is not there.
    """
    own = own_relations(session)
    refuse_foreign(session, names, own)
    if missing := [n for n in names if n not in own]:
        raise PostgresError(
            f"the table {missing[0]} is not there any more; nothing was changed",
            "Run: rmetrics schema --apply, then sync again.",
        )
    return own
