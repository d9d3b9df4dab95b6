"""Explanations: every number of the sample is proved, and what is wrong is found and named."""

import contextlib
import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

import small_company
from command_line import rmetrics
from rmetrics.cli import run
from rmetrics.errors import LakeError, SettingsError
from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.explainer import explainer
from rmetrics.explain.explanation import Explanation
from rmetrics.opening import open_project
from rmetrics.usecases.check import check
from rmetrics.usecases.explain import explain
from support import Project

NOVEMBER = dt.date(2024, 11, 1)
NOTHING = Decimal()


@pytest.mark.deep
@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_every_number_of_the_sample_is_proved_to_its_rows(sample: Project, every: int) -> None:
    months = [r[0] for r in sample.rows("SELECT DISTINCT month FROM monthly_metrics ORDER BY 1")][::every]
    held = {
        (month, source): dict(zip(MEASURES, values, strict=True))
        for month, source, *values in sample.rows(
            f"SELECT month, source, {', '.join(f'sum({m})::text' for m in MEASURES)} FROM monthly_metrics GROUP BY 1, 2"
        )
    }
    proved = 0
    with explainer(open_project(sample.settings)) as one:
        for source in one.sources():
            for month in months:
                found = one.explain(Query(source, month))
                assert (found.verdict, found.difference, found.differing) == ("match", NOTHING, ()), (source, month)
                for name, metric in found.metrics.items():
                    rows = [r for p in metric.parts for r in p.rows]
                    assert sum((r.amount for r in rows), Decimal(0)) == metric.value, (source, month, name)
                    assert metric.value == Decimal(held.get((month, source), {}).get(name, "0")), (source, month, name)
                    for part in metric.parts:
                        read, *others = (s.rows for s in part.steps if part.feed)
                        assert read == sum(others), (source, month, name, part.steps)
                        assert all(r.line and r.file for r in part.rows if part.feed)
                    proved += 1
    assert proved >= 12 // every * 15 * len(MEASURES)


