"""The fast and the exact reader give the same records, however the text is cut into blocks."""

import gzip
import io
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from examples import examples
from ingest.reading import Outcome, read
from rmetrics.ingest.records import LINE, PROBLEM, RecordReader, text_batches

HEADERS = ("a", "b", "c")
nasty = st.text(st.sampled_from('ab1,,,;"" \t\n\n\r\u00a0é—'), max_size=120)
cell = st.sampled_from(
    ["", "x", "12", '"', '""', '"q"', '"a,b"', '"a\nb"', '"a\r\nb"', '"a""b"', " ", "é", '5" pipe', '"open', "a\rb"]
)
ragged = st.lists(st.lists(cell, max_size=5).map(",".join), max_size=12).flatmap(
    lambda rows: st.sampled_from(["\n", "\r\n"]).flatmap(
        lambda end: st.sampled_from([end, ""]).map(lambda last: end.join(rows) + last)
    )
)


def records(frames: Iterator[pl.DataFrame]) -> list[tuple[Any, ...]]:
    return [r for f in frames for r in f.select(*HEADERS, LINE, PROBLEM).rows()]


@given(text=nasty | ragged)
@examples(400)
@example(text='a,b,"c\nd"\n"e",f,g\n')
@example(text="a,b,c\r\r\nd,e,f\r\n")
@example(text='a,"b\nb,b,b",c\n')
def test_fast_reader_agrees_with_the_exact_one(text: str) -> None:
    reader = RecordReader(HEADERS, ",")
    fast = reader.fast(text.encode(), 1) if text else None
    if fast is not None:
        assert records(iter([fast])) == records(reader.exact(text.encode(), last=True))


@given(text=nasty | ragged)
@examples(500)
@example(text='""""\n')
@example(text='"a"x,b\n')
@example(text='a,"b" ,c\n')
def test_quotes_are_well_formed_where_a_pattern_says_so(text: str) -> None:
    data = text if text.endswith("\n") else text + "\n"
    if data.count("\r") != data.count("\r\n"):
        return  # such text goes to the exact reader before anybody asks
    cell = r'(?:[^",\r\n]*|"(?:[^"]|"")*")'
    pattern = rf"\A(?:{cell}(?:,{cell})*\r?(?:\n|\z))*\z".replace(r"\z", r"\Z")
    assert RecordReader(HEADERS, ",").is_well_formed(data.encode()) == bool(re.match(pattern, data))


@given(text=nasty | ragged, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8))
@examples(300)
@pytest.mark.slow
def test_blocks_may_be_cut_anywhere(text: str, sizes: list[int]) -> None:
    data = text.encode()

    def blocks() -> Iterator[bytes]:
        at, i = 0, 0
        while at < len(data):
            yield data[at : at + sizes[i % len(sizes)]]
            at += sizes[i % len(sizes)]
            i += 1

    whole = records(text_batches(iter([data]), HEADERS, ",", 1))
    cut = records(text_batches(blocks(), HEADERS, ",", 1))
    assert [r[:-1] for r in cut] == [r[:-1] for r in whole]
    assert [r[-1] is None for r in cut] == [r[-1] is None for r in whole]


@pytest.mark.parametrize("quotes", ["", '"'])
def test_no_row_is_lost_or_doubled_over_many_blocks(quotes: str) -> None:
    rows = [f"{quotes}r{i}{quotes},{i},x" for i in range(5000)]
    data = "\n".join(rows).encode()
    blocks = (data[i : i + 777] for i in range(0, len(data), 777))
    read = records(text_batches(blocks, HEADERS, ",", 1))
    assert [r[:4] for r in read] == [(f"r{i}", str(i), "x", i + 1) for i in range(5000)]


def test_a_stray_quote_early_in_a_large_file_costs_nothing() -> None:
    rows = ['5" pipe,1,x', *(f'"r{i}",{i},x' for i in range(3000))]
    data = "\n".join(rows).encode()
    blocks = (data[i : i + 5000] for i in range(0, len(data), 5000))
    read = records(text_batches(blocks, HEADERS, ",", 1))
    assert len(read) == 3001
    assert [r[4] for r in read] == [None] * 3001


def test_a_quote_that_is_never_closed_ends_the_reading_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmetrics.ingest.records.BLOCK", 2**16)
    monkeypatch.setattr("rmetrics.ingest.records.MAX_RECORD", 2**19)
    row = b"x,y,z\n"
    block = row * 10_000

    def blocks() -> Iterator[bytes]:
        yield row * 10 + b'x,"y,z\n'
        for _ in range(100):
            yield block

    found = records(text_batches(blocks(), HEADERS, ",", 1))
    assert len(found) == 11
    assert found[-1][3] == 11
    assert "this line and the 1,000,000 lines below it were not read" in str(found[-1][4])
    drawn, between = 0, list[int]()  # landing keeps what was drawn until the next batch

    def counted() -> Iterator[bytes]:
        nonlocal drawn
        for data in blocks():
            drawn += 1
            yield data

    for _ in text_batches(counted(), HEADERS, ",", 1):
        between.append(drawn - sum(between))
    assert sum(between) == 101
    assert max(between) < 20


