"""The tables of the rules that affect no figure: the brief, the channels for messages, and the alerts.

They are not part of the rules' digest: another language of the brief restates nothing.
"""

import string
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from rmetrics.rules.conditions import read_condition
from rmetrics.rules.numbers import NumberRange
from rmetrics.rules.published_views import VIEWS, PublishedView
from rmetrics.rules.suggest import did_you_mean
from rmetrics.rules.table import Identifier, Name, Sql, Table

Language = Literal["en", "ru"]
HIDDEN = "hidden"
"""The type of a problem whose value must not appear in messages, as it may be a secret."""
_SETTING = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
Title = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")
]
Span = Annotated[int, NumberRange(Decimal(1), Decimal(120), decimals=0, unit="amount")]


class BriefRules(Table):
    """The settings of the morning brief.

    ``feeds``: the feeds whose newest exports are required to show yesterday; empty: all feeds that figures depend on.
    ``stale_days``: the age of a feed's newest row from which it needs attention.
    """

    language: Language = "en"
    feeds: tuple[Name, ...] = ()
    stale_days: Span = 3


class Channel(Table):
    """A destination of messages.

    ``url``: the name of the setting that holds an apprise URL, never the URL itself. ``gets``: the kinds of messages.
    ``details``: whether to include file names and the text of findings; otherwise only aggregates. ``form``: ``html``
    for mail.
    """

    url: str
    gets: tuple[Literal["brief", "alerts"], ...] = ("brief", "alerts")
    details: Annotated[bool, Field(strict=True)] = False
    language: Language | None = None
    form: Literal["text", "html"] = "text"

    @field_validator("url")
    @classmethod
    def _require_setting_name(cls, value: str) -> str:
        if not value or not set(value) <= set(_SETTING) or value[0].isdigit():
            raise PydanticCustomError(
                HIDDEN,
                "must be the name of a setting, such as RMETRICS_NOTIFY_OWNER, whose value in .env or the environment "
                "is the URL (the value found is not shown, as it may be a secret; remove it from this file)",
            )
        return value


class Alert(Table):
    """A condition over a published view; a row for which it is true is an occurrence, which is reported once.

    ``months``, ``days``: how many of the latest ones are examined; 1 by default. ``explain``: the command that explains
    a row, with its columns in braces. ``show``: the columns that show the cause; by default those of the condition.
    """

    name: Identifier
    title: Title
    over: Literal[
        "monthly_vs_target", "daily_cumulative", "call_funnel", "data_freshness", "run_findings", "publication"
    ]
    where: Sql
    months: Span | None = None
    days: Span | None = None
    explain: Title | None = None
    show: tuple[Identifier, ...] = ()

    @property
    def span(self) -> int:
        """The number of months or days to examine."""
        return self.months or self.days or 1

    @property
    def shown(self) -> tuple[str, ...]:
        """The columns whose values show the cause, without those that identify the row."""
        named = self.show or read_condition(self.where, VIEWS[self.over].row("UTC")).columns
        return tuple(n for n in named if n not in VIEWS[self.over].identity)

    @property
    def command(self) -> str:
        """The command that explains a row, with columns in braces."""
        return self.explain or VIEWS[self.over].explain


def braces_in(text: str) -> Iterator[str]:
    """Yields the names in braces.

    Raises:
        ValueError: the braces are unbalanced, or hold more than a name.
    """
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            msg = "braces may contain the name of a column only"
            raise ValueError(msg)
        yield name


def check_messages(
    channels: Mapping[str, Channel],
    alerts: Mapping[str, Alert],
    brief: BriefRules,
    feeds: Collection[str],
    zone: str,
    report: Callable[..., None],
) -> None:
    """Reports problems of these tables that concern each other or the feeds.

    Args:
        channels: by name.
        alerts: by dotted key.
        brief: the settings of the brief.
        feeds: the names of the declared feeds.
        zone: the zone of business days.
        report: reports a problem of a key; ``warn`` makes it a warning.
    """
    for name in brief.feeds:
        if name not in feeds:
            report("brief.feeds", f"there is no feed {name!r}{did_you_mean(name, feeds)}")
    for name, channel in channels.items():
        if not channel.gets:
            report(f"notify.{name}.gets", 'is empty, so nothing is sent: use "brief", "alerts" or both', warn=True)
    times = Counter(a.name for a in alerts.values())
    for at, alert in alerts.items():
        if times[alert.name] > 1:
            report(f"{at}.name", f"{times[alert.name]} alerts are named {alert.name!r}; each needs its own name")
        _check_alert(at, alert, VIEWS[alert.over], zone, report)
        _check_command(f"{at}.explain", alert, report)


def _check_alert(at: str, alert: Alert, view: PublishedView, zone: str, report: Callable[..., None]) -> None:
    reading = read_condition(alert.where, view.row(zone))
    if reading.problem:
        report(f"{at}.where", f"{reading.problem} (over {alert.over})")
    for part in reading.never:
        report(f"{at}.where", part, warn=True)
    for key in ("months", "days"):
        if getattr(alert, key) is not None and view.window != key:
            can = f"takes {view.window}" if view.window else "has current values only"
            report(f"{at}.{key}", f"cannot be used with {alert.over}, which {can}")
    for name in alert.show:
        if name not in view.columns:
            report(f"{at}.show", f"{alert.over} has no column {name!r}{did_you_mean(name, view.columns)}")


def _check_command(at: str, alert: Alert, report: Callable[..., None]) -> None:
    columns = VIEWS[alert.over].columns
    try:
        for name in braces_in(alert.command):
            if name not in columns:
                report(at, f"{alert.over} has no column {name!r}{did_you_mean(name, columns)}")
    except ValueError as error:
        report(at, f"{error}, found {alert.command!r}")
