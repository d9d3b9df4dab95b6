"""What members of a dimension have, explained: every published figure by its rows, and what cannot be asked."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

import small_company
from published import run as run_sql
from rmetrics.cli import run
from rmetrics.explain.asked import Query
from rmetrics.explain.explainer import explainer
from rmetrics.explain.members import explain_member, explain_members
from rmetrics.findings import Finding, Severity
from rmetrics.opening import open_project
from rmetrics.rules.measures import sums
from small_company import leads, payments, spend
from support import Project, fresh_database, new_project

PROBLEMS = (Finding("rules-not-synced", Severity.ERROR, "rules were edited", 0),)
OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[[measures.callbacks.changes]]
from = 2024-11-20
count = "type = 'Warranty' AND total = 0"

[measures.receivables]
of = "jobs"
sum = "total - paid"
where = "total > paid"

[measures.cash]
of = "payments"
sum = "amount"
where = "method = 'cash'"

[measures.callback_rate]
ratio = ["callbacks", "repairs"]

[dimensions.technician]
of = "jobs"
column = "technician"
split = ","

[dimensions.crew]
of = "jobs"
column = "technician"
split = ","
count_for = "each"

[dimensions.top]
of = "jobs"
column = "technician"
split = ","
most = 1

[dimensions.billed]
of = "elocals_leads"
column = "status"
"""


@pytest.fixture(scope="module")
def company(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Two months of jobs of one, two and no technicians; refunds, orphans, leads, prices per lead and a month's spend."""
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("members") / "company", uri)
        (project.rules / "own.toml").write_text(OWN)
        project.put(
            "Import-1.csv",
            small_company.jobs(
                (1, "Warranty", "Google", "Tue Nov 05 2024", "Ann", "0"),
                (2, "COD Repair", "Google", "Tue Nov 05 2024", "Ann, Bo", "300.00"),
                (3, "Warranty", "Rely", "Wed Nov 06 2024", "", "0"),
                (4, "COD Repair", "Google", "Mon Oct 07 2024", "Bo", "80.00"),
                (5, "Warranty", "Google", "Thu Nov 21 2024", "Bo, Ann, Bo, Cy", "10.00"),
                (6, "COD Service", "eLocals", "Fri Nov 22 2024", " , ", "99.99"),
                (7, "INS Service", "Rely", "Sat Nov 23 2024", "Cy,Ann", "0"),
                more=("Tech", "Total"),
            ),
        )
        project.put(
            "payments_1.csv",
            payments(
                (2, "2024-11-06T15:00:00Z", "100.01", "cash", "", "p1"),
                (2, "2024-11-07T15:00:00Z", "-0.03", "cash", "", "p2"),
                (5, "2024-11-22T15:00:00Z", "10.00", "card", "", "p3"),
                ("no such", "2024-11-22T15:00:00Z", "77.77", "cash", "", "p4"),
                (6, "2024-11-23T15:00:00Z", "50.00", "cash", "Failed", "p5"),
                more=("Method", "Status", "Transaction ID"),
            ),
        )
        project.put(
            "leads cost Elocals 1.csv",
            leads(
                (101, "2024-11-05 10:00:00 -0500", "25.50", "Billed"),
                (102, "2024-11-06 10:00:00 -0500", "30.00", "Credited"),
                (103, "2024-11-06 10:00:00 -0500", "0.00", "Billed"),
                more=("Status",),
            ),
        )
        project.put("google spend.csv", spend(("2024-11", "100.00")))
        project.sync()
        yield project


