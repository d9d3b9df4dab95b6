"""``rmetrics journeys``, ``explain --job`` and ``--lead``: what they say, and that they say nothing of customers."""

import datetime as dt
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from published import run as run_sql
from rmetrics.cli import run
from rmetrics.errors import CheckError, SettingsError
from rmetrics.explain.asked import Query
from rmetrics.explain.explainer import explainer
from rmetrics.opening import open_project
from rmetrics.pipeline.compute.journeys import make_journeys
from rmetrics.rules import load_rules
from rmetrics.rules.funnel import funnel_names
from rmetrics.usecases.explain import explain_journey, explain_numbers, parse_question
from small_company import jobs, leads, payments
from support import Project, csv_text, fresh_database, new_project

CALLS = ("Call ID", "Start Time", "Call Status", "Phone Number", "Source", "Flow", "Job")
NOVEMBER = dt.date(2024, 11, 1)
CANARIES = ("6175559131", "8084355068", "5085559133")
ROWS = {
    "Import-1.csv": jobs(
        ("1", "COD Service", "eLocals", "11/05/2024", "U1", CANARIES[0], "02118"),  # same day, same source
        ("2", "COD Repair", "Google", "11/07/2024", "U2", CANARIES[0], "02118"),  # two days later
        ("3", "COD Service", "eLocals", "11/05/2024", "U3", f"{CANARIES[1]} #940", "02118"),  # another behind a proxy
        ("4", "COD Service", "", "11/06/2024", "U4", CANARIES[2], "02118"),  # called by Google
        more=("UUID", "Primary Phone", "Zip Code"),
    ),
    "payments.csv": payments(
        ("1", "11/05/2024", "85.00", "p1"), ("2", "11/08/2024", "300.00", "p2"), more=("Transaction ID",)
    ),
    "leads cost Elocals.csv": leads(
        ("e1", "2024-11-05 09:00:00 -0500", "20.00", CANARIES[0]),
        ("e2", "2024-11-05 10:00:00 -0500", "21.50", CANARIES[0]),  # the same customer once more
        ("e3", "2024-11-05 11:00:00 -0500", "22.00", f"{CANARIES[1]} ext 941"),
        ("e4", "2024-11-05 12:00:00 -0500", "23.00", "0000000000"),
        more=("Caller ID",),
    ),
    "export_export.csv": csv_text(
        CALLS,
        ("c1", "2024-11-05 09:04:00 -0500", "Answered Call", CANARIES[0], "", "eLocals", ""),
        ("c2", "2024-11-06 09:00:00 -0500", "Missed Call", CANARIES[2], "Google Ads", "", "U4"),
    ),
}


@pytest.fixture(scope="module")
def followed(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("journeys") / "project", uri)
        for name, text in ROWS.items():
            project.put(name, text)
        assert project.sync().status == "published"
        yield project


