"""--format where tables are printed: the same exact figures in every form."""

import csv
import io
import json
from decimal import Decimal

import pytest

from command_line import Line, in_process
from published import Published
from rmetrics.output.records import csv_of, markdown_of

TABLES = (
    (("sync",), "months"), (("plan",), "changes"), (("history",), "changes"), (("status",), "feeds"),
    (("rejected",), "rejected"), (("rejected", "list"), "rejected"), (("exports",), "exports"),
    (("exports", "list"), "exports"), (("check",), "findings"), (("doctor",), "checks"), (("rules",), "rules"),
    (("calls",), "waiting"), (("disputes",), "disputes"),
    (("sql", "SELECT source, cost FROM monthly_metrics"), "rows"),
)  # fmt: skip


@pytest.fixture
def line(sample: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in the project of the sample."""
    assert sample.project is not None
    return in_process(sample.project, monkeypatch, capsys)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(("command", "rows"), TABLES, ids=" ".join)
@pytest.mark.ordinary(4)
def test_a_table_has_the_rows_of_the_document_in_every_form(line: Line, command: tuple[str, ...], rows: str) -> None:
    document = json.loads(line(*command, "--json").stdout)[rows]
    as_json = line(*command, "--format", "json")
    assert len(json.loads(as_json.stdout)[rows]) == len(document)
    as_csv, markdown = line(*command, "--format", "csv"), line(*command, "--format", "markdown")
    assert as_csv.returncode == markdown.returncode == as_json.returncode
    assert len(table(as_csv.stdout)) == len(document)
    assert markdown.stdout.count("\n") == len(document) + (2 if markdown.stdout else 0)
    if document:
        assert list(table(as_csv.stdout)[0]) == list(document[0])
    assert line(*command, "--format", "table").stdout[:20] == line(*command).stdout[:20]


def test_figures_are_exact_and_plain(line: Line) -> None:
    query = "SELECT sum(cost) AS cost, sum(revenue40) AS revenue40 FROM monthly_metrics WHERE month = '2024-11-01'"
    (months,) = table(line("sql", query, "--format", "csv").stdout)
    (whole,) = (
        r for r in table(line("sync", "--format", "csv").stdout) if (r["month"], r["source"]) == ("2024-11-01", "ALL")
    )
    assert {n: Decimal(whole[n]) for n in months} == {n: Decimal(v) for n, v in months.items()}
    assert "," not in whole["revenue40"]


def test_an_explanation_is_a_row_per_measure_or_its_rows(line: Line) -> None:
    arguments = ("explain", "--source", "ALL", "--month", "2024-11", "--format", "csv")
    measures = {m["metric"]: m for m in table(line(*arguments).stdout)}
    assert measures["jobs"]["value"] == measures["jobs"]["recomputed"] == measures["jobs"]["published"]
    rows = [r for r in table(line(*arguments, "--rows").stdout) if r["metric"] == "jobs"]
    assert len(rows) == int(measures["jobs"]["value"])


def test_two_forms_at_once_are_refused_and_errors_stay_off_stdout(line: Line) -> None:
    assert line("status", "--json", "--format", "csv").returncode == 2
    wrong = line("plan", "--source", "Nobody", "--format", "csv")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    document = json.loads(line("plan", "--source", "Nobody", "--format", "json").stdout)
    assert document["error"]["kind"] == "SettingsError"


def test_cells_are_safe_and_keep_what_they_hold() -> None:
    rows = [{"id": "007", "name": "=1+1", "amount": "-5.00", "keys": ["a", "b"], "more": {"x": 1}, "no": None}]
    assert csv_of(rows) == 'id,name,amount,keys,more,no\n007,\'=1+1,-5.00,a; b,"{""x"": 1}",\n'
    assert markdown_of([{"a": "x|y\nz", "n": 1}, {"a": "b", "n": None}]) == (
        "| a | n |\n| --- | ---: |\n| x\\|y z | 1 |\n| b |  |\n"
    )
    assert (csv_of([], ["a", "b"]), csv_of([])) == ("a,b\n", "")
