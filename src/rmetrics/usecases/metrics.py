"""``rmetrics metrics``: measures by period and member, compared with an earlier period, each with its explanation."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from shlex import quote

import polars as pl

from rmetrics.checks.by_span import sums_by_span
from rmetrics.errors import CheckError, LakeError, SettingsError
from rmetrics.findings import Finding
from rmetrics.metrics.by_period import (
    MEMBER,
    SPAN,
    Compare,
    Coverage,
    Period,
    Span,
    ages_of,
    compared_with,
    periods_of,
    sums,
)
from rmetrics.metrics.figures import SHIPPED, Figure, FigureKind, figures_of, quotient
from rmetrics.metrics.tallies import last_day
from rmetrics.opening import open_project
from rmetrics.periods import Grain, month_of, next_month, next_period, period_of
from rmetrics.pipeline.asked import only_source
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.workspace import Workspace, opened
from rmetrics.progress import Progress, silent
from rmetrics.rules import ALL, Rules
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings
from rmetrics.tables import DAILY, DIMENSION_MONTHLY, MEASURE_DAILY

DEFAULT = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
DIMENSIONS = ("source", "segment")
_DAY = dt.timedelta(days=1)
_ZERO = Decimal(0)
_Sums = Mapping[tuple[int, str | None], Mapping[str, Decimal]]


@dataclass(frozen=True, slots=True)
class MetricsRequest:
    """The request.

    Attributes:
        measures: names; none: the seven published measures.
        source, segment: only these; None: all together.
        dimension: what the members belong to; None: no members.
        compare: the period that each period is compared with; None: no comparison.
        first, last: the days; None: from the start, or to the end, of the data.
        aged: by age of the days instead, counted back from the data's last day (``by_period.ages_of``).
    """

    measures: tuple[str, ...] = ()
    by: Grain = Grain.MONTH
    source: str | None = None
    segment: str | None = None
    dimension: str | None = None
    compare: Compare | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    aged: bool = False

    @property
    def parted_by(self) -> str:
        """The name of the division of the days: the grain, or age."""
        return "age" if self.aged else self.by.value


@dataclass(frozen=True, slots=True)
class MemberColumn:
    """The column of a table that holds the members, and the declared dimension that its rows belong to."""

    column: str | None
    dimension: str | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """An earlier period next to a number.

    Attributes:
        value: over as many days as the number's period has data for; None: the data do not reach back that far, or the
            denominator is 0.
        change: the number less the earlier one, over the same number of days.
        change_ratio: the change divided by the size of the earlier value; None if that is 0.
    """

    span: Span | None
    value: Decimal | None
    change: Decimal | None
    change_ratio: Decimal | None


@dataclass(frozen=True, slots=True)
class MetricsRow:
    """One number.

    Attributes:
        through: the last day of the period that the data reach.
        source, segment: ``ALL`` for the sum of all.
        member: of the dimension; ``ALL`` without one.
        compared: None without a comparison.
        explain: the command that explains the number.
        value: None if the denominator is 0.
    """

    period: str
    span: Span
    through: dt.date
    state: Coverage
    source: str
    segment: str
    dimension: str | None
    member: str
    measure: str
    kind: FigureKind
    compared: Compared | None
    explain: str
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The answer.

    Attributes:
        data: from the first day of the first month with figures to the data's last day.
        currency: of amounts of money.
        problems: why the lake could not be used as it is.
    """

    asked: MetricsRequest
    data: Span
    currency: str
    rows: tuple[MetricsRow, ...]
    problems: tuple[Finding, ...]


