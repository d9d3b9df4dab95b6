"""The commands over a lake and an inbox in a bucket: the numbers of a folder, and no half of a run, whatever ends it."""

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest

from buckets import OWNER, READER, S3, Machine
from rmetrics.lake.s3 import Connection
from support import MIDNIGHT, ROOT, Project, csv_text, fresh_database, new_project, rows

TABLES = ("jobs", "payments", "calls", "elocals_leads", "proref_leads", "google_spend", "targets")
FIGURES = ("daily_metrics", "monthly_metrics")
KILLED = """
import os, signal, sys
import rmetrics.pipeline.compute.compute as module
module.save = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # every data object is there, state.json is not replaced
from rmetrics.cli import run
sys.exit(run(["sync"]))
"""
RACED = """
import os, subprocess, sys
import rmetrics.pipeline.compute.compute as module
from rmetrics.lake.s3 import Connection
commit = module.save
def late(lake, snapshot):
    lake.store.connection.delete("lease.json")  # as one that ran out
    inbox = Connection.open(os.environ["RMETRICS_INBOX_DIR"], os.environ["RMETRICS_S3_ENDPOINT"])
    inbox.put("payments 2.csv", sys.argv[2].encode())  # else both would commit the very same
    own = {"RMETRICS_LOCAL_DIR": "elsewhere", "RMETRICS_POSTGRES_DSN": sys.argv[1]}
    other = subprocess.run([sys.executable, "-m", "rmetrics", "sync", "-q"], env={**os.environ, **own})
    assert other.returncode == 0
    commit(lake, snapshot)
module.save = late
from rmetrics.cli import run
sys.exit(run(["sync"]))
"""


