"""The sections of the brief, each a pure function from facts to lines; to add one, add a function to ``SECTIONS``.

A line is a code with values; ``words`` holds its text. ``detail`` may contain file names and texts of findings, and is
left out of messages unless a channel asks for it.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from shlex import quote
from typing import Any, Literal

from rmetrics.brief.facts import ALL, Facts, MonthEnd, Restated, SendTrouble, ToDate, whole_day
from rmetrics.findings import PULL_INCOMPLETE
from rmetrics.month_line import MonthLine
from rmetrics.periods import days_of, month_of

CENT = Decimal("0.01")
MAX_LINES = 12  # lines of a kind; the others are only counted
SPAN = 3  # from this many months, restatements of a measure for one reason share a line
UNDECLARED = "undeclared-source"
_COUNTS, _AMOUNTS = ("jobs", "leads", "units", "repairs"), ("revenue_gross", "revenue40", "cost")
Tone = Literal["plain", "good", "bad", "error"]


@dataclass(frozen=True, slots=True)
class Line:
    """One statement of the brief.

    Attributes:
        code: key of its template.
        values: values for the template: exact amounts, counts, days.
        command: the command that explains it.
        tone: good or bad against a target; error if somebody must act.
        detail: further text from another part of the program.
    """

    code: str
    values: Mapping[str, Any]
    command: str
    tone: Tone = "plain"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Lines under one heading."""

    name: str
    lines: tuple[Line, ...]


def sections_of(facts: Facts) -> tuple[Section, ...]:
    """Returns the sections that have lines, in reading order."""
    made = (Section(name, tuple(build(facts))) for name, build in SECTIONS)
    return tuple(s for s in made if s.lines)


# -- stale data


def not_up_to_date(facts: Facts) -> Iterator[Line]:
    """Yields the reasons why yesterday is not shown; nothing if it is."""
    if not facts.stale:
        return
    if facts.unreachable:
        yield Line("stale.unreachable", {}, "rmetrics doctor", "error")
        return
    if not facts.published or facts.data_end is None:
        yield Line("stale.nothing", {}, "rmetrics sync", "error")
        return
    yesterday = facts.yesterday_date
    behind = [f for f in facts.feeds if f.needed and (whole_day(f, facts.timezone) or dt.date.min) < yesterday]
    for feed in behind:
        if feed.last_export_at is None:
            code = "stale.partial" if feed.exports else "stale.never"
            yield Line(code, {"feed": feed.feed}, "rmetrics status", "error")
        else:
            yield Line("stale.feed", {"feed": feed.feed, "at": feed.last_export_at}, "rmetrics status", "error")
    if facts.data_end < yesterday:
        yield Line("stale.ends", {"end": facts.data_end, "yesterday": yesterday}, "rmetrics status", "error")
    yield Line("stale.hidden", {"yesterday": yesterday}, "rmetrics sync", "error")


# -- yesterday


def yesterday(facts: Facts) -> Iterator[Line]:
    """Yields the company's figures of yesterday, then each source's; nothing if the day is incomplete."""
    if facts.stale:
        return
    yield _day_line("yesterday.all", _total(facts.yesterday_date, facts.yesterday))
    for pull in facts.pulls:
        if pull.spread:
            yield Line("yesterday.cost", {"name": pull.name}, f"rmetrics pull {quote(pull.name)}", "bad")
    for figures in sorted(facts.yesterday, key=lambda f: (-f.revenue40, -f.leads, f.source)):
        if figures.leads or figures.jobs or figures.repairs or figures.revenue_gross or figures.cost:
            yield _day_line("yesterday.source", figures)


def _total(day: dt.date, sources: tuple[MonthLine, ...]) -> MonthLine:
    return MonthLine(
        month_of(day),
        ALL,
        *(sum(getattr(s, n) for s in sources) for n in _COUNTS),
        *(sum((getattr(s, n) for s in sources), Decimal(0)) for n in _AMOUNTS),
    )


def _day_line(code: str, figures: MonthLine) -> Line:
    values = {n: getattr(figures, n) for n in ("source", *_COUNTS, *_AMOUNTS)}
    cpl = _each(figures.cost, figures.leads)
    return Line(code, {**values, "cpl": cpl}, _explain(figures.source, figures.month))


def _each(amount: Decimal, number: int) -> Decimal | None:
    """Divides an amount by a number, rounded to cents; None for a number of 0."""
    return (amount / number).quantize(CENT, ROUND_HALF_UP) if number else None


def _explain(source: str, month: dt.date, metric: str = "") -> str:
    of = f" --metric {metric}" if metric else ""
    return f"rmetrics explain --source {quote(source)} --month {month:%Y-%m}{of}"


# -- the month so far


