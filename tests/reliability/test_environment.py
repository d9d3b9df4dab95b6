"""libpq's variables in the user's shell: no effect on the embedded server, defaults for a server of the user's own."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import command_line
from rmetrics.postgres.connection import connect, server_of
from rmetrics.postgres.embedded import embedded, stop_embedded
from small_company import jobs
from support import Project, new_project

MISLEADING = {
    "PGHOST": "db.nowhere.invalid",
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "6543",
    "PGUSER": "somebody",
    "PGPASSWORD": "secret",
    "PGDATABASE": "elsewhere",
    "PGSERVICE": "nowhere",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGSSLMODE": "verify-full",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "password",
}


@pytest.fixture
def project() -> Iterator[Project]:
    """A project with an embedded server of its own."""
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        made = new_project(Path(folder) / "project", "")
        made.put("Import-1.csv", jobs((1,)))
        yield made
        stop_embedded(made.settings.server_dir)


def run(project: Project, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "RMETRICS_"))}
    return command_line(
        *arguments, folder=project.root, environment=environment | project.environment | variables, timeout=300
    )


@pytest.mark.deep
def test_the_embedded_server_is_reached_whatever_the_shell_says(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(project, "sync", **MISLEADING)
    assert done.returncode == 0, done.stderr
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)
    with embedded(project.settings.server_dir) as server, connect(server) as session:
        assert session.query("SELECT count(*)::integer FROM jobs") == [(1,)]
        assert "port=5432" in server.dsn
    assert {name: os.environ[name] for name in MISLEADING} == MISLEADING, "they are put back"


@pytest.mark.parametrize(
    ("dsn", "variables", "label"),
    [
        ("postgresql://u@/sales", {"PGHOST": "db.example.com", "PGPORT": "5433"}, "db.example.com:5433/sales"),
        ("postgresql://u@db.example.com/sales", {"PGPORT": "5433"}, "db.example.com:5433/sales"),
        ("postgresql://u@db.example.com:5434/sales", {"PGPORT": "5433", "PGHOST": "x"}, "db.example.com:5434/sales"),
        ("postgresql://u@db.example.com/sales?port=5435", {"PGPORT": "5433"}, "db.example.com:5435/sales"),
        ("postgresql://u@db.example.com", {"PGDATABASE": "sales"}, "db.example.com/sales"),
        ("postgresql://u@db.example.com/sales", {}, "db.example.com/sales"),
        ("postgresql:///", {"PGSERVICE": "books"}, "the service books"),
    ],
)
def test_a_label_names_the_host_and_port_that_are_used(
    monkeypatch: pytest.MonkeyPatch, dsn: str, variables: dict[str, str], label: str
) -> None:
    for name in MISLEADING:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert server_of(dsn).label == label


def test_an_error_names_the_port_that_came_from_the_shell(project: Project) -> None:
    done = run(project, "sync", RMETRICS_POSTGRES_DSN="postgresql://u@127.0.0.1/sales", PGPORT="1")
    assert done.returncode == 4
    assert "127.0.0.1:1/sales" in done.stderr
