"""The tables of measures and dimensions in the rules."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import StringConstraints, field_validator, model_validator

from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Identifier, Sql, Table

SOURCES = "sources"


JOURNEYS = "journeys"


NONE, REST = "(none)", "(other)"


MAX_MEMBERS = 200


FREE_TEXT = 2000
"""A dimension without ``most`` that has more members than this is free text: ``rules check`` refuses it, and a run with
that many members reports a finding of severity error."""


Format = Literal["count", "money", "percent", "number"]


Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]


MaxMembers = Annotated[int, NumberRange(Decimal(1), Decimal(100_000), decimals=0, unit="amount")]


class Unit(StrEnum):
    """The unit of the whole numbers in a tally."""

    ONE = "one"
    CENT = "cent"
    MICRO = "micro"


class Measure(Table):
    """A count, a sum or a ratio.

    ``of``: the feed whose rows are aggregated; for the shipped leads and cost, the results of the rules of the sources.
    ``count``: the condition a row must meet. ``sum``: a column or expression of money or whole numbers, over the rows
    that meet ``where``. ``share = "revenue"``: multiplied by the company's share. ``ratio``: the sums of numerator and
    denominator.
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
    def _require_one_form(self) -> "Measure":
        forms = [k for k in ("count", "sum", "ratio") if getattr(self, k) is not None]
        if len(forms) != 1:
            msg = 'use one of count = "condition", sum = "column", ratio = ["above", "below"]'
            raise ValueError(msg)
        if self.ratio is not None:
            if self.of or self.where or self.share:
                msg = "a ratio consists of two measures: of, where and share belong to them"
                raise ValueError(msg)
            if len(self.ratio) != 2:
                msg = 'ratio takes two measures: ratio = ["above", "below"]'
                raise ValueError(msg)
        elif self.of is None:
            msg = 'name the feed of the rows: of = "jobs", "payments", "calls" or another feed'
            raise ValueError(msg)
        elif self.count is not None and (self.where or self.share):
            msg = "where and share require sum; for a count, put the condition into count"
            raise ValueError(msg)
        return self


class Dimension(Table):
    """A breakdown of measures: by a column of a feed's rows, or by an expression of several columns.

    ``split``: the separator between the names in a row that belongs to several members. ``count_for``: whether such a
    row counts for the first member only, so that counts add up, or for each. ``most``: the number of members kept by
    name.
    """

    of: Identifier
    column: Identifier | None = None
    sql: Sql | None = None
    split: Annotated[str, StringConstraints(min_length=1, max_length=8)] | None = None
    count_for: Literal["first", "each"] = "first"
    most: MaxMembers | None = None
    title: Title | None = None
    comment: str = ""

    @model_validator(mode="after")
    def _require_one_origin(self) -> "Dimension":
        if (self.column is None) == (self.sql is None):
            msg = 'use one of column = "..." and sql = "..."'
            raise ValueError(msg)
        if self.count_for == "each" and self.split is None:
            msg = "count_for requires split: without split, a row has one member"
            raise ValueError(msg)
        return self

    @property
    def limit(self) -> int:
        """The number of members kept by name."""
        return self.most or MAX_MEMBERS


class Return(Table):
    """A column of jobs: how many days lie between a job and the nearest other job of the same customer.

    ``same``: the columns that both jobs have alike, one of them the customer's phone number, by which journeys follow
    customers too; a job where one of them is blank is nobody's. ``where``: which jobs are looked for; without it every
    one. ``look``: for the nearest earlier job, or ``"ahead"`` for the nearest later one; jobs of the same day are
    neither. The column is NULL where there is no such job.
    """

    same: tuple[Identifier, ...]
    where: Sql | None = None
    look: Literal["back", "ahead"] = "back"
    comment: str = ""
