"""An explanation as text, JSON and CSV."""

import io
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rmetrics.errors import SettingsError
from rmetrics.explain.asked import Query
from rmetrics.explain.explanation import DerivedFigure, Explained, Explanation, ListedRow, Part
from rmetrics.explain.gaps import Gap
from rmetrics.files import open_private
from rmetrics.findings import count
from rmetrics.output.csv_files import write_csv
from rmetrics.output.metrics import shown_value
from rmetrics.output.reporter import Report, plain, table

_NAMES = {"revenue_gross": "revenue (gross)", "revenue40": "revenue after payout"}
_VERDICTS = {
    "match": ("The numbers agree everywhere", "bold green"),
    "mismatch": ("The numbers do not agree", "bold red"),
    "problems": ("The numbers agree, but see the errors above", "bold yellow"),
    "unpublished": ("The rows and both engines agree; nothing is published to compare with", "bold yellow"),
}
_DETAILS = 3
_ROWS = "measures"
_NESTED = frozenset({"steps", "nearly", "split", "months"})  # without a single cell's value


def show_explanation(report: Report, found: Explanation, gaps: Sequence[Gap] = (), *, rows: bool = False) -> None:
    """Shows each measure with its rule, funnel, near misses and proof, then the verdict."""
    if report.as_json:
        document = explanation_json(found, gaps, rows=rows)
        measures = [{"metric": n, **m} for n, m in document["metrics"].items()]
        flat = [{"metric": m["metric"], **r} for m in measures for r in m["rows"]] if rows else measures
        flat = [{n: v for n, v in line.items() if n not in _NESTED} for line in flat]
        report.json({**document, _ROWS: flat} if report.as_rows else document, _ROWS)
        return
    if report.quiet:
        return
    report.line(_title(found), "bold")
    for metric in found.metrics.values():
        _metric(report, metric, published=found.run_id is not None, rows=rows)
    for made in found.ratios:
        _derived(report, found, made)
    if found.calls:
        steps = ", ".join(f"{s.rows:,} {s.step}" for s in found.calls)
        report.line("")
        report.line(f"Calls of {found.asked.source}: {steps}.")
    for gap in gaps:
        _gap(report, gap)
    report.line("")
    for problem in found.problems:
        report.line(f"error: {problem.message}", "bold red")
    for line in found.differing:
        report.line(f"differs: {line}", "red")
    words, style = _VERDICTS[found.conclusion]
    run = f" (PostgreSQL: run {found.run_id})" if found.run_id else ""
    report.line(f"{words}{run}; difference {found.difference.quantize(Decimal('0.01'))}.", style)


def _title(found: Explanation) -> str:
    return ", ".join(
        p
        for p in (
            found.asked.source if found.member is None else f"{found.member} ({found.dimension})",
            months_in_words(found.asked),
            found.asked.segment,
        )
        if p
    )


def months_in_words(asked: Query) -> str:
    """Returns the months or days of a question in words."""
    when = f"{asked.day:%A, %d %B %Y}" if asked.day else f"{asked.month:%B %Y}"
    if asked.day and asked.until:
        when = f"{asked.day:%d %B %Y} to {asked.until:%d %B %Y}"
    elif asked.several:
        when = f"{when} to {asked.last:%B %Y}"
    return when


def figure(scale: int, value: Decimal) -> str:
    """Formats a value with its decimals: whole counts, money with cents, revenue after payout with all it needs."""
    if scale == 6:
        exact = value.quantize(Decimal("0.000001")).normalize()
        return f"{value:,.2f}" if -int(exact.as_tuple().exponent) <= 2 else f"{exact:,f}"
    return f"{value:,.{scale}f}"


def share(value: Decimal | None) -> str:
    """Formats a share of a whole as a percentage."""
    return "" if value is None else f"{value * 100:,.1f} %"


