"""Jobs that change hands: those in both computations whose touch came, went or is another one."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import polars as pl

from rmetrics.pipeline.changes.reassigned import reassigned_jobs
from rmetrics.pipeline.compute.names import FACTS, MATCHES

TOUCHES = {"job_id": pl.String, "touch_id": pl.String, "matched_by": pl.String, "source_matched": pl.String}


@dataclass(frozen=True)
class Tables:
    """Tables of a computation, in memory."""

    frames: dict[str, pl.DataFrame]

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        return name in self.frames

    def scan(self, name: str) -> pl.LazyFrame:
        """Its rows."""
        return self.frames[name].lazy()

    def same_files(self, other: "Tables", names: tuple[str, ...]) -> bool:
        """Whether the tables are the same ones."""
        return all(self.frames[n] is other.frames.get(n) for n in names)


def rows(jobs: list[tuple[str, dt.date | None, str]], touches: list[tuple[str, str]] | None) -> Any:
    facts = pl.DataFrame(
        [(job, day, Decimal(paid)) for job, day, paid in jobs], orient="row",
        schema={"job_id": pl.String, "metric_date": pl.Date, "paid": pl.Decimal(18, 2)},
    )  # fmt: skip
    frames = {FACTS: facts}
    if touches is not None:
        matched = [(job, touch, "phone", "eLocals") for job, touch in touches]
        frames[MATCHES] = pl.DataFrame(matched, schema=TOUCHES, orient="row")
    return SimpleNamespace(snapshot=Tables(frames))


DAY = dt.date(2024, 11, 5)
JOBS = [("1", DAY, "100.01"), ("2", DAY, "0"), ("3", None, "5.00"), ("10", DAY, "0")]


def test_a_touch_that_came_went_or_is_another_one() -> None:
    before = rows(JOBS, [("1", "a"), ("2", "b"), ("10", "d")])
    after = rows([*JOBS, ("4", DAY, "9.00")], [("1", "c"), ("3", "b"), ("4", "e"), ("10", "d")])
    found = reassigned_jobs(before, after)
    assert found.select("job_id", "month", "paid", "touch_id_before", "touch_id").rows() == [
        ("1", dt.date(2024, 11, 1), Decimal("100.01"), "a", "c"),
        ("2", dt.date(2024, 11, 1), Decimal("0.00"), "b", None),
        ("3", None, Decimal("5.00"), None, "b"),
    ]  # 4 is new, and the touch of 10 is the same
    assert found["source_matched_before"].to_list() == ["eLocals", "eLocals", None]


def test_there_is_none_without_an_earlier_computation_without_journeys_or_without_new_files() -> None:
    after = rows(JOBS, [("1", "a")])
    for before in (None, rows(JOBS, None), after):
        found = reassigned_jobs(before, after)
        assert found.height == 0
        assert {"job_id", "month", "paid"} <= set(found.columns)
