"""``rmetrics plan``: the changes a sync would make, in figures and rows. Writes nothing, not even to the lake."""

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from rmetrics.errors import PostgresError
from rmetrics.findings import Finding
from rmetrics.lake import Lake
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import load
from rmetrics.memory import rows_at_once
from rmetrics.metrics.figures import FigureKind, recorded_kinds
from rmetrics.opening import open_project
from rmetrics.periods import month_of
from rmetrics.pipeline.asked import month_named, only_source
from rmetrics.pipeline.changes.causes import MEASURES, Causes, as_new, find_causes, overall_cause
from rmetrics.pipeline.changes.figure_changes import FigureChange, Figures, own_changes, ratio_changes
from rmetrics.pipeline.changes.own_figures import (
    MemberChange,
    OwnFigures,
    computed_own,
    member_changes,
    published_own,
)
from rmetrics.pipeline.changes.reassigned import reassigned_jobs
from rmetrics.pipeline.changes.row_changes import State, moved_rows
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.last import last_rows, old_rules
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import InboxFile, empty_inbox, land_inbox
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.verify.run_findings import run_findings
from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.publish import Published, published
from rmetrics.postgres.server import existing_server
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules
from rmetrics.rules.companies import require_company
from rmetrics.rules.edits import can_move
from rmetrics.rules.proposals import dated_instead
from rmetrics.settings import Settings
from rmetrics.tables import DAILY, MONTHLY


@dataclass(frozen=True, slots=True)
class RowMove:
    """A row that counts differently under the new rules or exports.

    Attributes:
        key: of the row in its feed.
        before, after: what it counts as; None if it does not exist.
        month: the month it counts in, after or else before; None without a day.
    """

    feed: str
    key: str
    before: str | None
    after: str | None
    month: dt.date | None
    cause: str


@dataclass(frozen=True, slots=True)
class Reassignment:
    """A job that would come from another touch.

    Attributes:
        month: the month it counts in; None without a day.
        paid: the amount paid for it, which moves with it.
        from_source, to_source: the touches' sources; None without a touch.
        from_touch, to_touch: the touches.
        matched_by: how it would be matched.
    """

    job_id: str
    month: dt.date | None
    paid: Decimal
    from_source: str | None
    to_source: str | None
    from_touch: str | None
    to_touch: str | None
    matched_by: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The effects of a sync.

    Attributes:
        compared_with: the origin of the figures before.
        edits: edits of the rules since then.
        exports: the exports not yet synced, with their new and changed rows.
        changes: every monthly figure that would change.
        days: number of daily figures that would change.
        rows: the rows that move; None if the earlier computation is not available.
        unchanged: the months without any change.
        restated: the months before the newest one that edited rules would change.
        instead: the same edits as dated changes, in TOML, which would leave those months unchanged.
        journeys: the jobs that would come from another touch, of the requested month and source.
        members: every figure of a dimension's member that would change; none if a single source is requested.
        kinds: the kind of every measure, by its name in ``changes`` and ``members``.
    """

    compared_with: str
    edits: tuple[str, ...]
    exports: tuple[str, ...]
    refused: tuple[str, ...]
    changes: tuple[FigureChange, ...]
    days: int
    rows: tuple[RowMove, ...] | None
    unchanged: tuple[dt.date, ...]
    findings: tuple[Finding, ...]
    restated: tuple[dt.date, ...] = ()
    instead: tuple[str, ...] = ()
    journeys: tuple[Reassignment, ...] = ()
    members: tuple[MemberChange, ...] = ()
    kinds: Mapping[str, FigureKind] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether a sync would change any figure or the meaning of any row."""
        return bool(self.changes or self.days or self.rows or self.journeys or self.members)


@dataclass(frozen=True, slots=True)
class _Basis:
    """The state to compare with: figures, and the rules and exports they were computed from."""

    label: str
    published: Published
    monthly: Figures
    daily: Figures
    own: OwnFigures


