"""Measures rmetrics and its peers side by side, in one run on one machine.

    python benchmarks/run.py --jobs 500000                            what `make bench` does
    python benchmarks/run.py --jobs 100000 500000 1000000 --name large

First every peer shows at a small size that its daily metrics are those of rmetrics; then each is timed in fresh
processes, and each timed result is compared again. A difference ends the benchmark and nothing is written.
"""

import argparse
import datetime as dt
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from generate import Company, generate, generate_day
from machine import machine, revision, versions
from measure import BenchmarkError, Figure, Measured, measured
from project import PROGRAM, Project, kept_rows
from same import difference
from server import Databases, databases
from shapes import shapes

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
CHECKED_AT = 20_000  # jobs at which every peer proves itself before anything is timed
SMALL_ROUNDS = 5  # of commands that take a second or so
FEW = 20_000  # rows of each table for the ways of publishing that take a minute for a million
LIMIT = "RMETRICS_MEMORY_LIMIT"
EDIT = ("per_lead = 20.00", "per_lead = 25.00")  # what `plan` is asked about


@dataclass(slots=True)
class Size:
    """All figures of one size.

    Attributes:
        jobs: how many jobs the history has.
        export_files, export_bytes: its exports.
        rows: rows kept by feed.
        lake_bytes: what the lake takes on disk after the first sync.
        memory_limit: ``RMETRICS_MEMORY_LIMIT``; empty: not set.
        figures: by name.
    """

    jobs: int
    export_files: int = 0
    export_bytes: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    lake_bytes: int = 0
    memory_limit: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)

    def figure(self, name: str) -> Figure:
        """The figure of this name, made when it is asked for first."""
        return self.figures.setdefault(name, Figure())

    def plain(self) -> dict[str, Any]:
        """For the JSON of results."""
        figures = {name: f.plain() for name, f in self.figures.items()}
        return {
            "jobs": self.jobs, "export_files": self.export_files, "export_bytes": self.export_bytes,
            "rows": self.rows, "lake_bytes": self.lake_bytes, "memory_limit": self.memory_limit, "figures": figures,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bench:
    """What all measurements of a run share.

    Attributes:
        work: a folder for everything that is written.
        databases: the server.
        dbt: the program of dbt, None where it is not installed.
        rounds: how often each of the long ones is run.
        wide: whether jobs have every column of the CRM's long form.
        only: beginnings of the names of figures to measure; empty for all.
    """

    work: Path
    databases: Databases
    dbt: Path | None
    rounds: int
    wide: bool
    only: tuple[str, ...] = ()

    def wanted(self, name: str) -> bool:
        """Whether a figure is to be measured."""
        return not self.only or name.startswith(self.only)

    def company(self, jobs: int) -> Company:
        """The company whose exports are read."""
        return Company(jobs, wide=self.wide)

    def history(self, jobs: int) -> Path:
        """The exports of a history, made when they are asked for first."""
        folder = self.work / f"history-{jobs}{'-wide' if self.wide else ''}"
        if not folder.exists():
            making = folder.with_suffix(".making")
            shutil.rmtree(making, ignore_errors=True)
            say(f"making the exports of {jobs:,} jobs")
            generate(making, self.company(jobs))
            making.rename(folder)
        return folder

    # -- rmetrics

    def rmetrics(self, size: Size, *, rounds: int) -> Project:
        """First syncs, each into a new project and a new database; the last project stays for what follows."""
        exports = sorted(self.history(size.jobs).iterdir())
        size.export_files, size.export_bytes = len(exports), sum(p.stat().st_size for p in exports)
        project = None
        for _ in range(rounds):
            project = Project(self.work / "projects" / str(size.jobs), self.databases.fresh("rmetrics"))
            project.receive(exports)
            run, said = project.sync()
            size.rows = kept_rows(said)
            first = size.figure("rmetrics/first sync")
            first.add(run, said.get("timings"))
            first.rows = sum(said["published"].values())
            size.lake_bytes = sum(p.stat().st_size for p in project.lake.rglob("*") if p.is_file())
            tell("rmetrics/first sync", run)
        assert project is not None  # noqa: S101 - there is at least one round
        return project

    def small_commands(self, size: Size, project: Project, *, brief: bool) -> None:
        """Commands on a history that is up to date; briefly: none that compute everything."""
        asked = {
            "rmetrics/help": ["--help"],
            "rmetrics/status": ["status", "--json"],
            "rmetrics/explain a month": ["explain", "--source", "eLocals", "--month", "2020-06", "--json"],
        }
        for name, arguments in asked.items():
            self._repeat(name, size, SMALL_ROUNDS, partial(_run, project, arguments))
        self._repeat(
            "rmetrics/nothing new", size, SMALL_ROUNDS, lambda: _with_timings(project.sync(expect="unchanged"))
        )
        if brief:
            return
        rules = project.folder / "rules" / "sources.toml"
        text = rules.read_text()
        if EDIT[0] not in text:
            raise BenchmarkError(f"{rules} has no {EDIT[0]}")
        rules.write_text(text.replace(*EDIT))
        self._repeat("rmetrics/plan of an edited price", size, self.rounds, partial(_run, project, ["plan", "--json"]))
        rules.write_text(text)

    def hourly(self, size: Size, project: Project, *, brief: bool) -> None:
        """Syncs of one more day each, and then, unless briefly, a full rebuild, which must not change a figure."""
        for day in range(1, self.rounds + 1):
            folder = self.work / "days" / str(day)
            shutil.rmtree(folder, ignore_errors=True)
            project.receive(generate_day(folder, self.company(size.jobs), day))
            run, said = project.sync()
            figure = size.figure("rmetrics/one more day")
            figure.add(run, said.get("timings"))
            figure.rows = sum(said["published"].values())
            tell("rmetrics/one more day", run)
        if brief or not self.wanted("rmetrics/full rebuild"):
            return
        before = project.published().rename(self.work / "before.parquet")
        run, said = project.sync("--full")
        size.figure("rmetrics/full rebuild").add(run, said.get("timings"))
        tell("rmetrics/full rebuild", run)
        if wrong := difference(project.published(), before):
            raise BenchmarkError(f"a sync of what is new gives other metrics than a full rebuild: {wrong}")

    def _repeat(self, name: str, size: Size, rounds: int, run: Callable[[], tuple[Measured, dict[str, float]]]) -> None:
        if not self.wanted(name):
            return
        for _ in range(rounds):
            result, parts = run()
            size.figure(name).add(result, parts)
        tell(name, result)

    # -- peers

    def peers(self, size: Size, project: Project, *, rounds: int) -> None:
        """From the same exports to the same daily metrics by other means."""
        ours = project.published()
        for name, arguments in self._contenders(project).items():
            if not self.wanted(name):
                continue
            for _ in range(rounds):
                self._peer(name, size, project.inbox, ours, arguments)

    def _contenders(self, project: Project) -> dict[str, list[str]]:
        found = {
            "peer/DuckDB SQL": ["duckdb_sql.py"],
            "lake/DuckDB SQL": ["duckdb_lake.py", str(project.lake)],
            "peer/pandas": ["pandas_peer.py"],
            "peer/Postgres COPY and SQL": ["postgres_copy.py", "{dsn}"],
        }
        if self.dbt:
            found["peer/dbt-duckdb"] = ["dbt_duckdb.py", str(self.dbt)]
        return found

    def _peer(self, name: str, size: Size, inbox: Path, ours: Path, arguments: Sequence[str]) -> None:
        with self._place(arguments) as (out, filled):
            run, said = self._script(filled[0], inbox, out, *filled[1:])
            if wrong := difference(ours, out / "daily_metrics.parquet"):
                raise BenchmarkError(f"{name} gives other metrics than rmetrics: {wrong}")
            if other := {f: n for f, n in said["rows"].items() if n != size.rows[f]}:
                raise BenchmarkError(f"{name} keeps other rows than rmetrics: {other} against {size.rows}")
        size.figure(name).add(run, _parts(said))
        tell(name, run)

    def landing_and_floors(self, size: Size, project: Project, *, rounds: int) -> None:
        """The landing of dlt, and bare reads of the same bytes."""
        found = {
            "landing/dlt": ["dlt_landing.py"],
            "floor/CSV, Polars": ["floor.py", "csv-polars"],
            "floor/CSV, DuckDB": ["floor.py", "csv-duckdb"],
            "floor/CSV, Arrow": ["floor.py", "csv-arrow"],
            "floor/typed Parquet": ["floor.py", "parquet", str(project.lake)],
            "floor/COPY of text": ["floor.py", "copy", "{dsn}"],
        }
        for name, arguments in found.items():
            if not self.wanted(name):
                continue
            for _ in range(rounds):
                with self._place(arguments) as (out, filled):
                    before = filled[1:2] if filled[0] == "floor.py" else []
                    run, said = self._script(filled[0], *before, project.inbox, out, *filled[1 + len(before) :])
                size.figure(name).add(run)
                size.figure(name).rows = sum(said["rows"].values())
            tell(name, run)

    def journeys(self, size: Size, project: Project, *, rounds: int) -> None:
        """Leads and calls followed to their jobs, by rmetrics and by a plain ASOF join of DuckDB."""
        found: dict[str, dict[str, int]] = {}
        for name, arguments in {
            "journeys/rmetrics": ["own_journeys.py", str(project.folder)],
            "journeys/DuckDB ASOF join": ["duckdb_journeys.py", str(project.lake)],
        }.items():
            if not self.wanted(name):
                continue
            for _ in range(rounds):
                with self._place(arguments) as (out, filled):
                    run, said = self._script(filled[0], project.inbox, out, filled[1])
                size.figure(name).add(run, _parts(said))
                size.figure(name).rows = said["rows"]["touches"]
                found[name] = said["rows"]
            tell(name, run)
        if len({tuple(sorted(rows.items())) for rows in found.values()}) > 1:
            raise BenchmarkError(f"the two ways to follow leads differ: {found}")

    def publishing(self, size: Size, project: Project, *, rounds: int) -> None:
        """The rows rmetrics has published, into tables with the same keys and indexes."""
        if not self.wanted("publish/"):
            return
        assert project.dsn is not None  # noqa: S101 - its databases are on one server
        rows = self.work / "published"
        shutil.rmtree(rows, ignore_errors=True)
        measured([sys.executable, PEERS / "published_rows.py", rows, project.dsn], cwd=self.work)
        few = str(min(size.jobs, FEW))
        ways = {
            "publish/COPY into bare tables": ["bare"],
            "publish/bare ADBC": ["adbc"],
            "publish/psycopg COPY": ["copy"],
            "publish/psycopg executemany": ["executemany", few],
            "publish/pandas to_sql": ["to_sql", few],
        }
        for name, (how, *limit) in ways.items():
            for _ in range(rounds):
                with self._place(["{dsn}"]) as (out, (dsn,)):
                    env = {"RMETRICS_POSTGRES_DSN": dsn}
                    measured([PROGRAM, "schema", "--apply", "--quiet"], cwd=project.folder, env=env)
                    run, said = self._script("publishing.py", how, rows, out, dsn, *limit)
                size.figure(name).add(run, _parts(said))
                size.figure(name).rows = sum(said["rows"].values())
            tell(name, run)
        shutil.rmtree(rows)

    def _place(self, arguments: Sequence[str]) -> "_Place":
        return _Place(self, arguments)

    def _script(self, script: str, *arguments: str | Path) -> tuple[Measured, dict[str, Any]]:
        """Runs a script of ``peers``; the folder it writes to is among the arguments."""
        out = next(Path(a) for a in arguments if Path(a).name == "out")
        run = measured([sys.executable, PEERS / script, *arguments], cwd=self.work)
        said: dict[str, Any] = json.loads((out / "peer.json").read_text())
        return run, said


class _Place:
    """An empty folder and, where the arguments ask for one, an empty database; both are gone afterwards."""

    def __init__(self, bench: Bench, arguments: Sequence[str]) -> None:
        self._bench, self._arguments = bench, arguments
        self._out = bench.work / "out"

    def __enter__(self) -> tuple[Path, list[str]]:
        shutil.rmtree(self._out, ignore_errors=True)
        self._out.mkdir(parents=True)
        dsn = self._bench.databases.fresh("peer") if "{dsn}" in self._arguments else ""
        return self._out, [dsn if a == "{dsn}" else a for a in self._arguments]

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._out, ignore_errors=True)
        if "{dsn}" in self._arguments:
            self._bench.databases.drop("peer")


