"""Fetches reports that arrive by mail: attachments and the targets of links.

The mailbox is only read: no message is marked, moved or deleted.
"""

import datetime as dt
import fnmatch
import imaplib
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rmetrics.concealed import conceal_pair
from rmetrics.errors import PullError
from rmetrics.pulls.completeness import incomplete
from rmetrics.pulls.extra import library
from rmetrics.pulls.requests import Request, filled, origin
from rmetrics.pulls.stores import PulledFile, matches_glob
from rmetrics.pulls.transport import NoSuchPageError, RefusedSecretError, Transport
from rmetrics.rules.pulls import ImapPull

_SECONDS = 60.0
_ADDRESS = re.compile(r"https?://[^\s<>\"')\]]+")


def read_mailbox(
    pull: ImapPull, secrets: Mapping[str, str], since: dt.date | None, progress: Callable[[int, int], None]
) -> list[PulledFile]:
    """Reads the files of all messages that match the declaration.

    Args:
        pull: the declaration.
        secrets: values of its placeholders.
        since: the first day of arrival; None for the whole mailbox.
        progress: called with the number of messages read and their total.

    Raises:
        PullError: the mailbox cannot be read, or a message is missing, damaged or without a matching file.
    """
    imap = library("imap_tools")
    where = f"the mailbox {urlsplit(pull.url).hostname}"
    try:
        with _signed_in(imap, pull, secrets, where) as box:
            return list(_files(imap, box, pull, since, progress))
    except imaplib.IMAP4.abort:
        raise incomplete(f"{where}: the connection was lost") from None
    except (imap.errors.ImapToolsError, imaplib.IMAP4.error) as error:
        raise incomplete(f"{where}: the server refused the request ({type(error).__name__})") from None
    except ssl.SSLError:
        raise incomplete(f"{where}: the certificate cannot be verified") from None
    except OSError as error:
        raise incomplete(f"{where}: no connection ({type(error).__name__})") from None


def _signed_in(imap: Any, pull: ImapPull, secrets: Mapping[str, str], where: str) -> Any:
    parts = urlsplit(pull.url)
    host, folder = parts.hostname or "", parts.path.strip("/") or "INBOX"
    if parts.scheme == "imaps":
        box = imap.MailBox(host, parts.port or 993, timeout=_SECONDS, ssl_context=ssl.create_default_context())
    else:
        box = imap.MailBoxUnencrypted(host, parts.port or 143, timeout=_SECONDS)
    user, password = str(filled(pull.user, secrets) or ""), str(filled(pull.password, secrets) or "")
    conceal_pair(user, password)
    try:
        return box.login(user, password, initial_folder=folder)
    except (imap.errors.ImapToolsError, imaplib.IMAP4.error, OSError) as error:
        box.client.shutdown()
        raise _login_error(imap, error, pull, where, folder) from None


def _login_error(imap: Any, error: Exception, pull: ImapPull, where: str, folder: str) -> Exception:
    """Translates a failed login; returns an error of another kind unchanged."""
    if isinstance(error, imap.errors.MailboxLoginError):
        named = " or ".join(pull.secrets.values()) or "the password"
        return incomplete(f"{where}: the login is refused: {named} is wrong or has expired")
    if isinstance(error, imap.errors.MailboxFolderSelectError):
        return incomplete(f"{where}: there is no folder {folder!r}", "Name it in url: imaps://HOST/FOLDER.")
    return error


def _files(
    imap: Any, box: Any, pull: ImapPull, since: dt.date | None, progress: Callable[[int, int], None]
) -> Iterator[PulledFile]:
    asked: dict[str, Any] = {k: v for k, v in (("from_", pull.from_), ("subject", pull.subject)) if v}
    if since is not None:
        asked["date_gte"] = since - dt.timedelta(days=1)  # the server's days are in a time zone of its own
    uids = box.uids(imap.AND(**asked), charset="UTF-8") if asked else []
    for number, uid in enumerate(uids, 1):
        messages = list(box.fetch(imap.AND(uid=uid), mark_seen=False))
        if len(messages) != 1:
            raise incomplete(f"message {uid} is listed but was not delivered")
        message = messages[0]
        progress(number, len(uids))
        if not _is_from(message.from_, pull.from_):
            continue
        yield from _of_message(message, uid, _arrived(box, uid), pull)


