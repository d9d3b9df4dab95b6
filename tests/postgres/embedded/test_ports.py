"""``db start --port``: the reader logs in over the loopback by password, and nobody else and nothing more."""

import base64
import hashlib
import hmac
import json
import os
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from adbc_driver_postgresql import dbapi

from command_line import rmetrics
from rmetrics.errors import BusyError, SettingsError
from rmetrics.postgres.embedded import embedded, network_port, stop_embedded
from rmetrics.postgres.embedded.binaries import programs, server_user
from rmetrics.postgres.reader import verifier
from rmetrics.usecases.db import db_reader, db_start, db_start_on, db_stop
from rmetrics.usecases.doctor import doctor
from support import Project, new_project


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(r) for r in cursor.fetchall()]


def connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.deep
def test_the_command_prints_addresses_that_work_and_stop_closes_the_port(own: Project, port: int) -> None:
    done = rmetrics(own, "db", "start", "--port", str(port))
    assert done.returncode == 0, done.stderr
    dsn, jdbc, *words = done.stdout.splitlines()
    assert asked(dsn, "SELECT current_user::text, count(*) FROM monthly_metrics") == [("grafana_reader", 1)]
    password = dsn.split(":")[2].split("@")[0]
    assert jdbc == f"jdbc:postgresql://127.0.0.1:{port}/postgres?user=grafana_reader&password={password}"
    assert password not in " ".join(words)
    document = json.loads(rmetrics(own, "db", "start", "--port", str(port), "--json").stdout)
    assert document["reader"]["dsn"] == dsn
    assert document["reader"]["port"] == port
    assert rmetrics(own, "db", "url", "--reader").stdout.strip() == dsn
    assert rmetrics(own, "db", "url", "--jdbc").stdout.strip() == jdbc
    assert rmetrics(own, "db", "url").stdout.strip() == document["url"]
    assert asked(document["url"], "SELECT current_user::text") == [("postgres",)]
    assert rmetrics(own, "sync", "--quiet").returncode == 0, "a sync works beside it, by the socket"
    assert connects(port)
    assert rmetrics(own, "db", "stop").stdout.strip() == "Stopped."
    assert not connects(port)
    plain = rmetrics(own, "db", "start")
    assert plain.stdout.startswith("postgresql://postgres:@/postgres?port=5432&host=")
    assert network_port(own.settings.server_dir) == 0
    assert not connects(port)
    told = rmetrics(own, "db", "url", "--reader")
    assert (told.returncode, told.stdout) == (2, "")
    assert "does not listen on a port" in told.stderr
    assert "rmetrics db start --port" in told.stderr
    db_stop(own.settings)


def test_the_reader_sees_what_the_dashboards_ask_for_and_no_raw_table(own: Project, port: int) -> None:
    dsn = db_start_on(own.settings, port).dsn
    for view in ("monthly_vs_target", "daily_cumulative", "data_freshness", "call_funnel", "run_findings"):
        asked(dsn, f"SELECT * FROM {view}")
    for table in ("jobs", "payments", "calls"):
        with pytest.raises(dbapi.Error, match="permission denied"):
            asked(dsn, f"SELECT * FROM {table}")
    with pytest.raises(dbapi.Error, match=r"denied|read-only"):
        asked(dsn, "DELETE FROM monthly_metrics")


def test_nobody_else_gets_in_over_the_port(own: Project, port: int) -> None:
    found = db_start_on(own.settings, port)
    host = f"127.0.0.1:{port}/postgres"
    for who in ("postgres:@", f"postgres:{found.password}@", "grafana_reader:@", "grafana_reader:wrong@"):
        with pytest.raises(dbapi.Error, match=r"rejects connection|password authentication failed|no password"):
            asked(f"postgresql://{who}{host}", "SELECT 1")
    listening = (Path("/proc") / "net" / "tcp").read_text()
    assert f"0100007F:{port:04X} 00000000:0000 0A" in listening, "the loopback, not every address"
    assert f"00000000:{port:04X} 00000000:0000 0A" not in listening
    checks = [c.message for c in doctor(own.settings).checks if c.name == "embedded server"]
    assert any(f"on port {port} of this machine" in m for m in checks), checks


