"""Conditions from the rules file to the published numbers; and what is told when the engines read one differently."""

import json
import re
from pathlib import Path

import pytest

from command_line import rmetrics
from rmetrics.cli import run
from rmetrics.pipeline.verify.agreement import disagreements
from rmetrics.pipeline.verify.odd_values import odd_rows
from rmetrics.pipeline.verify.placed_conditions import conditions
from rmetrics.rules import load_rules
from rmetrics.rules.expressions import duckdb_form
from rmetrics.rules.expressions.typed import Op
from small_company import jobs, payments
from support import Project, csv_text

FEED = """\
[feeds.acme_leads]
files = ["acme*"]
key = ["lead_id"]
date = "lead_at"
[feeds.acme_leads.columns]
lead_id = { type = "text", from = ["Ref"], required = true }
lead_at = { type = "timestamp", from = ["When"], formats = ["%Y-%m-%d %H:%M:%S %z"], required = true }
price = { type = "money", from = ["Price"] }
state = { type = "text", from = ["State"] }
[sources.Acme]
leads = { feed = "acme_leads", where = "WHERE" }
"""


def with_feed(project: Project, where: str) -> None:
    (project.rules / "acme.toml").write_text(FEED.replace("WHERE", where), encoding="utf-8")


def leads(project: Project) -> dict[str, int]:
    found = project.rows(
        "SELECT date::text, sum(leads)::int FROM daily_metrics WHERE source = 'Acme' GROUP BY 1 ORDER BY 1"
    )
    return {str(day): int(count) for day, count in found if count}


@pytest.mark.deep
def test_payment_whose_failed_is_written_with_a_dotted_i(project: Project) -> None:
    project.put(
        "Import-1.csv", jobs((1, "COD Service", "Rely", "11/04/2024"), (2, "COD Service", "Rely", "11/04/2024"))
    )
    project.put(
        "Transactions-1.csv",
        payments(
            (1, "11/04/2024", "150.00", "T1", "FA\u0130LED"),
            (2, "11/04/2024", "200.00", "T2", "Done"),
            more=("Transaction ID", "Status"),
        ),
    )
    done = rmetrics(project, "sync", "--json")
    assert done.returncode == 0, done.stderr
    assert project.rows("SELECT job_id, paid::text, is_repair FROM jobs ORDER BY 1") == [
        ("1", "0.00", False),
        ("2", "200.00", True),
    ]
    assert rmetrics(project, "check", "--json").returncode == 0


@pytest.mark.deep
def test_distinct_and_more_in_a_feed_of_the_users_own(project: Project) -> None:
    with_feed(project, "state IS DISTINCT FROM 'spam' AND price > 0")
    when = "2024-11-05 12:00:00 +0000"
    project.put("acme.csv", csv_text(("Ref", "When", "Price", "State"), ("A", when, 10, "won"), ("B", when, 10, "spam"),
                                     ("C", when, 10, None), ("D", when, 0, "won"), ("E", when, None, "won")))  # fmt: skip
    project.put("Import-1.csv", jobs((1, "COD Repair", "Rely", "11/04/2024")))
    checked = rmetrics(project, "rules", "check")
    assert checked.returncode == 0, checked.stderr
    done = rmetrics(project, "sync")
    assert done.returncode == 0, done.stderr
    assert leads(project) == {"2024-11-05": 2}
    shown = json.loads(
        rmetrics(project, "explain", "--source", "Acme", "--month", "2024-11", "--metric", "leads", "--json").stdout
    )
    assert shown["metrics"]["leads"]["value"] == 2
    assert "state is not spam and price is more than 0" in shown["metrics"]["leads"]["rule"]
    text = rmetrics(project, "explain", "--source", "Acme", "--month", "2024-11", "--metric", "leads").stdout
    assert "state IS DISTINCT FROM 'spam' does not hold" in text
    assert "price > 0 does not hold" in text


