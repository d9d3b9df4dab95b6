"""Names and months as typed on a command line, matched and refused in one way for all commands."""

import datetime as dt
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rmetrics.errors import SettingsError
from rmetrics.metrics.jobs import matching_sources
from rmetrics.rules import ALL, Rules
from rmetrics.rules.names import normal_source
from rmetrics.rules.suggest import did_you_mean


def source_named(name: str, rules: Rules, also: Iterable[str] = ()) -> str:
    """Returns the source a person means; case, spaces, hyphens and aliases do not matter.

    Args:
        name: as typed.
        rules: the declared sources, with their aliases.
        also: other permitted names: sources that occur only in the data.

    Returns:
        The source as published; ``ALL`` for the whole company.

    Raises:
        SettingsError: no source has that name (lists the nearest and all), or several may be meant.
    """
    names = sorted({*rules.sources, *also})
    if name not in names and normal_source(name) == normal_source(ALL):
        return ALL
    found = matching_sources(name, names, rules)
    if len(found) == 1:
        return found[0]
    if found:
        message = f"{name!r} may mean {' or '.join(map(repr, found))}"
        raise SettingsError(message, "Use one of these names exactly as shown.")
    raise SettingsError(
        f"no such source: {name!r}{did_you_mean(name, names, near=True)}",
        f"Sources: {', '.join(names)}; ALL stands for the whole company.",
    )


def only_source(name: str | None, rules: Rules, also: Iterable[str] = ()) -> str | None:
    """Returns the one source asked for; None for all of them (no name, or ``ALL``).

    Raises:
        SettingsError: see ``source_named``.
    """
    found = None if name is None else source_named(name, rules, also)
    return None if found == ALL else found


def month_named(month: dt.date | None, months: Collection[dt.date]) -> dt.date:
    """Returns the month asked for, or the newest one.

    Args:
        month: its first day; None for the newest.
        months: the months with data; at least one.

    Raises:
        SettingsError: the month has no data; names the range that has.
    """
    first, last = min(months), max(months)
    if month is None:
        return last
    if month not in months:
        inside = first < month < last
        where = "Earlier and later months have data: name one" if inside else "Name one"
        raise SettingsError(f"no data for the month {month:%Y-%m}", f"{where} from {first:%Y-%m} to {last:%Y-%m}.")
    return month


@dataclass(frozen=True, slots=True)
class MonthRange:
    """The months asked for.

    Attributes:
        first, last: first days of months; None for where the data begin, or end.
        to_date: from January of the last month's year.
        one: only the last month.
        days: the first and last day to keep within the months; None for all.
    """

    first: dt.date | None = None
    last: dt.date | None = None
    to_date: bool = False
    one: bool = False
    days: tuple[dt.date, dt.date] | None = None


def months_named(asked: MonthRange, months: Collection[dt.date]) -> tuple[dt.date, dt.date]:
    """Returns the first and the last month asked for.

    Args:
        asked: the request.
        months: the months with data; at least one.

    Raises:
        SettingsError: none of them has data; names the range that has.
    """
    if asked.one:
        return (only := month_named(asked.last, months)), only
    last = asked.last or max(months)
    first = last.replace(month=1) if asked.to_date else asked.first or min(months)
    if not any(first <= m <= last for m in months):
        message = f"no data for the months from {first:%Y-%m} to {last:%Y-%m}"
        raise SettingsError(message, f"The data span {min(months):%Y-%m} to {max(months):%Y-%m}.")
    return first, last


__all__ = ["MonthRange", "month_named", "months_named", "only_source", "source_named"]
