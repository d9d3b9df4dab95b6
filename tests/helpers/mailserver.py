"""A mailbox on this machine: as much of IMAP as reading messages takes."""

import re
import socketserver
import threading
from collections.abc import Callable
from contextlib import suppress
from email.message import EmailMessage
from typing import Self


def message(sender: str, subject: str, day: str, **attachments: bytes | str) -> bytes:
    """A message with attachments, named by keyword (``leads_csv`` is leads.csv); ``text`` is its text."""
    mail = EmailMessage()
    mail["From"], mail["Subject"], mail["To"], mail["Date"] = sender, subject, "me@example.com", f"{day} 08:00:00 -0500"
    mail.set_content(str(attachments.pop("text", "See the attachment.")))
    for name, content in attachments.items():
        data = content.encode() if isinstance(content, str) else content
        mail.add_attachment(data, maintype="text", subtype="csv", filename=name.replace("_", "."))
    return mail.as_bytes()


class Mailbox:
    """The server: one folder, one user. ``gone``: messages that are listed and cannot be fetched."""

    def __init__(self, *messages: bytes, user: str, password: str) -> None:
        self.messages, self.user, self.password = list(messages), user, password
        self.gone: set[int] = set()
        self.commands: list[str] = []
        box = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with suppress(ConnectionError):
                    box.talk(self)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"imap://127.0.0.1:{self.server.server_address[1]}/INBOX"

    def talk(self, handler: socketserver.StreamRequestHandler) -> None:  # noqa: C901 - a branch for each command
        """One connection."""

        def say(line: bytes | str) -> None:
            handler.wfile.write((line.encode() if isinstance(line, str) else line) + b"\r\n")

        say("* OK ready")
        while line := handler.rfile.readline().decode().strip():
            while literal := re.search(r"\{(\d+)\}$", line):
                say("+ go on")
                text = handler.rfile.read(int(literal[1])).decode()
                line = f'{line[: literal.start()]}"{text}"{handler.rfile.readline().decode().strip()}'
            tag, _, command = line.partition(" ")
            self.commands.append(command)
            word = command.upper()
            if word.startswith("CAPABILITY"):
                say("* CAPABILITY IMAP4rev1")
            elif word.startswith("LOGIN") and not (self.user in command and self.password in command):
                say(f"{tag} NO [AUTHENTICATIONFAILED] wrong")
                continue
            elif word.startswith(("SELECT", "EXAMINE")):
                if "INBOX" not in word:
                    say(f"{tag} NO no such folder")
                    continue
                say(f"* {len(self.messages)} EXISTS")
            elif word.startswith("UID SEARCH"):
                say(f"* SEARCH {' '.join(map(str, self._found(command)))}".rstrip())
            elif word.startswith("UID FETCH") and "INTERNALDATE" in word:
                uid = int(command.split()[2])
                say(f'* {uid} FETCH (UID {uid} INTERNALDATE "{self._day(uid)} 13:00:00 +0000")')
            elif word.startswith("UID FETCH"):
                self._fetch(say, int(command.split()[2]))
            elif word.startswith("LOGOUT"):
                say("* BYE")
                say(f"{tag} OK")
                return
            say(f"{tag} OK done")

    def _found(self, command: str) -> list[int]:
        if uid := re.search(r"UID SEARCH.*\(UID (\d+)\)", command, re.IGNORECASE):
            return [int(uid[1])]
        wanted = {k.lower(): v for k, v in re.findall(r'(FROM|SUBJECT) "([^"]*)"', command)}
        return [
            n
            for n, raw in enumerate(self.messages, 1)
            if all(re.search(f"(?mi)^{k}:.*{re.escape(v)}", raw.decode()) for k, v in wanted.items())
        ]

    def _day(self, uid: int) -> str:
        """The day of arrival, as IMAP writes it; it is the one in the message's own date."""
        date = re.search(r"(?m)^Date: \w+, +(\d+) (\w+) (\d+)", self.messages[uid - 1].decode())
        assert date is not None
        return f"{int(date[1]):2d}-{date[2]}-{date[3]}"

    def _fetch(self, say: Callable[[bytes | str], None], uid: int) -> None:
        if uid in self.gone:
            return
        raw = self.messages[uid - 1]
        say(f"* {uid} FETCH (UID {uid} FLAGS () RFC822.SIZE {len(raw)} BODY[] {{{len(raw)}}}".encode())
        say(raw + b")")

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
