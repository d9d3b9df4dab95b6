"""``rmetrics serve`` as a process: what it prints, whom it lets in, how it ends."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from command_line import rmetrics
from serve_sites import serving
from support import Project


def test_it_prints_one_line_and_lets_in_whoever_has_the_token(small: Project) -> None:
    with serving(small) as server:
        assert urlsplit(server.url).hostname == "127.0.0.1"
        assert len(server.token) >= 43
        assert server.get("/", cookie=False)[0] == 401
        assert server.get("/?token=wrong", cookie=False)[0] == 401
        assert server.get(f"/?token={server.token}", cookie=False)[0] == 200
        assert server.get("/", Host="evil.example")[0] == 400
        assert server.get("/", Origin="http://evil.example")[0] == 403
        status, text = server.get("/explain?source=Pro%20Referral&month=2024-11&metric=leads")
        assert (status, 'data-value="2"' in text) == (200, True)
        server.process.send_signal(signal.SIGTERM)
        out, err = server.process.communicate(timeout=20)
        assert (server.process.returncode, out, err) == (0, "", "")


@pytest.mark.deep
def test_json_and_ctrl_c_and_nothing_is_left_behind(small: Project, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving(small, "--json", TMPDIR=str(scratch)) as server:
        assert server.get("/")[0] == 200
        assert server.get("/plan?key=revenue.share&value=0.5")[0] == 200
        assert list(scratch.iterdir())
        server.process.send_signal(signal.SIGINT)
        out, err = server.process.communicate(timeout=20)
        assert (server.process.returncode, out, err) == (0, "", "")
    assert not list(scratch.iterdir())


@pytest.mark.deep
def test_only_the_loopback_listens(small: Project) -> None:
    with serving(small) as server:
        port = urlsplit(server.url).port
        others = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), port, type=socket.SOCK_STREAM)}
        for address in others - {"127.0.0.1", "::1", "127.0.1.1"}:
            with pytest.raises(OSError, match=""):
                socket.create_connection((str(address), port or 0), timeout=2)


def test_a_port_in_use_is_told_with_exit_code_2(small_to_read: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = rmetrics(small_to_read, "serve", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot listen on 127.0.0.1" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "options", [("--host", "no.such.host.invalid"), ("--port", "70000"), ("--port", "x"), ("--host", "")]
)
@pytest.mark.ordinary(2)
def test_what_cannot_be_listened_on_is_exit_code_2(small_to_read: Project, options: tuple[str, str]) -> None:
    done = rmetrics(small_to_read, "serve", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_no_project_is_exit_code_2(tmp_path_factory: pytest.TempPathFactory) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RMETRICS_")}
    import sys

    done = subprocess.run([sys.executable, "-m", "rmetrics", "serve"], cwd=tmp_path_factory.mktemp("none"), env=environment,
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "rmetrics init" in done.stderr


@pytest.mark.deep
def test_the_token_is_in_no_file_and_no_process_list(small: Project) -> None:
    with serving(small) as server:
        server.get(f"/?token={server.token}", cookie=False)
        command = (f"/proc/{server.process.pid}/cmdline", f"/proc/{server.process.pid}/environ")
        for path in command:
            if os.path.exists(path):  # noqa: PTH110 - only Linux has it
                with open(path, "rb") as file:  # noqa: PTH123
                    assert server.token.encode() not in file.read()
        assert not [p for p in small.root.rglob("*") if p.is_file() and server.token.encode() in p.read_bytes()]
