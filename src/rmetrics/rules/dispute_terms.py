"""A vendor's terms in TOML: ``[[sources.NAME.disputes]]`` and ``[sources.NAME.answers]``."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from rmetrics.rules.table import Name, Sql, Table, known_zone

_WITHIN = re.compile(r"(?P<count>[1-9][0-9]{0,3}) (?P<unit>hours?|days?)")
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True)
class Within:
    """The period after a lead for requesting a credit: elapsed hours, or days of the vendor's calendar."""

    count: int
    hours: bool

    def deadline(self, lead_at: dt.datetime, zone: str) -> dt.datetime:
        """Returns the last moment for a request, in the vendor's zone.

        Hours are elapsed hours. Days end at the same local time, so across a change of the clocks they are an hour
        longer or shorter.
        """
        place = ZoneInfo(zone)
        if self.hours:
            return (lead_at.astimezone(dt.UTC) + dt.timedelta(hours=self.count)).astimezone(place)
        return lead_at.astimezone(place) + dt.timedelta(days=self.count)


def read_within(text: str) -> Within:
    """Parses a span such as ``96 hours`` or ``30 days``.

    Raises:
        ValueError: the text is no such span.
    """
    form = _WITHIN.fullmatch(text)
    if form is None:
        msg = 'must be a number of hours or days, such as "96 hours" or "30 days"'
        raise ValueError(msg)
    return Within(int(form["count"]), form["unit"].startswith("hour"))


def _span(text: str) -> str:
    read_within(text)
    return text


class Dispute(Table):
    """One reason for which a vendor credits a lead.

    ``reason``: its name. ``where``: the leads it applies to. ``within``: the period for the request. ``clause``: the
    text of the terms. ``zone``: the vendor's time zone, by default the business's. ``from``, ``until``: limit the leads
    by business day; ``until`` is the first day to which it no longer applies.
    """

    reason: Name
    where: Sql
    within: Annotated[str, AfterValidator(_span)]
    clause: Text = ""
    zone: str | None = None
    from_: dt.date | None = Field(default=None, alias="from")
    until: dt.date | None = None

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    @model_validator(mode="after")
    def _in_order(self) -> "Dispute":
        if self.from_ and self.until and self.from_ >= self.until:
            msg = "until must be after from"
            raise ValueError(msg)
        return self


class Answers(Table):
    """The vendor's answers in an export: conditions over the lead's own columns.

    A lead that had a cost in an earlier export and has none now is granted in any case.
    """

    granted: Sql | None = None
    refused: Sql | None = None


__all__ = ["Answers", "Dispute", "Within", "read_within"]