def metrics(settings: Settings, asked: MetricsRequest, progress: Progress = silent) -> Metrics:
    """Returns measures by period, and by member of a dimension if one is named, added up by both engines.

    Args:
        settings: of the project.
        asked: the request.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such measure, dimension, source or segment, or no data on the requested days.
        LakeError: nothing landed, or no row counts.
        CheckError: the engines differ: a bug; no figure is shown.
    """
    with opened(open_project(settings), progress) as lake:
        known = figures_of(lake.rules)
        for name in asked.measures:
            if name not in known:
                raise SettingsError(
                    f"unknown measure: {name!r}{did_you_mean(name, known)}", f"Measures: {', '.join(known)}."
                )
        _check_dimension(asked, lake.rules)
        _check_ages(asked)
        return _metrics(lake, asked, [known[name] for name in asked.measures or DEFAULT])


def _check_dimension(asked: MetricsRequest, rules: Rules) -> None:
    """Refuses a breakdown that a dimension does not have.

    Members of a declared dimension are computed by month, for the whole company.

    Raises:
        SettingsError: there is no such dimension, or its members are not known in that detail.
    """
    name, known = asked.dimension, (*DIMENSIONS, *rules.dimensions)
    if name is None or name in DIMENSIONS:
        return
    if name not in known:
        raise SettingsError(
            f"unknown dimension: {name!r}{did_you_mean(name, known)}", f"Dimensions: {', '.join(known)}."
        )
    if asked.aged or asked.by in {Grain.DAY, Grain.WEEK}:
        raise SettingsError(
            f"{name} is computed by month, not by {asked.parted_by}", "Use --by month, quarter or year."
        )
    if asked.source is not None or asked.segment is not None:
        raise SettingsError(f"{name} is computed for the whole company only", "Leave out --source and --segment.")
    if any(day is not None and day.day != 1 for day in (asked.first, asked.last and asked.last + _DAY)):
        raise SettingsError(f"{name} is computed by month only", "Name whole months: --from 2024-10 --to 2024-12.")


def _check_ages(asked: MetricsRequest) -> None:
    """Refuses options that ages do not have.

    Raises:
        SettingsError: days or a comparison are requested.
    """
    if asked.aged and (asked.first or asked.last):
        raise SettingsError(
            "--by age counts back from the newest day of the data and takes no span", "Leave out --from and --to."
        )
    if asked.aged and asked.compare is not None:
        raise SettingsError("an age has no earlier period to compare with", "Leave out --compare, or use --by month.")


def _metrics(lake: Workspace, asked: MetricsRequest, figures: Sequence[Figure]) -> Metrics:
    daily = lake.computed.snapshot.scan(DAILY)
    data, last_planned = _data_range(lake, daily, figures)
    known = daily.select(pl.col("source").unique()).collect()["source"].to_list()
    source = only_source(asked.source, lake.rules, known)
    segment = _segment(asked.segment, lake.rules)
    ages = list(ages_of(data, last_planned)) if asked.aged else None
    periods = ages or list(periods_of(_wanted(asked, data, last_planned), data, asked.by))
    others = [None if asked.compare is None else compared_with(p, asked.compare, data) for p in periods]
    others = _whole_months(asked, periods, others)
    spans = list(dict.fromkeys(_spans(periods, others)))
    found = _sums(lake, asked.dimension, spans, figures, source, segment)
    members = [None] if asked.dimension is None else sorted({m for _, m in found if m is not None})
    at = {span: n for n, span in enumerate(spans)}
    whose = (source or ALL, segment or ALL)
    rows = [
        _row(asked, period, other, member, figure, whose, found, at)
        for period, other in zip(periods, others, strict=True)
        for member in members
        for figure in figures
    ]
    return Metrics(asked, data, lake.rules.business.currency, tuple(rows), lake.problems)