def plan(
    settings: Settings, *, month: dt.date | None = None, source: str | None = None, progress: Progress = silent
) -> Plan:
    """Computes with the current rules and the exports not yet synced, and compares with the published figures.

    Args:
        settings: of the project.
        month: only this month.
        source: only this source; case, spaces and aliases do not matter.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such source, or the month has no data before or after.
        RulesError, LakeError, BusyError: see ``errors``.
    """
    project = open_project(settings)
    lake, rules = project.lake, project.rules
    require_company(rules)
    basis = _basis(project)
    with scratch_lake(lake) as scratch:
        seen = land_inbox(project.inbox.open(), scratch, rules, progress)
        computed = compute(scratch, rules, progress, memory=project.memory)
        exports = basis.published.exports or frozenset(e.sha256[:16] for e in load(lake).exports)
        digest = basis.published.rules_hash or load(lake).rules
        old = old_rules(lake, digest, rules)
        whole = overall_cause(exports, digest, basis.published.version, computed, rules)
        explanations = Explanations()
        causes = explanations.of(
            "the causes of changes",
            lambda: find_causes(computed, rules, old, exports, whole),
            Causes(whole, (), (), old, rules),
        )
        monthly = _figures(scratch, MONTHLY)
        keys = (*basis.monthly, *monthly)
        source = only_source(source, rules, {s for _, s, _ in keys})
        if month is not None and keys:
            month_named(month, {m for m, _, _ in keys})
        changes = _changes(basis.monthly, monthly, causes)
        own = computed_own(scratch)
        changes += own_changes(basis.own.monthly, own.monthly, causes)
        restated, instead = _restated(changes, causes, max((m for m, _, _ in basis.monthly), default=None))
        changes += ratio_changes((basis.monthly, basis.own), (monthly, own), causes)
        changes.sort(key=lambda c: (c.month, c.source, c.segment))
        members = member_changes(basis.own.members, own.members, causes)
        days = _count(basis.daily, _figures(scratch, DAILY), month, source)
        days += sum(_wanted(month_of(d), s, month, source) for d, s in basis.own.differing(own))
        after = State(computed.rows, {p.rank: p.raw.name for p in computed.placed})
        with _before(lake, old, basis, exports, progress) as before:
            known = before is not None or not basis.monthly
            max_rows = rows_at_once(project.memory)
            rows = _moves(before, after, month, source, computed, exports, causes, max_rows=max_rows) if known else None
            reassigned = _reassigned(before, after, month, source)
        findings = (*run_findings(scratch, rules, computed, seen, explanations), *explanations.failed)
        if not seen:
            findings = (empty_inbox(project.inbox.open(), len(computed.placed)), *findings)
    shown = [c for c in changes if _wanted(c.month, c.source, month, source)]
    touched = {c.month for c in changes} | {c.month for c in members}
    months = {m for m, _, _ in basis.monthly} | touched
    return Plan(
        compared_with=basis.label,
        edits=tuple(str(e) for e in causes.edits) or (("rules edited",) if digest and digest != rules.digest else ()),
        exports=tuple(_arrived(causes, computed, exports)),
        refused=tuple(f"{s.name}: {s.refused}" for s in seen if s.refused and _is_new(s, lake)),
        changes=tuple(shown),
        days=days,
        rows=rows,
        unchanged=tuple(sorted(m for m in months - touched if month in {None, m})),
        findings=findings,
        restated=restated,
        instead=instead,
        journeys=reassigned,
        members=tuple(c for c in members if source is None and month in {None, c.month}),
        kinds=(recorded_kinds(old) if old else {}) | recorded_kinds(rules),
    )


def _reassigned(
    before: State | None, after: State, month: dt.date | None, source: str | None
) -> tuple[Reassignment, ...]:
    found = reassigned_jobs(before.rows if before else None, after.rows)
    reassigned = (
        Reassignment(
            row["job_id"],
            row["month"],
            row["paid"],
            row["source_matched_before"],
            row["source_matched"],
            row["touch_id_before"],
            row["touch_id"],
            row["matched_by"],
        )
        for row in found.iter_rows(named=True)
    )
    return tuple(h for h in reassigned if month in {None, h.month} and source in {None, h.from_source, h.to_source})


