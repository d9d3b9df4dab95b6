"""A group of many companies: the same figures from a folder, from a bucket and on Spark, and what its driver needs.

    python benchmarks/group.py equal FOLDER --companies 200 --jobs 1000000
    python benchmarks/group.py driver FOLDER --companies 100 1000 5000

``equal`` generates the exports of the companies, with the sample as one more company, and syncs them three times: from
a local folder, from a bucket of an S3 server that it starts on this machine, and from such a bucket on Spark with two
executor processes, one of which it kills once companies have been published. Every row and column of the group's tables
must then be the same, and the figures of the company that has a schema of its own. It ends with 1 where they are not.

``driver`` measures the process that runs a group on Spark against the number of companies. One company is computed; its
answer is then given for every task, so that locking, records, publishing and the run's own results are those of so many
companies, and the executors' work is not waited for. Spark's Java process is not part of it: its heap has a limit.

Both need the extras spark and s3, numpy and the development dependencies (``make .venv/.spark``).
"""

import argparse
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "tests" / "helpers"), str(Path(__file__).parent)]

from scale import seconds_of  # noqa: E402 - beside this file

TABLES = {
    "group_daily_metrics": "date, source, segment",
    "group_monthly_metrics": "month, source, segment",
    "group_targets": "month, source, segment",
}
OWN = {"daily_metrics": "date, source, segment", "monthly_metrics": "month, source, segment"}
SPARK = "local-cluster[2,1,1024]"
FINDINGS = 3
BUCKET = "lakes"
T = TypeVar("T")


# -- the exports


def names(count: int) -> list[str]:
    """The companies: generated ones and the sample."""
    return [*(f"c{number:04}" for number in range(1, count + 1)), "sample"]


def write_rules(folder: Path, companies: Sequence[str]) -> None:
    """The shipped rules for a group; some companies have a currency, a zone or a schema of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "rules", folder)
    lines = []
    for number, name in enumerate(companies):
        lines.append(f"[companies.{name}]")
        lines += ['publish = "own"'] if number == 0 else []
        lines += ['currency = "CAD"', 'timezone = "America/Toronto"'] if number % 5 == 4 and name != "sample" else []
    (folder / "companies.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_exports(folder: Path, companies: Sequence[str], jobs: int) -> None:
    """The exports of every company in a folder of its name; those that are there stay."""
    from generate import Company, generate

    for number, name in enumerate(companies):
        if (folder / name).exists():
            continue
        part = folder / f".{name}"
        shutil.rmtree(part, ignore_errors=True)
        if name == "sample":
            subprocess.run([sys.executable, str(ROOT / "data" / "make_sample.py"), str(part)], check=True)
        else:
            generate(part, Company(jobs, seed=1_000 + number, chunk=max(jobs, 100)))
        part.rename(folder / name)


# -- three ways to the same figures


@dataclass(frozen=True)
class Way:
    """A project of the group.

    Attributes:
        folder: its own.
        dsn: its database.
        environment: the settings that differ from one way to the next.
    """

    name: str
    folder: Path
    dsn: str
    environment: Mapping[str, str]

    def sync(self, watch: Callable[[int], None] = lambda _: None) -> dict[str, Any]:
        """Runs ``rmetrics sync``; what it cost and said.

        Args:
            watch: is called with the process's id some times a second.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RMETRICS_")}
        env = {**kept, "RMETRICS_POSTGRES_DSN": self.dsn, "RMETRICS_RULES_DIR": str(self.folder / "rules")}
        clock = time.monotonic()
        with (self.folder / "said.json").open("wb") as said, (self.folder / "told.txt").open("wb") as told:
            process = subprocess.Popen(
                [sys.executable, "-m", "rmetrics", "sync", "--json"],
                cwd=self.folder, env={**env, **self.environment}, stdout=said, stderr=told, start_new_session=True,
            )  # fmt: skip
            seconds, memory = dict[int, float](), dict[int, int]()
            try:
                while process.poll() is None:
                    seconds |= seconds_of(process.pid)
                    memory |= {pid: max(m, memory.get(pid, 0)) for pid, m in resident(seconds).items()}
                    watch(process.pid)
                    time.sleep(0.2)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
        if process.returncode not in (0, FINDINGS):
            raise SystemExit(f"{self.name}: ended with {process.returncode}:\n{(self.folder / 'told.txt').read_text()}")
        document = json.loads((self.folder / "said.json").read_bytes())
        states = [company["status"] for company in document["companies"]]
        return {
            "companies": {state: states.count(state) for state in sorted(set(states))},
            "wall_seconds": round(time.monotonic() - clock, 1),
            "cpu_seconds": round(sum(seconds.values()), 1),
            "driver_mib": memory.get(process.pid, 0) // 2**20,
        }

    def table(self, name: str, order: str, company: str = "") -> Any:
        """The rows of a published table, as Arrow: every column but when it was written."""
        from adbc_driver_postgresql import dbapi

        where = f" WHERE company = '{company}'" if company else ""
        with dbapi.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {name}{where} ORDER BY {order}")
            return cursor.fetch_arrow_table()


