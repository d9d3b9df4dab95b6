"""Every quick way of reading and typing gives what the slow, exact one gives."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from examples import examples
from ingest.reading import EXPORTED, read, shipped_rules
from rmetrics.ingest import exact, parse, timestamps
from rmetrics.ingest.amounts import read_money
from rmetrics.ingest.cells import clean
from rmetrics.ingest.parse import parse_column
from rmetrics.ingest.phones import BETWEEN_DIGITS
from rmetrics.ingest.records import LINE, PROBLEM, TEXT, RecordReader, text_batches
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.parallel import WORKERS, in_order
from rmetrics.rules.date_forms import ISO_TIME
from rmetrics.rules.feeds import MAX_AMOUNT, Column, ColumnType
from small_company import payments

HEADERS = ("a", "b", "c")
ZONE = "America/New_York"
READING = ParseContext(ZONE, EXPORTED)
GOOD = ["x,1,y", '"q",2,z', '"a,b",3,""', '"a\nb",4,c', "  ,5,"]
ODD = ["x,1", "x,1,y,", "x,1,y,z", "", ",,", ' ,"",\t', "\x1c,,", '"a\nx,1,y\nx,2,z",3,c', '"é\n\n",,']
BROKEN = ['5" pipe,1,x', '"a"b,1,c', "a\x00b,1,c", "\ufdd0,1,c", "a\rb,1,c"]
OPEN = ['"open,1,c']


def rows(frames: Iterator[pl.DataFrame]) -> list[tuple[Any, ...]]:
    return [r for f in frames for r in f.select(*HEADERS, LINE, PROBLEM, TEXT).rows()]


@given(
    odd=st.lists(st.sampled_from(ODD + BROKEN), max_size=3), at=st.randoms(use_true_random=False), crlf=st.booleans()
)
@examples(150)
@example(odd=["x,1"], at=None, crlf=True)
def test_a_few_odd_records_among_many_are_read_as_the_exact_reader_reads_them(
    odd: list[str], at: Any, crlf: bool
) -> None:
    lines = [GOOD[i % len(GOOD)] for i in range(100)]
    for record in odd:
        lines.insert(at.randrange(len(lines)) if at else 50, record)
    data = ("\n".join(lines) + "\n").encode()
    data = data.replace(b"\r", b"").replace(b"\n", b"\r\n") if crlf else data
    reader = RecordReader(HEADERS, ",")
    quick = reader.quick(data, 7)
    exact = RecordReader(HEADERS, ",")
    exact.line = 7
    if not set(odd) & set(BROKEN):
        assert quick is not None, "no shortcut was taken"
    if quick is not None:
        assert rows(iter([quick])) == rows(exact.exact(data, last=True))


@given(
    bad=st.lists(st.tuples(st.integers(0, 399), st.sampled_from(ODD + BROKEN + OPEN)), max_size=4),
    size=st.integers(30, 700),
    final=st.booleans(),
)
@examples(120)
@example(bad=[(0, '5" pipe,1,x'), (200, '5" pipe,1,x')], size=100, final=True)
@example(bad=[(40, '"open,1,c')], size=100, final=False)
@pytest.mark.deep
def test_reading_ahead_gives_what_one_exact_pass_over_the_text_gives(
    bad: list[tuple[int, str]], size: int, final: bool
) -> None:
    lines = [GOOD[i % len(GOOD)] for i in range(400)]
    for where, record in bad:
        lines.insert(where, record)
    data = ("\n".join(lines) + ("\n" if final else "")).encode()
    ahead = rows(text_batches((data[i : i + size] for i in range(0, len(data), size)), HEADERS, ",", 1))
    whole = RecordReader(HEADERS, ",")
    once = rows(whole.exact(data, last=True))
    if whole.halted:
        once += rows(iter([*whole.region(iter([]))]))
    assert [r[:-1] for r in ahead] == [r[:-1] for r in once]
    # Of what follows a quote that is never closed, only as much is kept as had been read.
    assert [r[-1] for r in ahead[:-1]] == [r[-1] for r in once[:-1]]
    assert (once[-1][-1] or "").startswith(ahead[-1][-1] or "")


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("quote", ["", '"'])
def test_odd_records_are_found_whatever_stands_between_cells(delimiter: str, quote: str) -> None:
    lines = [delimiter.join([f"{quote}r{i}{quote}", str(i), " "]) for i in range(200)]
    lines[50], lines[60] = delimiter.join(["x", "1"]), delimiter * 2
    data = "\n".join([*lines, ""]).encode()
    reader = RecordReader(HEADERS, delimiter)
    quick = reader.quick(data, 1)
    assert quick is not None
    assert quick.height == 199
    assert rows(iter([quick])) == rows(reader.exact(data, last=True))


def test_a_block_is_not_read_exactly_for_one_ragged_row(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "".join(f"r{i},{i},x\n" if i != 300 else "r300,300\n" for i in range(1000)).encode()
    monkeypatch.setattr(RecordReader, "exact", None)
    read_back = rows(text_batches(iter([data]), HEADERS, ",", 1))
    assert [r[3] for r in read_back] == list(range(1, 1001))
    assert [r[:5] for r in read_back if r[4]] == [("r300", "300", None, 301, "has 2 cells where the header has 3")]


def test_results_come_in_order_and_only_so_far_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    results = in_order(lambda i: i * i, items())
    assert next(results) == 0
    assert len(taken) == WORKERS + 1
    assert list(results) == [i * i for i in range(1, 20)]


def test_a_failure_is_raised_in_its_turn() -> None:
    results = in_order(lambda i: 6 // i, [3, 2, 0, 1])
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


# -- values

stamp = st.builds(
    lambda day, sep, time, fraction, zone: f"{day}{sep}{time}{fraction}{zone}",
    st.sampled_from([
        "2024-02-29", "2023-02-29", "2024-03-10", "2024-11-03", "1990-01-01", "1989-12-31", "2100-12-31", "2101-01-01",
        "0000-01-01", "2024-13-01", "2024-00-10", "2024-04-31", "9999-12-31", "2024-6-1",
    ]),
    st.sampled_from(["T", " ", "t", "  ", ""]),
    st.sampled_from(["00:00:00", "01:30:00", "02:30:59", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "10:30", "", "1:02:03"]),
    st.sampled_from(["", ".0", ".1", ".123", ".000001", ".123456", ".1234567", ".123456789", ".", ",5"]),
    st.sampled_from(["", "Z", "z", " Z", "+0000", "-0500", " -0500", "-05:00", "+05:30", "+23:59", "-00:30", "+24:00", "+05", "-0560", "  +0100", "EST"]),
)  # fmt: skip


@given(texts=st.lists(st.none() | stamp, max_size=12))
@examples(600)
def test_plain_stamps_are_read_by_place_as_by_their_forms(texts: list[str | None]) -> None:
    cells = pl.Series("t", texts, dtype=pl.String)
    plain = cells.set(~cells.str.contains(timestamps._PLAIN_STAMP).fill_null(value=False), None)  # noqa: SLF001 - the two ways
    short = timestamps._in_range(timestamps._plain_iso(cells, ZONE))  # noqa: SLF001
    long = timestamps._in_range(timestamps._formed(plain, ISO_TIME, ZONE, EXPORTED))  # noqa: SLF001
    assert short.to_physical().to_list() == long.to_physical().to_list()


def test_plain_stamps_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamps, "_formed", pytest.fail)
    cells = pl.Series("t", ["2024-06-01T10:00:00.250Z", "2024-06-01 10:00:00 -0500", "2024-06-01 10:00:00", None])
    column = Column.model_validate({"type": "timestamp", "from": ["x"], "formats": ["us"]})
    utc = [dt.datetime(2024, 6, 1, h, tzinfo=dt.UTC) for h in (10, 15, 14)]
    utc[0] += dt.timedelta(microseconds=250_000)
    assert parse_column(cells, column, READING).to_list() == [*utc, None]


@given(
    texts=st.lists(
        st.none() | st.from_regex(r"\A-?[0-9]{1,11}(\.[0-9]{0,3})?\Z") | st.sampled_from(["$5", "(1.00)", "1,234.50", "-0.00", "x"])
    )
)  # fmt: skip
@examples(300)
def test_plain_amounts_are_what_the_exact_reader_makes_of_each(texts: list[str | None]) -> None:
    column = Column.model_validate({"type": "money", "from": ["x"]})
    values = parse_column(pl.Series("m", texts, dtype=pl.String), column, READING).to_list()
    exact = [None if t is None else read_money(t) for t in texts]
    expected = [None if v is None or abs(v) > MAX_AMOUNT else v for v in exact]
    assert values == expected
    assert all(v is None or isinstance(v, Decimal) for v in values)


@given(texts=st.lists(st.text(st.sampled_from("0123456789()+-. \u00a0\u2009\u3000\x1c\u200bx"), max_size=16)))
@examples(300)
def test_what_stands_between_digits_of_a_phone_is_what_a_pattern_takes_for_it(texts: list[str]) -> None:
    cells = pl.Series("p", texts, dtype=pl.String)
    short = cells.str.replace_many(BETWEEN_DIGITS, [""])
    assert short.to_list() == cells.str.replace_all(r"[\s().\-+]", "").to_list()


@pytest.mark.parametrize("kind", [k for k in ColumnType if k is not ColumnType.TEXT])
def test_how_often_a_spelling_repeats_changes_no_value(kind: ColumnType, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["2024-05-01", "05/06/2024", "12.50", "$3", "02:23", "yes", "35%", "(617) 555-0123", "7", "x", None] * 3
    column = Column.model_validate({"type": kind, "from": ["x"], "formats": ["%m/%d/%Y"]})
    found = []
    for often in (True, False):
        monkeypatch.setattr(parse, "_repeats", lambda _, often=often: often)
        found.append(parse_column(pl.Series("t", texts, dtype=pl.String), column, READING).to_list())
    assert found[0] == found[1]


@given(given_ids=st.lists(st.booleans(), min_size=1, max_size=8))
@examples(40)
def test_only_rows_without_an_id_get_an_identity_and_it_is_the_published_one(
    given_ids: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path: Path = tmp_path_factory.mktemp("ids") / "payments.csv"
    lines = [
        [i, "2025-12-16 10:00:30", f"{i}.50", "cash", f"T{i}" if has else ""]
        for i, has in enumerate(given_ids, start=1)
    ]
    path.write_text(payments(*lines, more=("Method", "Transaction ID")))
    minute = int(dt.datetime(2025, 12, 16, 15, tzinfo=dt.UTC).timestamp())
    text = "job_ref={}\x1fpaid_at={}\x1famount={}.50\x1fmethod=cash"
    expected = [
        None if has else hashlib.blake2b(text.format(i, minute, i).encode(), digest_size=10).hexdigest()
        for i, has in enumerate(given_ids, start=1)
    ]
    assert read(path).accepted["_identity"].to_list() == expected


def test_no_id_of_an_export_can_begin_like_a_pending_one() -> None:
    assert exact.WHITE.startswith("\t")  # what cleaning takes off
    for white in exact.WHITE:
        assert clean(pl.Series([f"{white}id"])).to_list() == ["id"]
    assert re.match(r"\s", " ")
    assert shipped_rules().feeds["payments"].identity
