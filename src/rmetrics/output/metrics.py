"""Measures by period as a table, JSON, CSV, Markdown or Parquet. Each figure has the command that explains it."""

import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.files import replace_private
from rmetrics.findings import count
from rmetrics.metrics.by_period import Coverage
from rmetrics.metrics.figures import FigureKind
from rmetrics.output.grid import Cell, Grid, GridColumn
from rmetrics.output.reporter import Report
from rmetrics.usecases.metrics import Metrics, MetricsRow

_PLACES = {
    FigureKind.COUNT: 0,
    FigureKind.MONEY: 2,
    FigureKind.EXACT: 6,
    FigureKind.RATIO: 6,
    FigureKind.NUMBER_RATIO: 6,
    FigureKind.MONEY_RATIO: 6,
}
_SHOWN = {
    FigureKind.COUNT: 0,
    FigureKind.MONEY: 2,
    FigureKind.EXACT: 2,
    FigureKind.RATIO: 1,
    FigureKind.NUMBER_RATIO: 2,
    FigureKind.MONEY_RATIO: 2,
}
_NUMBER = pl.Decimal(38, 6)
_SCHEMA: dict[str, Any] = {
    "period": pl.String, "from": pl.Date, "to": pl.Date, "through": pl.Date, "state": pl.String,
    "source": pl.String, "segment": pl.String, "dimension": pl.String, "member": pl.String, "measure": pl.String,
    "compared_from": pl.Date, "compared_to": pl.Date, "compared": _NUMBER, "change": _NUMBER,
    "change_ratio": _NUMBER, "explain": pl.String, "value": _NUMBER,
}  # fmt: skip
_COMPARED = frozenset({"compared_from", "compared_to", "compared", "change", "change_ratio"})


def show_metrics(report: Report, found: Metrics) -> None:
    """Shows one row per period, member and measure; ``value`` is the last column."""
    for problem in found.problems:
        report.message(f"warning: {problem.message}", "yellow")
    if report.as_json:
        document = {
            "by": found.asked.parted_by,
            "compare": found.asked.compare,
            "data_from": found.data.first,
            "data_to": found.data.last,
            "currency": found.currency,
            "rows": [_record(found, row, text=True) for row in found.rows],
        }
        report.json(document, "rows", _columns(found))
        return
    if report.quiet:
        return
    report.table(_grid(found))
    if found.asked.aged:
        report.line(f"Ages count back from the data's last day, {found.data.last}.", "dim")
    if any(row.state is not Coverage.WHOLE for row in found.rows):
        message = (
            "* begun: the data end within it; part: some days are not in the data or not requested; ahead: planned"
        )
        report.line(f"{message}. Data up to {found.data.last}.", "dim")
    if found.asked.compare is not None:
        report.line("An incomplete period is compared with the same number of days of the other one.", "dim")


def _columns(found: Metrics) -> list[str]:
    return [c for c in _SCHEMA if found.asked.compare is not None or c not in _COMPARED]


def _record(found: Metrics, row: MetricsRow, *, text: bool) -> dict[str, Any]:
    """Returns a row by column; with ``text``, numbers as in JSON (counts as numbers, others as text), else decimals."""

    def number(value: Decimal | None, kind: FigureKind) -> int | str | Decimal | None:
        return plain_number(value, kind) if text else value

    values: dict[str, Any] = {
        "period": row.period,
        "from": row.span.first,
        "to": row.span.last,
        "through": row.through if row.through >= row.span.first else None,
        "state": row.state.value,
        "source": row.source,
        "segment": row.segment,
        "dimension": row.dimension,
        "member": row.member,
        "measure": row.measure,
    }
    if (compared := row.compared) is not None:
        values |= {
            "compared_from": compared.span and compared.span.first,
            "compared_to": compared.span and compared.span.last,
            "compared": number(compared.value, row.kind),
            "change": number(compared.change, row.kind),
            "change_ratio": number(compared.change_ratio, FigureKind.RATIO),
        }
    values |= {"explain": row.explain, "value": number(row.value, row.kind)}
    return {name: values[name] for name in _columns(found)}


