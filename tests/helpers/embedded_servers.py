"""Embedded servers for tests of their own: in a short folder, stopped at the end."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from adbc_driver_postgresql import dbapi

from other_users import as_user
from rmetrics.postgres.embedded import embedded, process, stop_embedded
from rmetrics.postgres.embedded.binaries import programs, server_user
from small_company import jobs
from support import Project, new_project


@contextmanager
def short_folder() -> Iterator[Path]:
    """A short folder; what is started in it is stopped."""
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        yield Path(folder)
        for pid_file in Path(folder).rglob("postmaster.pid"):
            stop_embedded(pid_file.parent)


@cache
def _cluster() -> tempfile.TemporaryDirectory[str]:
    """A server's folder as it is after its first start, at rest: made once, removed when the tests end."""
    made = tempfile.TemporaryDirectory(prefix="rm-")
    with embedded(Path(made.name) / "postgres"):
        pass
    return made


def given_cluster(folder: Path) -> Path:
    """Copies a server that was made before to where a test expects one: creating it takes most of a start."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{_cluster().name}/postgres", str(folder)], check=True)
    return folder


def one_job(folder: Path) -> Project:
    """A project with an embedded server and one job in its inbox."""
    project = new_project(folder, "")
    project.put("Import-1.csv", jobs((1,)))
    given_cluster(project.settings.server_dir)
    return project


def socket_of(url: str) -> Path:
    """The folder of a server's socket."""
    return Path(unquote(url.partition("host=")[2]))


def asked(url: str, sql: str = "SELECT 1") -> str:
    """The answer of a server."""
    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return str(cursor.fetchone()[0])


def psql_as(name: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """What a user is told who logs in."""
    psql = programs(None, server_user(folder)) / "psql"
    return as_user(name, [str(psql), url, "-Atc", "SELECT current_user"])


def kill_server(folder: Path) -> None:
    """Kills the server as the kernel does when memory runs out, and waits until it is gone."""
    pid = int((folder / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    while process.alive(pid):
        time.sleep(0.01)
