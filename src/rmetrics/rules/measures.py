"""Measures and dimensions that the rules declare: what is counted or added up over which rows, and by whom.

A measure is a count or a sum over the rows of one table, or the ratio of two such sums. The seven that the published
metrics consist of are declared by the same grammar; their meaning cannot be changed, what they are called can.

Source: the design, section 8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import StringConstraints, field_validator, model_validator

from rmetrics.rules.expressions import typing
from rmetrics.rules.expressions.refusal import RefusedError
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ROW_ID, ColumnType
from rmetrics.rules.model import Dated, Rules
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Identifier, Sql, Table

JOBS, PAYMENTS, CALLS = "jobs", "payments", "calls"
SOURCES = "sources"
JOURNEYS = "journeys"
NONE, REST = "(none)", "(other)"
MOST_MEMBERS = 200
FREE_TEXT = 2000
"""More members than this without ``most`` are no dimension but free text: ``rules check`` refuses it, and a run whose
data has so many has a finding at error level."""
Format = Literal["count", "money", "percent", "number"]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Most = Annotated[int, NumberRange(Decimal(1), Decimal(100_000), decimals=0, unit="members")]


class Unit(StrEnum):
    """What the whole numbers of a tally are."""

    ONE = "one"
    CENT = "cent"
    MICRO = "micro"


class Measure(Table):
    """A count, a sum or a ratio.

    ``of``: the rows, those of a feed, or for the shipped leads and cost what the rules of the sources make. ``count``:
    the condition that a row must meet. ``sum``: a column or an expression of money or whole numbers, of the rows that
    meet ``where``. ``share = "revenue"``: times the company's share. ``ratio``: the sum above the line, the one below.
    """

    of: Identifier | None = None
    count: Sql | None = None
    sum: Sql | None = None
    where: Sql | None = None
    share: Literal["revenue"] | None = None
    ratio: tuple[Identifier, ...] | None = None
    title: Title | None = None
    format: Format | None = None
    comment: str = ""

    @field_validator("count", mode="before")
    @classmethod
    def _every_row(cls, value: object) -> object:
        return "true" if value is True else value

    @model_validator(mode="after")
    def _one_form(self) -> "Measure":
        forms = [k for k in ("count", "sum", "ratio") if getattr(self, k) is not None]
        if len(forms) != 1:
            msg = 'give one of count = "condition", sum = "column", ratio = ["above", "below"]'
            raise ValueError(msg)
        if self.ratio is not None:
            if self.of or self.where or self.share:
                msg = "a ratio is made of two measures: of, where and share belong to these"
                raise ValueError(msg)
            if len(self.ratio) != 2:
                msg = 'ratio takes two measures: ratio = ["above", "below"]'
                raise ValueError(msg)
        elif self.of is None:
            msg = 'say over which rows: of = "jobs", "payments", "calls" or another feed'
            raise ValueError(msg)
        elif self.count is not None and (self.where or self.share):
            msg = "where and share go with sum; write the condition into count"
            raise ValueError(msg)
        return self


class Dimension(Table):
    """By what measures are told apart: a column of a feed's rows, or a text made of several.

    ``split``: what stands between the names of a row that belongs to several members. ``count_for``: whether such a row
    counts for the first one named, so that members add up, or for each. ``most``: how many members are kept by name.
    """

    of: Identifier
    column: Identifier | None = None
    sql: Sql | None = None
    split: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    count_for: Literal["first", "each"] = "first"
    most: Most | None = None
    title: Title | None = None
    comment: str = ""

    @model_validator(mode="after")
    def _one_origin(self) -> "Dimension":
        if (self.column is None) == (self.sql is None):
            msg = 'give one of column = "..." and sql = "..."'
            raise ValueError(msg)
        if self.count_for == "each" and self.split is None:
            msg = "count_for goes with split: without it a row has one member"
            raise ValueError(msg)
        return self

    @property
    def limit(self) -> int:
        """How many members are kept by name."""
        return self.most or MOST_MEMBERS


SHIPPED: Mapping[str, Measure] = {
    "jobs": Measure(of=JOBS, count="true", title="Jobs", format="count"),
    "leads": Measure(of=SOURCES, count="leads", title="Leads", format="count"),
    "units": Measure(of=JOBS, count="is_unit", title="Units", format="count"),
    "repairs": Measure(of=JOBS, count="is_repair", title="Repairs", format="count"),
    "revenue_gross": Measure(of=PAYMENTS, sum="amount", title="Revenue", format="money"),
    "revenue40": Measure(of=PAYMENTS, sum="amount", share="revenue", title="Revenue after payout", format="money"),
    "cost": Measure(of=SOURCES, sum="cost", title="Cost", format="money"),
}
"""The seven measures of the published metrics, as ``rules/measures.toml`` declares them."""

TAKEN = frozenset(
    [
        *("date", "month", "time", "source", "segment", "value", "measure", "member", "dimension"),
        *("conv_l2u", "conv_l2r", "conv_u2r", "cpl", "cost_per_repair", "avg_ticket", "profit"),
    ]
)
"""Names that mean something else where measures are listed."""


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
"""What a measure over journeys may name: the columns of the published table of touches."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A measure in force.

    Attributes:
        name: its name.
        rule: its declaration with its changes.
        own: whether it is none of the seven.
    """

    name: str
    rule: Dated[Measure]
    own: bool

    @property
    def latest(self) -> Measure:
        """The declaration in force now."""
        return self.rule.latest

    @property
    def title(self) -> str:
        """What people call it."""
        return self.latest.title or self.name.replace("_", " ").capitalize()

    @property
    def is_sum(self) -> bool:
        """Whether it can be added up."""
        return self.latest.ratio is None


def declared(rules: Rules) -> dict[str, Declared]:
    """All measures: the seven first, then the company's own as declared."""
    found = {}
    for name, shipped in SHIPPED.items():
        given = rules.measures.get(name)
        latest = given.latest if given else shipped
        kept = shipped.model_copy(update={"title": latest.title or shipped.title, "comment": latest.comment})
        found[name] = Declared(name, Dated(((None, kept),)), own=False)
    return found | {n: Declared(n, m, own=True) for n, m in rules.measures.items() if n not in SHIPPED}