def _metric(report: Report, metric: Explained, *, published: bool, rows: bool) -> None:
    report.line("")
    report.parts(
        (f"{_NAMES.get(metric.name, metric.name)}  ", "bold cyan"), (figure(metric.scale, metric.value), "bold")
    )
    if metric.share is not None and metric.whole is not None:
        report.line(f"  {share(metric.share)} of {figure(metric.scale, metric.whole)} in total")
    if metric.months:
        report.line(
            "  by month: " + ", ".join(f"{m.month:%Y-%m} {figure(metric.scale, m.value)}" for m in metric.months)
        )
    if not metric.parts:
        report.line(f"  {metric.rule} ({metric.where})")
    for part in metric.parts:
        _part(report, metric.scale, part, several=len(metric.parts) > 1, rows=rows)
    figures = [("the rows listed", metric.listed), ("computed", metric.value), ("second engine", metric.recomputed)]
    if published:
        figures.append(("PostgreSQL", metric.published or Decimal(0)))
    proof = " = ".join(f"{figure(metric.scale, v)} ({n})" for n, v in figures)
    worst = max(metric.differences, default=Decimal(0))
    if metric.months and not worst:
        proof += ", in each month"
    if worst:
        proof = ", ".join(f"{n} {figure(metric.scale, v)}" for n, v in figures)
        report.line(f"  NOT PROVED: {proof}: difference {figure(metric.scale, worst)}", "bold red")
    else:
        report.line(f"  proof: {proof}, difference {figure(metric.scale, worst)}", "green")


def _derived(report: Report, found: Explanation, made: DerivedFigure) -> None:
    """Shows a figure that is computed from the explained measures."""
    report.line("")
    report.parts((f"{made.figure.name}  ", "bold cyan"), (shown_value(made.value, made.figure.kind), "bold"))
    sign = " - " if made.figure.additive else " / "
    report.line(
        "  " + sign.join(f"{p} {figure(found.metrics[p].scale, found.metrics[p].value)}" for p in made.figure.parts)
    )


def _part(report: Report, scale: int, part: Part, *, several: bool, rows: bool) -> None:
    since = f", since {part.since}" if part.since else ""
    value = f"{figure(scale, part.value)}: " if several else ""
    report.line(f"  {value}{part.rule} ({part.where}{since})")
    shown = [s for s in part.steps if s.rows or s is part.steps[-1]]
    if part.feed:
        steps = [f"{s.rows:,} {s.step}" for s in shown]
        report.line(f"  rows of {part.feed}: {steps[0]}, minus {', '.join(steps[1:-1])}: {steps[-1]}" if steps[1:-1]
                    else f"  rows of {part.feed}: {', '.join(steps)}")  # fmt: skip
    for group in part.nearly:
        worth = f" ({group.amount:,.2f})" if group.amount else ""
        report.line(f"    nearly counted: {group.rows:,}{worth}: {group.reason}", "yellow")
    if part.split is not None:
        _split(report, part)
    if rows and part.rows:
        _rows(report, scale, part.rows)


def _split(report: Report, part: Part) -> None:
    split = part.split
    if split is None:
        return
    more = "" if split.per_day is None else f", {split.per_day:,.2f} a day"
    more += f", one cent more on the first {split.extra}" if split.extra else ""
    segments = ", ".join(f"{s} {v:,.2f}" for s, v in split.segments.items())
    spread = f"{split.total:,.2f} over {count(split.days, 'day')}{more}"
    message = f"    spread: {spread}; by leads: {segments}"
    report.line(message)


def _rows(report: Report, scale: int, rows: Sequence[ListedRow]) -> None:
    grid = table("", "row", "day", "segment", "amount", "file", "line", "")
    for row in rows:
        detail = ", ".join(str(plain(v)) for v in list(row.detail.values())[:_DETAILS])
        amount, line = figure(scale, row.amount), str(row.line or "")
        grid.add_row(row.key, str(row.date), row.segment, amount, row.file or "", line, detail)
    report.table(grid)


def _gap(report: Report, gap: Gap) -> None:
    report.line("")
    report.line(f"{gap.metric}: {gap.title}", "bold")
    for reason in gap.reasons:
        mark = "->" if reason.exact else "  "
        report.line(f"  {mark} {reason.text}", "green" if reason.exact else "")
        if reason.keys:
            shown = ", ".join(reason.keys[:12]) + (
                f" and {len(reason.keys) - 12} more" if len(reason.keys) > 12 else ""
            )
            report.line(f"       {shown}", "dim")
    if not gap.reasons and gap.gap:
        report.line("  Nothing in the exports explains the difference: check the origin of the other number.", "yellow")


# -- JSON


