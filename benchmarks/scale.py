"""What Spark costs beside one machine, and how far the plan could be cut: processor seconds, not wall time.

    python benchmarks/scale.py overhead LAKE_OF_ITS_OWN --jobs 200000
    python benchmarks/scale.py slots LAKE_OF_ITS_OWN --jobs 200000 --buckets 64

``overhead`` computes the same exports on this machine, then on Spark with one executor process and with two: processor
seconds of all processes of the run, and the bytes that Spark shuffled. Needs numpy and the extra spark.

``slots`` needs neither Java nor a cluster. It runs the plan in one process, times every task, and says how long the
plan would take with 1 to 64 tasks at a time: for every stage the tasks are given to whichever slot is free first, and
what the driver does comes on top. Network, shuffles and the start of processes are not in it: a bound, not a promise.
"""

import argparse
import datetime as dt
import heapq
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from rmetrics.lake import Lake
from rmetrics.memory import DEFAULT_MEMORY, rows_at_once
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.local import compute_all
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.spark.plan import compute_on
from rmetrics.spark.steps import NOTES, Piece, Schema

RULES = Path(__file__).parents[1] / "rules"
SLOTS = (1, 2, 4, 8, 16, 32, 64)
T = TypeVar("T")
Rows = list[pl.DataFrame]