def month_so_far(facts: Facts) -> Iterator[Line]:
    """Yields the company's month up to the last whole day, against target and pace; then each source with a target."""
    if facts.through is None:
        return
    month, day, days = month_of(facts.through), facts.through.day, days_of(month_of(facts.through))
    for row in facts.to_date:
        if row.source == ALL:
            yield Line(
                "month.all",
                {
                    "through": facts.through, "leads": row.leads, "units": row.units, "repairs": row.repairs,
                    "revenue40": row.revenue40, "cost": row.cost, "cpl": _each(row.cost, row.leads),
                },
                _explain(ALL, month),
            )  # fmt: skip
        yield from _target_lines(row, month, day, days)


def _target_lines(row: ToDate, month: dt.date, day: int, days: int) -> Iterator[Line]:
    """Yields repairs and revenue against the pace of their targets: two lines for the company, one for a source."""
    found = [
        values
        for measure, value, target, pace, end in (
            ("repairs", Decimal(row.repairs), row.target_repairs, row.repairs_pace, row.repairs_end),
            ("revenue40", row.revenue40, row.target_revenue40, row.revenue40_pace, row.revenue40_end),
        )
        if target and pace and (values := _on_pace(measure, value, target, pace, end))
    ]
    over = ".over" if day == days else ""
    if row.source != ALL and len(found) == 2:
        repairs, revenue = found
        values = {"source": row.source, **{f"repairs_{n}": v for n, v in repairs.items()},
                  **{f"revenue40_{n}": v for n, v in revenue.items()}}  # fmt: skip
        tone: Tone = "good" if repairs["tone"] == revenue["tone"] == "good" else "bad"
        yield Line(f"month.both.source{over}", _displayed(values), _explain(row.source, month), tone)
        return
    kind = "all" if row.source == ALL else "source"
    for values in found:
        measure = values["measure"]
        displayed = _displayed({"source": row.source, **values})
        yield Line(f"month.{measure}.{kind}{over}", displayed, _explain(row.source, month, measure), values["tone"])


def _on_pace(measure: str, value: Decimal, target: Decimal, pace: Decimal, end: MonthEnd | None) -> dict[str, Any]:
    """Returns a figure with its target, its pace and the forecast for the month's end (None without a forecast)."""
    is_count = measure == "repairs"
    unit = Decimal(1) if is_count else CENT

    def estimate(amount: Decimal | None) -> Decimal | None:
        return None if amount is None else amount.quantize(unit, ROUND_HALF_UP)

    return {
        "measure": measure,
        "tone": "good" if value >= pace else "bad",
        "value": int(value) if is_count else value,
        "target": target,
        "pace": pace.quantize(Decimal("0.1") if is_count else CENT, ROUND_HALF_UP),
        "of_pace": (value / pace).quantize(Decimal("0.001"), ROUND_HALF_UP),
        "forecast": estimate(end.value) if end else None,
        "forecast_low": estimate(end.low) if end else None,
        "forecast_high": estimate(end.high) if end else None,
    }