def _data_range(lake: Workspace, daily: pl.LazyFrame, figures: Sequence[Figure]) -> tuple[Span, dt.date]:
    """Returns the days with data, and the last day with a figure, which may be a planned one after them.

    Own measures may reach further than the published ones: a part may be used in a month without a job.
    """
    own = {part for figure in figures for part in figure.parts} - {*SHIPPED}
    theirs = lake.computed.snapshot.scan(MEASURE_DAILY).filter(pl.col("measure").is_in(sorted(own)))
    every = pl.concat([daily.select("date"), theirs.select("date")])
    first, end = every.select(pl.col("date").min().alias("first"), pl.col("date").max().alias("end")).collect().row(0)
    newest = newest_day(lake.exports.values(), lake.rules)
    last = last_day(lake.computed.snapshot.scan(TALLIES["days"]), lake.rules, newest).collect().item()
    if first is None or last is None:
        raise LakeError("no row of the data counts on any day", "Run `rmetrics check`, then sync again.")
    return Span(month_of(first), last), max(end, last)


def _wanted(asked: MetricsRequest, data: Span, last_planned: dt.date) -> Span:
    """Returns the requested days, without periods outside the data.

    Raises:
        SettingsError: none of them has data.
    """
    end = next_period(period_of(last_planned, asked.by), asked.by) - _DAY
    first, last = max(asked.first or data.first, data.first), min(asked.last or end, end)
    if first > last:
        message = f"no data from {asked.first or data.first} to {asked.last or last_planned}"
        raise SettingsError(message, f"The data span {data.first} to {last_planned}.")
    if asked.first is None:
        first = period_of(first, asked.by)
    return Span(first, last)


def _segment(name: str | None, rules: Rules) -> str | None:
    if name is None or name.upper() == ALL:
        return None
    known = {s.lower(): s for s in rules.segment_order}
    if name.lower() not in known:
        raise SettingsError(f"unknown segment: {name!r}", f"Segments: {', '.join(rules.segment_order)}.")
    return known[name.lower()]


def _spans(periods: Sequence[Period], others: Sequence[Span | None]) -> Iterator[Span]:
    for period, other in zip(periods, others, strict=True):
        yield period.span
        if other is not None:
            yield Span(period.span.first, period.through)
            yield other


def _whole_months(asked: MetricsRequest, periods: Sequence[Period], others: Sequence[Span | None]) -> list[Span | None]:
    """Returns the comparisons; for a dimension known by month, only of whole months with whole months."""
    if asked.dimension is None or asked.dimension in DIMENSIONS:
        return list(others)

    def whole(span: Span) -> bool:
        return span.first.day == 1 and (span.last + _DAY).day == 1

    return [
        other if other and whole(other) and whole(Span(period.span.first, period.through)) else None
        for period, other in zip(periods, others, strict=True)
    ]


def _sums(
    lake: Workspace,
    dimension: str | None,
    spans: Sequence[Span],
    figures: Sequence[Figure],
    source: str | None,
    segment: str | None,
) -> _Sums:
    """Returns the sums of all parts of the measures, by both engines.

    Raises:
        CheckError: they differ.
    """
    parts = list(dict.fromkeys(part for figure in figures for part in figure.parts))
    by_month = dimension is not None and dimension not in DIMENSIONS
    own = [part for part in parts if by_month or part not in SHIPPED]
    found = dict[tuple[int, str | None], dict[str, Decimal]]()
    for table, names in ((DAILY, [p for p in parts if p not in own]), (_own_table(by_month=by_month), own)):
        if not names:
            continue
        of = MemberColumn(MEMBER, dimension) if by_month else MemberColumn(dimension)
        made = _both(lake, table, names, of, spans, source, segment)
        for key, values in made.items():
            found.setdefault(key, {}).update(values)
    return found


def _own_table(*, by_month: bool) -> str:
    return DIMENSION_MONTHLY if by_month else MEASURE_DAILY