class Timed:
    """An engine in this process that keeps the processor seconds of every task, stage by stage.

    Attributes:
        stages: of each stage the seconds of its tasks.
        moving: the seconds that cutting rows into buckets took, which is the cluster's shuffle, not the driver's work.
    """

    def __init__(self) -> None:
        self.moving = 0.0
        self.stages: list[list[float]] = []

    def made(self, items: Sequence[Piece], step: Callable[[Piece], Iterator[pl.DataFrame]], schema: Schema) -> Rows:
        """A task for each item."""
        made = self._stage([lambda item=item: list(step(item)) for item in items])  # type: ignore[misc]
        return [frame for frames in made for frame in frames] or [pl.DataFrame(schema=schema)]

    def mapped(self, rows: Rows, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> Rows:  # noqa: ARG002
        """A task for each frame."""
        return self._stage([lambda frame=frame: step(frame) for frame in rows])  # type: ignore[misc]

    def grouped(
        self, rows: Rows, by: Sequence[str], buckets: int, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema
    ) -> Rows:
        """A task for each bucket."""
        cut = [frame for frame in self._cut(rows, pl.struct(by), buckets) if frame.height]
        made = self._stage([lambda frame=frame: step(frame) for frame in cut])  # type: ignore[misc]
        return made or [pl.DataFrame(schema=schema)]

    def paired(
        self,
        left: tuple[Rows, Sequence[str]],
        right: tuple[Rows, Sequence[str]],
        buckets: int,
        step: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> Rows:
        """A task for each pair of buckets."""
        cuts = [
            self._cut(rows, pl.coalesce(pl.col(c).cast(pl.String) for c in by), buckets) for rows, by in (left, right)
        ]
        pairs = [(a, b) for a, b in zip(*cuts, strict=True) if a.height or b.height]
        made = self._stage([lambda a=a, b=b: step(a, b) for a, b in pairs])  # type: ignore[misc]
        return made or [pl.DataFrame(schema=schema)]

    def chosen(self, rows: Rows, columns: Sequence[str], *, notes: bool) -> Rows:
        """Some columns of rows, or of notes."""
        kind = pl.col(next(iter(NOTES)))
        return [frame.filter(kind.is_not_null() if notes else kind.is_null()).select(columns) for frame in rows]

    def together(self, rows: Sequence[Rows]) -> Rows:
        """All of them."""
        return [frame for some in rows for frame in some]

    def summed(self, rows: Rows, keys: Sequence[str], sums: Sequence[str], schema: Schema) -> pl.DataFrame:
        """The sums by key: one task, as if nothing had been added up before."""
        add = pl.concat(rows).group_by(keys).agg(pl.col(c).sum() for c in sums)
        return self._stage([lambda: add.select(*schema)])[0]

    def collected(self, rows: Rows, schema: Schema) -> pl.DataFrame:  # noqa: ARG002
        """The rows."""
        return pl.concat(rows)

    def persisted(self, rows: Rows) -> Rows:
        """The rows."""
        return rows

    def released(self) -> None:
        """Nothing to free."""

    def _stage(self, tasks: Sequence[Callable[[], T]]) -> list[T]:
        seconds, made = [], []
        for task in tasks:
            clock = time.process_time()
            made.append(task())
            seconds.append(time.process_time() - clock)
        self.stages.append(seconds)
        return made

    def _cut(self, rows: Rows, by: pl.Expr, buckets: int) -> Rows:
        clock = time.process_time()
        whole = pl.concat(rows)
        places = whole.select((by.hash(seed=11) % buckets).alias("b"))["b"]
        cut = [whole.filter(places == number) for number in range(buckets)]
        self.moving += time.process_time() - clock
        return cut

    def with_slots(self, slots: int) -> float:
        """How long the stages take one after the other when so many tasks run at a time."""
        whole = 0.0
        for tasks in self.stages:
            free = [0.0] * slots
            for seconds in sorted(tasks, reverse=True):
                heapq.heappush(free, heapq.heappop(free) + seconds)
            whole += max(free)
        return whole


def landed(folder: Path, jobs: int) -> tuple[Lake, Rules, Computed, dt.date | None]:
    """A lake of generated exports, computed by this machine; made once."""
    inbox, lake, rules = folder / "inbox", Lake(folder / "lake"), load_rules(RULES)
    if not inbox.exists():
        from generate import Company, generate

        inbox.mkdir(parents=True)
        generate(inbox, Company(jobs))
    lake.prepare()
    land_inbox(inbox, lake, rules, silent)
    computed = compute(lake, rules, silent)
    return lake, rules, computed, newest_day((p.raw for p in computed.placed), rules)


def slots(folder: Path, jobs: int, buckets: int) -> dict[str, object]:
    """How long the plan would take with 1 to 64 slots."""
    lake, rules, computed, day = landed(folder, jobs)
    engine, clock = Timed(), time.process_time()
    compute_on(engine, lake, rules, computed.typed, silent, buckets=buckets, newest_day=day)
    whole = time.process_time() - clock
    tasks = sum(map(sum, engine.stages))
    driver = whole - tasks - engine.moving
    return {
        "jobs": jobs,
        "buckets": buckets,
        "tasks": sum(map(len, engine.stages)),
        "task_seconds": round(tasks, 2),
        "longest_task": round(max(max(s, default=0.0) for s in engine.stages), 2),
        "driver_seconds": round(driver, 2),
        "moving_seconds": round(engine.moving, 2),
        "seconds_with_slots": {n: round(engine.with_slots(n) + driver, 2) for n in SLOTS},
    }


def overhead(folder: Path, jobs: int) -> dict[str, object]:
    """Processor seconds of one machine and of Spark with one and two executor processes, and shuffled bytes."""
    landed(folder, jobs)
    found: dict[str, object] = {"jobs": jobs}
    for name, master in (("local", ""), ("spark 1", "local-cluster[1,1,1024]"), ("spark 2", "local-cluster[2,1,1024]")):
        events = folder / f"events-{name.replace(' ', '-')}"
        events.mkdir(exist_ok=True)
        found[name] = _measured([sys.executable, __file__, "once", str(folder), "--master", master], events)
    return found


def once(folder: Path, master: str) -> None:
    """Computes everything once, on this machine or on Spark."""
    lake, rules = Lake(folder / "lake"), load_rules(RULES)
    typed = compute(lake, rules, silent).typed  # all is there: only looked at
    if not master:
        compute_all(lake, rules, typed, silent, max_rows=rows_at_once(DEFAULT_MEMORY))
        return
    from rmetrics.spark.engine import SparkEngine
    from rmetrics.spark.session import started

    with started(master, folder / "spark") as session:
        compute_on(SparkEngine(session), lake, rules, typed, silent, buckets=8)


def _measured(command: Sequence[str], events: Path) -> dict[str, float]:
    """Runs a command in a session of its own; the processor seconds of all processes in it, as last seen."""
    conf = events / "conf"
    conf.mkdir(exist_ok=True)
    lines = [
        "spark.eventLog.enabled true",
        f"spark.eventLog.dir {events.resolve().as_uri()}",
        "spark.eventLog.compress false",
    ]
    (conf / "spark-defaults.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "SPARK_CONF_DIR": str(conf)})
    seen: dict[int, float] = {}
    while process.poll() is None:
        seen |= seconds_of(process.pid)
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return {"cpu_seconds": round(sum(seen.values()), 1), "shuffled_bytes": _shuffled(events)}


def seconds_of(session: int) -> dict[int, float]:
    """Processor seconds so far of each process of a session."""
    ticks, found = os.sysconf("SC_CLK_TCK"), {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                cells = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(cells[3]) == session:
                found[int(place.name)] = (int(cells[11]) + int(cells[12])) / ticks
    return found


def _shuffled(events: Path) -> int:
    total = 0
    for file in events.rglob("events_*"):
        for line in file.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told.get("Event") == "SparkListenerTaskEnd":
                metrics = told.get("Task Metrics") or {}
                total += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return total


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["overhead", "slots", "once"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--buckets", type=int, default=64)
    parser.add_argument("--master", default="")
    asked = parser.parse_args()
    if asked.what == "once":
        once(asked.folder, asked.master)
        return
    found = (
        overhead(asked.folder, asked.jobs)
        if asked.what == "overhead"
        else slots(asked.folder, asked.jobs, asked.buckets)
    )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
