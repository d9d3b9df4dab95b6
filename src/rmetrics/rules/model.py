"""What the rules say, as typed values.

One class per kind of TOML table (``design``: business, jobs, revenue, calls, sources, feeds, checks). Everything here
is plain data that has passed its own validation; what needs two tables at once is checked in ``rules.validate``.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from rmetrics.findings import Severity
from rmetrics.rules.hours import Hours
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Name, Sql, Table, is_zone, known_zone
from rmetrics.rules.terms import Answers, Dispute

if TYPE_CHECKING:  # they are tables, too, made of what stands here
    from rmetrics.rules.journeys import JourneyRules
    from rmetrics.rules.measures import Dimension, Measure
    from rmetrics.rules.messages import Alert, BriefRules, Channel

OTHER = "OTHER"
UNATTRIBUTED = "Unattributed"
ALL = "ALL"
ROW_ID = "row_id"
MOST = Decimal(1_000_000)  # of one cell: more is a phone number or an id in the wrong column, unless the rules say so

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
# Upper ends: what no lead or fee costs in any currency, and far enough below numeric(12,2) for a month's sum to fit.
Price = Annotated[Decimal, NumberRange(Decimal(0), Decimal(10_000_000), decimals=2, unit="amount")]
Fee = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1_000_000_000), decimals=2, unit="amount")]
Share = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1), decimals=4, unit="share")]
Days = Annotated[int, NumberRange(Decimal(0), Decimal(3650), decimals=0, unit="amount")]
Limit = Annotated[Decimal, NumberRange(Decimal("0.01"), Decimal(9_999_999_999), decimals=2, unit="amount")]
Flag = Annotated[bool, Field(strict=True)]
T = TypeVar("T")


def _several(headers: tuple[str, ...]) -> tuple[str, ...]:
    if len(headers) == 1:
        msg = 'names one header; join two or more, such as ["Date", "Time"], or use from'
        raise ValueError(msg)
    return headers


class Business(Table):
    """The zone whose days are business days, the currency of money, and the country of the holidays.

    ``hours``: when somebody answers the phone; how long callers waited is counted in them. None declared: every hour.
    ``zips``: the postal codes that are served, or how they begin, such as "021"; none declared: it is not known.
    ``country``: whose public holidays the forecast knows; none declared: none.
    """

    timezone: str = "America/New_York"
    hours: Hours = ()
    zips: tuple[Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[0-9A-Za-z -]{1,10}$")], ...] = ()
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    country: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_zone(value)

    @field_validator("country")
    @classmethod
    def _known_country(cls, value: str | None) -> str | None:
        if value is None or value == "US" or has_holidays(value):  # the shipped one costs no import
            return value
        msg = "no such country; use its ISO 3166 code of two letters, such as US or CA"
        raise ValueError(msg)


def has_holidays(country: str) -> bool:
    """Whether the holidays of a country are known, by its ISO 3166 code."""
    import holidays  # 0.1 s: only where another country than the shipped one is named

    return country in holidays.list_supported_countries(include_aliases=False)


class Segment(Table):
    """A segment of jobs: its name and the condition over a job."""

    name: Name
    where: Sql


class Jobs(Table):
    """How a job is dated and classified."""

    date: Identifier
    unit: Sql
    repair: Sql
    segments: tuple[Segment, ...] = ()

    @field_validator("segments")
    @classmethod
    def _distinct(cls, value: tuple[Segment, ...]) -> tuple[Segment, ...]:
        names = [s.name for s in value]
        if len(set(names)) < len(names) or OTHER in names or ALL in names:
            msg = f"segment names must differ from each other, from {OTHER} and from {ALL}"
            raise ValueError(msg)
        return value

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The declared segments in order, then OTHER."""
        return (*(s.name for s in self.segments), OTHER)


class Revenue(Table):
    """The company's share of what was paid, and the day revenue counts on."""

    share: Share
    date: Literal["job", "payment"] = "job"


class Labelled(Table):
    """A name given to the rows a condition holds for."""

    name: Name
    where: Sql


class Calls(Table):
    """Where calls come from (the first condition that holds names the source), and what became of them.

    ``existing_job``: a call from a number that has a job from one to so many days old is about that job.
    ``called_back``: within how many days a missed caller must be reached, by a call back or by calling again.
    ``booked``: within how many days a job of the number counts as booked after the call.
    ``not_customer``: a condition over calls of vendors, robots and wrong numbers.
    """

    sources: tuple[Labelled, ...] = ()
    existing_job: Days = 30
    called_back: Days = 7
    booked: Days = 7
    not_customer: Sql | None = None


