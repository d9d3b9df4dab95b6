"""Landing and typing as a map over exports: the lake of one machine, whichever task is done first, and done twice."""

import contextlib
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from in_tasks import InProcess
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.compute.local import compute_all
from rmetrics.pipeline.landing import spread
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.pipeline.landing.inbox import InboxFile, land_inbox
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.spark.runner import SparkRunner
from small_company import payments
from support import ROOT, Project


class Backwards(InProcess):
    """The last task's answer comes first."""

    def each(self, items: Sequence[Any], step: Any, schema: Any) -> Any:
        """The answers."""
        return super().each(items, step, schema)[::-1]


class Runner(SparkRunner):
    """Lands and types in tasks; computes here."""

    def engine(self, *_: object) -> Any:
        """The tasks."""
        return Backwards()

    def compute_all(self, *args: Any, **more: Any) -> Any:
        """As one machine does."""
        return compute_all(*args, **more)


@pytest.fixture
def rules() -> Rules:
    return load_rules(ROOT / "rules")


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A large export, small ones, the same content twice in different tasks, and a file that is none."""
    monkeypatch.setattr(spread, "MIN_SPREAD_BYTES", 0)
    monkeypatch.setattr(spread, "_TOGETHER", 1)
    project = Project(tmp_path, "")
    rows = [[f"J{n}", "2025-01-05", n % 90, f"P{n}"] for n in range(5_000)]
    project.put("payments large.csv", payments(*rows, more=("Payment ID",)))
    for number in range(3):
        project.put(
            f"payments {number}.csv", payments([f"J{number}", "2025-01-06", 7, f"P{number}"], more=("Payment ID",))
        )
    project.put("again/payments 1.csv", payments(["J1", "2025-01-06", 7, "P1"], more=("Payment ID",)))
    project.put("notes.csv", "a,b\n1,2\n")
    return project.inbox


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with contextlib.ExitStack() as stack:
        yield Runner("local[*]", tmp_path / "spark", stack)


def landed(inbox: Path, lake: Lake, rules: Rules, runner: Runner | None = None) -> list[InboxFile]:
    lake.prepare()
    spread_over = None
    if runner is not None:

        def spread_over(tasks: Any) -> Any:
            return runner.land(InboxAt(inbox), lake, rules, tasks)

    return land_inbox(inbox, lake, rules, silent, spread=spread_over)


@pytest.mark.deep
def test_the_lake_is_that_of_one_machine(inbox: Path, tmp_path: Path, rules: Rules, runner: Runner) -> None:
    one, many = Lake(tmp_path / "one"), Lake(tmp_path / "many")
    want, got = landed(inbox, one, rules), landed(inbox, many, rules, runner)
    assert [(f.name, f.feed, f.landed, f.refused, f.note) for f in got] == [
        (f.name, f.feed, f.landed, f.refused, f.note) for f in want
    ]
    assert [(r.name, r.rows, r.sha256) for r in many.raw_files()] == [
        (r.name, r.rows, r.sha256) for r in one.raw_files()
    ]
    assert many.examine_raw(thorough=True)[1] == []
    alone, spread_out = compute(one, rules, silent), compute(many, rules, silent, runner=runner)
    for table in alone.snapshot.tables:
        a, b = (c.snapshot.scan(table).collect() for c in (alone, spread_out))
        assert a.sort(a.columns).equals(b.sort(b.columns)), table
    assert not list(many.examine_caches())
    assert [f.landed for f in landed(inbox, many, rules, runner)] == [False] * len(got)


@pytest.mark.deep
def test_typing_again_is_spread_too(inbox: Path, tmp_path: Path, rules: Rules, runner: Runner) -> None:
    lake = Lake(tmp_path / "lake")
    landed(inbox, lake, rules)
    before = compute(lake, rules, silent)
    for path in lake.typed.rglob("*"):
        if path.is_file():
            path.unlink()
    again = Lake(lake.root)
    after = compute(again, rules, silent, full=True, runner=runner)
    assert after.counts == before.counts
    names = {file.name for files in after.typed.values() for file, _ in files}
    assert names
    assert all(name.count(".") == 3 for name in names), "written by a task: named by what it holds"
    assert not list(again.examine_caches())


def test_small_files_share_a_task_and_large_ones_have_their_own(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread, "_TOGETHER", 100)
    arrivals = [spread.PendingFile(p.name, p.name, p.stat()) for p in sorted(inbox.iterdir()) if p.is_file()]
    tasks = spread.in_tasks(arrivals)
    assert [a.name for a in tasks[0]] == ["payments large.csv"]
    assert sorted(a.name for task in tasks for a in task) == [a.name for a in arrivals]
    assert max(map(len, tasks)) > 1
    assert pickle.loads(pickle.dumps(tasks)) == tasks  # noqa: S301