def resident(processes: Mapping[int, float]) -> dict[int, int]:
    """The memory of processes now, in bytes."""
    found = {}
    for pid in processes:
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError, IndexError):
            continue
        found[pid] = pages * resource.getpagesize()
    return found


class Killer:
    """Kills one executor, once, in the middle: when companies have been published, and others have not."""

    def __init__(self, dsn: str, companies: int) -> None:
        self.dsn, self.companies = dsn, companies
        self.killed: dict[str, int] = {}
        self._looked = 0.0

    def __call__(self, session: int) -> None:
        """Looks whether it is time."""
        if self.killed or time.monotonic() - self._looked < 1:
            return
        self._looked = time.monotonic()
        published = self._published()
        executors = sorted(p for p in seconds_of(session) if b"CoarseGrainedExecutorBackend" in command_of(p))
        if published and len(executors) == 2:
            os.kill(executors[0], signal.SIGKILL)
            self.killed = {"executor": executors[0], "published_before": published}

    def _published(self) -> int:
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.dsn) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_class WHERE relname = 'group_companies'")
            if not cursor.fetchone()[0]:
                return 0
            cursor.execute("SELECT count(*) FROM group_companies WHERE status = 'ok'")
            return int(cursor.fetchone()[0])


def command_of(pid: int) -> bytes:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def equal(folder: Path, count: int, jobs: int) -> dict[str, Any]:
    """Syncs the group in three ways and compares what they published."""
    from buckets import s3_server
    from rmetrics.postgres.embedded import start_embedded, stop_embedded
    from support import fresh_database

    companies, exports = names(count), folder / "exports"
    exports.mkdir(parents=True, exist_ok=True)
    write_exports(exports, companies, jobs // count)
    found: dict[str, Any] = {"companies": len(companies), "jobs": jobs // count * count}
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rmetrics-group-")))
        uri = start_embedded(work / "postgres").dsn
        stack.callback(stop_embedded, work / "postgres")
        server = stack.enter_context(s3_server())

        def way(name: str, **environment: str) -> Way:
            own = folder / name
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            write_rules(own / "rules", companies)
            return Way(name, own, stack.enter_context(fresh_database(uri)), environment)

        def bucket(name: str) -> dict[str, str]:
            upload(server, name, exports, companies)
            places = {"RMETRICS_DATA_DIR": f"s3://{BUCKET}/{name}", "RMETRICS_INBOX_DIR": f"s3://{BUCKET}/{name}/inbox"}
            return {**server.environment(), **places, "RMETRICS_LOCAL_DIR": str(folder / name / "local")}

        here = way(
            "folder", RMETRICS_DATA_DIR=str(folder / "folder" / "data"), RMETRICS_INBOX_DIR=str(exports)
        )  # its exports are only read
        there = way("bucket", **bucket("bucket"))
        spark = way("spark", **bucket("spark"), RMETRICS_ENGINE="spark", RMETRICS_SPARK=SPARK)
        killer = Killer(spark.dsn, len(companies))
        found["folder"] = shown("folder", here.sync())
        found["bucket"] = shown("bucket", there.sync())
        found["spark"] = shown("spark", {**spark.sync(killer), "killed": killer.killed})
        if not killer.killed:
            raise SystemExit("no executor was killed: the run was over before")
        found["rows"], found["differing"] = compared([here, there, spark], companies)
        shown("differing", found["differing"])
        found["spark again"] = shown("spark again", spark.sync())
    found["equal"] = not found["differing"]
    return found


def shown(name: str, what: T) -> T:
    """Tells how far it is."""
    print(name, json.dumps(what), file=sys.stderr, flush=True)
    return what


def upload(server: Any, name: str, exports: Path, companies: Sequence[str]) -> None:
    """Puts the exports into the bucket with the times of their files, as rclone does."""
    import obstore

    from buckets import connection

    to = connection(server, f"{name}/inbox")
    for company in companies:
        for path in sorted(p for p in (exports / company).rglob("*") if p.is_file()):
            at = path.stat().st_mtime_ns / 1e9
            store, name_there = to._store, path.relative_to(exports).as_posix()  # noqa: SLF001 - attributes are set here alone
            obstore.put(store, name_there, path, attributes={"mtime": f"{at:.9f}"}, use_multipart=False)


def compared(ways: Sequence[Way], companies: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """How many rows the tables have, and the tables and companies in which any row or column differs."""
    first, *others = ways
    rows, differing = dict.fromkeys([*TABLES, *OWN], 0), []
    asked = [(t, order, c) for t, order in TABLES.items() for c in companies]
    asked += [(f"{companies[0]}.{t}", order, "") for t, order in OWN.items()]
    for table, order, company in asked:
        want = first.table(table, order, company)
        rows[table.rpartition(".")[2]] += want.num_rows
        differing += [f"{o.name}: {table} {company}" for o in others if not o.table(table, order, company).equals(want)]
    return rows, differing


# -- the driver's memory


class Replayed:
    """An engine whose tasks all give the answer of one company, as each would name it."""

    slots = 32

    def __init__(self, made: Any) -> None:
        self.made = made

    def each(self, items: Sequence[Any], _step: object, _schema: object) -> list[Any]:
        """The companies asked for."""
        return list(items)

    def collected(self, rows: Sequence[Any], schema: Any) -> pl.DataFrame:
        """Their answers."""
        answers = [pickle.dumps(replace(self.made, name=work.name)) for work in rows]
        return pl.DataFrame({"name": [work.name for work in rows], "made": answers}, schema=schema)


def driver(folder: Path, counts: Sequence[int], jobs: int) -> dict[str, Any]:
    """The driver's memory and processor seconds for each number of companies, each in a process of its own."""
    write_exports(folder / "exports", names(1), jobs)
    found = {}
    for count in counts:
        command = [sys.executable, __file__, "replay", str(folder), "--companies", str(count)]
        found[str(count)] = shown(
            str(count), json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        )
    return found


def replay(folder: Path, count: int) -> dict[str, Any]:
    """Publishes so many companies that all have one's figures."""
    from pydantic import SecretStr

    from rmetrics.opening import places_of
    from rmetrics.pipeline.companies import make_company
    from rmetrics.postgres.embedded import start_embedded, stop_embedded
    from rmetrics.settings import Settings
    from rmetrics.spark.companies import company_work
    from rmetrics.spark.runner import SparkRunner
    from rmetrics.usecases.sync import sync
    from support import fresh_database

    companies = names(count)[:-1]
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rmetrics-driver-")))
        write_rules(work / "rules", companies)
        rules = work / "rules" / "companies.toml"
        rules.write_text(rules.read_text(encoding="utf-8").replace('publish = "own"\n', ""), encoding="utf-8")
        uri = start_embedded(work / "postgres").dsn
        stack.callback(stop_embedded, work / "postgres")
        settings = Settings(
            _env_file=None, postgres_dsn=SecretStr(stack.enter_context(fresh_database(uri))), data_dir=work / "data",
            inbox_dir=folder / "exports", rules_dir=work / "rules", engine="spark",
        )  # fmt: skip
        import datetime as dt

        own = company_work(
            places_of(settings.of_company("c0001")), name="c0001", run_id="x", started_at=dt.datetime.now(dt.UTC)
        )
        made = make_company(own, work / "rules", work / "task")
        if made.failure is not None:
            raise SystemExit(made.failure.message)
        SparkRunner.engine = lambda *_: Replayed(made)  # type: ignore[method-assign,assignment]
        before, clock, cpu = peak(), time.monotonic(), time.process_time()
        with watched() as grown:
            result = sync(settings)
        states = [c.status for c in result.companies]
        return {
            "published": states.count("published"),
            "before_mib": before,
            "peak_mib": peak(),
            "resident_mib": grown,
            "answer_bytes": len(pickle.dumps(made)),
            "wall_seconds": round(time.monotonic() - clock, 1),
            "driver_cpu_seconds": round(time.process_time() - cpu, 1),
        }


class watched:  # noqa: N801 - reads as the verb it is
    """The memory of this process at each fifth of the time, in MiB, once the block has ended."""

    def __enter__(self) -> list[int]:
        self.seen, self.over, self.shown = list[int](), threading.Event(), list[int]()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self.shown

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.shown += [self.seen[(len(self.seen) - 1) * fifth // 5] for fifth in range(6)] if self.seen else []

    def _look(self) -> None:
        while not self.over.wait(0.25):
            self.seen.append(resident({os.getpid(): 0})[os.getpid()] // 2**20)


def peak() -> int:
    """The most memory this process ever had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["equal", "driver", "replay"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--companies", type=int, nargs="+", default=[200])
    parser.add_argument("--jobs", type=int, help="of all together (equal: 1,000,000), or of the one (driver: 500)")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    if asked.what == "replay":
        print(json.dumps(replay(folder, asked.companies[0])))
    elif asked.what == "driver":
        print(json.dumps(driver(folder, asked.companies, asked.jobs or 500), indent=2))
    else:
        found = equal(folder, asked.companies[0], asked.jobs or 1_000_000)
        print(json.dumps(found, indent=2))
        sys.exit(not found["equal"])


if __name__ == "__main__":
    main()