class FeedLeads(Table):
    """Leads are the rows of a feed for which ``where`` holds."""

    feed: Identifier
    where: Sql | None = None


class Cost(Table):
    """One part of what a source costs; several parts add up.

    Exactly one form: the sum of a feed's money column (``feed``, ``sum``, optional ``where`` and ``spread``), a price
    ``per_lead``, ``per_unit`` or ``per_repair``, or a fixed ``monthly`` fee.
    """

    feed: Identifier | None = None
    sum: Identifier | None = None
    where: Sql | None = None
    spread: Literal["days"] | None = None
    per_lead: Price | None = None
    per_unit: Price | None = None
    per_repair: Price | None = None
    monthly: Fee | None = None

    @model_validator(mode="after")
    def _one_form(self) -> "Cost":
        forms = [k for k in ("feed", "per_lead", "per_unit", "per_repair", "monthly") if getattr(self, k) is not None]
        if len(forms) != 1:
            msg = "give one of feed (with sum), per_lead, per_unit, per_repair, monthly"
            raise ValueError(msg)
        if self.feed is None and (self.sum or self.where or self.spread):
            msg = "sum, where and spread go with feed only"
            raise ValueError(msg)
        if self.feed is not None and self.sum is None:
            msg = 'name the money column to add up: sum = "..."'
            raise ValueError(msg)
        return self


class Source(Table):
    """A channel: its spellings, how its leads are counted, what it costs, and what its vendor credits."""

    aliases: tuple[Name, ...] = ()
    segment: Name = OTHER
    leads: Literal["jobs", "units", "repairs"] | FeedLeads
    cost: tuple[Cost, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    answers: Answers = Answers()

    @field_validator("cost", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, dict) else value


class ColumnType(StrEnum):
    """What a column of an export holds."""

    TEXT = "text"
    INTEGER = "integer"
    MONEY = "money"
    TIMESTAMP = "timestamp"
    DATE = "date"
    MONTH = "month"
    DURATION = "duration"
    PHONE = "phone"
    BOOLEAN = "boolean"
    SHARE = "share"
    CURRENCY = "currency"


Headers = tuple[Annotated[str, StringConstraints(min_length=1)], ...]
Joined = Annotated[Headers, AfterValidator(_several)]
Scale = Annotated[int, NumberRange(Decimal(1), Decimal(10**9), decimals=0, unit="scale")]
ConstantText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Column(Table):
    """A column of a feed: read from the first of its headers that the file has, or derived by an SQL expression.

    ``required``: the file must have the header, and a cell of another type than text must not be blank unless
    ``blank = true``. ``decimal = ","`` says that the feed writes 1.234,56; ``zone`` that its bare times are of another
    zone than the business's. ``range = true`` lets a month come from the date range above the header where the file
    has no column for it. ``default`` stands for a blank text. ``join``: headers whose cells are joined by a space,
    such as a date and a time. ``scale``: an amount is a whole number of this part of a unit (100: cents). ``minus``:
    the header of an amount to subtract, such as what was refunded. ``values``: the feed's word for an export's word,
    compared without case. ``constant``: the same text in every row. ``most``: amounts beyond it, on either side of
    zero, are rejected; a million where a money column does not say. A column of type ``currency`` holds the code of the
    row's currency: rows of another one than the business's are rejected.
    """

    type: ColumnType
    from_: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(default=(), alias="from")
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] = ()
    required: Flag = False
    publish: Flag = True
    sql: Sql | None = None
    decimal: Literal[".", ","] = "."
    blank: Flag = False
    zone: str | None = None
    default: str | None = None
    range: Flag = False
    join: Joined = ()
    scale: Scale = 1
    most: Limit | None = None
    minus: Headers = ()
    values: dict[str, str] = Field(default_factory=dict)
    constant: ConstantText | None = None
    comment: str = ""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @model_validator(mode="before")
    @classmethod
    def _usual_limit(cls, value: Any) -> Any:
        if isinstance(value, dict) and "most" not in value and value.get("type") == "money":
            return {**value, "most": MOST}
        return value

    @model_validator(mode="after")
    def _source_of_values(self) -> "Column":
        if self.most is not None and self.type is not ColumnType.MONEY:
            msg = 'most goes with type = "money" only'
            raise ValueError(msg)
        if self.sql is not None and (self.from_ or self.join or self.constant or self.required or self.formats):
            msg = "a derived column (sql) has no from, join, constant, formats or required"
            raise ValueError(msg)
        if sum(map(bool, (self.from_, self.join, self.constant))) > 1:
            msg = "a value has one origin: keep one of from, join and constant"
            raise ValueError(msg)
        if self.sql is None and not (self.from_ or self.join or self.constant):
            msg = 'say where the value comes from: from = ["Header", ...] or sql = "..."'
            raise ValueError(msg)
        return self


