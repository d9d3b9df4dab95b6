"""Whole files: a mailbox, a synced folder, an SFTP server."""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from mailserver import Mailbox, message
from pulls.declared import Declared
from vendor import Reply, headers_and_rows, jobs, serving

MAIL = """\
[pulls.crm]
feed = "jobs"
kind = "imap"
url = "{url}"
secrets = {{ user = "MAIL_USER", password = "MAIL_PASSWORD" }}
user = "{{user}}"
password = "{{password}}"
from = "reports@crm.example"
subject = "Jobs"
"""
FIRST, SECOND = headers_and_rows(jobs(3)), headers_and_rows(jobs(5))


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    monkeypatch.setenv("MAIL_USER", "owner@example.com")
    monkeypatch.setenv("MAIL_PASSWORD", "CANARY-mail-1")
    with Mailbox(
        message("Reports <reports@crm.example>", "Jobs of the week", "Fri, 1 Nov 2024", jobs_csv=FIRST),
        message("Else <else@crm.example>", "Jobs of the week", "Fri, 1 Nov 2024", jobs_csv="not ours"),
        user="owner@example.com",
        password="CANARY-mail-1",  # noqa: S106 - the canary
    ) as mailbox:
        yield mailbox


def test_attachments_land_once_in_the_order_they_came(box: Mailbox, declared: Declared) -> None:
    declared.rules(MAIL.format(url=box.url))
    assert declared.pull().files == ("pulls/crm/jobs.csv",)
    assert (declared.folder / "jobs.csv").read_text() == FIRST
    assert declared.pull().status == "unchanged"
    box.messages.append(message("reports@crm.example", "Jobs again", "Fri, 8 Nov 2024", jobs_csv=SECOND))
    assert declared.pull().files == ("pulls/crm/jobs 2.csv",)
    times = [(declared.folder / n).stat().st_mtime for n in ("jobs.csv", "jobs 2.csv")]
    assert times[1] - times[0] == 7 * 86_400
    assert not any("STORE" in c or "BODY[]" in c for c in box.commands)  # nothing is marked as read
    manifest = json.loads((declared.folder / "jobs 2.csv.manifest.json").read_bytes())
    assert manifest["source"]["message"] == "3"
    assert "CANARY" not in str(manifest)


def test_mail_that_is_not_whole_is_not_in_force(box: Mailbox, declared: Declared) -> None:
    declared.rules(MAIL.format(url=box.url))
    plain = box.messages[0]
    cases = {
        "has neither an attachment nor a link": message("reports@crm.example", "Jobs", "Fri, 1 Nov 2024"),
        "is damaged": plain[: plain.rindex(b"\n--") + 1],
        "is empty": message("reports@crm.example", "Jobs", "Fri, 1 Nov 2024", jobs_csv=""),
        "does not fit the feed jobs": message("reports@crm.example", "Jobs", "Fri, 1 Nov 2024", jobs_csv="a,b\n1,2\n"),
    }
    for told, raw in cases.items():
        box.messages[0] = raw
        result = declared.pull()
        assert (result.status, told in result.message) == ("incomplete", True), result.message
    box.messages[0] = plain
    box.gone.add(1)
    assert declared.pull().message == "message 1 is listed but was not delivered"
    assert declared.files == []