def _both(
    lake: Workspace,
    table: str,
    names: Sequence[str],
    members: MemberColumn,
    spans: Sequence[Span],
    source: str | None,
    segment: str | None,
) -> _Sums:
    """Adds up some measures of one table by Polars and by DuckDB.

    Raises:
        CheckError: they differ.
    """
    snapshot, long = lake.computed.snapshot, table != DAILY
    rows = snapshot.scan(table)
    for column, only in (("source", source), ("segment", segment), ("dimension", members.dimension)):
        rows = rows if only is None else rows.filter(pl.col(column) == only)
    if long:
        values = [pl.when(pl.col("measure") == n).then(pl.col("value")).alias(n) for n in names]
        date = pl.col("month" if members.dimension else "date").alias("date")
        rows = rows.select(date, *({members.column} - {None}), *values)
    made = sums(rows, spans, members.column, names).select(SPAN, MEMBER, *names).collect()
    ours = {(n, member): tuple(Decimal(v) for v in of) for n, member, *of in made.iter_rows()}
    theirs = sums_by_span(
        snapshot.path(table),
        [(s.first, s.last) for s in spans],
        members.column,
        names,
        source=source,
        segment=segment,
        dimension=members.dimension,
        long=long,
        temp=lake.lake.root / "duckdb",
    )
    if ours != theirs:
        key = min((k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)), key=str)
        message = (
            f"{spans[key[0]].first} to {spans[key[0]].last}, {key[1] or ALL}: {ours.get(key)} and {theirs.get(key)}"
        )
        raise CheckError(
            f"the two engines compute different sums of days ({message})",
            "This is a bug in rmetrics: please report it.",
        )
    return {key: dict(zip(names, of, strict=True)) for key, of in ours.items()}


def _row(
    asked: MetricsRequest,
    period: Period,
    other: Span | None,
    member: str | None,
    figure: Figure,
    whose: tuple[str, str],
    found: _Sums,
    at: Mapping[Span, int],
) -> MetricsRow:
    def of(span: Span) -> Decimal | None:
        parts = found.get((at[span], member), {})
        return figure.value(*(parts.get(part, _ZERO) for part in figure.parts))

    source, segment = whose
    compared = None
    if asked.compare is not None:
        compared = _compared(of(Span(period.span.first, period.through)) if other else None, other, of)
    return MetricsRow(
        period=period.name,
        span=period.span,
        through=period.through,
        state=period.state,
        source=source,
        segment=segment,
        dimension=asked.dimension,
        member=ALL if member is None else member,
        measure=figure.name,
        kind=figure.kind,
        compared=compared,
        explain=explain_line(
            period,
            member if asked.dimension == "source" and member else source,
            member if asked.dimension == "segment" and member else segment,
            figure,
            member=(asked.dimension, member) if member and asked.dimension not in {None, *DIMENSIONS} else None,
        ),
        value=of(period.span),
    )


def _compared(now: Decimal | None, other: Span | None, of: Callable[[Span], Decimal | None]) -> Compared:
    then = None if other is None else of(other)
    if now is None or then is None:
        return Compared(other, then, None, None)
    return Compared(other, then, now - then, quotient(now - then, abs(then)))


def explain_line(
    period: Period, source: str, segment: str, figure: Figure, *, member: tuple[str | None, str] | None = None
) -> str:
    """Returns the command that explains a number: its rule, its rows, and the proof that they add up to it.

    ``member``: a declared dimension and its member, of the whole company.
    """
    whose = f"--source {quote(source)}" if member is None else f"--dimension {member[0]} --member {quote(member[1])}"
    words = ["rmetrics explain", whose, *_when(period)]
    words += [] if segment == ALL else ["--segment", quote(segment)]
    words += [f"--metric {figure.name}"]
    return " ".join(words)


def _when(period: Period) -> tuple[str, ...]:
    first, last = period.span.first, period.span.last
    if first == last:
        return (f"--day {first}",)
    if first.day != 1 or (last + _DAY).day != 1:
        return (f"--from {first}", f"--to {last}")
    if next_month(first) > last:
        return (f"--month {first:%Y-%m}",)
    return (f"--from {first:%Y-%m}", f"--to {last:%Y-%m}")


__all__ = ["DEFAULT", "DIMENSIONS", "Compared", "Metrics", "MetricsRequest", "MetricsRow", "explain_line", "metrics"]
