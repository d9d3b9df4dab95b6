"""Declared measures as tallies: the amount each row adds to each measure, per day and per member of each dimension.

All amounts are whole numbers: ones, cents or millionths (``rules.measure_tables.Unit``). A row of several members is
split so that its parts add up: sums in equal parts, with one unit more for the first named until they do; a count goes
to the first, or in full to each if the measure is not additive over the dimension.

Source: the design, section 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE, SEGMENT, SOURCE
from rmetrics.metrics.leads import between
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.money import cents, share_units
from rmetrics.positions import COUNTED
from rmetrics.rules.expressions import polars_form, tree
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.white_space import WHITE_SPACE
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.measure_tables import JOURNEYS, NONE, SOURCES, Dimension, Measure, Unit
from rmetrics.rules.measures import (
    CALLS,
    JOBS,
    PAYMENTS,
    applies,
    is_additive,
    links_to_jobs,
    measure_row,
    member_text,
    reached,
    sum_kind,
    sums,
    unit_of,
)
from rmetrics.rules.model import OTHER, UNATTRIBUTED, FeedLeads, Rules
from rmetrics.rules.rows import feed_row

ROWS = ""
"""The measure name under which a dimension's own rows are counted, to rank its members by size."""
DAILY_TALLY = {
    "date": pl.Date(),
    "source": pl.String(),
    "segment": pl.String(),
    "measure": pl.String(),
    "amount": pl.Int64(),
}
MEMBER_TALLY = {
    "date": pl.Date(),
    "dimension": pl.String(),
    "member": pl.String(),
    "measure": pl.String(),
    "amount": pl.Int64(),
}
_DAY, _SOURCE, _SEGMENT, _MEMBER, _PLACE = "_on", "_from", "_kind", "_member", "_place"


@dataclass(frozen=True, slots=True)
class MeasureSums:
    """Amounts that rows add to declared measures.

    Attributes:
        daily: of own measures, per (date, source, segment, measure): amount.
        members: of all measures, per (date = first of the month, dimension, member, measure): amount; only of rows that
            have members. The measure ``ROWS`` counts a dimension's own rows.
    """

    daily: pl.LazyFrame
    members: pl.LazyFrame


def nothing() -> MeasureSums:
    """Returns the sums of no rows."""
    return MeasureSums(pl.LazyFrame(schema=DAILY_TALLY), pl.LazyFrame(schema=MEMBER_TALLY))


def together(parts: Sequence[MeasureSums]) -> MeasureSums:
    """Concatenates the sums of several subsets of rows without adding them up."""
    if not parts:
        return nothing()
    return MeasureSums(pl.concat([p.daily for p in parts]), pl.concat([p.members for p in parts]))


def needed_feeds(rules: Rules) -> list[str]:
    """Returns the feeds whose rows an own measure or a dimension needs."""
    own = {m.latest.of for m in sums(rules, own=True).values()}
    by_member = {of for places in reached(rules).values() for of in places}
    return [name for name in rules.feeds if name in own | by_member]


def of_jobs_columns(rules: Rules) -> list[str]:
    """Returns the columns of jobs that linked rows need: date, source and segment, and those of dimensions of jobs."""
    texts = [member_text(d, rules)[0] for d in rules.dimensions.values() if d.of == JOBS]
    named = {n for text in texts for n in tree.columns_in(parse(text))}
    return list(dict.fromkeys([JOB_ID, METRIC_DATE, SOURCE, SEGMENT, *sorted(named)]))


def measure_sums(
    jobs: pl.LazyFrame | None, feeds: Mapping[str, pl.LazyFrame], of_jobs: pl.LazyFrame | None, rules: Rules
) -> MeasureSums:
    """Returns the amounts that some rows add to the declared measures.

    Args:
        jobs: job facts, with the columns of their feed; None for none.
        feeds: rows by feed name, of the feeds that have some; linked to jobs if they name jobs.
        of_jobs: the facts of all jobs that these rows are linked to (``of_jobs_columns``); may be None if no feed is
            linked.
        rules: all rules.
    """
    frames = {} if jobs is None else {JOBS: jobs}
    frames |= {n: f for n, f in feeds.items() if n in rules.feeds and n != JOBS}
    wanted = needed_feeds(rules)
    parts = [_sums_of(_Rows(n, f, of_jobs, rules)) for n, f in frames.items() if n in wanted]
    return together([nothing(), *parts])


