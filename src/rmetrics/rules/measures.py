"""Declared measures and dimensions: which rows are counted or summed, and how they are broken down.

A measure is a count or a sum over the rows of one table, or the ratio of two such sums. The seven measures of the
published metrics are declared in the same grammar; their titles can be changed, their meaning cannot.

Source: the design, section 8.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rmetrics.rules.dated import Dated
from rmetrics.rules.expressions import tree, typing
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.refusal import RefusedExpressionError
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ROW_ID, ColumnType
from rmetrics.rules.measure_tables import JOURNEYS, SOURCES, Dimension, Format, Measure, Return, Unit
from rmetrics.rules.model import Rules

JOBS, PAYMENTS, CALLS = "jobs", "payments", "calls"


SHIPPED: Mapping[str, Measure] = {
    "jobs": Measure(of=JOBS, count="true", title="Jobs", format="count"),
    "leads": Measure(of=SOURCES, count="leads", title="Leads", format="count"),
    "units": Measure(of=JOBS, count="is_unit", title="Units", format="count"),
    "repairs": Measure(of=JOBS, count="is_repair", title="Repairs", format="count"),
    "revenue_gross": Measure(of=PAYMENTS, sum="amount", title="Revenue", format="money"),
    "revenue40": Measure(of=PAYMENTS, sum="amount", share="revenue", title="Revenue after payout", format="money"),
    "cost": Measure(of=SOURCES, sum="cost", title="Cost", format="money"),
}
"""The seven measures of the published metrics, as declared in ``rules/measures.toml``."""

RESERVED = frozenset(
    [
        *("date", "month", "time", "source", "segment", "value", "measure", "member", "dimension"),
        *("conv_l2u", "conv_l2r", "conv_u2r", "cpl", "cost_per_repair", "avg_ticket", "profit"),
    ]
)
"""Names with another meaning in the tables that list measures."""


_TOUCH: Mapping[str, ColumnType] = {
    "touch_id": ColumnType.TEXT,
    "feed": ColumnType.TEXT,
    "touch_at": ColumnType.TIMESTAMP,
    "touch_date": ColumnType.DATE,
    "month": ColumnType.MONTH,
    "answered": ColumnType.BOOLEAN,
    "booked": ColumnType.BOOLEAN,
    "visited": ColumnType.BOOLEAN,
    "repaired": ColumnType.BOOLEAN,
    "returning_customer": ColumnType.BOOLEAN,
    "jobs": ColumnType.INTEGER,
    "job_id": ColumnType.TEXT,
    "matched_by": ColumnType.TEXT,
    "reason": ColumnType.TEXT,
    "cost": ColumnType.MONEY,
    "paid": ColumnType.MONEY,
}
"""The columns available to a measure over journeys: those of the published table of touches."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A measure in force.

    Attributes:
        name: its name.
        rule: its declaration with its changes.
        own: whether the company declares it: it is not one of the seven.
    """

    name: str
    rule: Dated[Measure]
    own: bool

    @property
    def latest(self) -> Measure:
        """The latest declaration."""
        return self.rule.latest

    @property
    def title(self) -> str:
        """The display name."""
        return self.latest.title or self.name.replace("_", " ").capitalize()

    @property
    def is_sum(self) -> bool:
        """Whether it is additive: a count or a sum, not a ratio."""
        return self.latest.ratio is None


def declared(rules: Rules) -> dict[str, Declared]:
    """Returns all measures: the seven first, then the company's own in declared order."""
    found = {}
    for name, shipped in SHIPPED.items():
        given, kept = rules.measures.get(name), shipped
        if given:
            latest = given.latest
            kept = shipped.model_copy(update={"title": latest.title or shipped.title, "comment": latest.comment})
        found[name] = Declared(name, Dated(((None, kept),)), own=False)
    return found | {n: Declared(n, m, own=True) for n, m in rules.measures.items() if n not in SHIPPED}


def sums(rules: Rules, *, own: bool | None = None) -> dict[str, Declared]:
    """Returns the additive measures: own ones, shipped ones, or all."""
    return {n: m for n, m in declared(rules).items() if m.is_sum and own in (None, m.own)}


def ratios(rules: Rules) -> dict[str, Declared]:
    """Returns the declared ratios."""
    return {n: m for n, m in declared(rules).items() if not m.is_sum}


def links_to_jobs(rules: Rules, name: str) -> bool:
    """Whether rows of a feed belong to jobs."""
    return name == JOBS or (name in rules.feeds and rules.feeds[name].job is not None)


def measure_row(rules: Rules, name: str) -> Row:
    """Returns the columns available to a measure over the rows of a feed.

    These are the columns of the feed and its business day; for jobs also the job facts and returns; for feeds linked to
    jobs also ``job_id`` and ``job_day``. ``source`` and ``segment`` are those in which the row counts. For journeys:
    the columns of the published table of touches.
    """
    if name == JOURNEYS:
        return Row.of(
            {**_TOUCH, "source": ColumnType.TEXT, "segment": ColumnType.TEXT}, rules.business.timezone, cells=True
        )
    if name == JOBS:
        return _job_row(rules, rules.returns)
    feed = rules.feeds[name]
    columns = {n: c.type for n, c in feed.columns.items()} | {feed.business_date: ColumnType.DATE}
    added = {"source": ColumnType.TEXT, "segment": ColumnType.TEXT}
    if feed.job is not None:
        added |= {"job_id": ColumnType.TEXT, "job_day": ColumnType.DATE}
    if not feed.key:
        columns[ROW_ID] = ColumnType.TEXT
    return Row.of({**added, **columns}, rules.business.timezone, cells=True)


