"""The sender is killed before, during and after a message: no message goes out twice, and a doubtful one is told."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services import Service, service
from support import Project

# Runs the program in a process that kills itself at one moment.
KILLED = """
import os, signal, sys
import rmetrics.notify.ledger as ledger
import rmetrics.notify.sending as sending

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

moment = sys.argv.pop(1)
claim, mark, deliver = ledger.Ledger.claim, ledger.Ledger.mark, sending.deliver
if moment == "before the claim":
    ledger.Ledger.claim = die
if moment == "after the claim":
    sending.deliver = die
if moment == "before the mark":
    ledger.Ledger.mark = die
if moment == "after the mark":
    ledger.Ledger.mark = lambda *a, **k: (mark(*a, **k), die())
if moment == "within the mark":  # the row is written, the transaction is not
    def torn(self, kind, keys, channel, state, now, why=""):
        self._connection.execute("UPDATE sends SET state = 'sent'")
        die()
    ledger.Ledger.mark = torn
from rmetrics.cli import main
main()
"""


@pytest.fixture
def channel(project: Project) -> Iterator[tuple[Project, Service, dict[str, str]]]:
    """A project that has a channel and nothing published, the service, and the environment of the program."""
    with service() as made:
        (project.rules / "own.toml").write_text('[notify.owner]\nurl = "TEST_OWNER"\n', encoding="utf-8")
        yield project, made, {**project.environment, "TEST_OWNER": made.url()}


def send(project: Project, environment: dict[str, str], *more: str, moment: str = "") -> "subprocess.Popen[str]":
    """Starts ``rmetrics brief --send`` for one day."""
    program = [sys.executable, "-c", KILLED, moment, "brief", "--send", "--date", "2026-11-10", "--json", *more]
    return subprocess.Popen(
        program, cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def states(process: "subprocess.Popen[str]") -> list[str]:
    """What became of the message, and that the exit code says so."""
    out, err = process.communicate(timeout=60)
    sent = json.loads(out)["sent"]
    assert process.returncode == (3 if any(s["state"] in {"failed", "doubtful"} for s in sent) else 0), err
    return [s["state"] for s in sent]


@pytest.mark.parametrize(
    ("moment", "arrived", "then"),
    [
        ("before the claim", 0, "sent"), ("after the claim", 0, "doubtful"), ("before the mark", 1, "doubtful"),
        ("within the mark", 1, "doubtful"), ("after the mark", 1, "already"),
    ],
)  # fmt: skip
@pytest.mark.ordinary(0, deep=2)
def test_killed_at_a_moment(
    channel: tuple[Project, Service, dict[str, str]], moment: str, arrived: int, then: str
) -> None:
    project, made, environment = channel
    killed = send(project, environment, moment=moment)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(made.got) == arrived
    assert states(send(project, environment)) == [then]
    assert states(send(project, environment)) == ["already" if then == "sent" else then]
    assert len(made.got) == (1 if then == "sent" else arrived)


@pytest.mark.slow
def test_killed_while_the_service_has_the_message(channel: tuple[Project, Service, dict[str, str]]) -> None:
    """It arrived, its answer did not. The next brief tells so, and --again sends it because somebody asked."""
    project, made, environment = channel
    sender = send(project, environment)
    made.before_answer = lambda: os.kill(sender.pid, signal.SIGKILL)
    sender.communicate(timeout=60)
    made.before_answer = lambda: None
    assert len(made.got) == 1
    later = send(project, environment)
    out, err = later.communicate(timeout=60)
    document = json.loads(out)
    assert document["sent"][0]["state"] == "doubtful"
    assert "may or may not have arrived" in err
    told = [x for s in document["sections"] if s["section"] == "person" for x in s["lines"]]
    assert [x["code"] for x in told] == ["person.doubtful-brief"]
    assert told[0]["command"] == "rmetrics brief --send --date 2026-11-10 --again owner"
    assert len(made.got) == 1
    assert states(send(project, environment, "--again", "owner")) == ["sent"]
    assert len(made.got) == 2


@pytest.mark.slow
def test_many_at_once_send_one(channel: tuple[Project, Service, dict[str, str]]) -> None:
    project, made, environment = channel
    found = sorted(s for sender in [send(project, environment) for _ in range(4)] for s in states(sender))
    assert found == ["already", "already", "already", "sent"]
    assert len(made.got) == 1


@pytest.mark.slow
def test_a_failing_channel_does_not_stop_the_others(channel: tuple[Project, Service, dict[str, str]]) -> None:
    project, made, environment = channel
    (project.rules / "own.toml").write_text(
        '[notify.gone]\nurl = "TEST_GONE"\n[notify.unset]\nurl = "TEST_UNSET"\n[notify.owner]\nurl = "TEST_OWNER"\n'
    )
    environment["TEST_GONE"] = "json://127.0.0.1:1/CANARY77"
    process = send(project, environment)
    out, err = process.communicate(timeout=60)
    assert {s["channel"]: s["state"] for s in json.loads(out)["sent"]} == {
        "gone": "failed", "unset": "failed", "owner": "sent",
    }  # fmt: skip
    assert "TEST_UNSET is not set" in err
    assert process.returncode == 3
    environment["TEST_GONE"] = made.url()
    assert states(send(project, environment)) == ["sent", "failed", "already"]


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_told_once_and_the_brief_goes_later(
    channel: tuple[Project, Service, dict[str, str]],
) -> None:
    project, made, environment = channel
    down = {**environment, "RMETRICS_POSTGRES_DSN": "postgresql://user:CANARY77@127.0.0.1:1/shop"}
    for _ in range(2):
        sender = send(project, down)
        out, err = sender.communicate(timeout=60)
        assert sender.returncode == 4
        assert "no server is listening there" in err
        assert "CANARY77" not in out + err
    assert len(made.got) == 1
    assert "The database cannot be reached" in made.got[0]["message"]
    assert "CANARY77" not in json.dumps(made.got)
    assert states(send(project, environment)) == ["sent"]
    assert len(made.got) == 2


@pytest.mark.deep
def test_no_secret_in_anything_written(channel: tuple[Project, Service, dict[str, str]]) -> None:
    """The URL's user, password, path and host: not on stdout or stderr, in no file, and not in what is sent."""
    project, made, environment = channel
    secrets = ("CANARYuser1", "CANARYpass2", "CANARYpath3")
    environment["TEST_OWNER"] = f"json://{secrets[0]}:{secrets[1]}@127.0.0.1:{made.port}/{secrets[2]}"
    written = ""
    for status in (403, 200, 200):
        made.status = status
        process = send(project, environment)
        written += "".join(process.communicate(timeout=60))
    written += "".join(json.dumps({k: v for k, v in m.items() if k != "path"}) for m in made.got)
    for path in project.root.rglob("*"):
        if path.is_file():
            written += path.read_bytes().decode("latin-1")
    assert [m["path"] for m in made.got] == [f"/{secrets[2]}"] * 2
    assert [s for s in secrets if s in written] == []


@pytest.mark.parametrize(("arguments", "told"), [(("--again", "nobody"), "no channel 'nobody'"), ((), "")])
def test_a_channel_that_is_not_there(
    channel: tuple[Project, Service, dict[str, str]], arguments: tuple[str, ...], told: str
) -> None:
    project, _, environment = channel
    if not told:
        (project.rules / "own.toml").unlink()
        told = "no channel for the brief is declared"
    process = send(project, environment, *arguments)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert told in err
