"""The comparison finds every number that differs, and only those."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checks.conftest import Lab
from rmetrics.checks.compare import LIMIT, ROWS, SUM_OF_DAYS, CrossCheck, Mismatch, cross_check
from rmetrics.checks.recompute import TypedInput
from rmetrics.errors import LakeError

Noon = Callable[..., dt.datetime]
D = Decimal
TYPES = {
    "source": pa.string(),
    "segment": pa.string(),
    "jobs": pa.int64(),
    "leads": pa.int64(),
    "units": pa.int64(),
    "repairs": pa.int64(),
    "revenue_gross": pa.decimal128(18, 2),
    "revenue40": pa.decimal128(18, 6),
    "cost": pa.decimal128(18, 2),
}
DAY, MONTH = dt.date(2025, 1, 5), dt.date(2025, 1, 1)
RIGHT = ("Unattributed", "COD", 1, 0, 1, 1, D("150.25"), D("60.1"), D(0))


class Given:
    """One job and one payment, and metrics files as a test wants them."""

    def __init__(self, lab: Lab, noon: Noon) -> None:
        self.lab = lab
        lab.jobs(("1", "COD Service", None, noon("2025-01-05")))
        lab.payments(("1", noon("2025-01-06"), D("150.25")))

    def write(self, name: str, period: str, rows: list[tuple[Any, ...]], **other: pa.DataType) -> Path:
        """A metrics file."""
        types = {period: pa.date32(), **TYPES, **other}
        columns = zip(*rows, strict=True) if rows else [[] for _ in types]
        arrays = [pa.array(list(c), type=t) for c, t in zip(columns, types.values(), strict=True)]
        pq.write_table(pa.table(arrays, names=list(types)), self.lab.folder / name)
        return self.lab.folder / name

    def check(self, daily: list[tuple[Any, ...]], monthly: list[tuple[Any, ...]], **other: pa.DataType) -> CrossCheck:
        """What the comparison with these files finds."""
        files = self.write("daily", "date", daily, **other), self.write("monthly", "month", monthly, **other)
        return cross_check(self.lab.typed, *files, self.lab.rules, temp=self.lab.folder / "temp", threads=1)


@pytest.fixture
def given(lab: Lab, noon: Noon) -> Given:
    return Given(lab, noon)


def test_equal_numbers_agree(given: Given) -> None:
    assert given.check([(DAY, *RIGHT)], [(MONTH, *RIGHT)]) == CrossCheck(0, ())


def test_a_millionth_is_a_difference(given: Given) -> None:
    wrong = (*RIGHT[:7], D("60.100001"), D(0))
    found = given.check([(DAY, *wrong)], [(MONTH, *wrong)])
    values = ("Unattributed", "COD", "revenue40", D("60.100001"), D("60.1"))
    assert found == CrossCheck(
        2, (Mismatch("daily_metrics", DAY, *values), Mismatch("monthly_metrics", MONTH, *values))
    )


def test_missing_and_additional_keys_are_told_by_what_is_not_zero(given: Given) -> None:
    other = ("Ghost", "INS", 0, 5, 0, 0, D(0), D(0), D(0))
    found = given.check([(DAY, *other)], [(MONTH, *RIGHT), (MONTH, *other)])
    daily = {(m.source, m.measure): (m.computed, m.recomputed) for m in found.mismatches if m.table == "daily_metrics"}
    assert daily == {
        ("Ghost", "leads"): (5, None),
        ("Unattributed", "jobs"): (None, 1),
        ("Unattributed", "units"): (None, 1),
        ("Unattributed", "repairs"): (None, 1),
        ("Unattributed", "revenue_gross"): (None, D("150.25")),
        ("Unattributed", "revenue40"): (None, D("60.1")),
    }


def test_key_without_any_number_must_not_be_there(given: Given) -> None:
    nothing = ("Ghost", "INS", 0, 0, 0, 0, D(0), D(0), D(0))
    found = given.check([(DAY, *RIGHT), (DAY, *nothing)], [(MONTH, *RIGHT)])
    assert {(m.source, m.computed, m.recomputed) for m in found.mismatches} == {
        ("Ghost", 0, None),
        ("Ghost", D(0), None),
    }


def test_blank_number_is_a_difference(given: Given) -> None:
    found = given.check([(DAY, *RIGHT)], [(MONTH, *RIGHT[:-1], None)])
    assert [(m.table, m.measure, m.computed, m.recomputed) for m in found.mismatches] == [
        ("monthly_metrics", "cost", None, D(0)),
        (SUM_OF_DAYS, "cost", None, D(0)),
    ]


def test_months_must_be_the_sums_of_the_days_in_the_files(given: Given) -> None:
    twice = ("Unattributed", "COD", 2, 0, 1, 1, D("150.25"), D("60.1"), D(0))
    found = given.check([(DAY, *RIGHT)], [(MONTH, *twice)])
    assert Mismatch(SUM_OF_DAYS, MONTH, "Unattributed", "COD", "jobs", 2, 1) in found.mismatches


def test_repeated_key_is_a_difference(given: Given) -> None:
    found = given.check([(DAY, *RIGHT), (DAY, *RIGHT)], [(MONTH, *RIGHT)])
    assert Mismatch("daily_metrics", DAY, "Unattributed", "COD", ROWS, 2, 1) in found.mismatches


def test_list_is_cut_and_the_count_is_not(given: Given) -> None:
    rows = [(DAY, f"s{i}", "COD", 1, 0, 0, 0, D(0), D(0), D(0)) for i in range(LIMIT + 5)]
    found = given.check([(DAY, *RIGHT), *rows], [(MONTH, *RIGHT)])
    assert found.count == 2 * (LIMIT + 5)  # unknown to DuckDB, and missing from the months
    assert len(found.mismatches) == LIMIT


def test_empty_lake_agrees_with_empty_metrics(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    given = Given.__new__(Given)
    given.lab = lab
    assert given.check([], []) == CrossCheck(0, ())


@pytest.mark.parametrize("kind", [pa.float64(), pa.int32()])
def test_metrics_file_of_other_types_is_refused(given: Given, kind: pa.DataType) -> None:
    with pytest.raises(LakeError, match="jobs is "):
        given.check([(DAY, *RIGHT)], [(MONTH, *RIGHT)], jobs=kind)


def test_unreadable_files_are_a_lake_error(given: Given) -> None:
    path = given.lab.folder / "torn.parquet"
    path.write_bytes(b"PAR1 torn")
    given.lab.typed["calls"] = [TypedInput(path, ("call_id", "started_at"), 0)]
    with pytest.raises(LakeError):
        given.check([], [])
    given.lab.typed["calls"] = [TypedInput(given.lab.folder / "gone", ("call_id",), 0)]
    with pytest.raises(LakeError):
        given.check([], [])


def test_numbers_too_large_for_their_column_are_an_error_not_a_wrong_number(given: Given) -> None:
    row = {"job_ref": "1", "paid_at": None, "amount": D("9999999999999999.99")}
    given.lab.add("payments", [{**row, "payment_id": n} for n in ("x", "y")])
    with pytest.raises(LakeError):
        given.check([], [])
