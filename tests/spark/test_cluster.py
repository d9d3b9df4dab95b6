"""Apache Spark on this machine, two executor processes: the sample as one machine computes it, whatever happens to them.

Run by ``make test-scale``; it needs Java. One session for all: starting it takes longer than the sample does.
"""

import datetime as dt
import functools
import os
import signal
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from buckets import S3, s3_server
from rmetrics.checks.compare import SUM_OF_DAYS
from rmetrics.errors import SettingsError
from rmetrics.lake import Lake, LakeAt
from rmetrics.lake.snapshot import Snapshot
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.names import CONTENTS
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.landing import spread
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.spark.exports import landed_on
from rmetrics.spark.plan import compute_on
from rmetrics.tables import DAILY, MONTHLY
from support import ROOT

pytestmark = pytest.mark.spark

pytest.importorskip("pyspark", reason="the extra rmetrics[spark] is not installed")

CLUSTER = "local-cluster[2,1,768]"  # two executors of one slot; the whole fits 4 GiB


class Sample:
    """The sample, landed and computed by this machine."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.rules = lake, load_rules(ROOT / "rules")
        self.lake.prepare()
        land_inbox(ROOT / "data" / "sample", self.lake, self.rules, silent)
        self.computed: Computed = compute(self.lake, self.rules, silent)
        self.day: dt.date | None = newest_day((p.raw for p in self.computed.placed), self.rules)

    def on(self, spark: Any, rules: Rules | None = None) -> Tables:
        """The tables as Spark computes them."""
        from rmetrics.spark.engine import SparkEngine

        engine = SparkEngine(spark)
        typed = self.computed.typed
        return compute_on(engine, self.lake, rules or self.rules, typed, silent, buckets=3, newest_day=self.day)

    def differing(self, made: Tables, seen: Lake | None = None) -> list[str]:
        """The tables in which any row or column differs, read through ``seen``, another look at the lake."""
        got, want = Snapshot((seen or self.lake).store, tables=made), self.computed.snapshot
        assert set(made) == set(want.tables)
        found = []
        for name in sorted(set(made) - {CONTENTS}):
            a, b = got.scan(name).collect(), want.scan(name).collect()
            if a.schema != b.schema or not a.sort(a.columns).equals(b.sort(b.columns)):
                found.append(name)
        return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(Lake(tmp_path_factory.mktemp("cluster") / "lake"))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A server whose key is in the environment of executors, too: they get it when they are started."""
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def spark(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:  # noqa: ARG001 - started before
    from rmetrics.spark.session import started

    with started(CLUSTER, tmp_path_factory.mktemp("spark")) as session:
        yield session


def executors(spark: Any) -> list[int]:
    """The processes of this session's executors."""
    mine = spark.sparkContext.applicationId
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                command = (place / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "CoarseGrainedExecutorBackend" in command and mine in command:
                found.append(int(place.name))
    return found


@pytest.mark.filterwarnings("default")
def test_the_sample_is_equal_in_every_row_and_column(spark: Any, sample: Sample) -> None:
    assert sample.differing(sample.on(spark)) == []


@pytest.mark.filterwarnings("default")
def test_over_a_bucket_executors_fetch_what_they_read_and_upload_what_they_write(
    spark: Any, s3: S3, tmp_path: Path
) -> None:
    sample = Sample(LakeAt(tmp_path / "lake", "s3://lakes/spark", s3.endpoint).open())
    copies = [path for path in sample.lake.typed.rglob("*") if path.is_file()]
    for path in copies:  # of what this machine typed: executors have none
        path.unlink()
    made = sample.on(spark)
    elsewhere = LakeAt(tmp_path / "elsewhere", "s3://lakes/spark", s3.endpoint).open()
    assert sample.differing(made, elsewhere) == []
    fetched = [path for path in copies if path.exists()]
    assert fetched


@pytest.mark.filterwarnings("default")
def test_exports_land_on_executors_as_on_this_machine(
    spark: Any, sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rmetrics.spark.engine import SparkEngine

    monkeypatch.setattr(spread, "MIN_SPREAD_BYTES", 0)
    inbox, lake = ROOT / "data" / "sample", Lake(tmp_path / "lake")
    lake.prepare()
    spread_over = functools.partial(landed_on, SparkEngine(spark), InboxAt(inbox), lake, sample.rules)
    land_inbox(inbox, lake, sample.rules, silent, spread=spread_over)
    assert lake.examine_raw(thorough=True)[1] == []
    assert sample.differing(dict(compute(lake, sample.rules, silent).snapshot.tables), lake) == []


@pytest.mark.filterwarnings("default")
def test_with_one_executor_killed_in_the_middle_the_result_is_the_same(spark: Any, sample: Sample) -> None:
    before, killed = executors(spark), list[int]()
    assert len(before) == 2
    done = threading.Event()

    def kill() -> None:
        """Ends one once tasks of this computation have ended: there is something to lose."""
        tracker, seen = spark.sparkContext.statusTracker(), set(spark.sparkContext.statusTracker().getActiveStageIds())
        while not done.is_set():
            stages = [tracker.getStageInfo(s) for s in tracker.getActiveStageIds() if s not in seen]
            if any(s is not None and s.numCompletedTasks > 0 for s in stages):
                os.kill(before[0], signal.SIGKILL)
                killed.append(before[0])
                return
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        made = sample.on(spark)
    finally:
        done.set()
        killer.join()
    assert killed, "no task had ended before the computation did"
    assert sample.differing(made) == []
    assert killed[0] not in executors(spark)


@pytest.mark.filterwarnings("default")
def test_the_second_engine_finds_a_planted_cent_and_agrees_on_all_others(
    spark: Any, sample: Sample, tmp_path: Path
) -> None:
    """One recomputation for both: it takes minutes, and what it does not report it agreed on."""
    from rmetrics.spark.second import cross_check_on

    snapshot = sample.computed.snapshot
    typed = typed_inputs(sample.lake, sample.computed.typed)
    daily = pl.read_parquet(snapshot.path(DAILY)).with_row_index("i")
    row = daily.filter(pl.col("revenue_gross") > 0).row(0, named=True)
    more = pl.col("revenue_gross") + pl.lit("0.01").cast(pl.Decimal(18, 2))
    gross = pl.when(pl.col("i") == row["i"]).then(more).otherwise("revenue_gross").cast(pl.Decimal(18, 2))
    planted = tmp_path / "daily.parquet"
    daily.with_columns(revenue_gross=gross).drop("i").write_parquet(planted)
    found = cross_check_on(spark, typed, planted, snapshot.path(MONTHLY), sample.rules, sample.day)
    key = (row["source"], row["segment"], "revenue_gross")
    assert [(m.table, m.period, m.source, m.segment, m.measure) for m in found.mismatches] == [
        (DAILY, row["date"], *key),
        (SUM_OF_DAYS, row["date"].replace(day=1), *key),  # its days no longer add up to the month
    ]
    assert found.count == 2
    assert found.mismatches[0].computed == row["revenue_gross"] + Decimal("0.01")
    assert found.mismatches[0].recomputed == row["revenue_gross"]


@pytest.mark.filterwarnings("default")
def test_executors_with_another_version_are_refused(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rmetrics.spark import session
    from rmetrics.spark.tasks import versions

    other = tuple((n, "0.0.1" if n == "pyarrow" else v) for n, v in versions())
    monkeypatch.setattr(session, "versions", lambda: other)
    with pytest.raises(SettingsError, match=r"an executor has pyarrow .*, this machine has 0\.0\.1"):
        session.same_versions(spark)
