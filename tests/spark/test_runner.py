"""Who computes: this machine, unless the settings say otherwise; and what is told where Spark cannot be had."""

import importlib.util
from pathlib import Path

import pytest

from rmetrics.errors import EngineError, SettingsError
from rmetrics.opening import open_runner
from rmetrics.settings import Settings, load_settings
from rmetrics.spark import session
from rmetrics.spark.runner import SparkRunner
from support import ROOT


def test_this_machine_computes_unless_spark_is_asked_for(tmp_path: Path) -> None:
    with open_runner(Settings(_env_file=None, rules_dir=ROOT / "rules")) as runner:
        assert runner is None
    with open_runner(Settings(_env_file=None, engine="spark", data_dir=tmp_path)) as runner:
        assert isinstance(runner, SparkRunner)  # and nothing was started for it
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address",
    ["local", "local[4]", "local[*]", "local-cluster[2,1,1024]", "spark://h:7077", "k8s://https://h:6443", "yarn", "sc://h"],
)  # fmt: skip
def test_every_kind_of_master_is_taken(address: str) -> None:
    assert Settings(_env_file=None, spark=address).spark == address


@pytest.mark.parametrize("address", ["cluster", "http://host", "local-cluster[2]", "yarn;rm", ""])
def test_any_other_is_refused_with_its_setting(address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RMETRICS_SPARK", address)
    monkeypatch.setenv("RMETRICS_DATA_DIR", str(tmp_path))
    with pytest.raises(SettingsError, match="RMETRICS_SPARK"):
        load_settings()


def test_without_pyspark_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="needs pyspark") as caught, session.started("local[1]", tmp_path):
        pass
    assert 'pip install "rmetrics[spark]"' in caught.value.hint


def test_without_java_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(SettingsError, match="Java 17") as caught, session.started("local[1]", tmp_path):
        pass
    assert "openjdk-17" in caught.value.hint


def test_tables_that_spark_does_not_make_are_refused_not_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A table that is added to the core, and not to the plan, must stop a run instead of missing from it."""
    import contextlib
    import sys
    import types

    from rmetrics.lake import Lake
    from rmetrics.progress import silent
    from rmetrics.rules import load_rules
    from rmetrics.spark import plan

    class Engine:
        def __init__(self, _: object) -> None: ...

        def buckets(self, _rows: int, _most: int) -> int:
            return 1

    engine = types.ModuleType("rmetrics.spark.engine")
    engine.SparkEngine = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "rmetrics.spark.engine", engine)
    monkeypatch.setattr(session, "started", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(plan, "compute_on", lambda *_, **__: {"job_facts": ()})
    settings = Settings(_env_file=None, engine="spark", data_dir=tmp_path)
    with open_runner(settings) as runner:
        assert runner is not None
        with pytest.raises(EngineError, match=r"Spark does not support yet: .*spellings"):
            runner.compute_all(Lake(tmp_path), load_rules(ROOT / "rules"), {}, silent, max_rows=1000, newest_day=None)
