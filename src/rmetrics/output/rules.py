"""The rules in words, their validation, and drafts, as text and JSON."""

from itertools import groupby
from pathlib import Path

from rmetrics.errors import RulesError
from rmetrics.findings import count
from rmetrics.output.reporter import Report, names, table
from rmetrics.rules.describe import RuleText
from rmetrics.usecases.draft import Draft
from rmetrics.usecases.new_measure import MeasureDraft
from rmetrics.usecases.rules import CheckedRules, RulesInForce


def show_rules(report: Report, found: RulesInForce) -> None:
    """Shows the rules by topic, with their dates, files and lines."""
    if report.as_json:
        report.json(found, "rules", names(RuleText))
        return
    report.line(f"In force on {found.as_of}:", "bold")
    for topic, group in groupby(found.rules, key=lambda s: s.topic):
        report.line("")
        report.line(topic, "bold")
        for described in group:
            _line(report, described, f"{described.rule}: {described.words}{_time(described)}")
    if found.later:
        report.line("")
        report.line("Later", "bold")
        for described in found.later:
            _line(report, described, f"from {described.since}, {described.topic} {described.rule}: {described.words}")
    if not (found.rules or found.later):
        report.line("No rule declares it: its jobs count, and it has neither leads nor cost.", "yellow")


def _time(described: RuleText) -> str:
    since = f" since {described.since}" if described.since else ""
    until = f" until {described.until}" if described.until else ""
    return f" ({(since + until).strip()})" if since or until else ""


def _line(report: Report, described: RuleText, text: str) -> None:
    report.parts((f"  {text}  ", ""), (described.where, "dim"))


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
