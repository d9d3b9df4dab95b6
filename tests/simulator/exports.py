"""How rows become export files: layouts of each kind of export, and the forms that programs and people save them in.

A ``Layout`` lists headers and, for each, the feed's column it feeds (None: nobody reads it) and what its cells hold.
A ``Form`` is the file around the cells: encoding, separator, line ends, how dates are written, or a workbook. ``written``
turns rows into bytes; the truth never sees those, only the typed values that went in.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from openpyxl import Workbook

from simulator.truth import Delivery, Row

ZONE = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Form:
    """What is around the cells.

    Attributes:
        dates: ``crm`` as the program writes them, ``excel`` as Excel re-saves them, ``iso``, ``short`` 7/1/2026 9:05.
        money: ``plain`` 1234.50, ``dollars`` $1,234.50, ``brackets`` (12.00) for negative amounts, ``odd``: each refund
            in another of ``_REFUNDS``.
        ids: ``plain``, or in the armour of a spreadsheet: a key of ``_ARMOUR``.
    """

    name: str
    encoding: str = "utf-8"
    delimiter: str = ","
    newline: str = "\n"
    dates: str = "crm"
    money: str = "plain"
    ids: str = "plain"
    workbook: bool = False

    @property
    def suffix(self) -> str:
        """Of a file's name."""
        return ".xlsx" if self.workbook else ".csv"


