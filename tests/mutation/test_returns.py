"""Errors planted in how the first engine counts days between jobs of customers: the second engine finds each."""

import importlib
import types
from pathlib import Path

import pytest

from properties import test_growth as growth
from properties import test_journeys as journeys
from properties.test_returns import World, job
from rmetrics.pipeline.compute import increment
from rmetrics.pipeline.compute import returns as stage
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.verify import month_inputs as scope
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.progress import silent

MUTATIONS = [
    ("every = every.filter(~own)", "pass"),
    ('known.filter(~pl.col("shared") & filled)', "known.filter(filled)"),
    (
        'qualifying_day.shift(1).forward_fill() if rule.look == "back"',
        'qualifying_day.forward_fill() if rule.look == "back"',
    ),
    ("qualifying_day.shift(-1).backward_fill()", "qualifying_day.shift(1).forward_fill()"),
    ("distance.min()", "distance.max()"),
    ("agg(pl.col(_QUALIFIES).any())", "agg(pl.col(_QUALIFIES).all())"),
    ("whose = [KEY, *same_columns]", "whose = [KEY]"),
    ("is_true(rule.where, return_row(rules))", "pl.lit(value=True)"),
    ("jobs.filter(pl.col(METRIC_DATE).is_not_null())", "jobs.filter(pl.col(METRIC_DATE).dt.day() > 3)"),
]
OTHER = "6175550109"  # neither the company's own nor shared
JOBS = [
    job(1, "COD Repair", "2024-11-02", OTHER),
    job(2, "Warranty", "2024-11-05", OTHER),
    job(3, "COD Repair", "2024-11-05", OTHER),
    job(4, "Warranty", "2024-11-08", f"{OTHER} / 6175550108"),
    job(5, "INS Repair", "2024-11-07", "6175550108"),
    job(7, "Warranty", "2024-11-20", OTHER),
    (*job(6, "Warranty", "2024-11-09", "6175550108")[:-1], "01852"),
    *(job(10 + n, "COD Repair", f"2024-10-{10 + n}", "6175550102") for n in range(3)),  # the company's own
    *(job(20 + n, "COD Repair", f"2024-10-{10 + n}", journeys.NUMBER) for n in range(8)),  # shared
]


def planted(old: str, new: str) -> types.ModuleType:
    """A copy of ``metrics.returns`` with one thing changed."""
    original = importlib.import_module("rmetrics.metrics.returns")
    source = Path(str(original.__file__)).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"no longer holds {old}: plant the error anew"
    copy = types.ModuleType("spoiled")
    exec(compile(source.replace(old, new), "returns (spoiled)", "exec"), copy.__dict__)  # noqa: S102 - our own source
    return copy


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth, "KINDS", journeys.KINDS)
        made = World(tmp_path_factory.mktemp("returns"), "own lines")
        (made.rules / "journeys.toml").write_text('[journeys]\nshared_when = 5\nown_numbers = ["6175550102"]\n')
        assert found(made, made.step("jobs", JOBS, 0)) == set()
    return made


def found(world: World, computed: Computed) -> set[tuple[str, str]]:
    """On which tables and measures the engines differ."""
    with scope.of_increment(world.lake, computed.rows.rules, computed) as part:
        again, _ = cross_check(world.lake, computed.rows.rules, computed, part)
    return {(m.table, m.measure) for m in again.mismatches}


@pytest.mark.ordinary(1, deep=1)
@pytest.mark.parametrize(("old", "new"), MUTATIONS, ids=[old[:40] for old, _ in MUTATIONS])
def test_a_planted_error_is_found(world: World, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "nearest", planted(old, new).nearest)
    computed = compute(world.lake, world.loaded(), silent, full=True)
    assert {t for t, _ in found(world, computed)} >= {"jobs"}


@pytest.mark.deep
def test_one_that_moves_no_figure_of_an_increment_is_found_in_whatever_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth, "KINDS", journeys.KINDS)
    for module, name in ((increment, "MAX_NEW_SHARE"), (scope, "MAX_SHARE")):
        monkeypatch.setattr(module, name, 1_000_000)
    world = World(tmp_path, "shipped")
    world.step("jobs", [job(1, "COD Service", "2024-09-02", OTHER)], 0)
    monkeypatch.setattr(
        stage,
        "nearest",
        planted("qualifying_day.shift(-1).backward_fill()", "qualifying_day.shift(1).forward_fill()").nearest,
    )
    computed = world.step("jobs", [job(2, "COD Service", "2024-11-05", OTHER)], 0)
    assert computed.increment is not None
    assert found(world, computed) >= {("jobs", "until_any")}
