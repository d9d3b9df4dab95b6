"""``rmetrics history``: when, by which run and why the published numbers of a month changed."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rmetrics.errors import SettingsError
from rmetrics.metrics.figures import FigureKind, recorded_kinds
from rmetrics.opening import database_of
from rmetrics.pipeline.asked import MonthRange, months_named, only_source
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.server import existing_server
from rmetrics.rules import ALL, Rules, load_rules
from rmetrics.rules.companies import require_history
from rmetrics.rules.funnel import as_called, as_recorded, funnel_names
from rmetrics.rules.measures import sums
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change of a published figure, or of several members' figures together.

    Attributes:
        date: the day; None for the figure of the whole month.
        before, after: exact; None if the row did not exist, or is gone.
        at: when the run published it.
        dimension: of a member's figure, which covers the whole company; None for other figures.
        member: None: several members together, whose changes are smaller than those recorded by name.
        members: number of members that the change covers; None if it covers none.
    """

    run_id: str
    at: dt.datetime
    month: dt.date
    date: dt.date | None
    source: str
    segment: str
    metric: str
    before: Decimal | None
    after: Decimal | None
    cause: str | None
    dimension: str | None = None
    member: str | None = None
    members: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The history of a month, or of several, oldest change first.

    Attributes:
        month, last: the first month and the last.
        first_run, first_at: the run that first published the month; None if unknown.
        changes: of the whole month's figures, of its days', or of a dimension's members.
        days: number of daily figures that changed.
        members: number of members' figures that changed, by dimension.
        dimension: the dimension whose members' changes these are.
        published: whether any of the months has figures now.
        kinds: the kind of every measure, by its name in ``changes``.
    """

    month: dt.date
    first_run: str | None
    first_at: dt.datetime | None
    changes: tuple[Recorded, ...]
    days: int
    published: bool
    last: dt.date
    members: Mapping[str, int] = field(default_factory=dict)
    dimension: str | None = None
    kinds: Mapping[str, FigureKind] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The requested filters; ``""`` for everything."""

    source: str = ""
    metric: str = ""
    dimension: str = ""
    member: str = ""
    daily: bool = False


def history(
    settings: Settings,
    months: MonthRange,
    *,
    source: str | None = None,
    metric: str | None = None,
    daily: bool = False,
    dimension: str | None = None,
    member: str | None = None,
) -> History:
    """Returns the recorded changes of some months.

    Args:
        settings: of the project.
        months: the months; only those with data.
        source: only this source; case, spaces and aliases do not matter, and ``ALL`` means all sources.
        metric: only this measure; one of journeys with or without its prefix.
        daily: the daily figures instead of the month's.
        dimension: the figures of its members instead.
        member: only this member.

    Raises:
        SettingsError: nothing is published yet, nothing ever was for this month, there is no such source, measure or
            dimension, or the filters do not apply to members.
        PostgresError: the server cannot be reached.
    """
    rules = load_rules(settings.rules_dir, settings.company)
    require_history(rules)
    recorded = None if metric is None else _recorded(metric, rules)
    if member is not None and dimension is None:
        raise SettingsError("--member requires --dimension", "Name it: --dimension NAME.")
    if dimension is not None and (daily or source is not None):
        raise SettingsError(
            f"figures of members of {dimension} are published by month and for the whole company only",
            "Leave out --daily and --source.",
        )
    wanted = _Wanted(source or "", recorded or "", dimension or "", member or "", daily)
    with existing_server(database_of(settings)) as target:
        if target is None:
            raise _nothing()
        return _history(target, settings, rules, months, wanted)


def _recorded(metric: str, rules: Rules) -> str:
    """Returns the name under which changes of a measure are recorded.

    Raises:
        SettingsError: there is no such measure.
    """
    known = [*sums(rules), *funnel_names(rules)]
    name = as_called(metric, rules)
    if name not in known:
        raise SettingsError(
            f"unknown measure: {metric!r}{did_you_mean(metric, known)}", f"Measures: {', '.join(known)}."
        )
    return as_recorded(name, rules)


def _nothing() -> SettingsError:
    return SettingsError("nothing is published yet", "Put exports into the inbox and run: rmetrics sync")


