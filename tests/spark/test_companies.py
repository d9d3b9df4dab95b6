"""Companies as tasks: the tables of one machine, whatever becomes of a task, and nothing in force before the end."""

import datetime as dt
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from in_tasks import InProcess
from rmetrics.errors import SettingsError
from rmetrics.lake import Lake
from rmetrics.opening import places_of
from rmetrics.pipeline import companies as module
from rmetrics.pipeline.companies import CompanyWork, ComputedCompany, make_company
from rmetrics.pipeline.project import Places
from rmetrics.pipeline.project import Project as Opened
from rmetrics.settings import Settings
from rmetrics.spark.companies import company_work
from rmetrics.spark.runner import SparkRunner
from rmetrics.usecases.sync import sync
from small_company import BOSTON, TORONTO, amounts
from support import Project, fresh_database
from templates import Template, Templates

GROUP = ("group_daily_metrics", "group_monthly_metrics", "group_targets")
OWN = ("boston.daily_metrics", "boston.monthly_metrics", "boston.payments", "boston.jobs")
RULES = BOSTON + '[companies.calgary]\ncurrency = "CAD"\n' + TORONTO


def filled(project: Project) -> None:
    """Three companies with exports, published by one machine."""
    (project.rules / "companies.toml").write_text(RULES)
    project.put("boston/payments.csv", amounts(100, 50))
    project.put("boston/targets.csv", "Month,Source,Segment,Target Repairs\n2025-01,,,7\n")
    project.put("calgary/payments.csv", amounts(3))
    project.put("canada/toronto/payments.csv", amounts(200))
    project.sync()


@pytest.fixture(scope="module")
def published(templates: Templates) -> Template:
    return templates.of(filled)


@pytest.fixture
def group(published: Template, tmp_path: Path) -> Iterator[Project]:
    with published.copy(tmp_path) as project:
        yield project


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    made = InProcess()
    monkeypatch.setattr(SparkRunner, "engine", lambda *_: made)
    return made


def on_tasks(project: Project) -> Settings:
    return project.settings.model_copy(update={"engine": "spark"})


def tables(project: Project, names: Sequence[str] = GROUP) -> dict[str, list[tuple[Any, ...]]]:
    return {name: sorted(project.rows(f"SELECT * FROM {name}"), key=repr) for name in names}


@pytest.mark.deep
def test_tables_are_those_of_one_machine_although_every_task_runs_twice(
    published: Template, engine: InProcess, tmp_path: Path, pg_uri: str
) -> None:
    want = published.project
    with fresh_database(pg_uri, ready=True) as dsn:
        project = Project(tmp_path, dsn)
        (tmp_path / "rules").symlink_to(want.rules)
        (tmp_path / "data").mkdir()
        project.inbox.symlink_to(want.inbox)
        result = sync(on_tasks(project))
        assert [(c.company, c.status) for c in result.companies] == [
            (n, "published") for n in ("boston", "calgary", "toronto")
        ]
        assert tables(project, (*GROUP, *OWN)) == tables(want, (*GROUP, *OWN))
        assert {f.file: f.status for f in result.files}.keys() == {
            "boston/payments.csv", "boston/targets.csv", "calgary/payments.csv", "toronto/payments.csv",
        }  # fmt: skip
        again = sync(on_tasks(project))
        assert {c.status for c in again.companies} == {"unchanged"}
        here = project.sync()  # one machine goes on from it
        assert {c.status for c in here.companies} == {"unchanged"}
        assert not [f for f in here.findings if f.code == "damaged-cache"]
    assert [work.name for work in engine.asked] == ["boston", "calgary", "toronto"] * 2


@pytest.mark.usefixtures("engine")
@pytest.mark.deep
def test_new_exports_of_one_company_replace_its_figures_alone(group: Project) -> None:
    draft = group.settings.data_dir / "companies" / "calgary" / "lake" / "raw" / "x.parquet.0815.part"
    draft.write_bytes(b"of a task that was killed")
    group.put("canada/toronto/more.csv", amounts(200, 7))
    result = sync(on_tasks(group))
    assert [(c.company, c.status) for c in result.companies] == [
        ("boston", "unchanged"), ("calgary", "unchanged"), ("toronto", "published"),
    ]  # fmt: skip
    sums = "SELECT company, sum(revenue_gross)::text FROM group_monthly_metrics GROUP BY 1 ORDER BY 1"
    assert group.rows(sums) == [("boston", "150.00"), ("calgary", "3.00"), ("toronto", "207.00")]
    assert not draft.exists()


