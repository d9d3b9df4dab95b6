"""``rmetrics metrics``: the same sums as the published tables, and every number as its explanation has it."""

import csv
import io
import itertools
import json
import shlex
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import small_company
from command_line import Line, in_process
from published import Published, query
from rmetrics.metrics.figures import SHIPPED
from support import Project


@pytest.fixture
def line(sample: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in the project of the sample."""
    assert sample.project is not None
    return in_process(sample.project, monkeypatch, capsys)


def rows(line: Line, *arguments: str) -> list[dict[str, Any]]:
    """The rows of the document."""
    done = line("metrics", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return found


def test_months_are_those_published(line: Line, sample: Published) -> None:
    measures = ("leads", "repairs", "revenue_gross", "revenue40", "cost")
    found = rows(line, *(w for m in measures for w in ("--measure", m)), "--dimension", "source")
    _, published = query(
        sample.reader,
        f"SELECT to_char(month, 'YYYY-MM'), source, {', '.join(f'sum({m})::text' for m in measures)} "
        "FROM monthly_metrics GROUP BY 1, 2",
    )
    theirs = {
        (month, source, m): Decimal(v) for month, source, *of in published for m, v in zip(measures, of, strict=True)
    }
    ours = {(r["period"], r["member"], r["measure"]): Decimal(r["value"]) for r in found}
    assert {k: v for k, v in ours.items() if v} == {k: v for k, v in theirs.items() if v}
    assert list(found[0])[-1] == "value"


@pytest.mark.parametrize("by", ["day", "week", "month", "quarter", "year", "age"])
def test_each_grain_adds_up_to_the_whole(line: Line, by: str) -> None:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for r in rows(line, "--by", by, "--dimension", "segment"):
        totals[r["measure"]] += Decimal(r["value"])
    years = rows(line, "--by", "year")
    measures = {r["measure"] for r in years}
    expected = {m: sum((Decimal(r["value"]) for r in years if r["measure"] == m), Decimal(0)) for m in measures}
    assert totals == expected


@pytest.mark.parametrize(
    ("arguments", "period"),
    [
        (("--by", "week", "--measure", "cost", "--source", "Google"), "2024-W48"),
        (("--by", "quarter", "--measure", "revenue40"), "2024-Q3"),
        (("--by", "age", "--measure", "repairs", "--segment", "COD"), "30-59 days"),
        (("--by", "day", "--measure", "repairs", "--segment", "COD"), "2024-11-05"),
        (
            ("--by", "month", "--measure", "leads", "--dimension", "source", "--from", "2024-11", "--to", "2024-11"),
            "2024-11",
        ),
    ],
)
def test_the_explain_line_explains_the_number(line: Line, arguments: tuple[str, ...], period: str) -> None:
    row = next(r for r in rows(line, *arguments) if r["period"] == period)
    _, *command = shlex.split(row["explain"])
    done = line(*command, "--offline", "--json")
    assert done.returncode == 0, done.stderr
    explained = json.loads(done.stdout)
    assert Decimal(explained["metrics"][row["measure"]]["value"]) == Decimal(row["value"])
    assert explained["difference"] == "0.00"


def test_a_ratio_is_of_sums_and_explained_by_its_parts(line: Line) -> None:
    (row,) = (r for r in rows(line, "--by", "year", "--measure", "cpl") if r["period"] == "2024")
    parts = {r["measure"]: Decimal(r["value"]) for r in rows(line, "--by", "year", "--from", "2024-01-01")}
    assert row["value"] == f"{parts['cost'] / parts['leads']:.6f}"
    assert row["explain"].endswith("--metric cpl")
    _, *command = shlex.split(row["explain"])
    explained = json.loads(line(*command, "--offline", "--json").stdout)
    assert f"{Decimal(explained['ratios']['cpl']['value']):.6f}" == row["value"]
    assert set(explained["metrics"]) == {"cost", "leads"}


def test_the_comparison_is_the_other_periods_own_value(line: Line) -> None:
    arguments = ("--by", "month", "--compare", "previous", "--measure", "revenue40")
    found = rows(line, *arguments)
    assert found[0]["compared"] is None
    for before, now in itertools.pairwise(found):
        assert now["compared"] == before["value"]
        assert Decimal(now["change"]) == Decimal(now["value"]) - Decimal(before["value"])
    assert list(found[0])[-1] == "value"


def test_a_begun_week_says_so_and_compares_as_many_days(line: Line) -> None:
    found = rows(line, "--by", "week", "--compare", "year", "--measure", "jobs")[-1]
    assert (found["period"], found["state"], found["through"]) == ("2025-W01", "begun", "2024-12-31")
    assert (found["compared_from"], found["compared_to"]) == ("2024-01-01", "2024-01-02")


def test_every_form_has_the_same_rows(line: Line, tmp_path: Path) -> None:
    arguments = ("--by", "quarter", "--dimension", "source", "--measure", "cost", "--measure", "cpl")
    found = rows(line, *arguments)
    as_csv = list(csv.DictReader(io.StringIO(line("metrics", *arguments, "--format", "csv").stdout)))
    assert [r["value"] for r in as_csv] == [r["value"] or "" for r in found]
    assert line("metrics", *arguments, "--format", "markdown").stdout.count("\n") == len(found) + 2
    written = line("metrics", *arguments, "--format", "parquet", "--output", str(tmp_path / "m.parquet"))
    assert written.returncode == 0, written.stderr
    frame = pl.read_parquet(tmp_path / "m.parquet")
    assert frame.columns == list(found[0])
    assert frame["value"].to_list() == [None if r["value"] is None else Decimal(r["value"]) for r in found]
    table = line("metrics", *arguments, "--from", "2024-10-01").stdout
    assert "2024-Q4" in table
    assert "rmetrics explain" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--measure", "repair"), "did you mean 'repairs'"),
        (("--dimension", "sorce"), "did you mean 'source'"),
        (("--from", "2031-01-01"), "The data span 2023-10-01"),
        (("--from", "2024-12-01", "--to", "2024-11-01"), "is after"),
        (("--from", "2024-13-01"), "not a date"),
        (("--segment", "X"), "Segments: COD"),
        (("--output", "x.parquet"), "--format parquet"),
        (("--by", "age", "--from", "2024-10-01"), "newest day of the data"),
        (("--by", "age", "--compare", "year"), "no earlier period"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_next_step(line: Line, arguments: tuple[str, ...], said: str) -> None:
    done = line("metrics", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_all_measures_can_be_asked_for(line: Line) -> None:
    found = rows(line, *(w for m in SHIPPED for w in ("--measure", m)), "--by", "year")
    assert [r["measure"] for r in found[: len(SHIPPED)]] == list(SHIPPED)


OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[measures.callback_rate]
ratio = ["callbacks", "repairs"]
[dimensions.technician]
of = "jobs"
column = "technician"
"""


@pytest.fixture
def own(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """A company with a measure and a dimension of its own: two technicians, and a job without one."""
    (project.rules / "own.toml").write_text(OWN)
    jobs = [
        (1, "COD Repair", "Google", "Tue Nov 05 2024", "Ann"), (2, "Warranty", "Google", "Tue Nov 05 2024", "Ann"),
        (3, "COD Repair", "Google", "Wed Nov 06 2024", "Bob"), (4, "Warranty", "Rely", "Mon Dec 02 2024", ""),
        (5, "COD Repair", "Rely", "Mon Dec 02 2024", "Bob"), (6, "COD Repair", "Rely", "Tue Dec 03 2024", "Bob"),
    ]  # fmt: skip
    project.put("jobs.csv", small_company.jobs(*jobs, more=("Tech",)))
    project.sync()
    return in_process(project, monkeypatch, capsys)


def test_own_measures_and_dimensions(own: Line) -> None:
    """Members add up to the total, by quarter too; a ratio is of the member's own sums."""
    asked = ("--measure", "callbacks", "--measure", "callback_rate", "--measure", "repairs")
    month = {
        (r["period"], r["member"], r["measure"]): r["value"] for r in rows(own, *asked, "--dimension", "technician")
    }
    assert month["2024-11", "Ann", "callbacks"] == 1
    assert month["2024-11", "Ann", "callback_rate"] == "1.000000"
    assert month["2024-12", "(none)", "callbacks"] == 1
    assert month["2024-12", "Ann", "callback_rate"] is None
    assert month["2024-12", "Bob", "repairs"] == 2
    total = {r["measure"]: r["value"] for r in rows(own, *asked, "--by", "quarter")}
    assert (total["callbacks"], total["repairs"], total["callback_rate"]) == (2, 4, "0.500000")
    quarter = rows(own, *asked, "--by", "quarter", "--dimension", "technician")
    for measure in ("callbacks", "repairs"):
        assert sum(r["value"] for r in quarter if r["measure"] == measure) == total[measure]
    week = {r["period"]: r["value"] for r in rows(own, "--measure", "callbacks", "--by", "week", "--source", "rely")}
    assert {p: v for p, v in week.items() if v} == {"2024-W49": 1}
    assert all(f"--dimension technician --member {shlex.quote(r['member'])}" in r["explain"] for r in quarter)
    for refused in (("--by", "week"), ("--source", "Rely"), ("--from", "2024-11-02")):
        done = own("metrics", "--dimension", "technician", *refused)
        assert (done.returncode, done.stdout) == (2, "")