def _displayed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drops the values that only select the line: measure and tone."""
    return {n: v for n, v in values.items() if not n.endswith(("measure", "tone"))}


# -- restatements


def restated(facts: Facts) -> Iterator[Line]:
    """Yields published figures of closed days and months that later runs changed.

    Months of one measure that changed for the same reason share a line, from ``SPAN`` months on.
    """
    made = list(_restated(facts.restated))
    yield from made[:MAX_LINES]
    if len(made) > MAX_LINES:
        yield Line("restated.more", {"more": len(made) - MAX_LINES}, "rmetrics history")


def _restated(items: tuple[Restated, ...]) -> Iterator[Line]:
    together: dict[tuple[str, str], list[Restated]] = {}
    for item in items:
        if not item.days:
            together.setdefault((item.metric, reason_of(item.cause)), []).append(item)
    reported = set[tuple[str, str]]()
    for item in items:
        key = (item.metric, reason_of(item.cause))
        found = together.get(key, [])
        if item.days or len(found) < SPAN:
            yield _restated_line(item)
        elif key not in reported:
            reported.add(key)
            yield _span_line(found)


def _restated_line(item: Restated) -> Line:
    kind = "days" if item.days else "month"
    values = {"month": item.month, "metric": item.metric, "days": item.days, "change": item.change}
    values["why"] = reason_of(item.cause)
    command = f"rmetrics history --month {item.month:%Y-%m} --metric {item.metric}{' --daily' if item.days else ''}"
    code = f"restated.{kind}.{_unit(item.metric)}" if item.change else "restated.moved"
    return Line(code, values, command, detail=item.cause or "")


def _span_line(found: Sequence[Restated]) -> Line:
    months, metric = [r.month for r in found], found[0].metric
    first, last = min(months), max(months)
    causes = list(dict.fromkeys(part for r in found if r.cause for part in r.cause.split("; ")))
    more = f"; and {len(causes) - 3} more" if len(causes) > 3 else ""
    change = sum((r.change for r in found), Decimal(0))
    values = {
        "metric": metric, "first": first, "last": last, "months": len(found), "change": change,
        "why": reason_of(found[0].cause),
    }  # fmt: skip
    command = f"rmetrics history --from {first:%Y-%m} --to {last:%Y-%m} --metric {metric}"
    code = f"restated.span.{_unit(metric) if change else 'moved'}"
    return Line(code, values, command, detail="; ".join(causes[:3]) + more)


def _unit(metric: str) -> str:
    return "amount" if metric in {"revenue_gross", "revenue40", "cost"} else "count"


_REASONS = (
    ("rule edit", "rules"), ("rules edited", "rules"), ("withdrawn export", "withdrawn"), ("removed", "withdrawn"),
    ("restored export", "restored"), ("export", "exports"), ("rmetrics ", "version"),
)  # fmt: skip


def reason_of(cause: str | None) -> str:
    """Returns the kind of a recorded cause, free of file names: the first in ``_REASONS`` whose words occur in it."""
    words = cause or ""
    return next((kind for sign, kind in _REASONS if sign in words), "unknown")


# -- needs a person


def needs_attention(facts: Facts) -> Iterator[Line]:
    """Yields what needs attention: rows, calls, leads, sources, feeds, pulls, runs, errors and undelivered messages."""
    if facts.rejected:
        yield Line("person.rejected", {"rows": facts.rejected}, "rmetrics rejected list", "bad")
    yield from _missed(facts)
    yield from _dispute_lines(facts)
    for finding in facts.findings:
        if finding.code == UNDECLARED:
            yield Line("person.undeclared", {"rows": finding.rows}, "rmetrics rules check", "bad", finding.message)
    for feed in facts.feeds:
        if feed.needed and feed.last_date and (_latest(facts) - feed.last_date).days > facts.stale_days:
            values = {"feed": feed.feed, "last": feed.last_date, "days": (facts.day - feed.last_date).days}
            yield Line("person.stale", values, "rmetrics status", "bad")
    yield from _pulls(facts)
    for run in facts.failed[-3:]:
        yield Line("person.failed", {"at": run.started_at}, "rmetrics status", "error", run.message)
    reported = {UNDECLARED, *([PULL_INCOMPLETE] if facts.pulls else [])}
    for finding in facts.findings:
        if finding.severity == "error" and finding.code not in reported:
            values = {"code": finding.code, "rows": finding.rows}
            yield Line("person.error", values, "rmetrics check", "error", finding.message)
    for trouble in facts.troubles:
        values = {"channel": trouble.channel, "at": trouble.at, "key": trouble.key.partition("/")[0]}
        yield Line(f"person.{trouble.state}-{trouble.kind}", values, _resend_command(trouble), "error", trouble.why)


def _missed(facts: Facts) -> Iterator[Line]:
    missed = facts.missed
    if missed is None:
        return
    for code, calls in (("person.missed", missed.lost), ("person.missed-existing", missed.existing)):
        if calls:
            yield Line(code, {"calls": calls, "since": missed.since}, "rmetrics calls", "bad")


def _dispute_lines(facts: Facts) -> Iterator[Line]:
    if facts.disputable is None:
        yield Line("person.dispute-unknown", {}, "rmetrics disputes", "bad")
    for claims in facts.disputable or ():
        values = {n: getattr(claims, n) for n in claims.__slots__}
        yield Line("person.dispute", values, f"rmetrics disputes --source {quote(claims.source)}", "bad")


def _pulls(facts: Facts) -> Iterator[Line]:
    for pull in facts.pulls:
        code, values = "person.pull-never", dict[str, Any](name=pull.name)
        if pull.complete_at is not None:
            code = "person.pull" if pull.why else "person.pull-late"
            values["at"] = pull.complete_at
        yield Line(code, values, f"rmetrics pull {quote(pull.name)}", "error", pull.why)


def _resend_command(trouble: SendTrouble) -> str:
    """Returns the command that sends a message again or shows its content."""
    if trouble.kind == "alerts":
        return "rmetrics alerts" if trouble.state == "failed" else "rmetrics alerts --dry-run"
    option = f" --again {quote(trouble.channel)}" if trouble.state == "doubtful" else ""
    return f"rmetrics brief --send --date {trouble.key.partition('/')[0]}{option}"


def _latest(facts: Facts) -> dt.date:
    """Returns the day against which a feed's age is measured: if all data are old, the stale section reports that."""
    return facts.data_end + dt.timedelta(days=1) if facts.stale and facts.data_end else facts.day


def alerts(facts: Facts) -> Iterator[Line]:
    """Yields the alerts that are true now."""
    for raised in facts.raised[:MAX_LINES]:
        values = {"title": raised.title, "of": raised.of, "cause": raised.cause}
        yield Line("alert.of" if raised.of else "alert", values, raised.command, "error")
    if len(facts.raised) > MAX_LINES:
        yield Line("alert.more", {"more": len(facts.raised) - MAX_LINES}, "rmetrics alerts")


SECTIONS: tuple[tuple[str, Callable[[Facts], Iterator[Line]]], ...] = (
    ("stale", not_up_to_date),
    ("yesterday", yesterday),
    ("month", month_so_far),
    ("restated", restated),
    ("person", needs_attention),
    ("alerts", alerts),
)
