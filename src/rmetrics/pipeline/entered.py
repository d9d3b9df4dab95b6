"""Figures entered by command: one small export in the inbox for each, which the next sync reads.

Each file holds one key. Setting a figure again therefore replaces only its own file, and never delivers another figure
again, which a newer export may have corrected since.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.files import move_into_place, part_of, write_durably
from rmetrics.findings import count
from rmetrics.ingest.read import RefusedError, open_export
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.landing.land import file_digest
from rmetrics.pipeline.landing.placement import chosen
from rmetrics.pipeline.project import Project
from rmetrics.rules import Rules
from rmetrics.rules.feeds import Column, ColumnType, Feed
from rmetrics.rules.names import ENTERED

_AMOUNT = re.compile(r"\$?\s*([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(\.[0-9]{1,2})?")


_FIGURES = frozenset({ColumnType.MONEY, ColumnType.SHARE})


_SHARE = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(%?)")


@dataclass(frozen=True, slots=True)
class EnteredRow:
    """A row that was put into the inbox.

    Attributes:
        row: by column of the feed; amounts are exact.
        changed: whether the file was written; False if the row is already in force, or waiting in the file.
    """

    file: Path
    feed: str
    row: Mapping[str, str]
    changed: bool


def entered_file_name(feed: str, parts: list[str]) -> str:
    """Returns a file's name: the feed's, by which it is recognised, and the key's."""
    return " ".join([feed, "by hand", *(re.sub(r"[^\w.() -]", "_", p) for p in parts)]) + ".csv"


def as_figure(column: Column, name: str, text: str) -> str:
    """Returns an amount or a share as text for the file, exact."""
    if column.type is ColumnType.SHARE:
        return _share(name, text)
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"{name}: {text!r} is not an amount", "Use a form such as 6200 or 6,200.50, with at most two decimals."
        )
    value = Decimal(match[1].replace(",", "") + (match[2] or ""))
    if column.most is not None and value > column.most:
        raise SettingsError(f"{name}: {value:,} is more than {column.most:,}", "Check the amount.")
    return _written(value)


def _written(value: Decimal) -> str:
    """Formats an amount exactly, without superfluous decimals: 30, 6200.50, 0.31."""
    return format(value.quantize(Decimal("0.01")) if value % 1 else value.quantize(Decimal(1)), "f")


def _share(name: str, text: str) -> str:
    match = _SHARE.fullmatch(text.strip())
    value = None if match is None else Decimal(match[1]) / (100 if match[2] else 1)
    if value is None or value > 1 or value != round(value, 6):
        raise SettingsError(
            f"{name}: {text!r} is not a share", "Use a form such as 0.31 or 31%, with at most six decimals."
        )
    return format(value.normalize(), "f")


def _rows(project: Project, name: str, feed: Feed, month: dt.date) -> pl.DataFrame:
    """Returns the rows of a month in the lake as of the last sync."""
    computed = last_rows(project.lake, project.rules)
    if computed is None or name not in computed.rules.feeds:
        return pl.DataFrame()
    return computed.scan(name).filter(pl.col(feed.date) == pl.lit(month)).collect()


def figures_before(
    project: Project, name: str, feed: Feed, file: Path, month: dt.date, key: Mapping[str, str]
) -> dict[str, str]:
    """Returns the figures of a key: those waiting in our own file, over those that the last sync read.

    A row counts as a whole, so figures that are not set now must be written again.
    """
    found: dict[str, str] = {}
    for row in _rows(project, name, feed, month).iter_rows(named=True):
        if _has_key(row, feed, key):
            amounts = {c: row[c] for c in feed.columns if isinstance(row.get(c), Decimal)}
            shares = {c: format(v.normalize(), "f") for c, v in amounts.items()}
            found = {
                c: shares[c] if feed.columns[c].type is ColumnType.SHARE else _written(v) for c, v in amounts.items()
            }
    return {**found, **_waiting(project, file, feed)}