def _run(project: Project, arguments: Sequence[str]) -> tuple[Measured, dict[str, float]]:
    return project.run(*arguments), {}


def _parts(said: dict[str, Any]) -> dict[str, float]:
    return {n: v for n, v in said.items() if n != "rows"}


def _with_timings(result: tuple[Measured, dict[str, Any]]) -> tuple[Measured, dict[str, float]]:
    return result[0], result[1].get("timings") or {}


def say(text: str) -> None:
    """Says how far it is."""
    sys.stderr.write(f"{dt.datetime.now(dt.UTC):%H:%M:%S}  {text}\n")


def tell(name: str, run: Measured) -> None:
    """Says what came out."""
    say(f"{name:32}{run.wall:9.2f} s {run.cpu:9.2f} s of processor {run.rss / 2**20:8.0f} MiB")


def proved(bench: Bench) -> None:
    """Every peer gives rmetrics' metrics at a small size.

    Raises:
        BenchmarkError: one does not.
    """
    say(f"checking that all agree, at {CHECKED_AT:,} jobs")
    size = Size(CHECKED_AT)
    project = bench.rmetrics(size, rounds=1)
    bench.peers(size, project, rounds=1)
    shutil.rmtree(project.folder)


def measure_sizes(bench: Bench, options: argparse.Namespace) -> Iterator[Size]:
    """Measures one size after the other."""
    given = os.environ.get(LIMIT, "")
    for jobs in options.jobs:
        say(f"-- {jobs:,} jobs")
        brief = jobs > options.brief_above
        size = Size(jobs, memory_limit=options.large_limit if brief else given)
        os.environ.pop(LIMIT, None)
        if size.memory_limit:
            os.environ[LIMIT] = size.memory_limit
        rounds = bench.rounds if jobs <= options.rounds_up_to else 1
        project = bench.rmetrics(size, rounds=rounds)
        bench.small_commands(size, project, brief=brief)
        if jobs <= options.peers_up_to and jobs not in options.alone:
            bench.peers(size, project, rounds=rounds)
            bench.journeys(size, project, rounds=rounds)
            bench.landing_and_floors(size, project, rounds=rounds)
            bench.publishing(size, project, rounds=rounds)
        if bench.wanted("rmetrics/one more day"):
            bench.hourly(size, project, brief=brief)
        shutil.rmtree(project.folder)
        bench.databases.drop("rmetrics")
        if not options.keep:
            shutil.rmtree(bench.history(jobs))
        yield size


