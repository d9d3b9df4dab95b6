"""The rules in words, their validation, and drafts, as text and JSON."""

from itertools import groupby
from pathlib import Path

from rmetrics.errors import RulesError
from rmetrics.findings import count
from rmetrics.output.reporter import Report, names, table
from rmetrics.rules.describe import Said
from rmetrics.usecases.draft import Draft
from rmetrics.usecases.new_measure import MeasureDraft
from rmetrics.usecases.rules import CheckedRules, RulesInForce


def show_rules(report: Report, found: RulesInForce) -> None:
    """Shows the rules by topic, with their dates, files and lines."""
    if report.as_json:
        report.json(found, "rules", names(Said))
        return
    report.line(f"In force on {found.as_of}:", "bold")
    for topic, group in groupby(found.rules, key=lambda s: s.topic):
        report.line("")
        report.line(topic, "bold")
        for said in group:
            _line(report, said, f"{said.rule}: {said.words}{_time(said)}")
    if found.later:
        report.line("")
        report.line("Later", "bold")
        for said in found.later:
            _line(report, said, f"from {said.since}, {said.topic} {said.rule}: {said.words}")
    if not (found.rules or found.later):
        report.line("No rule declares it: its jobs count, and it has neither leads nor cost.", "yellow")


def _time(said: Said) -> str:
    since = f" since {said.since}" if said.since else ""
    until = f" until {said.until}" if said.until else ""
    return f" ({(since + until).strip()})" if since or until else ""


def _line(report: Report, said: Said, text: str) -> None:
    report.parts((f"  {text}  ", ""), (said.where, "dim"))


def show_problems(report: Report, error: RulesError) -> None:
    """Writes the JSON document for rules that do not load."""
    report.json({"ok": False, "problems": error.problems, "warnings": []})


def show_checked(report: Report, folder: Path, checked: CheckedRules) -> None:
    """Shows the warnings, then confirms that the rules are valid."""
    if report.as_json:
        report.json({"ok": True, "problems": [], "warnings": checked.warnings})
        return
    for warning in checked.warnings:
        report.line(f"warning: {warning}", "yellow")
    rules = checked.rules
    report.line(
        f"The rules in {folder} are valid: {count(len(rules.sources), 'source')}, {count(len(rules.feeds), 'feed')}."
    )


def show_draft(report: Report, draft: Draft) -> None:
    """Shows the guesses of a draft and the next step."""
    if report.as_json:
        report.json({"ok": not draft.problems, **{n: getattr(draft, n) for n in draft.__slots__}})
        return
    grid = table(f"{count(draft.rows, 'row')} read", "header", "column", "type", "filled", "different", "")
    for guess in draft.columns:
        facts = "key" if guess.name == draft.key else "date" if guess.name == draft.date else ""
        facts = facts or ("not published" if guess.private else "")
        grid.add_row(guess.header, guess.name, str(guess.type), str(guess.filled), str(guess.distinct), facts)
    report.table(grid)
    for note in draft.notes:
        report.line(f"note: {note}", "dim")
    report.line(f"Wrote {draft.path}: the feed {draft.feed} and the source {draft.source!r}.", "bold")
    if draft.problems:
        for problem in draft.problems:
            report.line(f"fill in: {problem}", "yellow")
        final = draft.path.name.removesuffix(".draft")
        report.line(f"It is not in force. Complete it, rename it to {final}, then run: rmetrics rules check", "yellow")
    else:
        report.line("It passes `rmetrics rules check`. Review it, then run: rmetrics plan")


def show_measure_draft(report: Report, draft: MeasureDraft) -> None:
    """Shows where the draft is, and the next step."""
    if report.as_json:
        report.json({"ok": True, **{n: getattr(draft, n) for n in draft.__slots__}})
        return
    report.line(
        f"Wrote {draft.path}: the measure {draft.measure} over {draft.of} ({' '.join(draft.rule.split())}).", "bold"
    )
    report.line("Review it, then run: rmetrics plan")
