"""The brief as text and JSON, and the delivery of messages."""

from collections.abc import Sequence
from typing import Any

from rmetrics.brief.text import LineText
from rmetrics.notify.sending import Delivery
from rmetrics.output.reporter import Report
from rmetrics.usecases.brief import BriefResult

_STYLES = {"plain": "", "good": "green", "bad": "yellow", "error": "bold red"}
_BECAME = {
    "sent": "sent",
    "already": "already received it",
    "failed": "not sent: {why}; the next run tries again",
    "doubtful": "{why}; it is not sent again automatically",
}


def show_brief(report: Report, result: BriefResult) -> None:
    """Shows the brief section by section, each line with the command that explains it."""
    if report.as_json:
        report.json(brief_document(result))
    else:
        brief = result.brief
        report.line(brief.subject, "bold")
        for section in brief.sections:
            report.line("")
            report.line(section.title, "bold red" if section.section == "stale" else "bold")
            for entry in section.lines:
                _show_line(report, entry)
        report.line("")
        report.line(brief.footer, "dim")
        if result.page is not None:
            report.line(f"Wrote {result.page}.")
    show_deliveries(report, result.deliveries)


def _show_line(report: Report, entry: LineText) -> None:
    report.line(f"  {entry.text}", _STYLES[entry.line.tone])
    if entry.line.detail:
        report.line(f"      {entry.line.detail}", "dim")
    report.line(f"      {entry.line.command}", "dim")


def show_deliveries(report: Report, deliveries: Sequence[Delivery]) -> None:
    """Shows a line per channel; a message that may not have arrived is reported on stderr, even with ``--quiet``."""
    for delivery in deliveries:
        message = f"{delivery.channel}: {_BECAME[delivery.state].format(why=delivery.why)}"
        if delivery.failed:
            report.failure(message, "See docs/brief.md, What is guaranteed.")
        else:
            report.line(message)


def brief_document(result: BriefResult) -> dict[str, Any]:
    """Returns the brief as a JSON document."""
    brief, facts = result.brief, result.brief.facts
    return {
        "day": facts.day,
        "yesterday": facts.yesterday_date,
        "through": facts.through,
        "stale": facts.stale,
        "timezone": facts.timezone,
        "currency": facts.currency,
        "language": brief.language,
        "subject": brief.subject,
        "sections": [
            {"section": s.section, "title": s.title, "lines": [_line(entry) for entry in s.lines]}
            for s in brief.sections
        ],
        "sent": result.deliveries,
    }


def _line(entry: LineText) -> dict[str, Any]:
    line = entry.line
    return {
        "code": line.code, "tone": line.tone, "text": entry.text, "detail": line.detail, "values": line.values,
        "command": line.command,
    }  # fmt: skip