def measured_shapes(bench: Bench) -> dict[str, Any]:
    """Measures the companies of ``shapes``."""
    found = {}
    for name, figure, run in shapes(bench.work / "shapes"):
        found[name] = figure.plain()
        tell(name, run)
    return found


def find_dbt(given: Path | None) -> Path | None:
    """The program of dbt: the one named, or the one of the environment that `make bench` makes."""
    own = HERE.parent / ".venv-bench-dbt" / "bin" / "dbt"
    return given.absolute() if given else own if own.exists() else None


def main() -> int:
    """Runs the benchmark and writes ``results/<name>.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, nargs="+", default=[125_000, 500_000], help="sizes of the history")
    parser.add_argument("--alone", type=int, nargs="*", default=[], help="sizes at which only rmetrics is measured")
    parser.add_argument("--peers-up-to", type=int, default=5_000_000, help="larger sizes only for rmetrics")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rounds-up-to", type=int, default=1_000_000, help="larger sizes once")
    parser.add_argument("--brief-above", type=int, default=5_000_000, help="larger sizes without full rebuild and plan")
    parser.add_argument("--large-limit", default="2GiB", help=f"{LIMIT} of sizes above --brief-above")
    parser.add_argument("--add", action="store_true", help="add sizes to what was measured before on the same machine")
    parser.add_argument("--wide", action="store_true", help="jobs with every column of the CRM's long form")
    parser.add_argument("--only", nargs="*", default=[], help="only figures whose names begin with one of these")
    parser.add_argument("--dbt", type=Path, help="the program of dbt")
    parser.add_argument(
        "--work", type=Path, help="a folder for exports, lakes and databases; a temporary one otherwise"
    )
    parser.add_argument("--keep", action="store_true", help="keep the exports in the work folder for the next run")
    parser.add_argument("--name", default="bench", help="of the file in benchmarks/results")
    options = parser.parse_args()
    os.environ.update({"DO_NOT_TRACK": "1", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": ""})
    started = time.monotonic()
    path = HERE / "results" / f"{options.name}.json"
    path.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rmetrics-bench-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        dbt = find_dbt(options.dbt)
        if dbt is None:
            say("dbt is not installed: it is left out")
        try:
            with databases(work / "postgres") as server:
                bench = Bench(work, server, dbt, options.rounds, options.wide, tuple(options.only))
                made: dict[str, Any] = {
                    "name": options.name,
                    "at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
                    "revision": revision(HERE.parent),
                    "machine": machine(work),
                    "versions": versions(dbt),
                    "wide": options.wide,
                    "cache": "warm: every file was written or read shortly before",
                }
                nothing: dict[str, Any] = {"seconds": 0, "sizes": []}
                before = measured_before(path, made) if options.add else nothing
                proved(bench)
                if bench.wanted("shapes/"):
                    made["shapes"] = measured_shapes(bench)
                sizes = before["sizes"]
                measured_as = {"revision": made["revision"], "at": made["at"]}
                for size in measure_sizes(bench, options):  # what is measured is kept, whatever comes after
                    sizes = sorted(
                        [s for s in sizes if s["jobs"] != size.jobs] + [{**size.plain(), **measured_as}], key=_jobs
                    )
                    seconds = before["seconds"] + round(time.monotonic() - started)
                    path.write_text(json.dumps({**made, "seconds": seconds, "sizes": sizes}, indent=1) + "\n")
        except BenchmarkError as error:
            sys.stderr.write(f"{error}\n")
            return 1
    say(f"written: {path}")
    return 0


def _jobs(size: dict[str, Any]) -> int:
    return int(size["jobs"])


def measured_before(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run measured, to add sizes to it.

    Raises:
        BenchmarkError: it was on another machine or with other versions. Of which revision each size is, is kept.
    """
    before: dict[str, Any] = json.loads(path.read_text())
    for what in ("machine", "versions", "wide"):
        if before[what] != now[what]:
            raise BenchmarkError(f"{path} is of another {what}: {before[what]} against {now[what]}")
    return before


if __name__ == "__main__":
    sys.exit(main())