def said(project: Project, *arguments: str) -> str:
    """What a command prints, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(project.root)
        for name, value in project.environment.items():
            patch.setenv(name, value)
        code = run(list(arguments))
    assert code == 0, err.getvalue()
    return out.getvalue() + err.getvalue()


def document(project: Project, *arguments: str) -> dict[str, Any]:
    text = said(project, *arguments, "--json")
    made: dict[str, Any] = json.loads(text)
    return made


def test_what_became_of_each_lead(followed: Project) -> None:
    found = document(followed, "journeys", "--sensitivity", "--rows")
    rows = {r["touch_id"]: (r["job_id"], r["matched_by"], r["reason"], r["answered"], r["cost"]) for r in found["rows"]}
    assert rows == {
        "elocals_leads:e1": ("1", "phone", None, True, "20.00"),
        "elocals_leads:e2": (None, "none", "no-job", None, "21.50"),
        "elocals_leads:e3": (None, "none", "no-job", None, "22.00"),
        "elocals_leads:e4": (None, "none", "no-number", None, "23.00"),
        "calls:c2": ("4", "uuid", None, False, "0.00"),
    }
    whole = found["funnel"][-1]
    assert (whole["source"], whole["touches"], whole["booked"], whole["cost"], whole["revenue_gross"]) == (
        "ALL", 5, 2, "86.50", "85.00",
    )  # fmt: skip
    assert [(s["window"], s["jobs"], s["paid"], s["confirmed"]) for s in found["sensitivity"][:3]] == [
        (0, 2, "85.00", 1),
        (1, 2, "85.00", 1),
        (3, 3, "385.00", 1),
    ]
    assert found["accuracy"] == {"right": 1, "wrong": 0, "missed": 0}


def test_published_rows_add_up(followed: Project) -> None:
    assert followed.rows(
        "SELECT source, touches, booked, no_job, no_number, shared, outside_window, touch_cost, cost, revenue_gross, "
        "round(cost_per_booked, 2) FROM journey_metrics ORDER BY source"
    ) == [("Google", 1, 1, 0, 0, 0, 0, "0.00", "0.00", "0.00", "0.00"), ("eLocals", 4, 1, 2, 1, 0, 0, "86.50", "86.50", "85.00", "86.50")]  # fmt: skip
    assert followed.rows("SELECT job_id, source, source_matched, matched_by, touch_id FROM jobs ORDER BY 1") == [
        ("1", "eLocals", "eLocals", "phone", "elocals_leads:e1"),
        ("2", "Google", None, None, None),
        ("3", "eLocals", None, None, None),
        ("4", "Unattributed", "Google", "uuid", "calls:c2"),
    ]
    assert followed.rows("SELECT known, sum(jobs)::int, sum(paid) FROM jobs_matched GROUP BY 1 ORDER BY 1") == [
        ("CRM only", 2, "300.00"),
        ("by link", 1, "0.00"),
        ("by number", 1, "85.00"),
    ]


def test_a_job_and_a_lead_are_explained(followed: Project) -> None:
    story = explain_journey(followed.settings, job="1")
    assert [(t.touch_id, t.has_it, t.why) for t in story.ties] == [
        ("elocals_leads:e1", True, "has the job: same number, and the CRM names the same source"),
        ("elocals_leads:e2", False, "elocals_leads:e1 came earlier, and the first touch has the job"),
    ]
    late = explain_journey(followed.settings, job="U2")
    assert {t.why for t in late.ties} == {"outside the window: 2 days before the job, with a window of 0"}
    lead = explain_journey(followed.settings, lead="e4")
    assert (lead.ties, lead.said[:25]) == ((), "It has no number to match")


def test_a_figure_of_the_funnel_is_explained_to_its_rows(followed: Project) -> None:
    found = document(followed, "explain", "--source", "elocals", "--metric", "booked", "--rows")
    booked = found["metrics"]["booked"]
    assert (found["verdict"], booked["value"], booked["recomputed"], booked["published"]) == ("match", 1, 1, 1)
    assert [
        (r["key"], r["file"], r["line"], r["detail"]["job"], r["detail"]["matched_by"]) for r in booked["rows"]
    ] == [("e1", "leads cost Elocals.csv", 2, "1", "phone")]
    read, *others = (s["rows"] for s in booked["steps"])
    assert (read, sum(others)) == (4, 4)
    assert {s["step"]: s["rows"] for s in booked["steps"]}["touches with another outcome"] == 3
    assert {n["reason"].partition(": ")[2]: n["keys"] for n in booked["nearly"]} == {
        "another touch has the job that they could have": ["e2"],
        "their number has no job": ["e3"],
        "they have no customer's number, and no call names a job for them": ["e4"],
    }
    assert (
        "created on its own day, or that the CRM names; of several touches in the window, the first" in booked["rule"]
    )
    assert "rules/journeys.toml:" in booked["where_declared"]


@pytest.mark.deep
def test_every_figure_of_the_funnel_is_proved(followed: Project) -> None:
    names = funnel_names(load_rules(followed.rules))
    columns = ", ".join(f"sum({c})::text" for c in names.values())
    (held,) = followed.rows(f"SELECT {columns} FROM journey_metrics")
    assert float(held[list(names).index("journeys.revenue40")]) > 0
    with explainer(open_project(followed.settings)) as one:
        for source in ("ALL", "eLocals"):
            found = one.explain(Query(source, NOVEMBER), tuple(names))
            assert (found.verdict, found.difference, found.differing) == ("match", Decimal(0), ()), source
            for name, metric in found.metrics.items():
                assert sum((r.amount for p in metric.parts for r in p.rows), Decimal(0)) == metric.value, (source, name)
            if source == "ALL":
                assert [m.value for m in found.metrics.values()] == [Decimal(v) for v in held]
        day = one.explain(Query("Google", NOVEMBER, day=NOVEMBER.replace(day=6)), ("booked", "answered"))
        assert [m.value for m in day.metrics.values()] == [1, 0]
        assert (day.verdict, day.difference) == ("match", Decimal(0))


def test_a_figure_of_the_funnel_that_was_altered_in_the_database_is_not_believed(followed: Project) -> None:
    run_sql(followed.dsn, "UPDATE journey_metrics SET booked = 2, no_job = 1 WHERE source = 'eLocals'")
    try:
        found = explain_numbers(
            followed.settings, parse_question("elocals", None, None, ["booked"], None, None, None, None)
        )[0]
        assert found.verdict == "mismatch"
        assert found.figures_differing == ("month of 2024-11 ALL booked: 1 computed, PostgreSQL has 2",)
    finally:
        run_sql(followed.dsn, "UPDATE journey_metrics SET booked = 1, no_job = 2 WHERE source = 'eLocals'")


@pytest.mark.parametrize(
    ("metric", "segment", "told"),
    [
        ("roas", None, "is a ratio: journeys.revenue_gross / journeys.cost"),
        ("bookd", None, "did you mean 'booked'"),
        ("booked", "COD", "booked has no segments"),
    ],
)
def test_what_the_funnel_cannot_answer_is_refused(
    followed: Project, metric: str, segment: str | None, told: str
) -> None:
    question = parse_question("elocals", None, segment, [metric], None, None, None, None)
    with pytest.raises(SettingsError, match=re.escape(told)):
        explain_numbers(followed.settings, question, offline=True)


def test_a_list_from_elsewhere_is_compared_with_touches(followed: Project, tmp_path: Path) -> None:
    path = tmp_path / "vendor.csv"
    path.write_text("Unique ID\ne1\ne2\n", encoding="utf-8")
    question = parse_question("elocals", None, None, ["journeys.booked"], None, None, path, "Unique ID")
    found, (gap,) = explain_numbers(followed.settings, question, offline=True)
    assert list(found.metrics) == ["booked"]
    (why,) = gap.reasons
    assert (why.keys, "another touch has the job" in why.text) == (("e2",), True)


def test_no_phone_leaves_the_lake(followed: Project) -> None:
    texts = [
        said(followed, *arguments)
        for arguments in (
            ("journeys", "--rows", "--sensitivity"),
            ("journeys", "--rows", "--json"),
            ("explain", "--job", "1"),
            ("explain", "--lead", "e2", "--json"),
            ("explain", "--source", "ALL", "--metric", "booked", "--metric", "no_job", "--rows", "--json"),
        )
    ]
    texts += [
        str(followed.rows(f"SELECT * FROM {table}")) for table in ("journeys", "journey_metrics", "jobs", "calls")
    ]
    for canary in CANARIES:
        assert not [t for t in texts if canary in t or canary[-7:] in t]


@pytest.mark.deep
def test_an_edited_window_is_planned_published_and_remembered(followed: Project) -> None:
    path: Path = followed.rules / "journeys.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("window = 0\n", "window = 2\n", 1), encoding="utf-8")
    try:
        planned = document(followed, "plan")
        assert planned["changes"] == []
        assert [(j["job_id"], j["paid"], j["from_touch"], j["to_touch"]) for j in planned["journeys"]] == [
            ("2", "300.00", None, "elocals_leads:e1")
        ]
        followed.sync()
        (change,) = [
            c for c in document(followed, "history", "--month", "2024-11")["changes"] if c["metric"] == "journeys.jobs"
        ]
        assert (change["source"], float(change["before"]), float(change["after"])) == ("eLocals", 1, 2)
        assert "journeys.window: 0 -> 2" in change["cause"]
        (gross,) = document(followed, "history", "--month", "2024-11", "--metric", "journeys.revenue_gross")["changes"]
        assert (float(gross["before"]), float(gross["after"])) == (85, 385)
    finally:
        path.write_text(text, encoding="utf-8")
        followed.sync()


@pytest.mark.deep
def test_journeys_that_do_not_add_up_are_not_published(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first engine that loses a lead's cost is caught by the second."""
    for name, text in ROWS.items():
        project.put(name, text)

    def wrong(*arguments: Any) -> Any:
        found = make_journeys(*arguments)
        cost = pl.when(pl.col("touch_id") == "elocals_leads:e2").then(pl.lit(0)).otherwise(pl.col("cost"))
        return type(found)(found.matches, found.journeys.with_columns(cost.cast(pl.Decimal(18, 2)).alias("cost")))

    monkeypatch.setattr("rmetrics.pipeline.compute.journeys.make_journeys", wrong)
    with pytest.raises(CheckError, match="disagree"):
        project.sync()
    assert project.rows("SELECT count(*)::int FROM journeys") == [(0,)]
