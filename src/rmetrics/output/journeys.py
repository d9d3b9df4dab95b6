"""Journeys as text and JSON."""

from decimal import Decimal

from rmetrics.explain.journeys import Story, Tie
from rmetrics.findings import count
from rmetrics.output.grid import Cell
from rmetrics.output.reporter import Report, money, names, number, table
from rmetrics.usecases.journeys import Funnel, JourneysResult, Sensitivity, Touch

_BAR = 30  # length of the longest bar, in characters


def show_journeys(report: Report, found: JourneysResult, *, rows: bool) -> None:
    """Shows the funnel by source, its agreement with the CRM and its accuracy; windows and touches on request."""
    for problem in found.problems:
        report.message(f"{problem.severity}: {problem.message}", "yellow")
    if report.as_json:
        if rows:
            report.json(found, "rows", names(Touch))
        elif found.sensitivity:
            report.json(found, "sensitivity", names(Sensitivity))
        else:
            report.json(found, "funnel", names(Funnel))
        return
    span = f"{found.month:%B %Y}" + (f" to {found.last:%B %Y}" if found.last != found.month else "")
    _funnel(report, found, span)
    _losses(report, found)
    _agreement(report, found)
    if known := found.accuracy:
        right = known.right + known.wrong
        report.line(
            f"Matching by number alone, with a window of {count(found.window, 'day')}: of {count(known.known, 'call')} "
            f"whose job the CRM records, it finds {known.right} right, {known.wrong} wrong, {known.missed} missed "
            f"(precision {_percent(known.right, right)}, recall {_percent(known.right, known.known)}).",
            "dim",
        )
    if found.sensitivity:
        _sensitivity(report, found)
    else:
        report.line("To compare other windows, run: rmetrics journeys --sensitivity", "dim")
    if rows:
        _touches(report, found)


def _funnel(report: Report, found: JourneysResult, span: str) -> None:
    grid = table(
        f"Touches of {span}",
        "source", "touches", "answered", "booked", "visited", "repaired", "paid", "cost", "paid to you",
        "per booked", "per repair", "ROAS",
    )  # fmt: skip
    for line in found.funnel:
        grid.add_row(
            line.source,
            *(number(n) for n in (line.touches, line.answered, line.booked, line.visited, line.repaired, line.paid)),
            money(line.cost),
            money(line.revenue_gross),
            *("" if v is None else f"{v:,.2f}" for v in (line.cost_per_booked, line.cost_per_repair, line.roas)),
        )
    report.table(grid)


def _losses(report: Report, found: JourneysResult) -> None:
    """Shows the outcomes of touches, which add up to all of them."""
    grid = table(
        "Outcomes of touches",
        "source", "touches", "with a job", "no job", "no number", "shared number", "outside the window", "returning",
    )  # fmt: skip
    for line in found.funnel:
        if line.touches:
            parts = (line.touches, line.booked, line.no_job, line.no_number, line.shared, line.outside_window)
            grid.add_row(line.source, *(number(n) for n in (*parts, line.returning_customers)))
    report.table(grid)


def _agreement(report: Report, found: JourneysResult) -> None:
    grid = table(
        "Source by the CRM and by the touch: jobs of these months", "by CRM", "by touch", "known", "jobs", "paid"
    )
    for line in found.agreement:
        grid.add_row(line.source, line.source_matched, line.known, number(line.jobs), money(line.paid))
    report.table(grid)


def _sensitivity(report: Report, found: JourneysResult) -> None:
    grid = table(
        "Jobs claimed by window",
        "days", "jobs", "", "paid", "confirmed by CRM", "share", "precision", "recall",
    )  # fmt: skip
    max_jobs = max((s.jobs for s in found.sensitivity), default=0)
    for line in found.sensitivity:
        sure = round(_BAR * line.confirmed / max_jobs) if max_jobs else 0
        more = (round(_BAR * line.jobs / max_jobs) if max_jobs else 0) - sure
        grid.add_row(
            str(line.window),
            number(line.jobs),
            "\u2588" * sure + "\u2591" * more,
            money(line.paid),
            number(line.confirmed),
            *("" if s is None else f"{s * 100:.1f} %" for s in (line.confirmed_share, line.precision, line.recall)),
        )
    report.table(grid)
    report.line(
        "Full bars are jobs whose source in the CRM is that of the touch. Other jobs that a wider window adds are "
        "mostly those of returning customers.",
        "dim",
    )


def _touches(report: Report, found: JourneysResult) -> None:
    grid = table("Touches", "day", "touch", "source", "answered", "job", "by", "reason", "cost", "paid")
    words = {True: "yes", False: "no", None: ""}
    for touch in found.rows:
        more = f" +{touch.jobs - 1}" if touch.jobs > 1 else ""
        grid.add_row(
            str(touch.touch_date),
            touch.touch_id,
            touch.source,
            words[touch.answered],
            (touch.job_id or "") + more,
            "" if touch.matched_by == "none" else touch.matched_by,
            touch.reason or "",
            money(touch.cost),
            money(touch.paid),
        )
    report.table(grid)


def show_story(report: Report, story: Story) -> None:
    """Shows one job or lead with its ties in chronological order, and why each touch has the job or not."""
    for problem in story.problems:
        report.message(f"{problem.severity}: {problem.message}", "yellow")
    if report.as_json:
        report.json(story, "ties", names(Tie))
        return
    facts = ", ".join(f"{name} {value}" for name, value in story.facts)
    report.line(f"{story.kind.capitalize()} {story.name} ({story.where}): {facts}", "bold")
    report.line(story.said)
    report.line(story.rule, "dim")
    if not story.ties:
        return
    grid = table("", "touch", "source", "day", "job", "created", "paid", "days", "why")
    for tie in story.ties:
        days = "" if tie.days is None else str(tie.days)
        created = "" if tie.job_day is None else str(tie.job_day)
        why = Cell(tie.why, "green" if tie.has_it else "")
        grid.add_row(tie.touch_id, tie.source, str(tie.touch_date), tie.job_id, created, money(tie.paid), days, why)
    report.table(grid)


def _percent(part: int, total: int) -> str:
    return f"{Decimal(part) * 100 / total:.1f} %" if total else "-"