PLAIN = Form("as exported")
FORMS = (
    PLAIN,
    Form("CRLF", newline="\r\n"),
    Form("BOM", encoding="utf-8-sig"),
    Form("semicolons", delimiter=";", newline="\r\n", encoding="utf-8-sig"),
    Form("UTF-16 with tabs", encoding="utf-16", delimiter="\t", newline="\r\n"),
    Form("dates of Excel", dates="excel", newline="\r\n", encoding="utf-8-sig"),
    Form("ISO dates", dates="iso"),
    Form("dollars", money="dollars"),
    Form("brackets", money="brackets", newline="\r\n"),
    Form("workbook", workbook=True),
    Form("short dates", dates="short", newline="\r\n", encoding="utf-8-sig"),
    Form("odd refunds", money="odd"),
    Form("ids as formulas", ids="formula", dates="short", newline="\r\n"),
    Form("ids as bare formulas", ids="bare formula"),
    Form("ids as numbers", ids="number", dates="excel"),
    Form("ids behind tabs", ids="tab", money="odd"),
    Form("ids behind apostrophes", ids="apostrophe", dates="short", money="odd"),
)
TEXT_FORMS = tuple(f for f in FORMS if not f.workbook)
_REFUNDS = ("-{}", "'-{}", "$({})", "\u2212{}", "{}-", "-${}", "({})", "$-{}")
_ARMOUR = {
    "formula": '="{}"', "bare formula": '="{}"', "number": "{}.0", "tab": "\t{}", "apostrophe": "'{}",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A column of a layout: header, the feed's column or None, and what it holds."""

    header: str
    column: str | None
    holds: str = "text"


@dataclass(frozen=True)
class Layout:
    """A kind of file: its feed, its cells, and lines above and below the table.

    Attributes:
        totals: the first cells of lines that sum up, without sums.
        below: the first cell of one more line with the sum of each amount; ``#`` is the number of rows.
    """

    feed: str
    cells: tuple[Cell, ...]
    above: tuple[str, ...] = ()
    totals: tuple[str, ...] = ()
    below: str = ""
    decimal: str = "."

    @property
    def columns(self) -> tuple[str, ...]:
        """The feed's columns that the file has."""
        return tuple(c.column for c in self.cells if c.column)


def _cells(*parts: str) -> tuple[Cell, ...]:
    """From ``Header=column:holds``."""
    made = []
    for part in parts:
        header, _, rest = part.partition("=")
        column, _, holds = rest.partition(":")
        made.append(Cell(header, column or None, holds or "text"))
    return tuple(made)


JOBS = Layout(
    "jobs",
    _cells(
        "Job #=job_id:id", "UUID=job_uuid:id", "Job Type=type", "Source=source_raw", "Status=status", "Created=created_at:day",
        "Job Date=job_date:day", "Total=total:money", "City=city", "Tags=",
    ),
)  # fmt: skip
SHORT_JOBS = Layout("jobs", _cells("Job #=job_id:id", "Status=status", "Job Type=type", "Created=created_at:day"))
PAYMENTS = Layout(
    "payments",
    _cells(
        "Date=paid_at:moment", "Amount=amount:money", "Method=method", "Job #=job_ref:id", "Customer=", "Status=status",
        "Transaction ID=payment_id:id",
    ),
)  # fmt: skip
BARE_PAYMENTS = Layout(
    "payments",
    _cells("Job #=job_ref:id", "Client=", "Status=status", "Payment Methods=method", "Amount Paid=amount:money",
           "Date=paid_at:moment"),
)  # fmt: skip
PAYMENTS_WITH_CURRENCY = Layout("payments", (*PAYMENTS.cells, Cell("Currency", None, "currency")))
BARE_PAYMENTS_WITH_CURRENCY = Layout("payments", (*BARE_PAYMENTS.cells, Cell("Currency", None, "currency")))
ELOCALS = Layout(
    "elocals_leads", _cells("Unique ID=lead_id:id", "Time=lead_at:offset", "Cost=cost:money", "Status=status")
)
PROREF = Layout(
    "proref_leads", _cells("Lead ID=lead_id:id", "Lead Date=lead_at:stamp", "Current Status=current_status", "Note=")
)
SHEET = Layout("google_spend", _cells("Month=month:month", "Spend=spend:money"))
SHEET_BY_CAMPAIGN = Layout("google_spend", _cells("Month=month:month", "Campaign=campaign", "Spend=spend:money"))
ADS = Layout(
    "google_spend",
    _cells("Day=day:isoday", "Campaign=campaign", "Currency code=:currency", "Cost=spend:money", "Impr.="),
    above=("Campaign report", "All time"),
    totals=("Total: Account", "Total: Campaigns"),
)
TARGETS = Layout(
    "targets",
    _cells("Month=month:month", "Source=source", "Segment=segment", "Target Repairs=target_repairs:money",
           "Target Revenue40=target_revenue40:money"),
)  # fmt: skip
FIXLY = Layout(
    "fixly_leads",
    _cells(
        "Booking Ref=ref:id", "Requested On=asked_at:german", "Contact Name=", "Booking Fee=fee:money", "State=state"
    ),
    decimal=",",
)


def delivery(layout: Layout, rows: Sequence[Row], *, rejected: int = 0) -> Delivery:
    """What the truth is given of a file: the columns that the layout has, and nothing else of each row."""
    columns = layout.columns
    if layout is ADS:  # the month of a report by day is that of the day
        columns = (*columns, "month")
    if layout is SHEET:  # a sheet without campaigns is about all of them
        rows, columns = [{**r, "campaign": "(all)"} for r in rows], (*columns, "campaign")
    kept = tuple({c: row.get(c) for c in columns} for row in rows)
    return Delivery(layout.feed, columns, kept, rejected, len(layout.totals) + bool(layout.below))


def written(layout: Layout, form: Form, rows: Sequence[Row], faulty: Sequence[Row] = ()) -> bytes:
    """The bytes of an export. ``faulty`` rows, which have an amount that does not count, are mixed in."""
    table: list[list[Any]] = [[c.header for c in layout.cells]]
    every = [*rows[: len(rows) // 2], *faulty, *rows[len(rows) // 2 :]]
    table += [[_cell(c, row, form, layout) for c in layout.cells] for row in every]
    table += [[first, *["--"] * (len(layout.cells) - 1)] for first in layout.totals]
    if layout.below:
        table.append(_sums(layout, form, every))
    if form.workbook:
        return _workbook([[line] for line in layout.above] + table)
    out = io.StringIO(newline="")
    for line in layout.above:
        out.write(f'"{line}"' + form.newline)
    csv.writer(out, delimiter=form.delimiter, lineterminator=form.newline).writerows(table)
    text = out.getvalue()
    if form.ids == "bare formula":  # as programs write it that quote nothing
        text = re.sub(r'"=""([^"]*)"""', r'="\1"', text)
    return text.encode(form.encoding)


def _sums(layout: Layout, form: Form, rows: Sequence[Row]) -> list[Any]:
    """A line that sums up: a label or the number of rows, and the sum of each column of money."""

    def total(cell: Cell) -> Any:
        values = [r.get(cell.column) for r in rows] if cell.column and cell.holds == "money" else []
        return _money(sum(v for v in values if isinstance(v, int)), form, layout.decimal) if values else ""

    money = [total(cell) for cell in layout.cells]
    return [len(rows) if layout.below == "#" else layout.below, *money[1:]]


def _workbook(table: Sequence[Sequence[Any]]) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in table:
        sheet.append([None if cell == "" else cell for cell in row])
    book.properties.created = book.properties.modified = dt.datetime(2025, 1, 1)  # noqa: DTZ001 - the same bytes again
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _cell(cell: Cell, row: Row, form: Form, layout: Layout) -> Any:
    if cell.holds == "currency":
        return row.get("currency", "USD")
    value = row.get(cell.column) if cell.column else _UNREAD.get(cell.header, "")
    if value is None:
        return ""
    if form.workbook and isinstance(value, str) and value.isdecimal() and not value.startswith("0"):
        return int(value)  # Excel makes numbers of ids
    if cell.holds == "id" and not form.workbook:
        armoured = form.ids != "plain" and (form.ids != "number" or value.isdecimal())
        return _ARMOUR[form.ids].format(value) if armoured else value
    if cell.holds == "text" or isinstance(value, str):
        return value
    if cell.holds == "money":
        return _money(value, form, layout.decimal)
    if form.workbook and cell.holds in {"day", "month", "isoday"}:
        return dt.datetime.combine(value, dt.time())
    return _DATES[cell.holds](value, form)


_UNREAD = {"Tags": "x, y", "Impr.": "1,500", "Client": "Ann Oakley"}


def _money(cents: int, form: Form, decimal: str) -> Any:
    size, sign = abs(cents), "-" if cents < 0 else ""
    if form.workbook and decimal == ".":
        return cents / 100 if cents % 100 else cents // 100
    if decimal == ",":
        return f"{sign}{size // 100},{size % 100:02}"
    if form.money == "odd" and cents < 0:
        return _REFUNDS[size // 100 % len(_REFUNDS)].format(f"{size // 100}.{size % 100:02}")
    if form.money == "dollars":
        return f"{sign}${size // 100:,}.{size % 100:02}"
    if form.money == "brackets" and cents < 0:
        return f"({size // 100}.{size % 100:02})"
    return f"{sign}{size // 100}.{size % 100:02}" if size % 10 else f"{sign}{size / 100:.12g}"


def _short(day: dt.date) -> str:
    return f"{day.month}/{day.day}/{day.year}"


def _day(day: dt.date, form: Form) -> str:
    styles = {"crm": f"{day:%a %b %d %Y}", "excel": f"{day:%m/%d/%Y}", "short": _short(day), "iso": day.isoformat()}
    return styles[form.dates]


def _month(month: dt.date, form: Form) -> str:
    styles = {"crm": f"{month:%Y-%m}", "excel": f"{month:%b-%y}", "short": _short(month), "iso": month.isoformat()}
    return styles[form.dates]


def _moment(moment: dt.datetime, form: Form) -> str:
    """A payment's: in UTC as older exports write it, or local as newer ones do."""
    if form.dates == "iso":
        return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    local = moment.astimezone(ZONE)
    if form.dates == "short":
        return f"{_short(local)} {local.hour}:{local.minute:02}"
    return f"{local:%m/%d/%Y %I:%M %p}" if form.dates == "excel" else f"{local:%b} {local.day}, {local:%Y, %I:%M %p}"


def _stamp(moment: dt.datetime, form: Form) -> str:
    local = moment.astimezone(ZONE)
    if form.dates == "short":
        return f"{_short(local)} {local.hour}:{local.minute:02}"
    return f"{local:%Y-%m-%d %H:%M:%S}" if form.dates == "iso" else f"{local:%m/%d/%Y %I:%M %p}"


_DATES: dict[str, Callable[[Any, Form], str]] = {
    "day": _day,
    "isoday": lambda day, _: day.isoformat(),
    "month": _month,
    "moment": _moment,
    "stamp": _stamp,
    "offset": lambda moment, _: f"{moment:%Y-%m-%d %H:%M:%S %z}",
    "german": lambda moment, _: f"{moment.astimezone(ZONE):%d.%m.%Y %H:%M}",
}
