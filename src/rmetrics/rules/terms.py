"""A vendor's terms as TOML has them: ``[[sources.NAME.disputes]]`` and ``[sources.NAME.answers]``."""

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
    """How long after the lead a credit may be asked for: hours that pass, or days by the vendor's calendar."""

    count: int
    hours: bool

    def deadline(self, lead_at: dt.datetime, zone: str) -> dt.datetime:
        """The last moment, in the vendor's zone.

        Hours are hours that pass. After some days it is the same time by the vendor's clock, which is an hour more or
        less over a change of the clocks.
        """
        place = ZoneInfo(zone)
        if self.hours:
            return (lead_at.astimezone(dt.UTC) + dt.timedelta(hours=self.count)).astimezone(place)
        return lead_at.astimezone(place) + dt.timedelta(days=self.count)


def read_within(text: str) -> Within:
    """A span such as ``96 hours`` or ``30 days``.

    Raises:
        ValueError: it is written otherwise.
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

    ``reason``: a word for it. ``where``: which leads. ``within``: until when it must be asked for. ``clause``: what the
    terms say. ``zone``: where the vendor's clock hangs; the business's, if not given. ``from``, ``until``: the leads it
    is about, by their business day; ``until`` is the first day it no longer is.
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
            msg = "until must come after from"
            raise ValueError(msg)
        return self


class Answers(Table):
    """How an export shows what the vendor answered: conditions over a lead's own columns.

    A lead that cost something in an earlier export and costs nothing now is granted in any case.
    """

    granted: Sql | None = None
    refused: Sql | None = None


__all__ = ["Answers", "Dispute", "Within", "read_within"]