def published(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    return {t: sorted(rows(dsn, f"SELECT * FROM {t}"), key=repr) for t in (*TABLES, *FIGURES)}


def payments(count: int, amount: int = 100, first: int = 0) -> bytes:
    header = ["Job #", "Date", "Amount", "Payment ID"]
    return csv_text(header, *([f"J{n}", "2025-01-05", amount, f"P{n}"] for n in range(first, first + count))).encode()


def total(machine: Machine) -> str:
    answer = machine.run("sql", "--json", "SELECT sum(revenue_gross) AS gross FROM monthly_metrics")
    assert answer.returncode == 0, answer.stderr
    return str(json.loads(answer.stdout)["rows"][0]["gross"])


def another(machine: Machine, root: Path, dsn: str | None = None) -> Machine:
    """A machine that shares the lake."""
    return Machine(machine.server, root, dsn or machine.dsn, machine.prefix)


@pytest.fixture
def project(tmp_path: Path, pg_uri: str) -> Iterator[Project]:
    with fresh_database(pg_uri) as uri:
        yield new_project(tmp_path / "folder", uri)


def test_the_sample_is_the_same_from_a_bucket_and_from_a_folder(
    machine: Machine, project: Project, tmp_path: Path
) -> None:
    exports = [p for p in (ROOT / "data" / "sample").iterdir() if p.suffix in {".csv", ".xlsx"}]
    for path in sorted(exports, key=lambda p: p.stat().st_mtime_ns):
        at = path.stat().st_mtime_ns / 1e9
        project.put(path.name, path.read_bytes(), minutes=int((at - MIDNIGHT.timestamp()) / 60))
        machine.put(path.name, path, at // 60 * 60)
    first = machine.run("sync", "--json")
    assert first.returncode == 0, first.stderr
    project.sync()
    assert published(machine.dsn) == published(project.dsn)
    reasons = [f["reason"] for f in json.loads(first.stdout)["files"] if f["status"] == "refused"]
    assert reasons
    assert not any(str(machine.root) in reason for reason in reasons), "a copy that is gone is no path for anybody"

    again = json.loads(machine.run("sync", "--json").stdout)
    assert again["status"] == "unchanged"
    assert {f["status"] for f in again["files"]} <= {"unchanged", "refused"}

    laptop = another(machine, tmp_path / "laptop")
    explained = laptop.run("explain", "--source", "Google", "--month", "2024-11", "--json")
    assert explained.returncode == 0, explained.stderr
    assert json.loads(explained.stdout)["verdict"] == "match"
    assert not list((laptop.root / "local").rglob("raw/*/*.parquet")), "what a command does not need is not downloaded"
    for command in (["check"], ["plan"], ["status"], ["history", "--month", "2024-11"], ["doctor", "--verify"]):
        done = laptop.run(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_a_new_export_is_taken_in_by_another_machine(machine: Machine, tmp_path: Path) -> None:
    machine.put("payments 1.csv", payments(3))
    assert machine.run("sync").returncode == 0
    other = another(machine, tmp_path / "two")
    other.put("payments 2.csv", payments(2, 50, first=2), MIDNIGHT.timestamp() + 60)
    done = json.loads(other.run("sync", "--json").stdout)
    assert {f["file"]: f["status"] for f in done["files"]} == {
        "payments 1.csv": "unchanged",
        "payments 2.csv": "landed",
    }
    assert total(machine) == "300.00"  # 100 + 100 + 50 + 50
    assert [str(v) for (v,) in rows(machine.dsn, "SELECT sum(amount)::text FROM payments")] == ["300.00"]


def test_of_two_syncs_at_once_one_is_refused_or_waits_for_none(machine: Machine, tmp_path: Path) -> None:
    machine.put("payments.csv", payments(3))
    other = another(machine, tmp_path / "two")
    running = [m.popen("-m", "rmetrics", "sync") for m in (machine, other)]
    ended = [(p.communicate(timeout=200), p.returncode) for p in running]
    codes = sorted(code for _, code in ended)
    assert codes in ([0, 5], [0, 0]), ended  # one after the other where the machine is slow
    assert total(machine) == "300.00"


def test_a_commit_that_lost_the_race_is_exit_5_and_leaves_the_winner_in_force(
    machine: Machine, pg_uri: str, tmp_path: Path
) -> None:
    machine.put("payments.csv", payments(3))
    with fresh_database(pg_uri) as uri:
        process = machine.popen("-c", RACED, uri, payments(1, 7, first=9).decode())
        _, err = process.communicate(timeout=240)
        assert process.returncode == 5, err
        assert "another run has changed s3://" in err
        assert rows(uri, "SELECT sum(amount)::text FROM payments") == [("307.00",)]
    assert machine.run("sync").returncode == 0
    assert total(machine) == "307.00"
    assert total(another(machine, tmp_path / "three")) == "307.00"


def test_a_kill_between_data_and_state_leaves_what_was_in_force(machine: Machine, tmp_path: Path) -> None:
    machine.put("payments 1.csv", payments(3))
    assert machine.run("sync").returncode == 0
    before = machine.objects()
    machine.put("payments 2.csv", payments(1, 7, first=9), MIDNIGHT.timestamp() + 60)
    process = machine.popen("-c", KILLED)
    process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL
    after = machine.objects()
    assert after["lake/state.json"] == before["lake/state.json"]
    assert {n for n in after if n.startswith("lake/metrics/")} > {n for n in before if n.startswith("lake/metrics/")}
    assert "lake/lease.json" in after
    assert total(another(machine, tmp_path / "two")) in {
        "300.00",
        "307.00",
    }  # as it was, or computed for this look alone
    done = machine.run("sync")
    assert done.returncode == 0, done.stderr  # the lease of a process that has ended holds nobody up
    assert total(machine) == "307.00"


def test_what_the_bucket_lost_or_has_other_bytes_of_is_found_and_made_again(machine: Machine, tmp_path: Path) -> None:
    machine.put("payments.csv", payments(3))
    assert machine.run("sync").returncode == 0
    there = machine.lake().store.connection  # type: ignore[attr-defined]
    spoiled = next(n for n in machine.objects() if "/typed/payments/" in n).removeprefix("lake/")
    content, _ = there.get(spoiled)
    there.put(spoiled, content[:-40] + bytes(40))
    other = another(machine, tmp_path / "two")
    verified = other.run("doctor", "--verify")
    assert verified.returncode == 3, verified.stdout
    assert spoiled.rpartition("/")[2] in verified.stdout
    assert other.run("sync", "--full").returncode == 0
    assert other.run("doctor", "--verify").returncode == 0
    assert total(another(machine, tmp_path / "three")) == "300.00"


def test_a_lost_connection_ends_the_run_and_commits_nothing(machine: Machine) -> None:
    machine.put("payments.csv", payments(3))
    with _Line(machine.server.port) as line:
        machine.endpoint = line.endpoint
        line.cut_after = 15  # connections or requests: in the middle of landing
        done = machine.run("sync")
        assert done.returncode == 4, (done.returncode, done.stdout, done.stderr)
        assert "cannot be reached" in done.stderr
        assert "Traceback" not in done.stderr
        assert "lake/state.json" not in machine.objects()
        line.cut_after = 10**9
        (machine.root / "local").rename(machine.root / "lost")  # the lease is of a process that has ended
        assert machine.run("sync").returncode == 0
        assert total(machine) == "300.00"


@pytest.mark.parametrize("key", [READER, (OWNER[0], "a-wrong-secret")], ids=["reader", "wrong"])
def test_a_denied_key_is_exit_4_and_shows_no_secret(machine: Machine, key: tuple[str, str]) -> None:
    machine.put("payments.csv", payments(3))
    machine.key = key
    done = machine.run("sync", "--json")
    assert done.returncode == 4
    told = done.stdout + done.stderr
    assert "AWS_SECRET_ACCESS_KEY" in told
    assert "Traceback" not in told
    assert not any(secret in told for secret in key)


def test_a_key_that_only_reads_explains(machine: Machine, tmp_path: Path) -> None:
    machine.put("payments.csv", payments(3))
    assert machine.run("sync").returncode == 0
    reader = another(machine, tmp_path / "reader")
    reader.key = READER
    assert total(reader) == "300.00"
    done = reader.run("explain", "--source", "Unattributed", "--month", "2025-01", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "match"


def test_five_thousand_exports_are_listed_landed_and_known_again(machine: Machine) -> None:
    def put(number: int) -> None:
        name = f"{number // 500:02}/payments {number}.csv"
        machine.put(name, payments(1, 1, first=number), MIDNIGHT.timestamp() + number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, range(5_000)))
    first = machine.run("sync", "--json")
    assert first.returncode == 0, first.stderr
    assert len(json.loads(first.stdout)["files"]) == 5_000
    assert total(machine) == "5000.00"
    downloads = list((machine.root / "local").rglob("inbox/**/*.csv"))
    assert downloads == [], "copies of exports are removed once they have landed"
    started = time.monotonic()
    again = json.loads(machine.run("sync", "--json").stdout)
    assert again["status"] == "unchanged"
    assert time.monotonic() - started < 60


class _Line:
    """A line to the server that can be cut: after some connections every one, new or open, is reset."""

    def __init__(self, port: int) -> None:
        self.port, self.cut_after, self.seen = port, 10**9, 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self.server.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            if self.seen >= self.cut_after:
                client.close()
                continue
            there = socket.create_connection(("127.0.0.1", self.port))
            for source, target, counted in ((client, there, True), (there, client, False)):
                threading.Thread(target=self._copy, args=(source, target, counted), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(65536):
                self.seen += counted
                if self.seen >= self.cut_after:
                    break
                target.sendall(data)
        except OSError:
            pass
        finally:
            for one in (source, target):
                one.close()


def test_the_line_of_these_tests_carries_requests(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    with _Line(s3.port) as line:
        there = Connection.open("s3://lakes/line", line.endpoint)
        there.put("x", b"1")
        assert there.get("x")[0] == b"1"