def journey_sums(journeys: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the amounts that touches add to own measures over journeys.

    Touches are few compared with rows, and change as their jobs do: they are added up in full, and no tally is kept.

    Args:
        journeys: ``metrics.journeys.journeys``.
        rules: all rules.

    Returns:
        As ``MeasureSums.daily``: one row per (date, source, segment, measure) that is not 0.
    """
    own = [n for n, m in sums(rules, own=True).items() if m.latest.of == JOURNEYS]
    if not own:
        return pl.LazyFrame(schema=DAILY_TALLY)
    return _own_sums(placed_journeys(journeys, rules), own, JOURNEYS, rules)


def placed_journeys(journeys: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns touches with day, source and segment, as ``placed_rows``; the segment is that of the source's leads."""
    day, source = pl.col("touch_date"), pl.col("source")
    return journeys.with_columns(
        day.alias(_DAY), source.alias(_SOURCE), _segment_of(source, day, rules).alias(_SEGMENT)
    ).with_columns(pl.col(_SEGMENT).alias("segment"))


class _Rows:
    """The rows of one feed that count, each with its day, source, segment and members."""

    def __init__(self, name: str, rows: pl.LazyFrame, of_jobs: pl.LazyFrame | None, rules: Rules) -> None:
        self.name, self.rules, self.row = name, rules, measure_row(rules, name)
        self.dimensions = {n: d for n, d in rules.dimensions.items() if applies(d, name, rules)}
        self.frame = self._with_members(self._placed(rows, of_jobs), of_jobs)

    def _placed(self, rows: pl.LazyFrame, of_jobs: pl.LazyFrame | None) -> pl.LazyFrame:
        """Returns the rows that count, with day, source, segment, and the columns that rmetrics adds for conditions."""
        name, rules = self.name, self.rules
        day = pl.col(rules.feeds[name].business_date) if name != JOBS else pl.col(METRIC_DATE)
        if name == JOBS:
            return self._named(rows, day, pl.col(SOURCE), pl.col(SEGMENT))
        own = {*rules.feeds[name].columns}
        if not links_to_jobs(rules, name):
            placed = rows.filter(pl.col(COUNTED))
            if name == CALLS:
                source = pl.col("source").fill_null(UNATTRIBUTED)
                return self._named(placed, day, source, _segment_of(source, day, rules))
            source = _owner(name, rules)
            return self._named(placed, day, source, _segment_of(source, day, rules))
        assert of_jobs is not None  # noqa: S101 - whoever passes rows that name jobs passes the jobs
        if name == PAYMENTS:
            placed = revenue_rows(rows, of_jobs, rules).rename({"_job_date": "_job_day"})
            named = self._named(placed, pl.col("date"), pl.col("source"), pl.col("segment"))
        else:
            jobs = of_jobs.select(
                JOB_ID, pl.col(SOURCE).alias("_js"), pl.col(SEGMENT).alias("_jg"), pl.col(METRIC_DATE).alias("_job_day")
            )
            placed = rows.filter(pl.col(COUNTED)).join(jobs, on=JOB_ID, how="left")
            if name == CALLS:
                source = pl.col("source").fill_null(UNATTRIBUTED)
                segment = _segment_of(source, day, rules)
            else:
                source = pl.coalesce("_js", _owner(name, rules))
                segment = pl.coalesce("_jg", _segment_of(_owner(name, rules), day, rules))
            named = self._named(placed, day, source, segment)
        return named if "job_day" in own else named.with_columns(pl.col("_job_day").alias("job_day"))

    def _named(self, rows: pl.LazyFrame, day: pl.Expr, source: pl.Expr, segment: pl.Expr) -> pl.LazyFrame:
        placed = rows.with_columns(day.alias(_DAY), source.alias(_SOURCE), segment.alias(_SEGMENT))
        own = {*self.rules.feeds[self.name].columns}
        added = {"source": _SOURCE, "segment": _SEGMENT}
        return placed.with_columns(pl.col(c).alias(n) for n, c in added.items() if n not in own)

    def _with_members(self, rows: pl.LazyFrame, of_jobs: pl.LazyFrame | None) -> pl.LazyFrame:
        own = {n: d for n, d in self.dimensions.items() if d.of == self.name}
        rows = rows.with_columns(member(d, self.rules).alias(member_column(n)) for n, d in own.items())
        by_job = {n: d for n, d in self.dimensions.items() if d.of != self.name}
        if not by_job:
            return rows
        assert of_jobs is not None  # noqa: S101 - whoever passes rows that name jobs passes the jobs
        members = of_jobs.select(JOB_ID, *(member(d, self.rules).alias(member_column(n)) for n, d in by_job.items()))
        return rows.join(members, on=JOB_ID, how="left")


def member_column(dimension: str) -> str:
    """Returns the column of ``placed_rows`` with a row's member, or the text of several members before the split."""
    return f"{_MEMBER}:{dimension}"


def member(dimension: Dimension, rules: Rules) -> pl.Expr:
    """A row's member, or the text of several members before the split."""
    text, kind = member_text(dimension, rules)
    value = polars_form.derived(text, measure_row(rules, dimension.of), kind or ColumnType.TEXT)
    if kind in {None, ColumnType.TEXT, ColumnType.CURRENCY}:
        return value
    return value.cast(pl.String)


def _owner(name: str, rules: Rules) -> pl.Expr:
    """Source that rows of a feed belong to: the only one that counts leads or costs by it."""
    found = [
        source
        for source, dated in rules.sources.items()
        if any(
            (isinstance(v.leads, FeedLeads) and v.leads.feed == name) or any(c.feed == name for c in v.cost)
            for _, v in dated.versions
        )
    ]
    return pl.lit(found[0] if len(found) == 1 else UNATTRIBUTED)


def _segment_of(source: pl.Expr, day: pl.Expr, rules: Rules) -> pl.Expr:
    """Segment of a source's leads on a day; OTHER for an undeclared source."""
    result = pl.lit(OTHER)
    for name, dated in rules.sources.items():
        result = pl.when(source == name).then(in_force(dated, day, lambda s: pl.lit(s.segment))).otherwise(result)
    return result


# -- the amount of a row


def placed_rows(name: str, rows: pl.LazyFrame, of_jobs: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the rows of a feed that count, with their day (``_on``), source (``_from``) and segment (``_kind``).

    Args:
        name: the feed.
        rows: its rows; for jobs, their facts.
        of_jobs: the facts of all jobs that these rows are linked to, with the columns of their feed.
        rules: all rules.
    """
    return _Rows(name, rows, of_jobs, rules).frame


def amount(measure: Measure, row: Row, rules: Rules, *, blank: bool = False) -> pl.Expr:
    """Amount that a row adds to a count, or to a sum before the share: ones or cents, 0 for nothing.

    With ``blank``, the amount is null if the summed value is, and ``where`` is ignored.
    """
    if measure.count is not None:
        return is_true(measure.count, row).cast(pl.Int64)
    assert measure.sum is not None  # noqa: S101 - asked of counts and sums
    kind = sum_kind(measure, rules)
    value = polars_form.derived(measure.sum, row, kind)
    units = cents(value) if kind is ColumnType.MONEY else value.cast(pl.Int64)
    if blank:
        return units
    if measure.where is not None:
        units = pl.when(is_true(measure.where, row)).then(units)
    return units.fill_null(0)


def _source_amount(measure: Measure, name: str, rules: Rules) -> pl.Expr:
    """Amount that a row of a feed adds to the shipped leads or cost, by the rules of the sources."""
    total = pl.lit(0, dtype=pl.Int64)
    for source, dated in rules.sources.items():
        for start, end, version in dated.spans():
            inside = between(pl.col(_DAY), start, end)
            for condition, value in _terms(measure, source, version, name, rules):
                total = total + pl.when(inside & condition).then(value).otherwise(0).fill_null(0)
    return total


def _terms(
    measure: Measure, name: str, version: object, feed: str, rules: Rules
) -> Iterator[tuple[pl.Expr, pl.Expr | int]]:
    from rmetrics.rules.model import Source

    assert isinstance(version, Source)  # noqa: S101 - a version of a source
    row = feed_row(rules.feeds[feed], rules.business.timezone)
    if measure.count is not None:
        if isinstance(version.leads, FeedLeads):
            if version.leads.feed == feed:
                where = version.leads.where
                yield pl.lit(value=True) if where is None else is_true(where, row), 1
        elif feed == JOBS:
            of_source = pl.col(_SOURCE) == name
            marked = {"jobs": pl.lit(value=True), "units": pl.col("is_unit"), "repairs": pl.col("is_repair")}
            yield of_source & marked[version.leads], 1
        return
    for cost in version.cost:
        if cost.feed == feed and cost.sum is not None and cost.spread is None:
            yield pl.lit(value=True) if cost.where is None else is_true(cost.where, row), cents(pl.col(cost.sum))


def _dated_amount(name: str, of: str, row: Row, rules: Rules) -> pl.Expr:
    measure = sums(rules)[name]
    if measure.latest.of == SOURCES:
        return _source_amount(measure.latest, of, rules)
    return in_force(measure.rule, pl.col(_DAY), lambda m: amount(m, row, rules))


# -- sums


def _sums_of(rows: _Rows) -> MeasureSums:
    rules, name = rows.rules, rows.name
    dated = rows.frame.filter(pl.col(_DAY).is_not_null())
    own = [n for n, m in sums(rules, own=True).items() if m.latest.of == name]
    daily = []
    if own:
        daily.append(_own_sums(dated, own, name, rules))
    members = [_by_member(dated, n, d, rows) for n, d in rows.dimensions.items()]
    return MeasureSums(
        pl.concat([pl.LazyFrame(schema=DAILY_TALLY), *daily]),
        pl.concat([pl.LazyFrame(schema=MEMBER_TALLY), *members]),
    )


def _own_sums(dated: pl.LazyFrame, own: Sequence[str], of: str, rules: Rules) -> pl.LazyFrame:
    """Adds up some measures over placed rows, per day, source and segment."""
    key = {"date": _DAY, "source": _SOURCE, "segment": _SEGMENT}
    # Columns first: the "sum" of a constant, such as a count of every row, over a group would be the constant itself.
    amounts = [_dated_amount(n, of, measure_row(rules, of), rules).alias(n) for n in own]
    placed = dated.select(*(pl.col(c).alias(n) for n, c in key.items()), *amounts)
    summed = placed.group_by(*key).agg(pl.col(n).sum() for n in own)
    return _long(summed, list(key), own).select(*DAILY_TALLY)


def _long(summed: pl.LazyFrame, key: Sequence[str], names: Sequence[str]) -> pl.LazyFrame:
    """Returns one row per key and measure whose sum is not 0."""
    long = summed.unpivot(on=list(names), index=list(key), variable_name="measure", value_name="amount")
    return long.filter(pl.col("amount") != 0).with_columns(pl.col("amount").cast(pl.Int64))


def _by_member(dated: pl.LazyFrame, name: str, dimension: Dimension, rows: _Rows) -> pl.LazyFrame:
    """Adds up the measures of one dimension per month and member."""
    rules = rows.rules
    measures = {
        n: sums(rules)[n].latest for (d, n), places in reached(rules).items() if d == name and rows.name in places
    }
    share = in_force(rules.revenue, pl.col(_DAY), lambda r: pl.lit(share_units(r.share), dtype=pl.Int64))
    amounts = [_dated_amount(n, rows.name, rows.row, rules).alias(n) for n in measures]
    counted = [pl.lit(1, dtype=pl.Int64).alias(ROWS)] if dimension.of == rows.name else []
    amounted = dated.select(
        pl.col(_DAY).dt.month_start().alias("date"),
        pl.col(member_column(name)).alias("member"),
        share.alias("_share"),
        *amounts,
        *counted,
    )
    named = [*measures, *([ROWS] if counted else [])]
    text = pl.col("member")
    parts = [_single_member(amounted, named)]
    if dimension.split is not None:
        several = text.str.contains(dimension.split, literal=True).fill_null(value=False)
        parts = [
            _single_member(amounted.filter(~several), named),
            _split(amounted.filter(several), named, measures, dimension),
        ]
    shared = [n for n, m in measures.items() if unit_of(m, rules) is Unit.MICRO]
    # Multiplied after the split: parts in whole cents add up exactly before and after the share.
    summed = (
        pl.concat(parts)
        .group_by("date", "member")
        .agg((pl.col(n) * pl.col("_share") if n in shared else pl.col(n)).sum().alias(n) for n in named)
        .with_columns(pl.lit(name).alias("dimension"))
    )
    return _long(summed, ["date", "dimension", "member"], named).select(*MEMBER_TALLY)


def _single_member(rows: pl.LazyFrame, named: Sequence[str]) -> pl.LazyFrame:
    """Returns rows with one member each."""
    trimmed = pl.col("member").str.strip_chars(WHITE_SPACE)
    shown = pl.when(trimmed.is_null() | (trimmed == "")).then(pl.lit(NONE)).otherwise(trimmed)
    return rows.select("date", shown.alias("member"), "_share", *named)


def _split(
    rows: pl.LazyFrame, named: Sequence[str], measures: Mapping[str, Measure], dimension: Dimension
) -> pl.LazyFrame:
    """Splits rows of several members into one row each, in the order named and without repeats or blanks."""
    assert dimension.split is not None  # noqa: S101 - asked of dimensions that are split
    listed = rows.with_columns(names_in(pl.col("member"), dimension.split).alias("member"))
    listed = listed.with_columns(pl.col("member").list.len().cast(pl.Int64).alias("_count"))
    listed = listed.with_columns(pl.int_ranges(0, pl.col("_count")).alias(_PLACE))
    each = listed.explode("member", _PLACE)
    return each.select("date", "member", "_share", *(_part(n, measures.get(n), dimension).alias(n) for n in named))


def names_in(text: pl.Expr, split: str | None) -> pl.Expr:
    """Members that a row names, in the order named, without repeats; ``(none)`` if it names none."""
    words = pl.concat_list(text) if split is None else text.str.split(split)
    names = (
        words.list.eval(pl.element().str.strip_chars(WHITE_SPACE))
        .list.eval(pl.element().filter(pl.element() != ""))
        .list.unique(maintain_order=True)
    )
    no_member = pl.lit([NONE], dtype=pl.List(pl.String))
    return pl.when(names.list.len() > 0).then(names).otherwise(no_member)


def _part(name: str, measure: Measure | None, dimension: Dimension) -> pl.Expr:
    """One member's part of a row's amount."""
    total, count, place = pl.col(name), pl.col("_count"), pl.col(_PLACE).cast(pl.Int64)
    if measure is None:
        return total
    if measure.count is not None:
        return total if not is_additive(dimension, measure) else pl.when(place == 0).then(total).otherwise(0)
    remainder = (place < total.abs() % count).cast(pl.Int64)
    return total.sign() * (total.abs() // count + remainder)


__all__ = [
    "DAILY_TALLY", "MEMBER_TALLY", "ROWS", "MeasureSums", "amount", "journey_sums", "measure_sums", "member",
    "member_column", "names_in", "needed_feeds", "nothing", "of_jobs_columns", "placed_journeys",
    "placed_rows", "together",
]  # fmt: skip