def test_a_mailbox_that_does_not_let_in(box: Mailbox, declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    declared.rules(MAIL.format(url=box.url.replace("INBOX", "Reports")))
    assert "there is no folder 'Reports'" in declared.pull().message
    declared.rules(MAIL.format(url=box.url))
    monkeypatch.setenv("MAIL_PASSWORD", "CANARY-mail-2")
    result = declared.pull()
    assert "the login is refused: MAIL_USER or MAIL_PASSWORD" in result.message
    assert "CANARY" not in result.message + result.hint
    box.server.shutdown()
    box.server.server_close()
    assert "no connection" in declared.pull().message


def test_links_in_mail_lead_to_declared_servers_only(box: Mailbox, declared: Declared) -> None:
    with serving(lambda _asked: Reply(SECOND.encode())) as vendor, serving(lambda _asked: Reply(b"")) as other:
        text = f"Your report: {vendor.url}/reports/jobs.csv?id=1&sig=2 and {other.url}/reports/x.csv"
        box.messages[0] = message("reports@crm.example", "Jobs", "Fri, 1 Nov 2024", text=text)
        table = MAIL.format(url=box.url)
        declared.rules(f'{table}links = ["*/reports/jobs*"]\nhosts = ["{vendor.url}"]\n')
        assert declared.pull().files == ("pulls/crm/jobs.csv",)
        assert vendor.asked[0].params == {"id": "1", "sig": "2"}
        declared.rules(f'{table}links = ["*/reports/*"]\nhosts = ["{vendor.url}"]\n')
        assert "which is not declared" in declared.pull().message
        assert other.asked == []


FOLDER = """\
[pulls.crm]
feed = "jobs"
kind = "folder"
url = "{url}"
files = ["jobs*.csv"]
"""


def test_a_synced_folder(declared: Declared, tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    declared.rules(FOLDER.format(url=drive))
    (drive / "jobs 1.csv").write_text(FIRST)
    os.utime(drive / "jobs 1.csv", (1_700_000_000, 1_700_000_000))
    (drive / "notes.csv").write_text("x")
    assert declared.pull().files == ("pulls/crm/jobs 1.csv",)
    assert (declared.folder / "jobs 1.csv").stat().st_mtime == 1_700_000_000
    assert declared.pull().status == "unchanged"
    # A file that comes late keeps its old time: it is new all the same.
    (drive / "jobs 0.csv").write_text(SECOND)
    os.utime(drive / "jobs 0.csv", (1_600_000_000, 1_600_000_000))
    assert declared.pull().files == ("pulls/crm/jobs 0.csv",)
    (drive / "jobs 2.csv").write_text("")
    assert "jobs 2.csv is empty: it may still be syncing" in declared.pull().message
    declared.rules(FOLDER.format(url=tmp_path / "gone"))
    assert "there is no folder" in declared.pull().message


def test_a_file_that_changes_while_the_folder_is_read(declared: Declared) -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe("/drive/jobs.csv", FIRST.encode())
    plain, listings = type(store).ls, []

    def ls(self: object, path: str, **keys: object) -> object:
        listings.append(path)
        if len(listings) == 2:
            store.pipe("/drive/jobs.csv", SECOND.encode())
        return plain(self, path, **keys)

    declared.rules(FOLDER.format(url="memory://drive"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "ls", ls)
        assert "jobs.csv changed while the folder was read" in declared.pull().message
    assert declared.files == []
    assert declared.pull().files == ("pulls/crm/jobs.csv",)
    store.rm("/drive", recursive=True)


SFTP = """\
[pulls.crm]
feed = "jobs"
kind = "sftp"
url = "sftp://127.0.0.1:{port}/out"
secrets = {{ password = "SFTP_PASSWORD" }}
user = "owner"
password = "{{password}}"
known_hosts = "{known}"
"""


class _Login(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:  # noqa: ARG002 - as asyncssh calls it
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("owner", "CANARY-sftp-1")


@pytest.fixture
def sftp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path, Path]]:
    """A server: its port, its folder, a file that knows its key."""
    monkeypatch.setenv("SFTP_PASSWORD", "CANARY-sftp-1")
    root = tmp_path / "server"
    (root / "out").mkdir(parents=True)
    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncssh.create_server(
            _Login, "127.0.0.1", 0, server_host_keys=[key],
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(root)),
        )
    )  # fmt: skip
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    known = tmp_path / "known_hosts"
    port = server.get_port()
    known.write_text(f"[127.0.0.1]:{port} {key.export_public_key().decode()}")
    yield port, root / "out", known
    loop.call_soon_threadsafe(server.close)
    asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_an_sftp_server(declared: Declared, sftp: tuple[int, Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    port, folder, known = sftp
    declared.rules(SFTP.format(port=port, known=known))
    (folder / "jobs.csv").write_text(FIRST)
    assert declared.pull().files == ("pulls/crm/jobs.csv",)
    assert declared.pull().status == "unchanged"
    monkeypatch.setenv("SFTP_PASSWORD", "CANARY-sftp-2")
    assert "the login is refused: SFTP_PASSWORD is wrong" in declared.pull().message
    known.write_text(f"[127.0.0.1]:{port} {asyncssh.generate_private_key('ssh-ed25519').export_public_key().decode()}")
    assert "its key differs from the one in" in declared.pull().message
    known.unlink()
    result = declared.pull()
    assert (result.exit_code, "the file with the key of 127.0.0.1" in result.message) == (2, True)