def _restated(
    changes: Sequence[FigureChange], causes: Causes, newest: dt.date | None
) -> tuple[tuple[dt.date, ...], tuple[str, ...]]:
    """Returns the months before the newest that edits change, and those edits as changes from the newest month on."""
    if newest is None:
        return (), ()
    months_by_edit = {
        e: {c.month for c in changes if c.month < newest and f"rule edit {e}" in c.cause} for e in causes.edits
    }
    months = {m for affected in months_by_edit.values() for m in affected}
    return tuple(sorted(months)), dated_instead(
        [e for e, affected in months_by_edit.items() if affected], causes.new, newest
    )


def _wanted(at: dt.date, of: str, month: dt.date | None, source: str | None) -> bool:
    return month in {None, at} and source in {None, of}


def _is_new(seen: InboxFile, lake: Lake) -> bool:
    """True if no earlier run has refused this very file."""
    known = lake.load_json("inbox").get("files", {}).get(seen.name)
    return not known or known[2] != seen.sha256


def _arrived(causes: Causes, computed: Computed, known: frozenset[str]) -> Iterator[str]:
    for item in computed.placed:
        if item.raw.sha256[:16] not in known:
            mine = [a for a in causes.arrivals if a.export == as_new(item.raw)]
            new, changed = sum(a.new for a in mine), sum(a.changed for a in mine)
            yield f"{item.raw.name} ({item.feed}): {new:,} new and {changed:,} changed rows"


# -- the state before


def _basis(project: Project) -> _Basis:
    """Returns the published state; if nothing is published or the server does not answer, the last computed one."""
    lake, why = project.lake, "nothing is published yet"
    try:
        with existing_server(project.database) as target:
            if target is not None and (found := _published(target, project.database.schema)):
                return found
    except PostgresError as error:
        why = f"the database cannot be read ({error.message})"
    if load(lake).has(MONTHLY):
        label = f"the last computation of the lake: {why}"
        figures = _figures(lake, MONTHLY), _figures(lake, DAILY), computed_own(lake)
        return _Basis(label, Published(), *figures)
    return _Basis(f"nothing: {why}", Published(), {}, {}, OwnFigures())


def _published(target: Server, schema: str) -> _Basis | None:
    with connect(target, schema=schema) as session:
        if not has_all(session, ["sync_runs", "published_parts", DAILY, MONTHLY]):
            return None
        before = published(session, [])
        if before.run_id is None:
            return None
        columns = ", ".join(f"{m}::text" for m in MEASURES)
        tables = {
            name: {
                (day, source, segment): tuple(Decimal(v) for v in values)
                for day, source, segment, *values in session.query(
                    f"SELECT {period}, source, segment, {columns} FROM {name}"
                )
            }
            for name, period in ((MONTHLY, "month"), (DAILY, "date"))
        }
        own = published_own(session)
    label = f"run {before.run_id}, published on {target.label}"
    return _Basis(label, before, tables[MONTHLY], tables[DAILY], own)


def _figures(lake: Lake, name: str) -> Figures:
    period = "month" if name == MONTHLY else "date"
    rows = load(lake).scan(name).collect().select(period, "source", "segment", *MEASURES)
    return {(d, s, g): tuple(Decimal(v) for v in values) for d, s, g, *values in rows.iter_rows()}


@contextlib.contextmanager
def _before(
    lake: Lake, old: Rules | None, basis: _Basis, exports: frozenset[str], progress: Progress
) -> Iterator[State | None]:
    """Yields the earlier computation: the lake's if still there, else recomputed; None if neither is possible."""
    if old is None or not load(lake).has(MONTHLY):
        yield None
        return
    raws = lake.raw_files()
    if not basis.published.run_id or load(lake).inputs == basis.published.inputs:
        names = {r.sha256: r.name for r in raws}
        rows = last_rows(lake, old)
        if rows is None:
            yield None
            return
        yield State(rows, {e.rank: names.get(e.sha256, "") for e in rows.snapshot.exports})
        return
    if not exports <= {r.sha256[:16] for r in raws}:
        yield None
        return
    with scratch_lake(lake, results=False) as scratch:
        for raw in raws:
            if raw.sha256[:16] not in exports:
                scratch.decide(raw.sha256, withdrawn=raw.landed_at)  # it did not count then
            elif raw.withdrawn:  # it counted then
                scratch.decide(raw.sha256, withdrawn="")
        made = compute(scratch, old, progress)
        yield State(made.rows, {p.rank: p.raw.name for p in made.placed})


