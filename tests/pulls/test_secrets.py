"""A canary for a secret: it is in nothing that is written, whatever a server does with it."""

import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote

import pytest

from pulls.declared import CANARY, TABLE, Declared
from rmetrics.cli import run
from rmetrics.concealed import conceal, concealed, concealed_in_rows
from vendor import Asked, Reply, jobs, offsets, serving

FORMS = (CANARY, quote(CANARY), quote(CANARY, safe=""), "CANARY/4711", "CANARY%2F4711", "CANARY\\/4711")
Fault = Callable[[Asked, Reply], Reply]
ECHOES: dict[str, Fault] = {
    "nothing": lambda _asked, reply: reply,
    "in the rows": lambda _asked, reply: Reply(
        reply.body | {"data": [{**r, "Link": f"https://x/{CANARY}/job"} for r in reply.body["data"]]}
    ),
    "as a key": lambda _asked, reply: Reply({CANARY: 1, "meta": reply.body["meta"]}),
    "in a web page": lambda asked, _reply: Reply(f"<html>no such {asked.path} {CANARY}</html>".encode()),
    "in the reason of a refusal": lambda asked, _reply: Reply({"error": CANARY}, 403, {"X-Path": asked.path}),
    "as a status": lambda _asked, _reply: Reply({"error": CANARY}, 418),
    "in a redirect away": lambda _asked, _reply: Reply(
        {}, 302, {"Location": f"https://other.example.com/{quote(CANARY)}"}
    ),
    "in a redirect to no address": lambda _asked, _reply: Reply({}, 302, {"Location": "http://[" + "CANARY/4711+x"}),
    "in a redirect in a circle": lambda asked, _reply: Reply({}, 302, {"Location": asked.path}),
    "cut off": lambda _asked, reply: Reply(reply.body, cut=3),
    "as a time to wait": lambda _asked, _reply: Reply({}, 429, {"Retry-After": CANARY}),
    "as a number": lambda _asked, reply: Reply(reply.body | {"meta": {"total": CANARY}}),
}


@pytest.mark.parametrize("name", ECHOES)
def test_no_answer_brings_the_secret_into_anything_written(
    name: str, declared: Declared, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(offsets(jobs(6))) as vendor:
        vendor.fault = ECHOES[name]
        declared.rules(TABLE.format(url=vendor.url))
        for arguments in (["pull"], ["pull", "--json"], ["pull", "--dry-run"], ["pull", "--since", "2024-11-01"]):
            code = run(arguments)
            assert code == (0 if "--dry-run" in arguments or name in {"nothing", "in the rows"} else 3)
        assert any(CANARY in a.path or quote(CANARY, safe="") in a.path for a in vendor.asked)
    out, err = capfd.readouterr()
    written = {p: p.read_bytes() for p in declared.project.root.rglob("*") if p.is_file() and p.name != ".env"}
    for form in FORMS:
        assert form not in out + err
        assert [p for p, content in written.items() if form.encode() in content] == []
    if name == "in the rows":
        assert any(b"https://x/***/job" in content for content in written.values())


def test_a_crash_shows_no_secret(
    declared: Declared, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError(f"no quotes around {CANARY} here")

    monkeypatch.setattr("rmetrics.usecases.pull.read_list", crash)
    declared.rules(TABLE.format(url="http://127.0.0.1:1"))
    assert (run(["pull"]), run(["pull", "--json"])) == (1, 1)
    out, err = capfd.readouterr()
    assert "ZeroDivisionError" in err
    assert [form for form in FORMS[:3] if form in out + err] == []


def test_libraries_log_nothing_of_a_request(declared: Declared) -> None:
    with serving(offsets(jobs(6))) as vendor:
        vendor.fault = lambda asked, reply: Reply({}, 500) if asked.number == 2 else reply
        declared.rules(TABLE.format(url=vendor.url))
        code = (
            "import logging; logging.basicConfig(level=1)\n"
            "from rmetrics.cli import run; import sys; sys.exit(run(['pull', '--json']))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [form for form in FORMS if form in done.stdout + done.stderr] == []
    assert "HTTP" not in done.stderr


def test_a_secret_that_is_not_set_is_named_and_nothing_is_sent(
    declared: Declared, capfd: pytest.CaptureFixture[str]
) -> None:
    (declared.project.root / ".env").unlink()
    with serving(offsets(jobs(6))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert run(["pull"]) == 2
        assert vendor.asked == []
    assert "the secret CRM_TOKEN is not set" in capfd.readouterr().err


def test_the_environment_comes_before_the_file(declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_TOKEN", "of-the-environment")
    with serving(offsets(jobs(3))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert declared.pull().status == "complete"
        assert {a.headers["authorization"] for a in vendor.asked} == {"Token of-the-environment"}


def test_the_key_ring_is_asked_last(declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    class KeyRing:
        errors = type("errors", (), {"KeyringError": RuntimeError})

        @staticmethod
        def get_password(service: str, name: str) -> str:
            return f"{service}-{name}-of-the-ring"

    (declared.project.root / ".env").unlink()
    monkeypatch.setitem(sys.modules, "keyring", KeyRing)
    with serving(offsets(jobs(3))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert declared.pull().status == "complete"
        assert vendor.asked[0].headers["authorization"] == "Token rmetrics-CRM_TOKEN-of-the-ring"


def test_every_form_of_a_secret_is_masked() -> None:
    conceal('pass"word/1 2')
    for form in ('pass"word/1 2', "pass%22word%2F1%202", "pass%22word%2F1+2", r"pass\"word/1 2", "cGFzcyJ3b3JkLzEgMg"):
        assert concealed(f"a {form} b") == "a *** b"


def test_a_short_secret_does_not_change_data() -> None:
    conceal("90210")
    assert concealed("zip 90210") == "zip ***"
    assert concealed_in_rows("zip 90210") == "zip 90210"