@pytest.fixture
def say(
    company: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Runs a command line in the company: exit code, and the JSON document where there is one."""
    monkeypatch.chdir(company.root)
    for name, value in company.environment.items():
        monkeypatch.setenv(name, value)

    def line(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else err

    return line


@pytest.mark.deep
@pytest.mark.parametrize(
    "dimension", ["technician", *(pytest.param(d, marks=pytest.mark.slow) for d in ("crew", "top", "billed"))]
)
def test_the_rows_of_every_member_add_up_to_its_published_figure(company: Project, dimension: str) -> None:
    where = f"WHERE month = '2024-11-01' AND dimension = '{dimension}'"
    held = company.rows(f"SELECT month, dimension, member, measure, value::text FROM dimension_monthly {where}")
    published = {(m, d, n, measure): Decimal(v) for m, d, n, measure, v in held}
    with explainer(open_project(company.settings)) as one:
        metrics = tuple(sums(one.rules))
        for month, _, member in dict.fromkeys(key[:3] for key in published):
            found = explain_member(one, Query("ALL", month), dimension, member, metrics)
            assert found.verdict == "match", (month, dimension, member, found)
            for name, explained in found.metrics.items():
                assert explained.listed == published.get((month, dimension, member, name), 0), (dimension, member, name)
        for month in {key[0] for key in published}:
            every = explain_members(one, Query("ALL", month), dimension, metrics)
            assert every.verdict == "match", every
            for told in (found, every):  # a problem of the lake is a mismatch, but no difference of figures
                assert replace(told, problems=PROBLEMS).verdict == "mismatch"
                assert replace(told, problems=PROBLEMS).conclusion == "problems"
                assert replace(told, problems=PROBLEMS, figures_differing=("x",)).conclusion == "mismatch"
            for table in every.tables.values():
                assert not table.additive or table.together == table.whole
    assert len({key[2] for key in published}) >= 3


def test_one_member_by_hand(say: Callable[..., tuple[int, Any]]) -> None:
    question = ("explain", "--dimension", "technician", "--month", "2024-11", "--member", "bo")
    code, told = say(*question, "--metric", "revenue_gross", "--metric", "jobs", "--rows")
    revenue, jobs = told["metrics"]["revenue_gross"], told["metrics"]["jobs"]
    assert (code, told["verdict"], told["dimension"], told["member"]) == (0, "match", "technician", "Bo")
    assert [(r["key"], r["amount"]) for r in revenue["rows"]] == [("p1", "50.00"), ("p2", "-0.01"), ("p3", "3.34")]
    assert (revenue["value"], revenue["whole"], revenue["share"]) == ("53.33", "187.75", "0.284048")
    assert (jobs["value"], jobs["published"], [r["key"] for r in jobs["rows"]]) == (1, 1, ["5"])
    nearly = [n["keys"] for n in jobs["nearly"] if "named first" in n["reason"]]
    assert nearly == [["2"]]


def test_all_members_with_shares_and_a_ratio(say: Callable[..., tuple[int, Any]]) -> None:
    code, told = say("explain", "--dimension", "technician", "--month", "2024-11", "--metric", "callback_rate")
    figures = {(m["metric"], m["member"]): m["value"] for m in told["members"]}
    assert (code, told["verdict"]) == (0, "match")
    assert figures["callbacks", "Ann"] == 1
    assert ("callbacks", "Bo") not in figures  # its one has a total above 0, which from the 20th on is no callback
    assert (figures["callback_rate", "Ann"], figures["callback_rate", "(none)"]) == ("1.000000", None)
    assert told["metrics"]["callbacks"]["sum_of_members"] == told["metrics"]["callbacks"]["value"] == 2


@pytest.mark.deep
def test_counts_for_each_claim_no_whole(say: Callable[..., tuple[int, Any]]) -> None:
    _, told = say("explain", "--dimension", "crew", "--month", "2024-11", "--metric", "jobs", "--member", "Ann")
    assert told["metrics"]["jobs"]["value"] == 4
    assert "share" not in told["metrics"]["jobs"]
    _, told = say("explain", "--dimension", "crew", "--month", "2024-11", "--metric", "jobs")
    assert told["metrics"]["jobs"] | {"rule": "", "where_declared": ""} == {
        "rule": "", "where_declared": "", "additive": False, "value": 6, "sum_of_members": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--member", "Ann"), "--dimension"),
        pytest.param(("--dimension", "techician"), "did you mean 'technician'", marks=pytest.mark.slow),
        (("--dimension", "technician", "--member", "Anne"), "did you mean 'Ann'"),
        (("--dimension", "technician", "--source", "Google"), "whole company"),
        (("--dimension", "technician", "--day", "2024-11-05"), "by month"),
        (("--dimension", "technician", "--rows"), "--member"),
        (("--dimension", "top", "--member", "cy"), "(other)"),
        pytest.param(("--dimension", "technician", "--metric", "callbax"), "callbacks", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_asked(say: Callable[..., tuple[int, Any]], arguments: tuple[str, ...], said: str) -> None:
    code, message = say("explain", "--month", "2024-11", *arguments)
    assert code == 2
    assert said in str(message)


def test_a_figure_changed_in_the_database_is_a_mismatch(company: Project, say: Callable[..., tuple[int, Any]]) -> None:
    where = "WHERE dimension = 'technician' AND member = 'Bo' AND measure = 'revenue_gross' AND month = '2024-11-01'"
    run_sql(company.dsn, f"UPDATE dimension_monthly SET value = value + 0.01 {where}")
    try:
        question = ("explain", "--dimension", "technician", "--month", "2024-11", "--metric", "revenue_gross")
        for member in ((), ("--member", "Bo")):
            code, told = say(*question, *member)
            assert (code, told["verdict"]) == (3, "mismatch")
            assert "2024-11 Bo revenue_gross" in told["differing"][0]
    finally:
        run_sql(company.dsn, f"UPDATE dimension_monthly SET value = value - 0.01 {where}")