def _is_from(sender: str, wanted: str) -> bool:
    """Whether the sender matches exactly; the server's search also finds ``a@x.com`` in ``a@x.com.example``."""
    sender, wanted = sender.casefold(), wanted.casefold()
    if "@" not in wanted:
        return wanted in sender
    return sender.endswith(wanted) if wanted.startswith("@") else sender == wanted


def _arrived(box: Any, uid: str) -> dt.datetime:
    """Returns when the server received a message: the date in the message is up to the sender."""
    _, answer = box.client.uid("FETCH", uid, "(INTERNALDATE)")
    parts = imaplib.Internaldate2tuple(answer[0]) if answer and isinstance(answer[0], bytes) else None
    if parts is None:
        raise incomplete(f"message {uid} is listed without the time of its arrival")
    return dt.datetime.fromtimestamp(time.mktime(parts), dt.UTC)


def _of_message(message: Any, uid: str, arrived: dt.datetime, pull: ImapPull) -> list[PulledFile]:
    label = f"message {uid} of {arrived:%Y-%m-%d}"
    found = [
        PulledFile(a.filename, _payload(a, label), _nanoseconds(arrived), {"message": uid, "arrived": str(arrived)})
        for a in message.attachments
        if matches_glob(a.filename or "", pull.files)
    ]
    if message.obj.defects:
        raise incomplete(f"{label} is damaged or truncated ({type(message.obj.defects[0]).__name__})")
    found += _linked(_ADDRESS.findall(f"{message.text}\n{message.html}"), arrived, uid, pull, label)
    if not found:
        wanted = ", ".join((*pull.files, *pull.links))
        raise incomplete(
            f"{label} has neither an attachment nor a link that matches {wanted}",
            "Narrow from and subject to the reports, or widen files or links.",
        )
    return found


def _payload(attachment: Any, label: str) -> bytes:
    content = bytes(attachment.payload)
    if attachment.part.defects:
        raise incomplete(f"{label}: {attachment.filename} is damaged ({type(attachment.part.defects[0]).__name__})")
    if not content:
        raise incomplete(f"{label}: {attachment.filename} is empty")
    return content


def _linked(
    addresses: Sequence[str], arrived: dt.datetime, uid: str, pull: ImapPull, label: str
) -> Iterator[PulledFile]:
    wanted = [a.replace("&amp;", "&") for a in dict.fromkeys(addresses)]
    wanted = [a for a in dict.fromkeys(wanted) if any(fnmatch.fnmatchcase(a, glob) for glob in pull.links)]
    if not wanted:
        return
    origins = frozenset(o for h in pull.hosts for o in (f"https://{h}:443", *([origin(h)] if "://" in h else [])))
    with Transport(origins, seconds=pull.budget) as transport:
        for number, address in enumerate(wanted, 1):
            what = f"link {number} of {label}"
            try:
                content = transport.ask(what, Request("GET", address), lambda answer: answer.body)
            except (RefusedSecretError, NoSuchPageError):
                raise incomplete(f"{what}: the server does not return it (it may have expired)") from None
            name = urlsplit(address).path.rpartition("/")[2] or f"link {number}.csv"
            yield PulledFile(name, content, _nanoseconds(arrived), {"message": uid, "arrived": str(arrived)})


def _nanoseconds(moment: dt.datetime) -> int:
    return int(min(moment, dt.datetime.now(dt.UTC)).timestamp() * 1_000_000_000)


__all__ = ["PullError", "read_mailbox"]