@pytest.mark.deep
@pytest.mark.usefixtures("engine")
def test_what_stops_one_company_stops_no_other_whatever_it_is(group: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (group.settings.data_dir / "companies" / "boston" / "lake" / "raw").glob("*/*.parquet"):
        raw.unlink()  # its exports are lost
    for export in (group.inbox / "boston").iterdir():
        export.unlink()
    group.put("canada/toronto/payments.csv", amounts(300))
    from rmetrics.pipeline.prepared import prepare

    def buggy(project: Opened, *args: Any, **more: Any) -> Any:
        if project.places.company == "calgary":
            raise KeyError("a customer's name")
        return prepare(project, *args, **more)

    monkeypatch.setattr(module, "prepare", buggy)
    before = tables(group, GROUP[:2])
    result = sync(on_tasks(group))
    assert [c.status for c in result.companies] == ["failed", "failed", "published"]
    boston, calgary = (c.message for c in result.companies[:2])
    assert "payments.csv" in boston
    assert str(group.settings.data_dir / "companies" / "boston" / "lake") in boston, "the user's path, not the task's"
    assert "a bug in rmetrics (KeyError, test_companies.py" in calgary
    assert "customer" not in calgary
    after = tables(group, GROUP[:2])
    for name, rows in before.items():
        others = [r for r in rows if r[0] != "toronto"]
        assert others == [r for r in after[name] if r[0] != "toronto"]
    assert len([f for f in result.findings if f.code == "company-failed" and f.severity == "error"]) == 2


@pytest.mark.deep
def test_a_company_that_ends_its_executor_each_time_stops_no_other(group: Project, engine: InProcess) -> None:
    engine.fails = lambda work: work.name == "calgary"
    group.put("canada/toronto/payments.csv", amounts(300))
    result = sync(on_tasks(group))
    assert [c.status for c in result.companies] == ["unchanged", "failed", "published"]
    assert "Spark could not" in result.companies[1].message


def test_other_versions_on_executors_end_the_run(
    group: Project, engine: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise SettingsError("an executor has polars 0.1, this machine has another", "")

    monkeypatch.setattr(engine, "each", refused)
    with pytest.raises(SettingsError, match="an executor has polars"):
        sync(on_tasks(group))


@pytest.mark.usefixtures("engine")
@pytest.mark.deep
def test_a_large_company_is_no_task_and_a_busy_one_waits(group: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from rmetrics.usecases import sync as usecase

    plain = usecase._one_company  # noqa: SLF001 - the plan for a large company needs a cluster
    alone = list[str]()

    def one(settings: Settings, rules: Any, name: str, *args: Any, **more: Any) -> Any:
        alone.append(name)
        return plain(settings.model_copy(update={"engine": "local"}), rules, name, *args, **more)

    monkeypatch.setattr(usecase, "_one_company", one)
    monkeypatch.setattr("rmetrics.spark.companies.company_work", small_for("toronto"))
    group.put("canada/toronto/payments.csv", amounts(300))
    busy = Lake(group.settings.data_dir / "companies" / "calgary" / "lake")
    with busy.locked():
        result = sync(on_tasks(group))
    assert [c.status for c in result.companies] == ["unchanged", "failed", "published"]
    assert "another run holds the lock of the lake" in result.companies[1].message
    assert alone == ["toronto"]


def small_for(name: str) -> Callable[..., CompanyWork]:
    """``company_work`` that takes one company for large."""

    def made(places: Places, **of: Any) -> CompanyWork:
        return company_work(places, **of, large=1 if of["name"] == name else module.LARGE)

    return made


@pytest.mark.deep
def test_nothing_of_a_task_is_in_force_and_no_secret_travels(group: Project, tmp_path: Path) -> None:
    group.put("calgary/more.csv", amounts(3, 4))
    lake = group.settings.data_dir / "companies" / "calgary" / "lake"
    records = {p: p.read_bytes() for p in lake.rglob("*.json")}
    own = group.settings.of_company("calgary")
    work = company_work(places_of(own), name="calgary", run_id="r", started_at=dt.datetime.now(dt.UTC))
    assert group.dsn.encode() not in pickle.dumps(work)
    made = make_company(work, group.rules, tmp_path / "task")
    assert isinstance(made, ComputedCompany)
    assert made.failure is None
    assert {p: p.read_bytes() for p in lake.rglob("*.json")} == records
    assert "state.json" in made.records
    assert made.frames()["monthly_metrics"]["revenue_gross"].sum() == 7