@pytest.mark.parametrize("date", ["DATE '2024-11-03'", "'2024-11-03'"])
@pytest.mark.ordinary(1)
def test_timestamp_beside_a_date_is_its_business_day(project: Project, date: str) -> None:
    with_feed(project, f"lead_at >= {date}")
    stamps = {
        "before local midnight": "2024-11-03 03:59:59 +0000",  # Nov 2, 23:59:59 in New York
        "at local midnight": "2024-11-03 04:00:00 +0000",  # Nov 3, 00:00:00
        "before UTC's midnight": "2024-11-02 23:59:59 +0000",  # Nov 2, 19:59:59
        "after UTC's midnight": "2024-11-03 00:30:00 +0000",  # Nov 2, 20:30:00
        "the last second of the day": "2024-11-04 04:59:59 +0000",  # Nov 3, 23:59:59, after the clocks changed
        "the next day": "2024-11-04 05:00:00 +0000",  # Nov 4
    }
    project.put("acme.csv", csv_text(("Ref", "When", "Price", "State"), *((n, at, 1, "x") for n, at in stamps.items())))
    project.put("Import-1.csv", jobs((1, "COD Repair", "Rely", "11/04/2024")))
    done = rmetrics(project, "sync")
    assert done.returncode == 0, done.stderr
    assert leads(project) == {"2024-11-03": 2, "2024-11-04": 1}


def test_refused_condition_names_file_line_and_key(project: Project) -> None:
    with_feed(project, "price > '9'")
    done = rmetrics(project, "sync")
    assert done.returncode == 2
    assert (
        "acme.toml:11: sources.Acme.leads.where: price is a number, '9' is text: write 9 without quotes" in done.stderr
    )
    assert "Traceback" not in done.stderr


# -- the engines differ: planted, for they do not


def test_disagreement_in_a_sync_names_condition_file_and_rows(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.put("Import-1.csv", jobs((1, "COD Service", "Rely", "11/04/2024")))
    project.put(
        "Transactions-1.csv",
        payments(
            (1, "11/04/2024", "150.00", "T1", "Failed"),
            (1, "11/04/2024", "10.00", "T2", "Done"),
            more=("Transaction ID", "Status"),
        ),
    )
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(vars(duckdb_form)["_FUNCTIONS"], Op.LOWER, "upper")
    assert run(["sync"]) == 3
    told = " ".join(capsys.readouterr().err.split())
    assert "the two engines disagree" in told
    assert re.search(r"feeds\.toml:\d+: feeds\.payments\.where: Polars and DuckDB read", told)
    assert "payment_id T1 (Transactions-1.csv, line 2)" in told
    assert "T2" not in told
    assert "rmetrics exports withdraw Transactions-1.csv" in told
    monkeypatch.undo()
    assert project.sync().status == "published"


def test_rules_check_finds_a_disagreement_before_there_is_data(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    assert run(["rules", "check"]) == 0
    monkeypatch.setitem(vars(duckdb_form)["_BETWEEN"], Op.MORE, ">=")
    assert run(["rules", "check"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "business.toml:15: jobs.repair: Polars and DuckDB read" in told
    assert "paid = Decimal('100.00')" in told


def test_shipped_conditions_agree(project: Project) -> None:
    assert disagreements(load_rules(project.rules)) == ()


def test_odd_rows_hold_what_conditions_are_about(project: Project) -> None:
    repair = next(c for c in conditions(load_rules(project.rules)) if c.key == "jobs.repair")
    from rmetrics.rules.expressions.parsing import parse

    rows = odd_rows(repair.row, [parse(repair.text)])
    assert {"COD Repair", "COD Service", None} <= set(rows["type"].to_list())
    assert {"99.99", "100.00", "100.01"} <= {str(p) for p in rows["paid"].to_list()}
    assert rows.equals(odd_rows(repair.row, [parse(repair.text)]))


def test_no_engine_reads_a_users_text() -> None:
    source = Path(duckdb_form.__file__).parents[2]
    for path in source.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "sql_expr" not in text, path
        assert path.name == "connection.py" or "json_serialize_sql" not in text, path