def return_row(rules: Rules) -> Row:
    """What the condition of a return is over: what measures over jobs may name, but for the returns themselves."""
    return _job_row(rules, ())


def _job_row(rules: Rules, returns: Iterable[str]) -> Row:
    feed = rules.feeds[JOBS]
    added = {
        "source": ColumnType.TEXT,
        "segment": ColumnType.TEXT,
        "metric_date": ColumnType.DATE,
        "paid": ColumnType.MONEY,
        "is_unit": ColumnType.BOOLEAN,
        "is_repair": ColumnType.BOOLEAN,
        **dict.fromkeys(returns, ColumnType.INTEGER),
    }
    columns = {n: c.type for n, c in feed.columns.items()} | {feed.business_date: ColumnType.DATE}
    return Row.of({**added, **columns}, rules.business.timezone, cells=True)


def customer_column(rule: Return, rules: Rules) -> str:
    """The phone number among the columns by which a return tells customers apart; the rules have exactly one."""
    columns = rules.feeds[JOBS].columns
    return next(c for c in rule.same if columns[c].type is ColumnType.PHONE)


def unit_of(measure: Measure, rules: Rules) -> Unit:
    """Returns the unit of a measure's whole numbers.

    Raises:
        RefusedError: its sum is neither money nor whole numbers.
    """
    if measure.count is not None:
        return Unit.ONE
    if measure.of == SOURCES:
        return Unit.CENT
    if measure.share is not None:
        return Unit.MICRO
    return Unit.ONE if sum_kind(measure, rules) is ColumnType.INTEGER else Unit.CENT


def sum_kind(measure: Measure, rules: Rules) -> ColumnType:
    """Returns INTEGER for a sum of whole numbers, MONEY for a sum of money.

    Raises:
        RefusedError: the sum is neither.
    """
    assert measure.sum is not None  # noqa: S101 - asked of sums only
    assert measure.of is not None  # noqa: S101 - the model requires it of sums
    row = measure_row(rules, measure.of)
    try:
        typing.derived(measure.sum, row, ColumnType.INTEGER)
    except RefusedExpressionError:
        typing.derived(measure.sum, row, ColumnType.MONEY)
        return ColumnType.MONEY
    return ColumnType.INTEGER


def shown_format(measure: Declared, rules: Rules) -> Format:
    """Returns the display format of a measure: the declared one, or the default for its kind."""
    given = measure.latest.format
    if given is not None:
        return given
    if measure.latest.ratio is not None:
        above, below = (declared(rules)[n] for n in measure.latest.ratio)
        upper, lower = shown_format(above, rules), shown_format(below, rules)
        return "percent" if upper == lower else "money" if upper == "money" else "number"
    if measure.latest.count is not None:
        return "count"
    return "number" if unit_of(measure.latest, rules) is Unit.ONE else "money"


def member_text(dimension: Dimension, rules: Rules) -> tuple[str, ColumnType | None]:
    """Returns the expression of a dimension's member, and the type of its column; None if it is an expression."""
    if dimension.sql is not None:
        return dimension.sql, None
    assert dimension.column is not None  # noqa: S101 - the model requires one of both
    kind = dict(measure_row(rules, dimension.of).columns)[dimension.column]
    return dimension.column, kind


def member_columns(dimension: str, rules: Rules) -> frozenset[str]:
    """The columns that a dimension's members are made of; none where there is no such dimension."""
    if dimension not in rules.dimensions:
        return frozenset()
    return frozenset(tree.columns_in(parse(member_text(rules.dimensions[dimension], rules)[0])))


def reading(column: str, rules: Rules) -> frozenset[str]:
    """The company's own sums over jobs that read a column, at any time."""
    return frozenset(
        name
        for name, measure in sums(rules, own=True).items()
        for _, version in measure.rule.versions
        if version.of == JOBS
        for text in (version.count, version.sum, version.where)
        if text is not None and column in tree.columns_in(parse(text))
    )


def applies(dimension: Dimension, of: str, rules: Rules) -> bool:
    """Whether rows of a feed have members of a dimension: rows of its own feed, and rows of jobs if it is over jobs."""
    return dimension.of == of or (dimension.of == JOBS and links_to_jobs(rules, of))


def reached(rules: Rules) -> dict[tuple[str, str], tuple[str, ...]]:
    """Returns, by (dimension, measure), the feeds whose rows make up the measure and have members.

    Leads and cost are derived from rows by the rules of the sources; amounts that belong to no row of the dimension's
    feed, such as a fee, have no member.
    """
    found = dict[tuple[str, str], tuple[str, ...]]()
    for dimension_name, dimension in rules.dimensions.items():
        for name, measure in sums(rules).items():
            of = measure.latest.of
            assert of is not None  # noqa: S101 - sums have rows
            if of == SOURCES:
                found[dimension_name, name] = (dimension.of,)
            else:
                found[dimension_name, name] = (of,) if applies(dimension, of, rules) else ()
    return found


def is_additive(dimension: Dimension, measure: Measure) -> bool:
    """Whether a measure is additive over the members of a dimension.

    Amounts always are, as they are split; so are leads, which go to the first named member whatever ``count_for`` is.
    """
    return dimension.count_for == "first" or measure.count is None or measure.of == SOURCES


__all__ = [
    "CALLS",
    "JOBS",
    "PAYMENTS",
    "RESERVED",
    "SHIPPED",
    "Declared",
    "applies",
    "customer_column",
    "declared",
    "is_additive",
    "links_to_jobs",
    "measure_row",
    "member_columns",
    "member_text",
    "ratios",
    "reached",
    "reading",
    "return_row",
    "shown_format",
    "sum_kind",
    "sums",
    "unit_of",
]  # fmt: skip