# -- one export in many forms

PAYMENTS = ["Job #", "Date", "Amount", "Method", "Status"]
amounts = st.sampled_from(["95", "$1,234.50", "(12.00)", "382.5", "—", "-1.1368683772162002e-13", "abc", "1.005"])
payment = st.tuples(
    st.integers(1, 999).map(str),
    st.sampled_from(["2025-12-16", "12/16/2025", "Aug 1, 2026, 08:00 PM", "2026-08-02T00:00:00.000Z", "soon"]),
    amounts,
    st.sampled_from(["cash", "Zelle — new", 'the "blue" one', "a, b", "two\nlines", " check ", ""]),
    st.sampled_from(["", "Completed", "Failed"]),
)
payments = st.lists(payment, min_size=1, max_size=12)


def as_csv(rows: list[tuple[str, ...]], *, delimiter: str = ",", end: str = "\n", quote_all: bool = False) -> str:
    def quoted(text: str) -> str:
        if quote_all or any(c in text for c in f'"{delimiter}\r\n'):
            return '"' + text.replace('"', '""') + '"'
        return text

    return "".join(delimiter.join(quoted(c) for c in row) + end for row in rows)


def typed(outcome: Outcome) -> tuple[object, ...]:
    assert outcome.refused == ""
    columns = ["job_ref", "paid_at", "amount", "method", "status", "_identity"]
    rejected = sorted((c or "", v or "", r) for _, c, v, r in outcome.rejected)
    return sorted(map(repr, outcome.accepted.select(columns).rows())), rejected


def reading(folder: Path, data: bytes, name: str = "payments.csv") -> tuple[object, ...]:
    path = folder / name
    path.write_bytes(data)
    return typed(read(path))


@given(rows=payments, seed=st.integers(0, 99))
@examples(12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_the_same_export_in_another_form_gives_the_same_rows(
    rows: list[tuple[str, ...]], seed: int, tmp_path: Path
) -> None:
    table = [tuple(PAYMENTS), *rows]
    plain = reading(tmp_path, as_csv(table).encode())
    order = random.Random(seed).sample(range(5), 5)  # noqa: S311 - repeatable, not secret
    shuffled = [table[0], *random.Random(seed).sample(rows, len(rows))]  # noqa: S311
    forms = {
        "without final newline": as_csv(table).rstrip("\n").encode(),
        "crlf": as_csv(table, end="\r\n").encode(),
        "cr": as_csv(table, end="\r").encode(),
        "bom": as_csv(table).encode("utf-8-sig"),
        "semicolons": as_csv(table, delimiter=";").encode(),
        "sep": ("sep=;\n" + as_csv(table, delimiter=";")).encode(),
        "tabs": as_csv(table, delimiter="\t").encode(),
        "utf-16": as_csv(table, delimiter="\t").encode("utf-16"),
        "quoted": as_csv(table, quote_all=True).encode(),
        "gz": gzip.compress(as_csv(table).encode()),
        "blank lines": ("\n" + as_csv(table, end="\n\n")).encode(),
        "trailing commas": as_csv([(*r, "", "") for r in table]).encode(),
        "shuffled rows": as_csv(shuffled).encode(),
        "shuffled columns": as_csv([tuple(r[i] for i in order) for r in table]).encode(),
        "another column": as_csv([("New", *r) for r in table]).encode(),
    }
    for form, data in forms.items():
        assert reading(tmp_path, data) == plain, form


@given(rows=payments)
@examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_workbook_gives_the_same_rows_as_text(rows: list[tuple[str, ...]], tmp_path: Path) -> None:
    table = [tuple(PAYMENTS), *rows]
    book = openpyxl.Workbook()
    sheet = book.active
    for row in table:
        sheet.append([c or None for c in row])
    out = io.BytesIO()
    book.save(out)
    assert reading(tmp_path, out.getvalue(), "payments.xlsx") == reading(tmp_path, as_csv(table).encode())


@given(rows=payments, at=st.integers(0, 12))
@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_in_two_parts_gives_the_same_rows(rows: list[tuple[str, ...]], at: int, tmp_path: Path) -> None:
    whole = reading(tmp_path, as_csv([tuple(PAYMENTS), *rows]).encode())
    parts = [reading(tmp_path, as_csv([tuple(PAYMENTS), *p]).encode()) for p in (rows[:at], rows[at:]) if p]
    accepted = sorted(r for p in parts for r in p[0])  # type: ignore[attr-defined]
    rejected = sorted(r for p in parts for r in p[1])  # type: ignore[attr-defined]
    assert (accepted, rejected) == whole
