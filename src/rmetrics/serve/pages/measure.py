"""The section of ``/explain`` for one measure: proof, rules, steps, near misses and rows."""

from collections.abc import Sequence
from html import escape

from rmetrics.explain.explanation import Explained, ListedRow, Part
from rmetrics.findings import count
from rmetrics.html_report import cells
from rmetrics.output.explain import figure
from rmetrics.output.reporter import plain
from rmetrics.serve.frame import PageRequest, place

_MAX_ROWS = 500


def measure(asked: PageRequest, found: Explained, *, published: bool) -> str:
    """Renders the proof, then the result of each part of the rule."""
    parts = "".join(_part(asked, found, p, several=len(found.parts) > 1) for p in found.parts)
    if not found.parts:
        parts = f'<p class="rule">{escape(found.rule)} {place(found.where)}</p>'
    return f"{_proof(found, published=published)}{parts}"


def _proof(found: Explained, *, published: bool) -> str:
    figures = [("sum of the rows", found.listed), ("first engine (Polars)", found.value),
               ("second engine (DuckDB)", found.recomputed)]  # fmt: skip
    if published:
        figures.append(("PostgreSQL", found.published if found.published is not None else found.value * 0))
    made = "".join(
        f'<li class="{"same" if value == found.value else "differs"}"><b>{escape(figure(found.scale, value))} '
        f"{'✓' if value == found.value else '✗'}</b><span>{escape(who)}</span></li>"
        for who, value in figures
    )
    return f'<ul class="proof" aria-label="Proof">{made}</ul>'


def _part(asked: PageRequest, found: Explained, part: Part, *, several: bool) -> str:
    since = f", since {part.since}" if part.since else ""
    value = f"<b>{escape(figure(found.scale, part.value))}</b>: " if several else ""
    rule = f'<p class="rule">{value}{escape(part.rule)}{since} {place(part.where)}</p>'
    inside = f"{rule}{_steps(part)}{_near(asked, part)}{_split(part)}{_rows(asked, found, part)}"
    return f'<div class="card wide">{inside}</div>'


def _steps(part: Part) -> str:
    if part.feed is None:
        return ""
    shown = [s for s in part.steps if s.rows or s is part.steps[-1] or s is part.steps[0]]
    lines = "".join(
        f"<li{' class=last' if s is shown[-1] else ''}><span>{'' if s in (shown[0], shown[-1]) else 'less '}"
        f"{escape(s.step)}</span><b>{s.rows:,}</b></li>"
        for s in shown
    )
    return f'<h3>Rows of {escape(part.feed)}</h3><ol class="steps">{lines}</ol>'


def _near(asked: PageRequest, part: Part) -> str:
    if not part.nearly:
        return ""
    lines = []
    for group in part.nearly:
        worth = f" ({group.amount:,.2f})" if group.amount else ""
        keys = f": {', '.join(group.keys[:12])}" if asked.rows and group.keys else ""
        lines.append(f"<li>{group.rows:,}{worth}: {escape(group.reason)}{escape(keys)}</li>")
    return f'<h3>Nearly counted</h3><ul class="near">{"".join(lines)}</ul>'


def _split(part: Part) -> str:
    split = part.split
    if split is None:
        return ""
    more = f", one cent more on the first {split.extra}" if split.extra else ""
    segments = ", ".join(f"{s} {v:,.2f}" for s, v in split.segments.items())
    return escape_p(
        f"Spread: {split.total:,.2f} over {count(split.days, 'day')}, {split.per_day:,.2f} a day{more}; "
        f"by leads: {segments}."
    )


def escape_p(text: str) -> str:
    """Renders text as a paragraph, escaped."""
    return f"<p>{escape(text)}</p>"


def _rows(asked: PageRequest, found: Explained, part: Part) -> str:
    many = len(part.rows)
    if not many:
        return ""
    if not asked.rows:
        return escape_p(f"{count(many, 'row')} behind this figure. To list them here, run: rmetrics serve --rows")
    head, details = ["Row", "Day", "Segment", "Amount", "File", "Line"], _details(part.rows[:_MAX_ROWS])
    rows = [
        [
            cells.cell(row.key, text=True),
            cells.cell(str(row.date)),
            cells.cell(row.segment),
            cells.cell(figure(found.scale, row.amount), value=cells.plain(row.amount)),
            cells.cell(row.file or cells.DASH),
            cells.cell(str(row.line or cells.DASH)),
            *(cells.cell(str(plain(row.detail.get(n, "")))) for n in details),
        ]
        for row in part.rows[:_MAX_ROWS]
    ]
    rest = many - len(rows)
    more = (
        escape_p(f"{count(rest, 'row')} more. To write all to a file: rmetrics explain --csv FILE") if rest > 0 else ""
    )
    return (
        f"<details><summary>{count(many, 'row')}</summary>{cells.table([*head, *details], rows, f'rows-{found.name}')}"
        f"{more}</details>"
    )


def _details(rows: Sequence[ListedRow]) -> list[str]:
    return list(dict.fromkeys(n for row in rows for n in row.detail))