class JobLink(Table):
    """Which column names a job, and which job columns it is looked up in, in order."""

    column: Identifier
    match: tuple[Identifier, ...]


class When(Table):
    """Which files of a feed a variant reads: all conditions given must hold.

    ``headers``: all of them are there. ``any``: at least one is. ``without``: none is. ``files``: the file's name fits
    one of the globs. A list alone means ``headers``, a text alone a glob.
    """

    headers: Headers = ()
    any: Headers = ()
    without: Headers = ()
    files: Headers = ()

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"files": [value]}
        return {"headers": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _tells_something(self) -> "When":
        if not (self.headers or self.any or self.files):
            msg = 'must say which files are meant: when = ["Header", ...], or { headers, any, without, files }'
            raise ValueError(msg)
        return self


class VariantColumn(Table):
    """What is different about a column in a variant; a key that is not given is that of the feed's column."""

    from_: Headers | None = Field(default=None, alias="from")
    join: Joined | None = None
    constant: ConstantText | None = None
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] | None = None
    required: Flag | None = None
    blank: Flag | None = None
    default: str | None = None
    decimal: Literal[".", ","] | None = None
    zone: str | None = None
    scale: Scale | None = None
    minus: Headers | None = None
    values: dict[str, str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, list) else value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @model_validator(mode="after")
    def _one_origin(self) -> "VariantColumn":
        if sum(map(bool, (self.from_, self.join, self.constant))) > 1:
            msg = "a value has one origin: keep one of from, join and constant"
            raise ValueError(msg)
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The keys that are given, as the column calls them."""
        return {n: v for n in type(self).model_fields if (v := getattr(self, n)) is not None}


class Variant(Table):
    """Another form of the same export, from another program or another account.

    ``zone`` and ``formats`` hold for all dates, ``decimal`` for all numbers, ``scale`` for all amounts, ``join`` for
    the feed's ``date``; a column's own keys go before them. ``identity``, ``one_of`` and ``without`` replace the
    feed's. Type, key and what is published are the feed's: all variants share one table.
    """

    name: Name | None = None
    when: When
    zone: str | None = None
    decimal: Literal[".", ","] | None = None
    formats: tuple[Annotated[str, StringConstraints(min_length=2)], ...] | None = None
    scale: Scale | None = None
    join: Joined | None = None
    identity: tuple[Identifier, ...] | None = None
    one_of: tuple[Identifier, ...] | None = None
    without: Headers | None = None
    columns: dict[Identifier, VariantColumn] = Field(default_factory=dict)

    def __hash__(self) -> int:
        """By some of what makes it equal, as tables in it have no hash: what is made of variants is remembered."""
        return hash((self.name, self.when.headers, tuple(self.columns)))

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)


class Feed(Table):
    """One kind of export.

    ``key``: the newest export wins per key. ``identity``: what makes a row the same row where the key column is blank
    or missing; the key is then a hash of it plus the occurrence within the file. ``repeats = "sum"``: rows that repeat
    a key inside one file are parts of one amount and are added up. ``publish_by``: the grain published in Postgres.
    ``one_of``: columns of which the file must have at least one. ``needs``: columns of which a row must have at least
    one; rows without are totals or remarks. ``without``: headers that tell another kind of file. ``distinctive``:
    headers of which one must be there unless the file's name fits. ``refuse``: headers that make a file unusable, each
    with the reason. ``variants``: other forms of the export, read into the same table.
    """

    files: tuple[Annotated[str, StringConstraints(min_length=1)], ...]
    date: Identifier
    key: tuple[Identifier, ...] = ()
    identity: tuple[Identifier, ...] = ()
    local_date: Identifier | None = None
    where: Sql | None = None
    repeats: Literal["newest", "sum"] = "newest"
    publish_by: tuple[Identifier, ...] = ()
    job: JobLink | None = None
    one_of: tuple[Identifier, ...] = ()
    needs: tuple[Identifier, ...] = ()
    without: tuple[str, ...] = ()
    distinctive: tuple[str, ...] = ()
    refuse: dict[str, str] = Field(default_factory=dict)
    encoding: str | None = None
    comment: str = ""
    columns: dict[Identifier, Column]
    variants: tuple[Variant, ...] = ()

    def __hash__(self) -> int:
        """By some of what makes it equal, as tables in it have no hash: what is made of feeds is remembered."""
        return hash((self.files, self.key, self.date, tuple(self.columns)))

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key of a typed row: as declared, or the id made up for feeds without one."""
        return self.key or (ROW_ID,)

    @property
    def mapped(self) -> dict[str, Column]:
        """The columns read from the export, in the order declared."""
        return {n: c for n, c in self.columns.items() if c.sql is None}

    @property
    def derived(self) -> dict[str, Column]:
        """The columns computed from the mapped ones."""
        return {n: c for n, c in self.columns.items() if c.sql is not None}

    def variant_name(self, index: int) -> str:
        """What a variant is called in messages."""
        return self.variants[index].name or f"variant {index + 1}"

    @property
    def business_date(self) -> str:
        """The column that holds the row's business day, for conditions, tables and screens."""
        if self.local_date is not None:
            return self.local_date
        if self.columns[self.date].type is not ColumnType.TIMESTAMP:
            return self.date
        return self.date.removesuffix("_at") + "_date"