def explanation_json(found: Explanation, gaps: Sequence[Gap] = (), *, rows: bool) -> dict[str, Any]:
    """Returns the document of ``explain --json``."""
    published = {n: value(m.scale, m.published) for n, m in found.metrics.items()} if found.run_id else None
    document: dict[str, Any] = {
        "source": found.asked.source,
        "month": None if found.asked.several or found.asked.until else f"{found.asked.month:%Y-%m}",
        "from": found.asked.day if found.asked.until else f"{found.asked.month:%Y-%m}",
        "to": found.asked.until or f"{found.asked.last or found.asked.month:%Y-%m}",
        "segment": found.asked.segment,
        "day": None if found.asked.until else found.asked.day,
        "metrics": {n: _metric_json(m, rows=rows) for n, m in found.metrics.items()},
        "published": published,
        "cross_check": {n: value(m.scale, m.recomputed) for n, m in found.metrics.items()},
        "difference": format(_two_places(found.difference), "f"),
        "verdict": found.verdict,
        "differing": found.differing,
        "problems": found.problems,
        "run_id": found.run_id,
        "calls": found.calls,
    }
    if found.member is not None:
        document |= {"dimension": found.dimension, "member": found.member}
    if found.ratios:
        document["ratios"] = {m.figure.name: {"parts": m.figure.parts, "value": m.value} for m in found.ratios}
    if gaps:
        document["gaps"] = gaps
    return document


def value(scale: int, amount: Decimal | None) -> int | str | None:
    """Returns a measure's value for JSON: counts as numbers, money as text."""
    if amount is None:
        return None
    return int(amount) if scale == 0 else f"{amount:.{scale}f}"


def _two_places(amount: Decimal) -> Decimal:
    """Returns the amount with two decimals, or with more if it has more."""
    return amount.quantize(Decimal("0.01")) if amount == amount.quantize(Decimal("0.01")) else amount.normalize()


def _metric_json(m: Explained, *, rows: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "value": value(m.scale, m.value),
        "rule": m.rule,
        "where_declared": m.where,
        "since": m.parts[0].since if m.parts else None,
        "steps": [
            {"step": s.step if len(m.parts) == 1 else f"{s.step} (part {i})", "rows": s.rows}
            for i, p in enumerate(m.parts, 1)
            for s in p.steps
        ],
        "nearly": [
            {"reason": n.reason, "rows": n.rows, "amount": n.amount, "keys": n.keys} for p in m.parts for n in p.nearly
        ],
        "split": [p.split for p in m.parts if p.split],
        "sum_of_rows": value(m.scale, m.listed),
        "recomputed": value(m.scale, m.recomputed),
        "published": value(m.scale, m.published),
        "difference": format(_two_places(max(m.differences, default=Decimal(0))), "f"),
    }
    if m.whole is not None:
        document |= {"whole": value(m.scale, m.whole), "share": m.share}
    if m.months:
        document["months"] = [
            {
                "month": f"{of.month:%Y-%m}",
                "value": value(m.scale, of.value), "sum_of_rows": value(m.scale, of.listed),
                "recomputed": value(m.scale, of.recomputed), "published": value(m.scale, of.published),
            }
            for of in m.months
        ]  # fmt: skip
    if rows:
        document["rows"] = [
            {
                "key": r.key, "file": r.file, "line": r.line, "date": r.date, "segment": r.segment,
                "amount": value(m.scale, r.amount), "detail": r.detail,
            }
            for p in m.parts
            for r in p.rows
        ]  # fmt: skip
    return document


# -- CSV


def write_rows(found: Explanation, path: Path) -> int:
    """Writes the rows behind every measure to a CSV that is safe to open in a spreadsheet, and returns their number.

    Raises:
        SettingsError: the file cannot be written.
    """
    listed = [(m.name, m.scale, p.feed, r) for m in found.metrics.values() for p in m.parts for r in p.rows]
    details = list(dict.fromkeys(n for *_, r in listed for n in r.detail))
    header = ["metric", "feed", "key", "date", "segment", "amount", "file", "line", *details]
    try:
        with open_private(path) as opened, io.TextIOWrapper(opened, encoding="utf-8-sig", newline="") as file:
            return write_csv(file, header, _lines(listed, details))
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}", "Name a file in a folder that exists.") from error


def _lines(listed: Sequence[tuple[str, int, str | None, ListedRow]], details: Sequence[str]) -> Iterator[list[object]]:
    for name, scale, feed, row in listed:
        amount: object = int(row.amount) if scale == 0 else row.amount
        cells: Mapping[str, object] = row.detail
        yield [name, feed, row.key, row.date, row.segment, amount, row.file, row.line, *(cells.get(d) for d in details)]
