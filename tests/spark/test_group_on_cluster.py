"""A group on two executors, from the command line: the tables of one machine, from a bucket, with one executor killed.

Run by ``make test-scale``; it needs Java.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buckets import S3, Machine, s3_server
from small_company import payments
from support import Project, csv_text, fresh_database, new_project, rows

pytestmark = pytest.mark.spark

pytest.importorskip("pyspark", reason="the extra rmetrics[spark] is not installed")

CLUSTER = "local-cluster[2,1,768]"
COMPANIES = 17  # more than one wave
TABLES = ("group_daily_metrics", "group_monthly_metrics", "group_targets", "c01.payments", "c01.monthly_metrics")


def rules() -> str:
    tables = [f"[companies.c{n:02}]" + ('\ncurrency = "CAD"' if n % 3 == 2 else "") for n in range(1, COMPANIES + 1)]
    return "\n".join(tables).replace("[companies.c01]", '[companies.c01]\npublish = "own"') + "\n"


def exports(number: int) -> dict[str, str]:
    """Of a company; every second one has targets."""
    lines = [[f"J{n}", f"2025-0{n % 6 + 1}-05", n * number, f"P{n}"] for n in range(1, 30)]
    found = {"payments.csv": payments(*lines, more=("Payment ID",))}
    if number % 2:
        found["targets.csv"] = csv_text(["Month", "Source", "Segment", "Target Repairs"], ["2025-01", "", "", number])
    return found


@pytest.fixture
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def one_machine(tmp_path: Path, pg_uri: str) -> Iterator[Project]:
    """The group as one machine publishes it from a folder."""
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path / "folder", uri)
        (project.rules / "companies.toml").write_text(rules())
        for number in range(1, COMPANIES + 1):
            for name, text in exports(number).items():
                project.put(f"c{number:02}/{name}", text, minutes=number)
        project.sync()
        yield project


def published(dsn: str) -> dict[str, list[str]]:
    return {t: sorted(str(r) for (r,) in rows(dsn, f"SELECT t::text FROM {t} AS t")) for t in TABLES}


def executors(session: int) -> list[int]:
    """The executors of a program that leads a session of its own."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                own = int((place / "stat").read_text().rpartition(")")[2].split()[3]) == session
                if own and b"CoarseGrainedExecutorBackend" in (place / "cmdline").read_bytes():
                    found.append(int(place.name))
            except OSError:
                continue
    return found


@pytest.mark.filterwarnings("default")
def test_a_group_in_a_bucket_is_the_same_on_executors_with_one_killed(
    one_machine: Project, s3: S3, database: str, tmp_path: Path
) -> None:
    machine = Machine(s3, tmp_path / "driver", database)
    (machine.root / "rules" / "companies.toml").write_text(rules())
    for number in range(1, COMPANIES + 1):
        for name, text in exports(number).items():
            at = (one_machine.inbox / f"c{number:02}" / name).stat().st_mtime
            machine.put(f"c{number:02}/{name}", text.encode(), at)
    env = {**machine.environment, "RMETRICS_ENGINE": "spark", "RMETRICS_SPARK": CLUSTER}
    command = ["rmetrics", "sync", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=machine.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    killed = None
    while process.poll() is None and killed is None:
        there = executors(process.pid)
        if len(there) == 2 and machine.objects("companies/"):  # a task has written something
            os.kill(killed := there[0], signal.SIGKILL)
        time.sleep(0.1)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-2000:]
    assert killed is not None, "the run was over before an executor could be killed"
    states = [c["status"] for c in json.loads(out)["companies"]]
    assert states == ["published"] * COMPANIES
    assert published(database) == published(one_machine.dsn)
    laptop = Machine(s3, tmp_path / "laptop", database, machine.prefix)
    (laptop.root / "rules" / "companies.toml").write_text(rules())
    again = laptop.run("sync", "--json")  # one machine goes on from it
    assert {c["status"] for c in json.loads(again.stdout)["companies"]} == {"unchanged"}, again.stderr[-2000:]
