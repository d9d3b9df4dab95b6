"""Questions about the data, answered by the second engine, and their answers as findings."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmetrics.checks.quality import Answer
from rmetrics.findings import Finding, Severity
from rmetrics.lake import Lake
from rmetrics.rules import Rules

_REMEMBERED = "quality"


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """A finding with examples and advice.

    Attributes:
        kind: its subject: the two ``engines``, what is ``published``, the ``lake``, or the ``data``.
        rows: the number of figures or rows it concerns.
        examples: the first of them.
    """

    code: str
    severity: Severity
    kind: str
    rows: int
    message: str
    advice: str = ""
    examples: tuple[Mapping[str, object], ...] = ()


def finding_of(answer: Answer, rules: Rules) -> CheckFinding:
    """Returns the answer to a question about the data as a finding, with the severity that the rules declare."""
    asked = answer.question
    if answer.broken:
        index = [c.name for c in rules.checks].index(asked.code)
        message = f"the check {asked.code} ({rules.place(f'checks.{index}.sql')}) cannot run: {answer.broken}"
        return CheckFinding(asked.code, Severity.ERROR, "data", 0, message, "Correct its sql.")
    return CheckFinding(asked.code, asked.severity, "data", answer.rows, asked.message, asked.advice, answer.examples)


def quality_findings(lake: Lake, rules: Rules, inputs: str, answers: Sequence[Answer]) -> tuple[Finding, ...]:
    """Returns the answers as a sync reports them; saves them for the report of a sync that changes nothing."""
    found = [finding_of(a, rules) for a in answers]
    findings = [Finding(t.code, t.severity, _line(t), t.rows) for t in found]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    lake.save_json(_REMEMBERED, {"inputs": inputs, "on": today, "findings": [dataclasses.asdict(f) for f in findings]})
    return tuple(findings)


def remembered_findings(lake: Lake, inputs: str) -> tuple[Finding, ...]:
    """Returns the findings of the last full check, with its date if exports have come since."""
    kept: Mapping[str, Any] = lake.load_json(_REMEMBERED)
    found = tuple(Finding(**{**f, "severity": Severity(f["severity"])}) for f in kept.get("findings", []))
    if kept.get("inputs") == inputs:
        return found
    return tuple(dataclasses.replace(f, message=f"{f.message} (as of {kept.get('on', 'before')})") for f in found)


def _line(finding: CheckFinding) -> str:
    if not finding.rows:
        return finding.message
    first = ", ".join(f"{k} {v}" for k, v in finding.examples[0].items()) if finding.examples else ""
    return f"{finding.message} ({finding.rows:,}; first: {first}); see `rmetrics check`"
