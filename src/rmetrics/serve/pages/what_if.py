"""``/plan``: tries another price, share or window, shows its effect and the TOML to copy. Nothing is written."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Any

from rmetrics.errors import RmetricsError, SettingsError
from rmetrics.explain.asked import MEASURES
from rmetrics.findings import count
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.metrics.figures import FigureKind, recorded_kinds
from rmetrics.output.plan import figure
from rmetrics.periods import parse_month
from rmetrics.serve.controls import Control, Edited, controls, edited
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of, place

_MAX_ROWS = 500
_UP_IS_GOOD = frozenset({"jobs", "leads", "units", "repairs", "revenue_gross", "revenue40"})


def requested_edit(asked: PageRequest) -> Edited | None:
    """Returns the edit to try; None if the request has none.

    Raises:
        SettingsError: no such number in the rules, or an invalid value or day.
    """
    key, value = asked.text("key"), asked.text("value")
    if key is None:
        return None
    found = {k.key: k for k in controls(asked.view.lake.rules)}
    if key not in found:
        raise SettingsError(f"the rules have no number {key!r}", "Choose one on this page.")
    return edited(found[key], value or "", _day(asked.text("from")))


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2026-01-01.") from None


def what_if(
    asked: PageRequest, tried: Edited | None, plan: Mapping[str, Any] | None, wrong: RmetricsError | None
) -> Page:
    """Renders the numbers of the rules and the result of a trial.

    Args:
        asked: the request.
        tried: the edit; None if there was none.
        plan: its effect: the document of ``rmetrics plan --json``.
        wrong: the error that prevented the trial.
    """
    about = (
        "<p>Try another number and see its effect on a sync: the months that would change, and the number of rows. A "
        "copy "
        "of the rules is used; your files remain unchanged. Without a date, the number changes for all of history; "
        "with a date, history remains unchanged.</p>"
    )
    answer = ""
    if wrong is not None:
        lines = "".join(f"<p class=wrong>{escape(line)}</p>" for line in wrong.message.splitlines())
        answer = cells.card("This value cannot be tried", f"{lines}<p>{escape(wrong.hint)}</p>")
    elif tried is not None and plan is not None:
        answer = _answer(asked, tried, plan)
    return Page("What if", f"{heading('What if')}{about}{answer}{_form(asked)}", "/plan", notes=notes_of(asked.view))


def _form(asked: PageRequest) -> str:
    rows = [_row(asked, i, control) for i, control in enumerate(controls(asked.view.lake.rules))]
    if not rows:
        return "<p>The rules contain no price, share, fee or window.</p>"
    head = ("Rule", "Now", "Try", "Where")
    return f'<div class="knobs">{cells.card("Numbers in the rules", cells.table(head, rows, "knobs"))}</div>'


def _row(asked: PageRequest, number: int, control: Control) -> list[str]:
    mine = asked.text("key") == control.key
    value = asked.text("value") if mine else None
    since = f", since {control.since}" if control.since else ""
    when = (asked.text("from") or "") if mine else ""
    day = f'<label>from (optional)<input type="date" name="from" value="{escape(when)}"></label>'
    common = "" if control.declared else ", the common one"
    named = f"{control.owner}: {control.kind}{since}{common}"
    field = (
        f'<input id="knob-{number}" name="value" inputmode="decimal" required pattern="[0-9]+([.][0-9]+)?" '
        f'value="{escape(value or str(control.value))}">'
    )
    inside = (
        f'<form method="get" action="/plan" aria-label="{escape(named)}">'
        f'<input type="hidden" name="key" value="{escape(control.key)}">'
        f'<label for="knob-{number}">new value{field}</label>{"" if control.since else day}<button>Try</button></form>'
    )
    return [
        cells.cell(named, text=True),
        cells.cell(str(control.value), value=control.value),
        f'<td class="text">{inside}</td>',
        f'<td class="text">{place(control.where)}</td>',
    ]


def _answer(asked: PageRequest, tried: Edited, plan: Mapping[str, Any]) -> str:
    changes: Sequence[Mapping[str, Any]] = plan["changes"]
    rows: Sequence[Mapping[str, Any]] = plan["rows"]
    reassigned: Sequence[Mapping[str, Any]] = plan["journeys"]
    kinds = recorded_kinds(asked.view.lake.rules)
    message = "A sync with this edit would change no figure."
    if changes or plan["daily_changes"] or rows:
        figures = f"{count(len(changes), 'monthly figure')} and {count(plan['daily_changes'], 'daily figure')}"
        moved = f"; {count(len(rows), 'row')} would count differently" if rows else ""
        members = f", {count(len(plan['members']), 'figure')} of members" if plan["members"] else ""
        message = f"A sync with this edit would change {figures}{members}{moved}."
    elif reassigned:
        message = "A sync with this edit would change figures of the funnel only."
    if reassigned:
        money = sum((Decimal(job["paid"]) for job in reassigned), Decimal(0))
        message += f" {count(len(reassigned), 'job')} ({money:,.2f} paid) would come from another touch."
    parts = [
        f'<p class="verdict" data-keep="yes">{message} Nothing was written.</p>',
        _sums(changes, kinds),
        _changes(changes, kinds),
    ]
    parts.append(_reassigned(asked, reassigned))
    parts.append(_rows(asked, rows) if plan["rows_known"] else "<p>The rows affected are unknown.</p>")
    restated = plan["restated"]
    if restated:
        parts.append(f"<p>{restates(restated)}</p>")
    diff = "\n".join(
        f'<span class="{"added" if x.startswith("+") else "removed" if x.startswith("-") else ""}">{escape(x)}</span>'
        for x in tried.diff.splitlines()[2:]
    )
    parts.append(
        f"<h3>The TOML to copy, for {escape(tried.file.name)}</h3><pre id=toml tabindex=0>{escape(tried.snippet)}</pre>"
        f"<details><summary>Changed lines</summary><pre tabindex=0>{diff}</pre></details>"
    )
    return cells.card("Effect", "".join(parts))


def _sums(changes: Sequence[Mapping[str, Any]], kinds: Mapping[str, FigureKind]) -> str:
    """Renders the total change of each measure."""
    moved: dict[str, Decimal] = {}
    for change in changes:
        if change["segment"] == ALL:  # a ratio of the whole company, which must not be summed over months
            continue
        difference = Decimal(change["after"] or 0) - Decimal(change["before"] or 0)
        moved[change["metric"]] = moved.get(change["metric"], Decimal(0)) + difference
    tiles = [
        cells.tile(
            metric,
            cells.cell(figure(kinds.get(metric), value, sign=True), _colour(metric, value), cells.plain(value)),
            "over all months",
        )
        for metric, value in moved.items()
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _colour(metric: str, value: Decimal) -> str:
    if metric not in MEASURES:  # the rules do not declare which direction is good
        return ""
    return "good" if (value > 0) == (metric in _UP_IS_GOOD) else "bad"


def _changes(changes: Sequence[Mapping[str, Any]], kinds: Mapping[str, FigureKind]) -> str:
    rows = []
    for change in changes[:_MAX_ROWS]:
        metric, month = change["metric"], parse_month(change["month"][:7])
        kind = kinds.get(metric)
        was, now = (None if change[k] is None else Decimal(change[k]) for k in ("before", "after"))
        difference = (now or Decimal(0)) - (was or Decimal(0))
        segment = None if change["segment"] == ALL else change["segment"]
        href = LINKS.figure(metric, change["source"], month, segment) if month and was is not None else None
        rows.append(
            [
                cells.cell(change["month"][:7], text=True),
                cells.cell(change["source"], text=True),
                cells.cell(change["segment"], text=True),
                cells.cell(metric, text=True),
                cells.cell(cells.DASH if was is None else figure(kind, was), value=cells.plain(was), href=href),
                cells.cell(cells.DASH if now is None else figure(kind, now), value=cells.plain(now)),
                cells.cell(figure(kind, difference, sign=True), _colour(metric, difference), cells.plain(difference)),
            ]
        )
    if not rows:
        return ""
    rest = len(changes) - len(rows)
    more = f"<p>And {count(rest, 'figure')} more.</p>" if rest else ""
    head = ("Month", "Source", "Segment", "Measure", "Before", "After", "Change")
    return f"<h3>Monthly figures</h3>{cells.table(head, rows, 'changes')}{more}"


def _rows(asked: PageRequest, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    kinds = Counter((row["feed"], row["cause"]) for row in rows).most_common()
    items = "".join(f"<li>{count(n, 'row')} of {escape(feed)}: {escape(cause)}</li>" for (feed, cause), n in kinds)
    listed = ""
    if asked.rows:
        made = [
            [cells.cell(text, text=True) for text in (r["feed"], r["key"], r["from"] or "absent", r["to"] or "gone")]
            for r in rows[:_MAX_ROWS]
        ]
        table = cells.table(("Feed", "Row", "From", "To"), made, "moves")
        listed = f"<details><summary>{count(len(rows), 'row')}</summary>{table}</details>"
    return f'<h3>Rows that would count differently</h3><ul class="near">{items}</ul>{listed}'


def _reassigned(asked: PageRequest, reassigned: Sequence[Mapping[str, Any]]) -> str:
    """Renders the jobs that would come from another touch, by source before and after; singly if rows may be shown."""
    if not reassigned:
        return ""
    jobs, paid = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for job in reassigned:
        way = job["from_source"] or "none", job["to_source"] or "none"
        jobs[way] += 1
        paid[way] += int(Decimal(job["paid"]) * 100)
    lines = [
        [
            cells.cell(before, text=True),
            cells.cell(after, text=True),
            cells.count(n),
            cells.money(Decimal(paid[before, after]).scaleb(-2), 2),
        ]
        for (before, after), n in sorted(jobs.items(), key=lambda w: (-w[1], w[0]))
    ]
    table = cells.table(("Source of touch, before", "Source of touch, after", "Jobs", "Paid"), lines, "hands")
    listed = ""
    if asked.rows:
        columns = ("job_id", "from_touch", "to_touch", "matched_by")
        made = [
            [*(cells.cell(job[c] or "none", text=True) for c in columns), cells.money(Decimal(job["paid"]), 2)]
            for job in reassigned[:_MAX_ROWS]
        ]
        head = ("Job", "Touch before", "Touch after", "Matched by", "Paid")
        listed = (
            f"<details><summary>{count(len(reassigned), 'job')}</summary>{cells.table(head, made, 'jobs')}</details>"
        )
    why = "<p>To explain the touch of a job, after the sync: <code>rmetrics explain --job ID</code></p>"
    return f"<h3>Jobs that would come from another touch</h3>{table}{listed}{why}"


def restates(months: Sequence[str]) -> str:
    """Warns that closed months would change and how to avoid that; ``months`` as ISO dates of their first days."""
    first, last = months[0][:7], months[-1][:7]
    several = f"{count(len(months), 'past month')}, {first} to {last}"
    which = f"{first}, a past month" if first == last else several
    return f"It restates {which}. To avoid this, enter a later date from which the number applies."
