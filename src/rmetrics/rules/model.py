"""The rules as typed values.

One class per kind of TOML table (``design``: business, jobs, revenue, calls, sources, feeds, checks). All values are
plain data that passed their own validation; ``rules.validate`` checks what involves several tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, field_validator, model_validator

from rmetrics.findings import Severity
from rmetrics.rules.dated import Dated
from rmetrics.rules.dispute_terms import Answers, Dispute
from rmetrics.rules.feeds import Feed
from rmetrics.rules.hours import Hours
from rmetrics.rules.journeys import JourneyRules
from rmetrics.rules.measure_tables import Dimension, Measure, Return
from rmetrics.rules.notifications import Alert, BriefRules, Channel
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Identifier, Name, Sql, Table, is_zone, known_zone

OTHER = "OTHER"
UNATTRIBUTED = "Unattributed"
ALL = "ALL"

# Upper limits: more than any lead or fee costs in any currency, and small enough for a month's sum in numeric(12,2).
Price = Annotated[Decimal, NumberRange(Decimal(0), Decimal(10_000_000), decimals=2, unit="amount")]
Fee = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1_000_000_000), decimals=2, unit="amount")]
Share = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1), decimals=4, unit="share")]
Days = Annotated[int, NumberRange(Decimal(0), Decimal(3650), decimals=0, unit="amount")]


class Business(Table):
    """The zone of business days, the currency, and the country of the holidays.

    ``hours``: when somebody answers the phone; waiting times of callers count these hours only. None declared: every
    hour. ``zips``: the postal codes served, or their prefixes, such as "021"; none declared: unknown. ``country``: the
    country whose public holidays the forecast uses; none declared: no holidays.
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
        if value is None or value == "US" or has_holidays(value):  # the shipped country is accepted without the import
            return value
        msg = "unknown country; use its ISO 3166 code of two letters, such as US or CA"
        raise ValueError(msg)


def has_holidays(country: str) -> bool:
    """Whether the holidays of a country, given by its ISO 3166 code, are known."""
    import holidays  # takes 0.1 s, so only imported for a country other than the shipped one

    return country in holidays.list_supported_countries(include_aliases=False)


class Segment(Table):
    """A segment of jobs: its name, and its condition over a job."""

    name: Name
    where: Sql


class Jobs(Table):
    """How jobs are dated and classified."""

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
    """The company's share of payments, and the day on which revenue counts."""

    share: Share
    date: Literal["job", "payment"] = "job"


class Labelled(Table):
    """A name for the rows that meet a condition."""

    name: Name
    where: Sql


class Calls(Table):
    """The sources of calls (the first condition that holds names the source), and their outcomes.

    ``existing_job``: a call from a number with a job between one and this many days old is about that job.
    ``called_back``: the days within which a missed caller must be reached, by calling back or by another call.
    ``booked``: the days within which a job of the number counts as booked after the call.
    ``not_customer``: a condition over calls from vendors, robots and wrong numbers.
    """

    sources: tuple[Labelled, ...] = ()
    existing_job: Days = 30
    called_back: Days = 7
    booked: Days = 7
    not_customer: Sql | None = None


class FeedLeads(Table):
    """Leads are the rows of a feed that meet ``where``."""

    feed: Identifier
    where: Sql | None = None


class Cost(Table):
    """One part of a source's cost; several parts add up.

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
    def _require_one_form(self) -> "Cost":
        forms = [k for k in ("feed", "per_lead", "per_unit", "per_repair", "monthly") if getattr(self, k) is not None]
        if len(forms) != 1:
            msg = "use one of feed (with sum), per_lead, per_unit, per_repair, monthly"
            raise ValueError(msg)
        if self.feed is None and (self.sum or self.where or self.spread):
            msg = "sum, where and spread require feed"
            raise ValueError(msg)
        if self.feed is not None and self.sum is None:
            msg = 'name the money column to add up: sum = "..."'
            raise ValueError(msg)
        return self


class Source(Table):
    """A channel: its spellings, the rules of its leads and cost, and the vendor's terms."""

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


class Check(Table):
    """A custom check: a SELECT over the lake that returns the offending rows."""

    name: Identifier
    sql: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    severity: Severity = Severity.WARNING
    message: Annotated[str, StringConstraints(min_length=1)]


@dataclass(frozen=True, slots=True)
class Place:
    """The file and line of a rule."""

    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else str(self.path)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a project, validated.

    Attributes:
        folder: the folder they were loaded from.
        feeds: by name; ``feed_where`` has each feed's dated condition for counted rows (None: all rows).
        sources: by declared name, in declared order.
        journeys: how leads are matched with their jobs.
        measures, dimensions: by name, as declared (``rules.measures``); ``measures.declared`` adds the shipped ones.
        returns: by the name of the column that they add to jobs.
        brief, notify, alerts: the messages (``rules.notifications``), channels by name, alerts by dotted key; no figure
            depends on them.
        companies: by name (``rules.companies.Company``); empty for a single company.
        company: the company whose exceptions are applied; None: the common rules.
        pulls: by name (``rules.pulls.Pull``); the origin of exports, which does not affect the meaning of figures.
        digest: SHA-256 of all tables that affect figures, independent of comments and layout.
        places: dotted key to file and line.
        warnings: problems that do not prevent loading.
        tables: the tables that affect figures as parsed from TOML, to compare two versions of the rules.
    """

    folder: Path
    business: Business
    jobs: Dated[Jobs]
    revenue: Dated[Revenue]
    calls: Dated[Calls]
    sources: Mapping[str, Dated[Source]]
    feeds: Mapping[str, Feed]
    feed_where: Mapping[str, Dated[str | None]]
    journeys: JourneyRules
    brief: BriefRules
    notify: Mapping[str, Channel]
    alerts: Mapping[str, Alert]
    measures: Mapping[str, Dated[Measure]] = field(default_factory=dict)
    dimensions: Mapping[str, Dimension] = field(default_factory=dict)
    returns: Mapping[str, Return] = field(default_factory=dict)
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
        """Every segment ever declared, in declared order, then OTHER: the order that breaks ties."""
        names = dict.fromkeys(s.name for _, version in self.jobs.versions for s in version.segments)
        return (*names, OTHER)

    def place(self, key: str) -> str:
        """Returns ``file:line`` of a dotted key, or of the nearest enclosing table that has a place."""
        while key:
            if key in self.places:
                return str(self.places[key])
            key = key.rpartition(".")[0]
        return str(self.folder)


__all__ = ["Name", "Sql", "Table", "is_zone", "known_zone"]  # defined in rules.table; the rest is defined here
