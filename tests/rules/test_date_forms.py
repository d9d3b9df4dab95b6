"""Forms of dates: what is refused and what is read, against Python's own calendar."""

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmetrics.ingest.timestamps import ParseContext, read_timestamps
from rmetrics.ingest.undated import date_reason
from rmetrics.rules.date_forms import SPECIFIERS, form_problem
from rmetrics.rules.feeds import Column, ColumnType
from support import ROOT

READING = ParseContext("America/New_York", dt.date(2026, 11, 1))


def stamps(form: str, *cells: str) -> list[object]:
    column = Column.model_validate({"type": "timestamp", "from": ["x"], "formats": [form]})
    return read_timestamps(pl.Series("x", cells), column, READING).to_list()


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("%Q", "which is unknown"),
        ("%c", "%a %b %d %H:%M:%S %Y"),
        ("%m/%d/%Y %H:%M %p", "%I:%M %p"),
        ("%m/%d/%Y %I:%M", "%H:%M"),
        ("%m/%d/%Y %Y", "are equivalent"),
        ("%m/%d", "no year"),
        ("%H:%M", "without a date"),
        ("%Y-%m", "no day"),
        ("%Y-%m-%d %", "single %"),
        ("%Y-%m-%d %M", "minutes without an hour"),
        ("yyyy-mm-dd", "not a date format"),
        ("%Y%e%m", "end of the first is ambiguous"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_with_what_works(form: str, told: str) -> None:
    assert told in (form_problem(form, ColumnType.TIMESTAMP) or "")


@pytest.mark.parametrize(
    ("form", "cell", "expected"),
    [
        ("%Y-%m-%d %H:%M:%S %Z", "2026-08-01 02:30:00 UTC", utc(2026, 8, 1, 2, 30)),
        ("%m/%d/%Y %I:%M %p %Z", "08/01/2026 2:30 PM PDT", utc(2026, 8, 1, 21, 30)),
        ("%m/%d/%Y %l:%M %p", "8/1/2026 2:30 PM", utc(2026, 8, 1, 18, 30)),
        ("%m/%d/%Y %k:%M", "8/1/2026 9:05", utc(2026, 8, 1, 13, 5)),
        ("%m/%d/%Y %r", "8/1/2026 02:30:15 PM", utc(2026, 8, 1, 18, 30, 15)),
        ("us", "7/1/2026 9:05", utc(2026, 7, 1, 13, 5)),
        ("us", "7/31/2026, 11:30:00 PM", utc(2026, 8, 1, 3, 30)),
        ("us", "7/31/26 11:30\u202fPM", utc(2026, 8, 1, 3, 30)),
        ("us", "Jul 1, 2026", utc(2026, 7, 1, 4)),
        ("us", "1-Jul-26", utc(2026, 7, 1, 4)),
        ("us", "7/1/2026 9:05 am", utc(2026, 7, 1, 13, 5)),
        ("us", "13/1/2026", None),
        ("us", "2/30/2026", None),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-08-01 02:30:00 XYZT", None),
    ],
)
def test_cells_by_hand(form: str, cell: str, expected: dt.datetime | None) -> None:
    assert stamps(form, cell) == [expected]


FORMS = (
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%y %I:%M:%S %p",
    "%b %d, %Y, %H:%M:%S",
    "%A %d %B %Y %H:%M:%S",
    "%d-%b-%Y %T",
    "%F %R:%S",
)


_FIRST, _LAST = dt.datetime.fromisoformat("1990-01-02"), dt.datetime.fromisoformat("2060-01-01")


@given(at=st.datetimes(_FIRST, _LAST), form=st.sampled_from(FORMS))
def test_what_python_writes_is_read_back(at: dt.datetime, form: str) -> None:
    at = at.replace(microsecond=0)
    local = at.replace(tzinfo=ZoneInfo(READING.zone))
    there = local.astimezone(dt.UTC).astimezone(local.tzinfo).replace(tzinfo=None) == at
    if there and local.utcoffset() == local.replace(fold=1).utcoffset():  # not within a change of the clocks
        assert stamps(form, at.strftime(form)) == [local.astimezone(dt.UTC)]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("31.7.2026", "%d.%m.%Y"),
        ("20260731", "%Y%m%d"),
        ("11:30", "a time without a date"),
        ("7/31", "it has no year"),
        ("soon", "such as 2026-07-31"),
        ("46000.5", "excel"),
    ],
)
def test_a_reason_names_the_cause_and_the_form_that_would_read_it(cell: str, told: str) -> None:
    column = Column.model_validate({"type": "timestamp", "from": ["x"], "formats": ["%m/%d/%Y"]})
    assert told in date_reason(cell, column)


def test_the_manual_has_every_specifier() -> None:
    text = (Path(ROOT) / "docs" / "rules.md").read_text(encoding="utf-8")
    for specifier, (meaning, example) in SPECIFIERS.items():
        assert f"| `{specifier}` | {meaning} | `{example}` |" in text
