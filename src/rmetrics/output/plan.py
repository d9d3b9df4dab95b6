"""The changes that a sync would make, as text and JSON."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any

from rmetrics.findings import EMPTY_INBOX, count
from rmetrics.metrics.figures import FigureKind
from rmetrics.output.reporter import STYLES, Report, names, plain, table
from rmetrics.usecases.plan import FigureChange, Plan, RowMove, summary

_SHOWN_CAUSES = 9
_SHOWN_MEMBERS = 20


def show_plan(report: Report, plan: Plan, *, rows: bool) -> None:
    """Shows edits and exports, then figures by month with numbered causes, then the rows that move."""
    if report.as_json:
        report.json(plan_json(plan), "changes", names(FigureChange))
        return
    if report.quiet:
        return
    report.line(f"Compared with {plan.compared_with}.", "dim")
    _new(report, plan)
    causes = list(dict.fromkeys([*(c.cause for c in plan.changes), *(c.cause for c in plan.members)]))
    for month, group in groupby(plan.changes, key=lambda c: c.month):
        _month(report, plan, list(group), causes, f"{month:%B %Y}")
    _members(report, plan, causes, shown=rows)
    for i, cause in enumerate(causes, 1):
        report.line(f"[{i}] {cause}", "dim")
    if plan.unchanged:
        report.line(f"No change: {_span(plan)}.")
    _rows(report, plan, shown=rows)
    _reassigned(report, plan, shown=rows)
    _instead(report, plan)
    report.line(_closing(plan), "bold")


def _new(report: Report, plan: Plan) -> None:
    """Shows the edits of the rules and the new exports in the inbox."""
    for edit in plan.edits:
        report.line(f"edited: {edit}")
    for export in plan.exports:
        report.line(f"new export: {export}")
    for refused in plan.refused:
        report.line(f"skipped: {refused}", "yellow")
    for finding in plan.findings:
        if finding.code == EMPTY_INBOX:
            report.line(f"{finding.severity}: {finding.message}", STYLES[finding.severity])


def _month(report: Report, plan: Plan, changes: Sequence[FigureChange], causes: Sequence[str], title: str) -> None:
    grid = table(title, "source", "segment", "measure", "before", "after", "change", "why")
    for change in changes:
        was, now = change.before or Decimal(0), change.after or Decimal(0)
        grid.add_row(
            change.source,
            change.segment,
            change.metric,
            "-" if change.before is None else figure(plan.kinds.get(change.metric), was),
            "-" if change.after is None else figure(plan.kinds.get(change.metric), now),
            figure(plan.kinds.get(change.metric), now - was, sign=True),
            f"[{causes.index(change.cause) + 1}]",
        )
    report.table(grid)


def _members(report: Report, plan: Plan, causes: Sequence[str], *, shown: bool) -> None:
    """Shows the members whose figures change, by dimension, newest month first."""
    by_dimension = sorted(plan.members, key=lambda c: (c.dimension, -c.month.toordinal()))
    for dimension, group in groupby(by_dimension, key=lambda c: c.dimension):
        changes = list(group)
        grid = table(f"By {dimension}", "month", "member", "measure", "before", "after", "change", "why")
        for change in changes if shown else changes[:_SHOWN_MEMBERS]:
            was, now = change.before or Decimal(0), change.after or Decimal(0)
            grid.add_row(
                f"{change.month:%Y-%m}",
                change.member,
                change.metric,
                "-" if change.before is None else figure(plan.kinds.get(change.metric), was),
                "-" if change.after is None else figure(plan.kinds.get(change.metric), now),
                figure(plan.kinds.get(change.metric), now - was, sign=True),
                f"[{causes.index(change.cause) + 1}]",
            )
        report.table(grid)
        omitted = 0 if shown else len(changes) - _SHOWN_MEMBERS
        if omitted > 0:
            names = {c.member for c in changes}
            span = f"{changes[-1].month:%Y-%m} to {changes[0].month:%Y-%m}"
            report.line(
                f"and {omitted:,} more figures of {count(len(names), 'member')}, {span}; all with --rows", "dim"
            )


def figure(kind: FigureKind | None, value: Decimal, *, sign: bool = False) -> str:
    """Formats a figure exactly: whole counts, money with cents, revenue after payout with all its decimals.

    Of a measure that is no longer declared, whose kind is None, only the value shows whether it is whole. A measure may
    have been of another kind before, so a count need not be whole.
    """
    if kind in {None, FigureKind.COUNT} and value == value.to_integral_value():
        return f"{value:{'+' if sign else ''},.0f}"
    places = max(2, -int(value.normalize().as_tuple().exponent)) if value else 2
    return f"{value:{'+' if sign else ''},.{places}f}"


def _span(plan: Plan) -> str:
    months = [f"{m:%Y-%m}" for m in plan.unchanged]
    if len(months) <= 3:
        return ", ".join(months)
    return f"{len(months)} months from {months[0]} to {months[-1]}"


def _rows(report: Report, plan: Plan, *, shown: bool) -> None:
    if plan.rows is None:
        report.line("The rows affected are unknown: the lake no longer has the rules of the last computation.", "dim")
        return
    for moved in [] if shown else summary(plan.rows)[:_SHOWN_CAUSES]:
        report.line(f"{count(moved.rows, 'row')} of {moved.feed}: {moved.cause}")
    if plan.rows and not shown:
        report.line("See each with --rows.", "dim")
    for row in plan.rows if shown else ():
        _row(report, row)


def _reassigned(report: Report, plan: Plan, *, shown: bool) -> None:
    """Shows the jobs that would come from another touch, by source, and the money that moves with them."""
    if not plan.journeys:
        return
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for job in plan.journeys:
        hands = job.from_source or "no touch", job.to_source or "no touch"
        jobs, paid = sums.get(hands, (0, Decimal(0)))
        sums[hands] = jobs + 1, paid + job.paid
    grid = table("Jobs that would come from another touch", "from", "to", "jobs", "paid")
    for (was, now), (jobs, paid) in sorted(sums.items()):
        grid.add_row(was, now, f"{jobs:,}", f"{paid:,.2f}")
    report.table(grid)
    for job in plan.journeys if shown else ():
        why = f" ({job.matched_by})" if job.matched_by else ""
        report.line(f"job {job.job_id}: {job.from_touch or 'no touch'} -> {job.to_touch or 'no touch'}{why}")


def _instead(report: Report, plan: Plan) -> None:
    """Warns that past months would change, and shows how to keep them as they are."""
    if not plan.instead:
        return
    first, last = plan.restated[0], plan.restated[-1]
    months = (
        f"{first:%Y-%m}" if first == last else f"{count(len(plan.restated), 'month')}, {first:%Y-%m} to {last:%Y-%m}"
    )
    report.line(f"The edited rules restate past months ({months}).", "yellow")
    report.line(
        "To keep these months unchanged, restore the old value and add this, with the day it applies from:", "yellow"
    )
    for text in plan.instead:
        for line in text.splitlines():
            report.line(f"  {line}")


def _row(report: Report, row: RowMove) -> None:
    report.line(f"{row.feed} {row.key}", "bold")
    report.line(f"  from  {row.before or 'absent'}")
    report.line(f"  to    {row.after or 'gone'}")
    report.line(f"  {row.cause}", "dim")


def _closing(plan: Plan) -> str:
    if not plan.any:
        return "A sync would change no figure. Nothing was written."
    moved = f", {count(len(plan.rows), 'row')} would count differently" if plan.rows else ""
    if plan.journeys:
        money = sum((job.paid for job in plan.journeys), Decimal(0))
        moved += f", {count(len(plan.journeys), 'job')} ({money:,.2f} paid) would come from another touch"
    if plan.members:
        moved = f", {count(len(plan.members), 'figure')} of members" + moved
    return (
        f"A sync would change {count(len(plan.changes), 'monthly figure')} and "
        f"{count(plan.days, 'daily figure')}{moved}. Nothing was written. To apply the changes: rmetrics sync"
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """Returns the document of ``plan --json``."""
    return {
        "compared_with": plan.compared_with,
        "edits": plan.edits,
        "exports": plan.exports,
        "refused": plan.refused,
        "changes": [plain(c) for c in plan.changes],
        "daily_changes": plan.days,
        "rows": [
            {"feed": r.feed, "key": r.key, "from": r.before, "to": r.after, "month": plain(r.month), "cause": r.cause}
            for r in plan.rows or ()
        ],
        "rows_known": plan.rows is not None,
        "unchanged": plan.unchanged,
        "findings": plan.findings,
        "restated": plan.restated,
        "instead": plan.instead,
        "journeys": plan.journeys,
        "members": [plain(c) for c in plan.members],
    }