def sums(rules: Rules, *, own: bool | None = None) -> dict[str, Declared]:
    """The measures that can be added up; own ones, shipped ones or all."""
    return {n: m for n, m in declared(rules).items() if m.is_sum and own in (None, m.own)}


def ratios(rules: Rules) -> dict[str, Declared]:
    """The declared ratios."""
    return {n: m for n, m in declared(rules).items() if not m.is_sum}


def links_to_jobs(rules: Rules, name: str) -> bool:
    """Whether rows of a feed belong to jobs."""
    return name == JOBS or (name in rules.feeds and rules.feeds[name].job is not None)


def measure_row(rules: Rules, name: str) -> Row:
    """What a measure over the rows of a feed may name.

    The columns of the feed and its business day; of a job also what the rules make of it; of rows that name jobs the
    ``job_id``, and the job's ``job_date`` for payments. ``source`` and ``segment`` are those that the row counts in.
    Of journeys, the columns of the published table of touches.
    """
    if name == JOURNEYS:
        return Row.of(
            {**_TOUCH, "source": ColumnType.TEXT, "segment": ColumnType.TEXT}, rules.business.timezone, cells=True
        )
    feed = rules.feeds[name]
    columns = {n: c.type for n, c in feed.columns.items()} | {feed.business_date: ColumnType.DATE}
    added = {"source": ColumnType.TEXT, "segment": ColumnType.TEXT}
    if name == JOBS:
        added |= {
            "metric_date": ColumnType.DATE,
            "paid": ColumnType.MONEY,
            "is_unit": ColumnType.BOOLEAN,
            "is_repair": ColumnType.BOOLEAN,
        }
    elif feed.job is not None:
        added |= {"job_id": ColumnType.TEXT, "job_day": ColumnType.DATE}
    if not feed.key:
        columns[ROW_ID] = ColumnType.TEXT
    return Row.of({**added, **columns}, rules.business.timezone, cells=True)


def unit_of(measure: Measure, rules: Rules) -> Unit:
    """What a measure's whole numbers are.

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
    """Whether a sum adds up whole numbers or money.

    Raises:
        RefusedError: neither.
    """
    assert measure.sum is not None  # noqa: S101 - asked of sums only
    assert measure.of is not None  # noqa: S101 - the model requires it of sums
    row = measure_row(rules, measure.of)
    try:
        typing.derived(measure.sum, row, ColumnType.INTEGER)
    except RefusedError:
        typing.derived(measure.sum, row, ColumnType.MONEY)
        return ColumnType.MONEY
    return ColumnType.INTEGER


def shown_format(measure: Declared, rules: Rules) -> Format:
    """How a measure is shown: as declared, or what its kind suggests."""
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
    """The expression of a dimension's member; the type of its column, None where it is an expression of its own."""
    if dimension.sql is not None:
        return dimension.sql, None
    assert dimension.column is not None  # noqa: S101 - the model requires one of both
    kind = dict(measure_row(rules, dimension.of).columns)[dimension.column]
    return dimension.column, kind


def applies(dimension: Dimension, of: str, rules: Rules) -> bool:
    """Whether rows of a feed have members of a dimension: its own rows, and rows of jobs of one over jobs."""
    return dimension.of == of or (dimension.of == JOBS and links_to_jobs(rules, of))


def reached(rules: Rules) -> dict[tuple[str, str], tuple[str, ...]]:
    """By (dimension, measure) the tables whose rows a measure is made of and that have members.

    Leads and cost are made of rows by the rules of the sources; what is no row of the dimension's feed, such as a fee,
    is nobody's.
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
    """Whether the members of a dimension add up for a measure.

    Amounts are split, so they always do; so do leads, which go to the first named whatever counts of rows do.
    """
    return dimension.count_for == "first" or measure.count is None or measure.of == SOURCES


__all__ = [
    "CALLS", "FREE_TEXT", "JOBS", "JOURNEYS", "MOST_MEMBERS", "NONE", "PAYMENTS", "REST", "SHIPPED", "SOURCES", "TAKEN",
    "Declared", "Dimension", "Format", "Measure", "Unit", "applies", "declared", "is_additive", "links_to_jobs",
    "measure_row", "member_text", "ratios", "reached", "shown_format", "sum_kind", "sums", "unit_of",
]  # fmt: skip