def _history(server: Server, settings: Settings, rules: Rules, asked: MonthRange, wanted: _Wanted) -> History:
    with connect(server, schema=settings.pg_schema) as session:
        if not has_all(session, ["sync_runs", "metric_changes", "monthly_metrics"]):
            raise _nothing()
        months, sources = _known(session)
        if not months:
            raise _nothing()
        (month, last), source = months_named(asked, months), only_source(wanted.source or None, rules, sources)
        rows = session.query(
            "SELECT c.run_id, r.finished_at, c.month, c.date, c.source, c.segment, c.metric, c.old_value, c.new_value, "
            "c.cause FROM metric_changes AS c JOIN sync_runs AS r USING (run_id) "
            "WHERE c.month BETWEEN $1::text::date AND $4::text::date AND $2::text IN ('', c.source) "
            "AND $3::text IN ('', c.metric) "
            "ORDER BY r.finished_at, c.change_id",
            [month.isoformat(), source or "", wanted.metric, last.isoformat()],
        )
        by_member = _members(session, month, last, rules, wanted)
        first_run, first_at = _first(session, month)
        stored = session.query(
            "SELECT 1 FROM monthly_metrics WHERE month BETWEEN $1::text::date AND $2::text::date LIMIT 1",
            [month.isoformat(), last.isoformat()],
        )
    recorded = [
        Recorded(run, at, of, day, whose, segment, what, _number(was), _number(now), cause)
        for run, at, of, day, whose, segment, what, was, now, cause in rows
    ]
    counts: dict[str, int] = {}
    for change in by_member:
        name = change.dimension or ""
        counts[name] = counts.get(name, 0) + (change.members or 0)
    changes = by_member if wanted.dimension else [r for r in recorded if (r.date is not None) == wanted.daily]
    return History(
        month=month,
        first_run=first_run,
        first_at=first_at,
        changes=tuple(changes),
        days=sum(r.date is not None for r in recorded),
        published=bool(stored),
        last=last,
        members=counts,
        dimension=wanted.dimension or None,
        kinds=recorded_kinds(rules),
    )


def _members(session: Session, month: dt.date, last: dt.date, rules: Rules, wanted: _Wanted) -> list[Recorded]:
    """Returns the recorded changes of members: of one dimension, or of all.

    Raises:
        SettingsError: no such dimension is declared, and none was ever recorded.
    """
    if not has_all(session, ["member_changes"]):  # an earlier version published last
        return []
    if wanted.dimension and wanted.dimension not in rules.dimensions:
        once = session.query("SELECT 1 FROM member_changes WHERE dimension = $1::text LIMIT 1", [wanted.dimension])
        if not once:
            known = ", ".join(rules.dimensions)
            near = did_you_mean(wanted.dimension, rules.dimensions)
            hint = f"Dimensions: {known}." if known else "To declare one, see docs/rules.md, Own measures."
            raise SettingsError(f"unknown dimension: {wanted.dimension!r}{near}", hint)
    rows = session.query(
        "SELECT c.run_id, r.finished_at, c.month, c.metric, c.old_value, c.new_value, c.cause, c.dimension, c.member, "
        "c.members FROM member_changes AS c JOIN sync_runs AS r USING (run_id) "
        "WHERE c.month BETWEEN $1::text::date AND $2::text::date AND $3::text IN ('', c.metric) "
        "AND $4::text IN ('', c.dimension) AND ($5::text = '' OR lower($5::text) = lower(c.member)) "
        "ORDER BY r.finished_at, c.change_id",
        [month.isoformat(), last.isoformat(), wanted.metric, wanted.dimension, wanted.member],
    )
    return [
        Recorded(run, at, of, None, ALL, ALL, what, _number(was), _number(now), cause, dimension, member, members)
        for run, at, of, what, was, now, cause, dimension, member, members in rows
    ]


def run_changes(settings: Settings, run_id: str, *, limit: int) -> tuple[Recorded, ...]:
    """Returns the published monthly figures that a run changed, by month, source, segment, measure; at most ``limit``.

    Raises:
        PostgresError: the server cannot be reached.
    """
    with existing_server(database_of(settings)) as target:
        if target is None:
            return ()
        with connect(target, schema=settings.pg_schema) as session:
            if not has_all(session, ["sync_runs", "metric_changes"]):
                return ()
            rows = session.query(
                "SELECT c.run_id, r.finished_at, c.month, c.source, c.segment, c.metric, c.old_value, c.new_value, "
                "c.cause FROM metric_changes AS c JOIN sync_runs AS r USING (run_id) WHERE c.run_id = $1::text "
                "AND c.date IS NULL ORDER BY c.month, c.source, c.segment, c.metric LIMIT $2::bigint",
                [run_id, limit],
            )
    return tuple(
        Recorded(run, at, month, None, whose, segment, what, _number(was), _number(now), cause)
        for run, at, month, whose, segment, what, was, now, cause in rows
    )


def _known(session: Session) -> tuple[frozenset[dt.date], frozenset[str]]:
    """Returns the months and sources that are or once were published."""
    rows = session.query("SELECT month, source FROM monthly_metrics UNION SELECT month, source FROM metric_changes")
    return frozenset(m for m, _ in rows), frozenset(s for _, s in rows)


def _first(session: Session, month: dt.date) -> tuple[str | None, dt.datetime | None]:
    """Returns the run that first published the month; none if an older version did, which did not record it."""
    rows = session.query(
        "SELECT run_id, finished_at FROM sync_runs WHERE jsonb_exists(detail -> 'first_months', $1::text) "
        "ORDER BY finished_at LIMIT 1",
        [month.isoformat()],
    )
    return (rows[0][0], rows[0][1]) if rows else (None, None)


def _number(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
