"""A project to break: prepared once, copied for each fault with its database, and compared with an undisturbed twin."""

import datetime as dt
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from adbc_driver_postgresql import dbapi

from rmetrics.lake import Lake
from rmetrics.pipeline.compute.names import COMPUTED
from small_company import jobs, payments, referrals, targets
from support import Project, computed_rows, fresh_database, lake_name, new_project

MORE = ("Status", "UUID", "Primary Phone")
TABLES = (
    "jobs", "payments", "calls", "elocals_leads", "proref_leads", "google_spend", "targets", "daily_metrics",
    "monthly_metrics", "published_parts", "feed_status", "business", "metric_changes",
)  # fmt: skip
STATEMENTS = {"execute", "query", "arrow", "ingest", "commit"}
_RUN = {"run_id", "change_id"}  # what differs from run to run, and numbers that a rollback leaves out
# Bytes may differ where rows do not: the moment of landing, and digests of files and records.
_FILE_OF_ITS_OWN = {
    "tables",  # which layers there are depends on which exports came at once
    "landed_at",
    "record_sha256",
    "parquet_sha256",
    "rejected_sha256",
    "parquet_size",
    "files",
}
# Who held the lake last, when all of it was last looked at, and the times and inodes that a sync left.
_OF_ITS_TIME = {"lock", "quality.json", "unchanged.json"}