def test_the_password_is_kept_in_one_closed_file_and_nowhere_else(own: Project, port: int) -> None:
    found = db_start_on(own.settings, port)
    path = found.password_file
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.parent == (own.root / "data").resolve()
    psql = programs(None, server_user(own.settings.server_dir)) / "psql"
    told = subprocess.run(
        [psql, f"postgresql://grafana_reader@127.0.0.1:{port}/postgres", "-Atc", "SELECT 1"],
        env={**os.environ, "PGPASSFILE": str(path)}, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == "1", "libpq reads the file as it is"
    secret = found.password.encode()
    others = [p for p in own.root.rglob("*") if p.is_file() and p != own.root / "data" / "reader.pgpass"]
    assert not [p for p in others if secret in p.read_bytes()], "neither in the server's log nor in its tables"
    assert not [p for p in Path("/proc").glob("[0-9]*/cmdline") if secret in _bytes(p)]
    assert found.password not in repr(found)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_password_stays_unless_others_could_have_read_it(own: Project, port: int) -> None:
    first = db_start_on(own.settings, port)
    assert db_start_on(own.settings, port).password == first.password
    assert db_reader(own.settings).password == first.password
    first.password_file.chmod(0o644)
    second = db_start_on(own.settings, port)
    assert second.password != first.password
    assert stat.S_IMODE(second.password_file.stat().st_mode) == 0o600
    with pytest.raises(dbapi.Error, match="password authentication failed"):
        asked(first.dsn, "SELECT 1")
    assert asked(second.dsn, "SELECT 1") == [(1,)]
    second.password_file.unlink()
    with pytest.raises(SettingsError, match="password file is missing"):
        db_reader(own.settings)


def test_a_port_in_use_is_refused_in_words_and_the_server_goes_on_as_it_ran(own: Project) -> None:
    url = db_start(own.settings)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        done = rmetrics(own, "db", "start", "--port", taken)
    assert (done.returncode, done.stdout) == (4, "")
    assert f"port {taken} of this machine is in use by another program" in done.stderr
    assert "rmetrics db start --port" in done.stderr
    assert asked(url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("text", ["0", "65536", "http"])
def test_what_is_no_port_is_refused(own: Project, text: str) -> None:
    assert rmetrics(own, "db", "start", "--port", text).returncode == 2


def test_a_server_in_use_is_not_started_again_under_whoever_uses_it(own: Project, port: int) -> None:
    db_stop(own.settings)
    with embedded(own.settings.server_dir) as used:
        with pytest.raises(BusyError, match=f"must be restarted to listen on port {port}"):
            db_start_on(own.settings, port)
        assert asked(used.dsn, "SELECT 1") == [(1,)]
    found = db_start_on(own.settings, port)
    with embedded(own.settings.server_dir), pytest.raises(BusyError, match="on its socket only"):
        db_start(own.settings)
    assert asked(found.dsn, "SELECT 1") == [(1,)]


def test_before_the_first_sync_the_tables_are_made(port: int) -> None:
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        project = new_project(Path(folder) / "project", "")
        try:
            assert asked(db_start_on(project.settings, port).dsn, "SELECT count(*) FROM monthly_vs_target") == [(0,)]
        finally:
            stop_embedded(project.settings.server_dir)


def test_a_verifier_is_what_postgresql_itself_would_keep() -> None:
    """Of the example of RFC 7677: user `user`, password `pencil`."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    text = verifier("pencil", salt)
    head, keys = text.split("$", 2)[1], text.split("$", 2)[2]
    assert head == "4096:W22ZaJ0SNY7soEsUEjb6gQ=="
    stored, server = (base64.b64decode(k) for k in keys.split(":"))
    said = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_key = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(client_key).digest() == stored
    assert base64.b64encode(hmac.digest(server, said, "sha256")) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