@pytest.mark.slow
def test_looking_only_at_the_files_a_month_needs_changes_nothing(sample: Project) -> None:
    months = [r[0] for r in sample.rows("SELECT DISTINCT month FROM monthly_metrics ORDER BY 1")]
    with explainer(open_project(sample.settings)) as whole:
        for month in (months[0], months[len(months) // 2], months[-1]):
            with explainer(open_project(sample.settings), month=month) as one:
                assert sum(rows for rows, _ in one.excluded["jobs"].values()) > 0
                for source in whole.sources():
                    assert one.explain(Query(source, month)) == whole.explain(Query(source, month)), (source, month)


@pytest.mark.slow
def test_a_day_and_a_segment_are_proved_too(sample: Project) -> None:
    days = sample.rows("SELECT date, source, segment FROM daily_metrics WHERE cost > 0 OR repairs > 0 ORDER BY 1, 2, 3")
    with explainer(open_project(sample.settings)) as one:
        for day, source, segment in days[:: len(days) // 12]:
            found = one.explain(Query(source, day.replace(day=1), segment, day))
            assert (found.verdict, found.difference) == ("match", NOTHING), (day, source, segment)
            segments = one.explain(Query(source, day.replace(day=1), segment))
            assert (segments.verdict, segments.difference) == ("match", NOTHING), (day, source, segment)


def nearly(found: Explanation, metric: str) -> dict[str, int]:
    return {n.reason: n.rows for p in found.metrics[metric].parts for n in p.nearly}


def steps(found: Explanation, metric: str) -> dict[str, int]:
    return {s.step: s.rows for p in found.metrics[metric].parts for s in p.steps if s.rows}


def test_the_funnel_leads_from_the_exports_to_the_number(small: Project) -> None:
    found = explain(small.settings, "elocals", NOVEMBER)
    assert found.asked.source == "eLocals"
    assert steps(found, "leads") == {
        "read": 6, "superseded by a newer export": 1, "other months": 1, "not matched by the condition": 2, "counted": 2,
    }  # fmt: skip
    assert nearly(found, "leads") == {
        "cost > 0 does not hold: cost is 0.00 (1), blank (1)": 2,
        "in 2024-11 by UTC, but in another month by local time": 1,
    }
    assert found.metrics["leads"].where.endswith("sources.toml:12")
    assert [(r.key, r.file, r.line) for p in found.metrics["cost"].parts for r in p.rows] == [
        ("101", "leads cost Elocals 1.csv", 2),
        ("102", "leads cost Elocals 1.csv", 3),
    ]


def test_rows_that_nearly_counted_are_grouped_by_why_not(small: Project) -> None:
    found = explain(small.settings, "Google", NOVEMBER)
    assert {n: int(m.value) for n, m in found.metrics.items() if n in ("jobs", "units", "repairs")} == {
        "jobs": 4, "units": 2, "repairs": 2,
    }  # fmt: skip
    assert nearly(found, "units") == {
        "type IN ('COD Service', 'INS Service') does not hold: type is COD Repair (1), Warranty (1)": 2
    }
    assert nearly(found, "repairs")["paid > 100 does not hold: paid is 100.00 (1)"] == 1
    assert nearly(found, "revenue_gross") == {"status is Failed": 1}
    assert found.metrics["revenue_gross"].value == Decimal("500.01")
    assert found.metrics["revenue40"].value == Decimal("200.004")


def test_a_spread_cost_shows_how_it_was_split(small: Project) -> None:
    (part,) = explain(small.settings, "Google", NOVEMBER, metrics=["cost"]).metrics["cost"].parts
    assert part.split is not None
    assert (part.split.total, part.split.days, part.split.per_day, part.split.extra) == (
        Decimal(100),
        30,
        Decimal("3.33"),
        10,
    )
    (day,) = (
        explain(small.settings, "Google", NOVEMBER, day=dt.date(2024, 11, 3), metrics=["cost"]).metrics["cost"].parts
    )
    assert [(r.amount, r.file) for r in day.rows] == [(Decimal("3.34"), None)]


def test_a_rule_that_changes_inside_the_month_is_explained_in_parts(own: Project) -> None:
    rules = own.rules / "business.toml"
    rules.write_text(rules.read_text() + "\n[[revenue.changes]]\nfrom = 2024-11-20\nshare = 0.5\n")
    own.sync()
    found = explain(own.settings, "Google", NOVEMBER, metrics=["revenue40"])
    assert (found.verdict, found.difference) == ("match", NOTHING)
    parts = found.metrics["revenue40"].parts
    assert [(p.since, p.value) for p in parts] == [(None, Decimal("80.004")), (dt.date(2024, 11, 20), Decimal(150))]
    assert "50 %" in parts[1].rule


def test_an_undeclared_source_says_that_no_rule_declares_it(small: Project) -> None:
    leads = explain(small.settings, "Gogle", NOVEMBER).metrics["leads"]
    assert (leads.value, leads.parts) == (NOTHING, ())
    assert "no rule declares the source Gogle" in leads.rule


def test_an_unknown_source_is_answered_with_the_nearest(small: Project) -> None:
    with pytest.raises(SettingsError, match="did you mean 'eLocals'"):
        explain(small.settings, "Elocals Inc", NOVEMBER)


# -- what is wrong is found and named


def execute(project: Project, sql: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(project.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)


BY_HAND = (
    ("Google", "UPDATE monthly_metrics SET leads = 9 WHERE source = 'Google' AND segment = 'COD' AND month = '2024-11-01'", "month of 2024-11 COD leads: 3 computed, PostgreSQL has 9"),
    ("Google", "UPDATE daily_metrics SET cost = 9 WHERE source = 'Google' AND date = '2024-11-05'", "2024-11-05 COD cost: 3.34 computed, PostgreSQL has 9"),
    ("Google", "DELETE FROM daily_metrics WHERE source = 'Google' AND date = '2024-11-06'", "2024-11-06 COD jobs: 1 computed, PostgreSQL has no row"),
    ("eLocals", "DELETE FROM monthly_metrics WHERE source = 'eLocals'", "month of 2024-11 COD leads: 2 computed, PostgreSQL has no row"),
    ("eLocals", "DELETE FROM elocals_leads WHERE lead_id = '101'", "elocals_leads 101: row missing in PostgreSQL"),
    ("eLocals", "UPDATE elocals_leads SET cost = 1 WHERE lead_id = '102'", "elocals_leads 102: cost is 1.00 in PostgreSQL, 30.00 computed"),
    ("Google", "DELETE FROM payments WHERE payment_id = 'p2'", "payments p2: row missing in PostgreSQL"),
    ("Google", "UPDATE jobs SET is_repair = NOT is_repair WHERE job_id = '3'", "jobs 3: is_repair is False in PostgreSQL"),
    ("Google", "UPDATE google_spend SET spend = 5", "google_spend 2024-11-01/(all): spend is 5.00 in PostgreSQL"),
)  # fmt: skip


@pytest.mark.deep
def test_changes_by_hand_in_postgres_are_named_by_explain_and_check(own: Project) -> None:
    for _, sql, _ in BY_HAND:
        execute(own, sql)
    for source in ("Google", "eLocals"):
        found = explain(own.settings, source, NOVEMBER)
        assert found.verdict == "mismatch"
        for named in (named for of, _, named in BY_HAND if of == source):
            assert any(named in line for line in found.differing), (named, found.differing)
    result = check(own.settings)
    assert not result.ok
    assert result.published is not None
    assert {table: rows for table, rows in result.published.items() if rows} == {
        "monthly_metrics": 3, "daily_metrics": 2, "elocals_leads": 2, "payments": 1, "jobs": 1, "google_spend": 1,
    }  # fmt: skip
    own.sync(full=True)
    assert explain(own.settings, "Google", NOVEMBER).verdict == "match"
    assert check(own.settings).ok


@pytest.mark.deep
def test_a_rule_edited_and_not_synced_is_named_with_its_place(own: Project) -> None:
    rules = own.rules / "sources.toml"
    rules.write_text(rules.read_text().replace('leads   = { feed = "elocals_leads", where = "cost > 0" }', 'leads   = { feed = "elocals_leads", where = "cost > 26" }'))  # fmt: skip
    found = explain(own.settings, "eLocals", NOVEMBER)
    assert found.verdict == "mismatch"
    assert (found.metrics["leads"].value, found.metrics["leads"].published) == (Decimal(1), Decimal(2))
    assert "sources.toml:12" in found.problems[0].message
    assert {"rules-not-synced", "published-differs"} <= {f.code for f in check(own.settings).findings}
    wrong = rmetrics(own, "explain", "--source", "eLocals", "--month", "2024-11").stdout
    assert "The numbers do not agree" in wrong
    of_another = rmetrics(own, "explain", "--source", "Google", "--month", "2024-11").stdout
    assert "The numbers agree, but see the errors above" in of_another
    assert not list((own.root / "data" / "lake").rglob("*.part"))


@pytest.mark.parametrize(
    "kind", ["typed/elocals_leads/*.parquet", "metrics/job_facts/*.parquet", "metrics/daily_metrics/*.parquet"]
)
@pytest.mark.ordinary(0, deep=1)
def test_a_damaged_cache_is_named_and_not_believed(small: Project, kind: str) -> None:
    with damaged(small, kind) as path:
        found = explain(small.settings, "eLocals", NOVEMBER)
        assert found.verdict == "mismatch"
        assert [path.name in p.message for p in found.problems] == [True]
        assert (found.difference, found.metrics["leads"].value) == (
            NOTHING,
            Decimal(2),
        )  # computed again from the exports
        assert any(f.code == "damaged-file" and path.name in f.message for f in check(small.settings).findings)


def test_a_damaged_export_stops_the_explanation_and_is_named(small: Project) -> None:
    with damaged(small, "raw/elocals_leads/*.parquet") as path:
        with pytest.raises(LakeError, match=path.name):
            explain(small.settings, "eLocals", NOVEMBER)
        (finding,) = check(small.settings).findings
        assert (finding.code, path.name in finding.message) == ("damaged-file", True)


@contextlib.contextmanager
def damaged(project: Project, kind: str) -> Iterator[Path]:
    """One bit in the middle of a file of the lake is flipped, and flipped back."""
    path = min((project.root / "data" / "lake").glob(kind))
    before = path.read_bytes()
    content = bytearray(before)
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    yield path
    path.write_bytes(before)


# -- the command line


@pytest.fixture
def command(small: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    for name, value in small.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(small.root)
    return lambda *arguments: run(list(arguments))


def test_json_has_the_keys_of_the_contract(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert command("explain", "--source", "Google", "--month", "2024-11", "--rows", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["month"], said["verdict"], said["difference"]) == (
        "Google",
        "2024-11",
        "match",
        "0.00",
    )
    assert said["published"] == said["cross_check"]
    assert said["published"]["cost"] == "100.00"
    assert said["published"]["leads"] == 4
    for name, metric in said["metrics"].items():
        assert {"value", "rule", "where_declared", "steps", "rows"} <= metric.keys(), name
        assert {"step", "rows"} == metric["steps"][0].keys()
        assert sum(Decimal(r["amount"]) for r in metric["rows"]) == Decimal(metric["value"])


def test_a_mismatch_exits_3(command: Callable[..., int], small: Project, capsys: pytest.CaptureFixture[str]) -> None:
    was = small.rows(
        "SELECT repairs FROM monthly_metrics WHERE source = 'Google' AND segment = 'COD' AND month = '2024-11-01'"
    )[0][0]
    execute(
        small,
        "UPDATE monthly_metrics SET repairs = 7 WHERE source = 'Google' AND segment = 'COD' AND month = '2024-11-01'",
    )
    assert command("explain", "--source", "Google", "--month", "2024-11") == 3
    assert "repairs: 2 computed, PostgreSQL has 7" in capsys.readouterr().out
    assert command("check", "--quiet") == 3
    execute(
        small,
        f"UPDATE monthly_metrics SET repairs = {was} WHERE source = 'Google' AND segment = 'COD' AND month = '2024-11-01'",
    )
    assert command("check", "--quiet") == 0


def test_before_anything_is_published_the_verdict_says_so(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("explain", "--source", "Google", "--month", "2024-11", "--offline", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["verdict"], said["published"]) == ("unpublished", None)


def test_csv_of_the_rows_cannot_act_in_a_spreadsheet(own: Project, tmp_path: Path) -> None:
    own.put(
        "Import-9.csv",
        small_company.jobs((77, "COD Service", "Google", "Tue Nov 12 2024", "=cmd|'/C calc'!A0"), more=("Status",)),
    )
    own.sync()
    target = tmp_path / "rows.csv"
    period = ("--source", "Google", "--month", "2024-11")
    done = rmetrics(own, "explain", *period, "--metric", "jobs", "--csv", str(target))
    assert done.returncode == 0, done.stderr
    with target.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert [r["status"] for r in rows if r["key"] == "77"] == ["'=cmd|'/C calc'!A0"]
    assert not any(cell.startswith(("=", "+", "@", "\t")) for r in rows for cell in r.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2024-13"], "not a month"),
        (["--month", "2024-11", "--metric", "lead"], "did you mean 'leads'"),
        (["--month", "2024-11", "--day", "2024-12-01"], "is not in 2024-11"),
        (["--month", "2024-11", "--expect", "leads=many"], "is not a number"),
        (["--month", "2024-11", "--against", "list.csv"], "require each other"),
        (["--month", "2024-11", "--segment", "XXX"], "unknown segment:"),
    ],
)
def test_a_question_that_cannot_be_read_exits_2(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert command("explain", "--source", "Google", *arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.deep
def test_a_source_that_is_named_as_it_is_published_is_the_one_that_is_explained(project: Project) -> None:
    """Undeclared names that differ in a hyphen are two sources; each is asked about by its own name."""
    names = ("Fixly", "fix-ly", "fix-ly", "Angi Leads")
    jobs = [(n, "COD Service", name, "2024-10-01") for n, name in enumerate(names, 1)]
    project.put("Import.csv", small_company.jobs(*jobs))
    project.sync()

    def jobs_of(name: str) -> tuple[str, object]:
        found = explain(project.settings, name, dt.date(2024, 10, 1))
        return found.asked.source, found.metrics["jobs"].value

    assert jobs_of("Fixly") == ("Fixly", 1)
    assert jobs_of("fix-ly") == ("fix-ly", 2)
    assert jobs_of("FIX LY") == ("Fixly", 1)  # the one that differs in case and spaces alone
    assert jobs_of("Fix-Ly") == ("fix-ly", 2)
    assert jobs_of("angi-leads") == ("Angi Leads", 1)
    assert jobs_of("google-ads")[0] == "Google"
    with pytest.raises(SettingsError, match="'fi-xly' may mean 'Fixly' or 'fix-ly'"):
        jobs_of("fi-xly")