def plain_number(value: Decimal | None, kind: FigureKind) -> int | str | None:
    """Returns a value for JSON: counts as numbers, money and shares as text with the decimals of their kind."""
    if value is None:
        return None
    return int(value) if kind is FigureKind.COUNT else f"{value:.{_PLACES[kind]}f}"


# -- the table


def _grid(found: Metrics) -> Grid:
    members, compared = found.asked.dimension, found.asked.compare
    columns = [
        GridColumn("period", unwrapped=True),
        *([GridColumn(members, unwrapped=True)] if members else []),
        GridColumn("measure"),
    ]
    if compared is not None:
        name = "previous year" if compared.value == "year" else "previous period"
        columns += [GridColumn(name, right=True, unwrapped=True), GridColumn("change", right=True, unwrapped=True)]
        columns += [GridColumn("%", right=True, unwrapped=True)]
    columns += [GridColumn("explained by"), GridColumn("value", right=True, unwrapped=True)]
    grid = Grid(_title(found), columns)
    before = None
    for row in found.rows:
        if before not in {None, row.period}:
            grid.add_section()
        before = row.period
        cells = [row.period + (f"* {row.state.value}" if row.state is not Coverage.WHOLE else "")]
        cells += [row.member] if members else []
        cells += [row.measure]
        if row.compared is not None:
            cells += [shown_value(row.compared.value, row.kind), _change(row.compared.change, row.kind, points=True)]
            cells += [_change(row.compared.change_ratio, FigureKind.RATIO)]
        grid.add_row(*cells, Cell(row.explain, "dim"), Cell(shown_value(row.value, row.kind), "bold"))
    return grid


def _title(found: Metrics) -> str:
    whose = [] if not found.rows else [n for n in (found.rows[0].source, found.rows[0].segment) if n != "ALL"]
    return f"{', '.join(whose) or 'All sources'}, by {found.asked.parted_by}; money in {found.currency}"


def shown_value(value: Decimal | None, kind: FigureKind) -> str:
    """Formats a figure: whole counts, money with cents, ratios in percent."""
    if value is None:
        return "-"
    return f"{value * 100:,.1f} %" if kind is FigureKind.RATIO else f"{value:,.{_SHOWN[kind]}f}"


def _change(value: Decimal | None, kind: FigureKind, *, points: bool = False) -> str:
    text = shown_value(value, kind)
    text = text.removesuffix("%") + "points" if points and text.endswith("%") else text
    return f"+{text}" if value is not None and value > 0 else text


# -- Parquet


def write_parquet(found: Metrics, path: Path) -> int:
    """Writes the rows to a Parquet file, atomically and as exact decimals, and returns their number.

    Raises:
        SettingsError: the file cannot be written.
    """
    try:
        replace_private(path, parquet_bytes(found))
    except OSError as error:
        raise SettingsError(
            f"cannot write {path}: {error.strerror or error}", "Name a file in a folder that exists."
        ) from error
    return len(found.rows)


def parquet_bytes(found: Metrics) -> bytes:
    """Returns the rows as the bytes of a Parquet file."""
    columns, into = _columns(found), io.BytesIO()
    records: Sequence[dict[str, Any]] = [_record(found, row, text=False) for row in found.rows]
    pl.DataFrame(records, schema={c: _SCHEMA[c] for c in columns}).write_parquet(into, compression="zstd")
    return into.getvalue()


def report_written(report: Report, rows: int, path: Path) -> None:
    """Reports the number of rows written and the file."""
    report.line(f"{count(rows, 'row')} in {path}")


__all__ = ["parquet_bytes", "plain_number", "report_written", "show_metrics", "shown_value", "write_parquet"]
