"""Classes of calls as text and JSON. Numbers are shown on a terminal only, never in a document."""

import dataclasses
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from rmetrics.findings import count
from rmetrics.metrics.callers import Speed, Worth
from rmetrics.output.reporter import Report, money, number, percent, table
from rmetrics.usecases.calls import CallsResult, Waiting

_ROWS = ("about", "source", "first", "last", "calls")
_NO_NUMBERS = "Phone numbers are shown on a terminal only."


def show_calls(report: Report, result: CallsResult) -> None:
    """Shows the callers to call back, then classes, speed and worth by source."""
    for problem in result.problems:
        report.message(f"warning: {problem}", "yellow")
    if report.as_json:
        report.json(calls_document(result), "waiting", _ROWS)
        return
    _waiting(report, result)
    report.line("")
    _classes(report, result)
    report.line("")
    _speeds(report, "Time until a caller was reached", "calls", result.speeds, result.hours)
    report.line("")
    if result.lead_speeds:
        _speeds(report, "Time until a lead was reached", "leads", result.lead_speeds, result.hours)
        report.line("")
    _worths(report, result.worths)


def calls_document(result: CallsResult) -> dict[str, Any]:
    """Returns the result as a JSON document, without numbers."""
    return {
        "first": result.first,
        "last": result.last,
        "waiting_since": result.since,
        "waiting": [{key: getattr(w, key) for key in _ROWS} for w in result.waiting],
        "without_number": result.without_number,
        "classes": [
            {"source": c.source, "calls": c.calls, **dict(zip(result.classes, c.counts, strict=True))}
            for c in result.counts
        ],
        "speed_to_lead": list(result.speeds),
        "speed_of_leads": [
            {"leads" if name == "calls" else name: value for name, value in dataclasses.asdict(speed).items()}
            for speed in result.lead_speeds
        ],
        "lost_callers": list(result.worths),
        "hours": list(result.hours),
    }


def _waiting(report: Report, result: CallsResult) -> None:
    on_screen = sys.stdout.isatty()
    if not result.waiting:
        report.line(f"No caller is waiting for a call back (calls from {result.since} to {result.last}).", "green")
    else:
        grid = table(
            f"To call back: {count(len(result.waiting), 'caller')} missed from {result.since} to {result.last}",
            "number",
            *("missed", "tries", "source", "about"),
        )
        for person in result.waiting:
            grid.add_row(_number(person, shown=on_screen), f"{person.last:%a %b %d %H:%M}", str(person.calls),
                         person.source, "" if person.about.endswith("lost") else person.about)  # fmt: skip
        report.table(grid)
        if not on_screen:
            report.line(_NO_NUMBERS, "dim")
    if result.without_number:
        report.line(f"{count(result.without_number, 'missed call')} without a number cannot be returned.", "dim")


def _number(person: Waiting, *, shown: bool) -> str:
    if not shown:
        return "hidden"
    main, mark, extension = person.number.partition("x")
    spelled = main if main.startswith("+") else f"({main[:3]}) {main[3:6]}-{main[6:]}"
    return f"{spelled} ext. {extension}" if mark else spelled


def _classes(report: Report, result: CallsResult) -> None:
    sources = [c.source for c in result.counts]
    grid = table(f"Inbound calls from {result.first} to {result.last}", "class", *sources)
    for i, name in enumerate(result.classes):
        grid.add_row(name, *(number(c.counts[i]) for c in result.counts))
    grid.add_section()
    grid.add_row("all", *(number(c.calls) for c in result.counts))
    report.table(grid)


def _speeds(report: Report, title: str, what: str, speeds: Sequence[Speed], hours: Sequence[str]) -> None:
    named = f"{title} ({'; '.join(hours) or 'every hour counts'})"
    grid = table(named, "source", what, "reached", "median", "9 of 10 within")
    for speed in speeds:
        waits = map(duration, (speed.median_s, speed.p90_s))
        grid.add_row(speed.source, number(speed.calls), number(speed.reached), *waits)
    report.table(grid)


def _worths(report: Report, worths: Sequence[Worth]) -> None:
    grid = table("Value of lost callers, estimated from those reached", "source", "lost", "reached", "booked",
                 "paid", "average", "each lost", "all lost")  # fmt: skip
    for worth in worths:
        grid.add_row(
            worth.source, number(worth.lost), number(worth.reached), percent(worth.booking_rate),
            percent(worth.completion), money(worth.average_paid), _range(worth.each), _range(worth.total),
        )  # fmt: skip
    report.table(grid)
    for worth in worths:
        if worth.refused:
            report.line(f"{worth.source}: no figure: {worth.refused}.", "dim")
    report.line("booking rate x completion x average paid; 95 % intervals; no industry figures are used.", "dim")


def _range(ends: tuple[Decimal, Decimal, Decimal] | None) -> str:
    return "" if ends is None else f"{ends[1]:,.0f} ({ends[0]:,.0f} to {ends[2]:,.0f})"


def duration(seconds: int | None) -> str:
    """Formats a duration: ``0 s``, ``4 min``, ``2 h 05 min``, ``3 d 4 h``.

    >>> [duration(s) for s in (None, 45, 600, 7500, 270000)]
    ['', '45 s', '10 min', '2 h 05 min', '3 d 3 h']
    """
    if seconds is None:
        return ""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
