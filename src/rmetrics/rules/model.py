"""What the rules say, as typed values.

One class per kind of TOML table (``design``: business, jobs, revenue, calls, sources, feeds, checks). Everything here
is plain data that has passed its own validation; what needs two tables at once is checked in ``rules.validate``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import StringConstraints, field_validator, model_validator

from rmetrics.findings import Severity
from rmetrics.rules.dated import Dated
from rmetrics.rules.feeds import Feed
from rmetrics.rules.hours import Hours
from rmetrics.rules.journeys import JourneyRules
from rmetrics.rules.measure_tables import Dimension, Measure, Return
from rmetrics.rules.messages import Alert, BriefRules, Channel
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.table import Identifier, Name, Sql, Table, is_zone, known_zone
from rmetrics.rules.terms import Answers, Dispute

OTHER = "OTHER"
UNATTRIBUTED = "Unattributed"
ALL = "ALL"

# Upper ends: what no lead or fee costs in any currency, and far enough below numeric(12,2) for a month's sum to fit.
Price = Annotated[Decimal, NumberRange(Decimal(0), Decimal(10_000_000), decimals=2, unit="amount")]
Fee = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1_000_000_000), decimals=2, unit="amount")]
Share = Annotated[Decimal, NumberRange(Decimal(0), Decimal(1), decimals=4, unit="share")]
Days = Annotated[int, NumberRange(Decimal(0), Decimal(3650), decimals=0, unit="amount")]


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


class Check(Table):
    """A check of the user's own: a SELECT over the lake that returns the offending rows."""

    name: Identifier
    sql: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    severity: Severity = Severity.WARNING
    message: Annotated[str, StringConstraints(min_length=1)]


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
        returns: by the name of the column that they add to jobs.
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