class Check(Table):
    """A check of the user's own: a SELECT over the lake that returns the offending rows."""

    name: Identifier
    sql: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    severity: Severity = Severity.WARNING
    message: Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class Dated(Generic[T]):
    """A rule with its changes: ``versions`` are (in force from, value), the first from None = always."""

    versions: tuple[tuple[dt.date | None, T], ...]

    def spans(self) -> Iterator[tuple[dt.date | None, dt.date | None, T]]:
        """Yields (from, until, value) with half-open ranges that cover all time."""
        starts = [start for start, _ in self.versions]
        for (start, value), end in zip(self.versions, [*starts[1:], None], strict=True):
            yield start, end, value

    def at(self, day: dt.date | None) -> T:
        """The value in force on ``day``; None asks for the latest."""
        return next(v for start, v in reversed(self.versions) if start is None or day is None or start <= day)

    @property
    def latest(self) -> T:
        """The value in force now and from now on."""
        return self.versions[-1][1]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a project, validated.

    Attributes:
        folder: where they were read from.
        feeds: by name; ``feed_where`` gives each feed's dated condition for rows that count (None: all do).
        sources: by declared name, in the order declared.
        journeys: how leads are followed to their jobs.
        measures, dimensions: by name, as declared (``rules.measures``); ``measures.declared`` adds what is shipped.
        brief, notify, alerts: what is told to whom (``rules.messages``), channels by name, alerts by dotted key; no
            figure follows from them.
        companies: by name (``rules.companies.Company``); empty where there is one company alone.
        company: the one whose exceptions are applied; None: the rules of all.
        pulls: by name (``rules.pulls.Pull``); they say where exports come from, not what figures mean.
        digest: SHA-256 of the meaning of all tables that figures follow from, not of the files' comments or layout.
        places: dotted key to file and line.
        warnings: what loads but deserves a look.
        tables: what figures follow from as it stands in the TOML files, to tell two versions of the rules apart.
    """

    folder: Path
    business: Business
    jobs: Dated[Jobs]
    revenue: Dated[Revenue]
    calls: Dated[Calls]
    sources: Mapping[str, Dated[Source]]
    feeds: Mapping[str, Feed]
    feed_where: Mapping[str, Dated[str | None]]
    journeys: "JourneyRules"
    brief: "BriefRules"
    notify: Mapping[str, "Channel"]
    alerts: Mapping[str, "Alert"]
    measures: Mapping[str, "Dated[Measure]"] = field(default_factory=dict)
    dimensions: Mapping[str, "Dimension"] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    pulls: Mapping[str, Any] = field(default_factory=dict)
    companies: Mapping[str, Any] = field(default_factory=dict)
    company: str | None = None
    digest: str = ""
    places: Mapping[str, Place] = field(default_factory=dict)
    warnings: tuple[Any, ...] = ()
    tables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def segment_order(self) -> tuple[str, ...]:
        """Every segment that was ever declared, in order of declaration, then OTHER: the order ties are settled in."""
        names = dict.fromkeys(s.name for _, version in self.jobs.versions for s in version.segments)
        return (*names, OTHER)

    def place(self, key: str) -> str:
        """``file:line`` of a dotted key, or of the nearest table above it that has a place."""
        while key:
            if key in self.places:
                return str(self.places[key])
            key = key.rpartition(".")[0]
        return str(self.folder)


__all__ = ["Name", "Sql", "Table", "is_zone", "known_zone"]  # they stand in rules.table; the rest is defined here