def _has_key(row: Mapping[str, object], feed: Feed, key: Mapping[str, str]) -> bool:
    """Tests whether a row has this key; its month is known to be equal, and parts missing from the key are blank."""
    return all(row[c] == (key.get(c) or feed.columns[c].default) for c in feed.key_columns if c != feed.date)


def _waiting(project: Project, file: Path, feed: Feed) -> dict[str, str]:
    """Returns the figures of our own file that no sync has read yet; empty if one has."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read", "Move it elsewhere: only rmetrics writes this file.") from error
    if file_digest(file) in {r.sha256 for r in project.lake.raw_files()}:
        return {}
    headers = {column.from_[0]: name for name, column in feed.columns.items() if column.from_}
    row = next(csv.DictReader(io.StringIO(text)), {})
    return {headers[h]: v for h, v in row.items() if h in headers and v}


def refuse_double_count(
    project: Project, name: str, feed: Feed, column: str, month: dt.date, row: Mapping[str, str]
) -> None:
    """Raises an error if an amount meant as the whole would be added to others of its month.

    Raises:
        SettingsError: the month has rows of another key.
    """
    rows = _rows(project, name, feed, month).iter_rows(named=True)
    others = [other[column] for other in rows if not _has_key(other, feed, row)]
    if others:
        amount = sum((v for v in others if v is not None), Decimal(0))
        other_rows = count(len(others), "other row")
        raise SettingsError(
            f"{month:%Y-%m} already has {other_rows} of {name} ({amount:,.2f}), and this amount would be added to it",
            "Name the campaign it replaces (--campaign), withdraw the other export (rmetrics exports withdraw), or "
            "pass --add.",
        )


def write_entered(
    project: Project, name: str, file: Path, row: Mapping[str, str], before: Mapping[str, str]
) -> EnteredRow:
    """Writes the row as an export, unless its figures are there already, after checking that the rules will read it.

    A column with the time makes it a new export each time: bytes that have landed before would not count as newer.

    Raises:
        SettingsError: there is no inbox, the file cannot be written, or the rules would not read it as this feed.
    """
    feed, folder = project.rules.feeds[name], project.inbox.folder
    project.inbox.refuse_bucket()
    if not folder.is_dir():
        raise SettingsError(f"the inbox {folder} does not exist", f"Create it: mkdir -p {folder}")
    names = [c for c in feed.columns if c in row]
    changed = any(before.get(c) != row[c] for c in names if feed.columns[c].type in _FIGURES)
    if changed:
        text = io.StringIO()
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        header = [*(feed.columns[c].from_[0] for c in names), ENTERED]
        csv.writer(text, lineterminator="\n").writerows([header, [*(row[c] for c in names), now]])
        part = part_of(file)  # hidden, so that a sync skips it
        try:
            write_durably(part, text.getvalue().encode())
            _refuse_misread(part, file.name, name, project.rules)
            move_into_place(part, file)
        except OSError as error:
            raise SettingsError(f"cannot write {file}: {error.strerror}", "Check its permissions.") from error
        finally:
            part.unlink(missing_ok=True)
    return EnteredRow(file, name, {c: row[c] for c in names}, changed)


def _refuse_misread(path: Path, file_name: str, name: str, rules: Rules) -> None:
    try:
        export = open_export(path, file_name, rules.feeds)
        fit, why = chosen(export.fits, export.layout.headers, rules.feeds, file_name, export.sample)
    except RefusedError as error:
        fit, why = None, str(error)
    if fit is None or fit.feed != name:
        reason = why or f"it would be read as {fit.feed if fit else 'nothing'}"
        raise SettingsError(
            f"the rules do not read {file_name} as {name}: {reason}", f"Check files and columns of [feeds.{name}]."
        )


def declared_feed(rules: Rules, name: str) -> Feed:
    """Returns a feed of the rules, which must declare it."""
    if name not in rules.feeds:
        raise SettingsError(f"the rules declare no feed {name}", f"Add [feeds.{name}]; see docs/rules.md.")
    return rules.feeds[name]