# -- differences


def _changes(before: Figures, after: Figures, causes: Causes) -> list[FigureChange]:
    """Returns every monthly figure that differs, by month, source, segment and measure; a missing row equals 0."""
    found = []
    for key in sorted({*before, *after}):
        was, now = before.get(key), after.get(key)
        for i, metric in enumerate(MEASURES):
            old, new = was[i] if was else None, now[i] if now else None
            if (old or 0) != (new or 0):
                found.append(FigureChange(*key, metric, old, new, causes.of(key[0], key[1], metric)))
    return found


def _count(before: Figures, after: Figures, month: dt.date | None, source: str | None) -> int:
    keys = (k for k in {*before, *after} if _wanted(k[0].replace(day=1), k[1], month, source))
    nothing = (Decimal(0),) * len(MEASURES)
    return sum(a != b for k in keys for a, b in zip(before.get(k, nothing), after.get(k, nothing), strict=True))


def _moves(
    before: State | None,
    after: State,
    month: dt.date | None,
    source: str | None,
    computed: Computed,
    known: frozenset[str],
    causes: Causes,
    *,
    max_rows: int,
) -> tuple[RowMove, ...]:
    fresh = {p.rank: p.raw.name for p in computed.placed if p.raw.sha256[:16] not in known}
    moved = moved_rows(before, after, month, source, max_rows=max_rows)
    found = []
    known_causes: dict[tuple[object, ...], str] = {}  # a million rows share a handful of causes
    for feed, key, was, now, month_was, month_now, source_was, source_now, file in moved.iter_rows():
        export = fresh.get(file) if file is not None else None
        kind = feed, was is None, now is None, source_was, source_now, export
        if kind not in known_causes:
            known_causes[kind] = _row_cause(feed, was, now, {source_was, source_now}, export, causes)
        found.append(RowMove(feed, key, was, now, month_now or month_was, known_causes[kind]))
    return tuple(found)


def _row_cause(
    feed: str, was: str | None, now: str | None, sources: set[str | None], export: str | None, causes: Causes
) -> str:
    if export is not None:
        return f"{'new' if was is None else 'changed'} row in {export}"
    if now is None and causes.old is not None and feed not in causes.new.feeds:
        return f"the feed {feed} is no longer declared"
    old = causes.old
    edits = [] if old is None else [
        f"rule edit {e}" for e in causes.edits
        if _edit_feed(e.key) in {None, feed} and any(_can_touch(e.key, s) or (s and can_move(e, s, m, old, causes.new))
                                                     for s in sources for m in MEASURES)
    ]  # fmt: skip
    return "; ".join(edits) or causes.overall


def _edit_feed(key: str) -> str | None:
    """Returns the feed an edit concerns, None for any."""
    group, _, rest = key.partition(".")
    return rest.partition(".")[0] if group == "feeds" else "calls" if group == "calls" else None


def _can_touch(key: str, source: str | None) -> bool:
    """True for edits that move rows regardless of their source, or rows without one."""
    return key.startswith(("feeds.", "calls.")) or (source is None and key.startswith("sources."))


class RowCount(NamedTuple):
    """The number of a feed's rows that move for one cause."""

    feed: str
    cause: str
    rows: int


def summary(rows: Sequence[RowMove]) -> list[RowCount]:
    """Counts the rows that move, by feed and cause, most first."""
    return [RowCount(feed, cause, n) for (feed, cause), n in Counter((r.feed, r.cause) for r in rows).most_common()]


__all__ = ["FigureChange", "Plan", "Reassignment", "RowCount", "RowMove", "plan", "summary"]