def first_exports(project: Project) -> None:
    """What lies in the inbox at first."""
    kinds = ("COD Service", "INS Service", "COD Repair", "INS Repair")
    sources = ("Google", "Rely", "Pro Referral", "")
    worked = [
        (
            n,
            kinds[n % 4],
            sources[n // 4 % 4],
            f"{dt.date(2024, 11, n % 28 + 1):%a %b %d %Y}",
            "Done",
            f"U{n}",
            f"617555{n:04}",
        )
        for n in range(1, 41)
    ]
    paid = [
        (n, f"2024-11-{n % 28 + 1:02}T15:00:00.000Z", f"{n * 7}.{n:02}", "cash", "", f"p{n}") for n in range(1, 41, 2)
    ]
    project.put("Import-1.csv", jobs(*worked, more=MORE))
    project.put("payments_1.csv", payments(*paid, more=("Method", "Status", "Transaction ID")))
    project.put("pro referral.csv", referrals(("a", "11/05/2024 10:00 AM", ""), ("b", "11/06/2024 10:00 AM", "Passed")))


def second_exports(project: Project) -> None:
    """Then come corrections, a new month, a new feed, and a row that cannot be read."""
    project.put(
        "Import-2.csv",
        jobs(
            (2, "INS Repair", "Rely", "Sat Nov 02 2024", "Done", "U2", ""),
            (50, "COD Repair", "Google", "Mon Dec 02 2024", "Done", "U50", "6175550199"),
            more=MORE,
        ),
    )
    project.put(
        "payments_2.csv",
        payments(
            (50, "2024-12-03T15:00:00.000Z", "310.10", "p50"),
            (50, "2024-12-03T15:00:00.000Z", "1.005", "p51"),
            more=("Transaction ID",),
        ),
    )
    project.put(
        "targets.csv", targets(("2024-12", "9", "", "", "900.00"), more=("Source", "Segment", "Target Revenue40"))
    )


@dataclass(frozen=True)
class Done:
    """How a run ended: its exit code (negative: the signal), the steps it passed, what it printed."""

    exit: int
    steps: tuple[str, ...]
    output: str


class Runner:
    """Runs command lines in forks of one prepared process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        script = Path(__file__).with_name("injected.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, project: Project, *arguments: str, fault: str = "", at: int = 0, **limits: int) -> Done:
        """One command line, in the environment of the project."""
        log, output = self.folder / "steps", self.folder / "output"
        log.unlink(missing_ok=True)
        environment = {k: v for k, v in project.environment.items() if k.startswith("RMETRICS_")}
        request = {
            "environment": environment, "arguments": arguments or ("sync", "--quiet"), "fault": fault, "at": at,
            "log": str(log), "output": str(output), **limits,
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        steps = log.read_text().splitlines() if log.exists() else []
        return Done(answer["exit"], tuple(steps), output.read_text(errors="replace"))

    def close(self) -> None:
        """Ends the prepared process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@dataclass(frozen=True)
class World:
    """A project as it was published, with new exports waiting, and what a sync must make of it.

    Attributes:
        twin: the same after an undisturbed sync.
        before, after: database and lake before the sync, and after an undisturbed one.
        steps: what an undisturbed sync does, step by step.
    """

    template: Project
    twin: Project
    before: dict[str, Any]
    after: dict[str, Any]
    pg_uri: str
    run: Runner
    steps: list[str] = field(default_factory=list)

    def count(self, fault: str) -> int:
        """How many steps of an undisturbed sync a fault can hit."""
        statements = [s for s in self.steps if s.split()[0] in STATEMENTS]
        return {"kill": len(self.steps), "disconnect": len(statements)}.get(fault, len(self.steps) - len(statements))

    @contextmanager
    def copy(self, folder: Path) -> Iterator[Project]:
        """A copy of the project and of its database."""
        with copy_of(self.template, self.pg_uri, folder) as project:
            yield project

    @contextmanager
    def synced(self, folder: Path) -> Iterator[Project]:
        """A copy in which all exports are published."""
        with copy_of(self.twin, self.pg_uri, folder) as project:
            yield project


@contextmanager
def copy_of(project: Project, pg_uri: str, folder: Path) -> Iterator[Project]:
    """A copy of a project and of its database; the folder is emptied before and afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    with fresh_database(pg_uri, copy_of=project.dsn) as dsn:
        shutil.copytree(project.root, folder)
        yield Project(folder, dsn, 10)
    shutil.rmtree(folder)


@contextmanager
def make_world(pg_uri: str, dsn: str, folder: Path, runner: Runner) -> Iterator[World]:
    """Publishes the first exports, puts the second ones into the inbox, and finds out what a sync makes of them."""
    template = new_project(folder / "template", dsn)
    first_exports(template)
    done = runner(template)
    assert done.exit == 0, done.output
    second_exports(template)
    before = {"tables": tables(template), "lake": lake_files(template)}
    with copy_of(template, pg_uri, folder / "twin") as twin:
        done = runner(twin, fault="kill", at=10**6)
        assert done.exit == 0, done.output
        after = {"tables": tables(twin), "lake": lake_files(twin)}
        assert after["tables"] != before["tables"]
        yield World(template, twin, before, after, pg_uri, runner, list(done.steps))


def tables(project: Project) -> dict[str, list[str]]:
    """All published rows, without what names the run."""
    found = {}
    with dbapi.connect(project.dsn) as connection, connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} AS t")
            rows = [json.loads(r[0]) for r in cursor.fetchall()]
            found[table] = sorted(json.dumps({k: v for k, v in row.items() if k not in _RUN}) for row in rows)
    return found


def lake_files(project: Project) -> dict[str, Any]:
    """Every file of the lake in force by name: rows of Parquet, content of records without the moment of landing."""
    lake = project.root / "data" / "lake"
    files = [p for p in lake.rglob("*") if p.is_file() and p.name not in _OF_ITS_TIME]
    layers = {"metrics", "raw", "typed"}
    kept = sorted(p for p in files if not layers & set(p.relative_to(lake).parts[:1]))
    rows = computed_rows(project)  # which layers they stand in depends on which exports came at once
    tables = {name: _rows(rows.scan(name).collect()) for name in (*rows.rules.feeds, *COMPUTED)}
    return {**{lake_name(lake, path): _content(path) for path in kept}, **tables, **_exports(Lake(lake))}


def _rows(frame: pl.DataFrame) -> str:
    frame = frame.sort(pl.all())  # no promise is made about the order of rows
    return hashlib.sha256(frame.write_csv().encode() + str(frame.schema).encode()).hexdigest()


def _exports(lake: Lake) -> dict[str, Any]:
    """Raw and typed rows of every export, whatever files they share with others."""
    found: dict[str, Any] = {"decisions": lake.decisions()}
    for raw in lake.raw_files():
        data = b"".join(frame.data for frame in lake.frames(raw))
        record = replace(raw, file="", parquet_sha256="", parquet_size=0, landed_at="")
        found[f"raw {raw.name}"] = record, hashlib.sha256(data).hexdigest()
        typed = lake.typed_before(raw.feed, raw.sha256)
        if typed is not None:
            rows = lake.scan_typed(typed).collect().sort(pl.all())
            rejected = lake.rejected_rows(typed).sort(pl.all()).rows() if typed.rejected else []
            counts = (typed.digest, typed.columns, typed.rows, typed.rejected, typed.totals)
            found[f"typed {raw.name}"] = counts, rows.write_csv(), str(rows.schema), rejected
    return found


def _content(path: Path) -> Any:
    if path.suffix == ".parquet":
        return _rows(pl.read_parquet(path, glob=False))
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _FILE_OF_ITS_OWN}
    return value


def differences(one: dict[str, Any], other: dict[str, Any]) -> Sequence[str]:
    """What differs between two states of tables or files, by name."""
    return [k for k in sorted({*one, *other}) if one.get(k) != other.get(k)]
