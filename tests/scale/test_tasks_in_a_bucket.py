"""Exports that land in tasks, from a bucket into a bucket: the lake of one machine."""

import functools
from pathlib import Path

import pytest

from buckets import Machine
from in_tasks import InProcess
from rmetrics.lake import Lake
from rmetrics.opening import inbox_at, open_lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing import spread
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.settings import Settings
from rmetrics.spark.exports import landed_on
from support import ROOT


def test_exports_land_in_tasks_as_on_one_machine(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread, "MIN_SPREAD_BYTES", 0)
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    exports = [p for p in (ROOT / "data" / "sample").iterdir() if p.suffix in {".csv", ".xlsx"}]
    for path in exports:
        machine.put(path.name, path, path.stat().st_mtime)
    here, settings, rules = Lake(tmp_path / "here"), Settings(_env_file=None), load_rules(ROOT / "rules")
    here.prepare()
    want = {f.name: f for f in land_inbox(ROOT / "data" / "sample", here, rules, silent) if "/" not in f.name}
    there, tasks = open_lake(settings), InProcess()
    with there.locked():
        spread_over = functools.partial(landed_on, tasks, inbox_at(settings), there, rules)
        seen = land_inbox(inbox_at(settings).open(), there, rules, silent, spread=spread_over)
        assert len(tasks.asked) > 1
        assert {f.name: (f.feed, f.landed) for f in seen} == {n: (f.feed, f.landed) for n, f in want.items()}
        one, many = compute(here, rules, silent), compute(there, rules, silent)
    for table in one.snapshot.tables:
        a, b = (c.snapshot.scan(table).collect() for c in (one, many))
        assert a.sort(a.columns).equals(b.sort(b.columns)), table
    assert not list(open_lake(settings).examine_caches())
