"""Leads to dispute, as text, as JSON, and as a file for the vendor; none of them contains customers' numbers."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

from rmetrics.errors import SettingsError
from rmetrics.files import open_private
from rmetrics.output.calls import duration
from rmetrics.output.csv_files import write_csv
from rmetrics.output.reporter import Report, money, number, table
from rmetrics.pipeline.claims import Claim, ClaimState, Proof
from rmetrics.usecases.disputes import DisputesResult

_FOR_VENDOR = ("Lead ID", "Lead time", "Reason", "Clause", "Evidence", "Ask before")
_ROWS = ("source", "lead_id", "lead_at", "reason", "state", "price", "deadline", "hours_left")


def show_disputes(report: Report, result: DisputesResult, *, every: bool) -> None:
    """Shows open claims by deadline, then the totals; with ``every``, closed claims as well."""
    for problem in result.problems:
        report.message(f"warning: {problem}", "yellow")
    if report.as_json:
        report.json(disputes_document(result), "disputes", _ROWS)
        return
    shown = [c for c in result.claims if every or c.state is ClaimState.OPEN]
    for claim in sorted(shown, key=lambda c: (c.state is not ClaimState.OPEN, c.deadline)):
        _claim(report, claim, result.now)
    if not any(c.state is ClaimState.OPEN for c in result.claims):
        report.line("No lead can be disputed now: none meets the terms, or the deadlines have passed.", "green")
    report.line("")
    grid = table("Leads creditable under the terms", "source", "claimed", "open", "granted", "refused", "expired",
                 "open amount", "granted amount", "refused amount", "expired amount")  # fmt: skip
    for tally in result.tallies:
        counts = (tally.claimed, tally.open, tally.granted, tally.refused, tally.expired)
        grid.add_row(tally.source, *map(number, counts), *(money(a) for a in tally.amounts))
    report.table(grid)
    if not every and len(shown) < len(result.claims):
        report.line("For closed ones, run: rmetrics disputes --all", "dim")


def disputes_document(result: DisputesResult) -> dict[str, Any]:
    """Returns the result as a JSON document."""
    return {
        "now": result.now,
        "disputes": [
            {
                "source": c.source, "feed": c.feed, "lead_id": c.lead_id, "lead_at": c.lead_at, "reason": c.reason,
                "clause": c.clause, "within": c.within, "deadline": c.deadline, "hours_left": c.hours_left(result.now),
                "state": c.state, "price": c.price, "facts": c.facts, "evidence": list(c.proofs), "rule": c.rule,
            }
            for c in result.claims
        ],
        "totals": [
            {
                "source": t.source, "claimed": t.claimed, "granted": t.granted, "refused": t.refused,
                "expired": t.expired, "open": t.open,
                "amounts": {state.value: amount for state, amount in zip(ClaimState, t.amounts, strict=True)},
            }
            for t in result.tallies
        ],
    }  # fmt: skip


def write_for_vendor(result: DisputesResult, file: Path) -> int:
    """Writes the open claims in the form for a vendor, and returns their number.

    Raises:
        SettingsError: the claims are of several vendors, or the file cannot be written.
    """
    sources = [t.source for t in result.tallies]
    if len(sources) > 1:
        raise SettingsError(
            f"the file would disclose to each vendor the leads of the others ({', '.join(sources)})",
            "Name one: rmetrics disputes --source NAME --csv FILE",
        )
    still = sorted((c for c in result.claims if c.state is ClaimState.OPEN), key=lambda c: c.deadline)
    rows = [(c.lead_id, _stamp(c.lead_at), c.reason, c.clause, evidence(c), _stamp(c.deadline)) for c in still]
    try:
        with open_private(file) as opened, io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as text:
            return write_csv(text, _FOR_VENDOR, rows)
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}", "Name a file in a folder that exists.") from error


def evidence(claim: Claim) -> str:
    """Returns the evidence for a vendor: the facts, its earlier lead, and since when the caller is a customer."""
    parts = [f"{name} = {value}" for name, value in claim.facts.items()]
    for proof in claim.proofs[1:]:
        when = f" of {_stamp(proof.at)}" if isinstance(proof.at, dt.datetime) else f" of {proof.at}" if proof.at else ""
        parts.append(f"{proof.what} {proof.key}{when}")
    return "; ".join(parts)


def _claim(report: Report, claim: Claim, now: dt.datetime) -> None:
    hours_left = claim.hours_left(now)
    when = (
        claim.state.value
        if hours_left is None
        else f"{duration(hours_left * 3600)} left, until {_stamp(claim.deadline)}"
    )
    price = "" if claim.price is None else f"  {money(claim.price)}"
    style = "bold" if claim.state is ClaimState.OPEN else ""
    report.line(f"{claim.source} {claim.lead_id}  {_stamp(claim.lead_at)}{price}  {claim.reason}  ({when})", style)
    if claim.clause:
        report.line(f"    {claim.clause} ({claim.within}; {claim.rule})", "dim")
    facts = ", ".join(f"{name} = {value}" for name, value in claim.facts.items())
    report.line(f"    {facts}; " + "; ".join(map(_proof, claim.proofs)), "dim")


def _proof(proof: Proof) -> str:
    return f"{proof.what} {proof.key} ({proof.place})"


def _stamp(at: dt.datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"
