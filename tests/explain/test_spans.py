"""Several months at once: their sum is explained and proved, in all and month by month."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from adbc_driver_postgresql import dbapi

from command_line import Line, in_process
from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.explainer import explainer
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import MonthRange
from support import Project

OCTOBER, NOVEMBER, DECEMBER = (dt.date(2024, m, 1) for m in (10, 11, 12))


@pytest.fixture
def rmetrics(small: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return in_process(small, monkeypatch, capsys)


@pytest.mark.deep
def test_a_span_is_the_sum_of_its_months_and_is_proved(small: Project) -> None:
    with explainer(open_project(small.settings)) as one:
        for source in ("ALL", *one.sources()):
            months = {m: one.explain(Query(source, m)) for m in (OCTOBER, NOVEMBER, DECEMBER)}
            span = one.explain(Query(source, OCTOBER, last=DECEMBER))
            assert (span.verdict, span.difference, span.differing) == ("match", Decimal(0), ()), source
            for name in MEASURES:
                each = {m: e.metrics[name].value for m, e in months.items()}
                measure = span.metrics[name]
                assert {m.month: m.value for m in measure.months} == each, (source, name)
                assert measure.value == sum(each.values()) == measure.listed
                assert sum(len(p.rows) for p in measure.parts) == sum(
                    len(p.rows) for e in months.values() for p in e.metrics[name].parts
                )
                for part in measure.parts:
                    read, *others = (s.rows for s in part.steps if part.feed)
                    assert read == sum(others), (source, name, part.steps)


@pytest.mark.deep
def test_looking_only_at_the_files_of_the_months_changes_nothing(sample: Project) -> None:
    asked = MonthRange(dt.date(2024, 3, 1), dt.date(2024, 5, 1))
    with (
        explainer(open_project(sample.settings)) as whole,
        explainer(open_project(sample.settings), months=asked) as some,
    ):
        assert sum(rows for rows, _ in some.excluded["jobs"].values()) > 0
        first, last = some.months(asked)
        for source in ("ALL", "Google", "eLocals"):
            question = Query(source, first, last=last)
            assert some.explain(question) == whole.explain(question), source


def test_a_month_that_differs_is_no_match_though_the_sum_agrees(own: Project) -> None:
    """Two changes in the database that cancel each other out."""
    own.sync()
    with dbapi.connect(own.dsn) as connection, connection.cursor() as cursor:
        for month, by in (("2024-11-01", 1), ("2024-12-01", -1)):
            cursor.execute(
                f"UPDATE daily_metrics SET jobs = jobs + {by} WHERE source = 'Google' AND date = (SELECT max(date) "
                f"FROM daily_metrics WHERE source = 'Google' AND date_trunc('month', date) = '{month}')"
            )
        connection.commit()
    with explainer(open_project(own.settings)) as one:
        found = one.explain(Query("Google", NOVEMBER, last=DECEMBER), ["jobs"])
    jobs = found.metrics["jobs"]
    assert jobs.value == jobs.published
    assert (found.verdict, found.difference) == ("mismatch", Decimal(1))
    assert [m.differences[-1] for m in jobs.months] == [1, 1]


@pytest.mark.deep
def test_from_to_and_the_year_to_date(rmetrics: Line) -> None:
    done = rmetrics("explain", "--source", "google", "--from", "2024-10", "--to", "2024-11", "--metric", "jobs")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Google, October 2024 to November 2024\n")
    assert "by month: 2024-10 1, 2024-11 4" in done.stdout
    assert "= 5 (PostgreSQL), in each month, difference 0" in done.stdout
    year = json.loads(rmetrics("explain", "--source", "google", "--ytd", "--json").stdout)
    assert (year["month"], year["from"], year["to"]) == (None, "2024-10", "2024-12")
    assert [m["month"] for m in year["metrics"]["jobs"]["months"]] == ["2024-10", "2024-11", "2024-12"]
    assert sum(m["value"] for m in year["metrics"]["jobs"]["months"]) == year["metrics"]["jobs"]["value"] == 6
    one = json.loads(rmetrics("explain", "--source", "google", "--from", "2024-11", "--to", "2024-11", "--json").stdout)
    assert (one["month"], one["from"], one["to"]) == ("2024-11", "2024-11", "2024-11")
    assert "months" not in one["metrics"]["jobs"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--month", "2024-11", "--from", "2024-10"), "--month cannot be combined with --from, --to or --ytd"),
        (("--day", "2024-11-05", "--ytd"), "--day cannot be combined with --from, --to or --ytd"),
        (("--from", "2024-12", "--to", "2024-10"), "--from 2024-12 is after --to 2024-10"),
        (("--from", "2019-01", "--to", "2019-12"), "no data for the months from 2019-01 to 2019-12"),
    ],
)
def test_spans_that_make_no_sense_are_refused(rmetrics: Line, options: tuple[str, ...], told: str) -> None:
    done = rmetrics("explain", "--source", "google", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_a_gap_over_several_months_looks_at_both_ends(rmetrics: Line) -> None:
    done = rmetrics("explain", "--source", "google", "--from", "2024-10", "--to", "2024-11", "--expect", "jobs=6")
    assert "-> 1 count in 2024-12 here, within 3 days of these months" in done.stdout, done.stdout


@pytest.mark.deep
def test_each_job_is_judged_by_the_condition_of_its_own_day(own: Project) -> None:
    """A unit is something else from December on: what nearly counted in a span is told by both conditions."""
    rules = own.rules / "business.toml"
    text = rules.read_text(encoding="utf-8")
    changed = "[[jobs.changes]]\nfrom = 2024-12-01\nunit = \"type = 'COD Repair'\"\n\n[revenue]"
    rules.write_text(text.replace("[revenue]", changed, 1), encoding="utf-8")
    own.sync()
    with explainer(open_project(own.settings), offline=True) as one:
        rely = one.explain(Query("Rely", NOVEMBER, last=DECEMBER), ["leads"])
        google = one.explain(Query("Google", NOVEMBER, last=DECEMBER), ["units"])
    assert [p.value for p in rely.metrics["leads"].parts] == [1, 0]
    assert google.metrics["units"].value == sum(p.value for p in google.metrics["units"].parts)
    assert any("'COD Repair'" in n.reason for n in google.metrics["units"].parts[1].nearly)
