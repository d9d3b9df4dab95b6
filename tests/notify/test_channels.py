"""Sending through apprise: what arrives, why it did not, and that no word of a URL is in any message or log."""

import logging
import socket
import sys
from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from pydantic import SecretStr

from rmetrics.errors import SettingsError
from rmetrics.notify.channels import Message, deliver, require_apprise
from services import service

CANARY = "CANARY77"
LONG = Message("Morning brief", "line\n" * 20)


def test_a_message_arrives_once() -> None:
    with service() as made:
        assert deliver(SecretStr(made.url()), LONG) == ""
        assert [(m["title"], m["message"].count("line")) for m in made.got] == [("Morning brief", 20)]


@pytest.mark.parametrize(
    ("status", "told"), [(401, "HTTP status 401"), (500, "HTTP status 500"), (429, "HTTP status 429")]
)
def test_a_refusal_is_told_by_its_status(status: int, told: str) -> None:
    with service() as made:
        made.status = status
        assert deliver(SecretStr(made.url()), LONG).endswith(told)


@pytest.mark.parametrize(
    "url",
    [
        f"json://user:{CANARY}@127.0.0.1:1/{CANARY}", f"tgram://{CANARY}", f"{CANARY}", f"{CANARY}://x", "",
        f"slack://{CANARY}A/{CANARY}B/{CANARY}C", f"mailto://me:{CANARY}@127.0.0.1:1",
        f"json://127.0.0.1:1/{CANARY}, json://127.0.0.1:1/{CANARY}b", f"json://{CANARY}.invalid/{CANARY}",
    ],
)  # fmt: skip
def test_no_word_of_a_url_is_told(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apprise.plugins.telegram.NotifyTelegram.notify_url", "http://127.0.0.1:1/bot")
    monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", "http://127.0.0.1:1/services")
    caplog.set_level(logging.DEBUG)
    why = deliver(SecretStr(url), LONG)
    out, err = capfd.readouterr()
    assert why
    assert CANARY not in why + out + err + caplog.text


def test_what_a_plugin_raises_is_told_by_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("apprise.Apprise.notify", fail)
    assert (
        deliver(SecretStr("json://127.0.0.1:1/"), LONG) == "the service did not accept the message (ZeroDivisionError)"
    )


def test_logging_is_as_it_was() -> None:
    before = [(log.propagate, log.level, list(log.handlers)) for log in map(logging.getLogger, ("apprise", "urllib3"))]
    deliver(SecretStr("json://127.0.0.1:1/"), LONG)
    assert before == [
        (log.propagate, log.level, list(log.handlers)) for log in map(logging.getLogger, ("apprise", "urllib3"))
    ]


class Mailbox:
    """Takes mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802
        """Keeps one mail."""
        self.mails.append(envelope.content)  # type: ignore[attr-defined]
        return "250 OK"


def test_html_arrives_by_mail() -> None:
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=rmetrics@example.com&to=owner@example.com&mode=insecure"
        page = '<!doctype html>\n<html lang="ru"><body><p>Утренняя сводка</p></body></html>'
        assert deliver(SecretStr(url), Message("Утренняя сводка, пн", page, html=True)) == ""
    finally:
        controller.stop()
    (mail,) = box.mails
    parsed = message_from_bytes(mail, policy=default)
    assert parsed["subject"] == "Утренняя сводка, пн"
    body = parsed.get_body(("html",))
    assert body is not None
    assert "<p>Утренняя сводка</p>" in body.get_content()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmetrics.notify.channels.find_spec", lambda _: None)
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SettingsError, match="apprise, which is not installed") as caught:
        require_apprise()
    assert "rmetrics[notify]" in caught.value.hint
