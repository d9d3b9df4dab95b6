"""Reads files from a synced folder, from a store supported by fsspec, or from an SFTP server.

Files are accepted only if each has its listed size and a second listing is identical: then nothing was being written.
"""

import asyncio
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rmetrics.errors import SettingsError
from rmetrics.pulls.completeness import incomplete
from rmetrics.pulls.extra import library
from rmetrics.pulls.requests import filled
from rmetrics.rules.pulls import FolderPull, SftpPull

Listing = dict[str, tuple[int, int]]
"""Size and modification time in nanoseconds, by name."""


@dataclass(frozen=True, slots=True)
class PulledFile:
    """A whole file.

    Attributes:
        modified_ns: modification time at the origin, which ranks it among exports; None if unknown.
        source: its origin, for the manifest.
    """

    name: str
    content: bytes
    modified_ns: int | None
    source: dict[str, Any] = field(default_factory=dict)


def matches_glob(name: str, globs: Sequence[str]) -> bool:
    """Whether a file's name matches one of the globs, ignoring case; hidden and lock files never do."""
    plain = name.rpartition("/")[2].casefold()
    return not plain.startswith((".", "~$")) and any(fnmatch.fnmatchcase(plain, g.casefold()) for g in globs)


def read_folder(
    pull: FolderPull,
    secrets: Mapping[str, str],
    known: Callable[[str, int, int], bool],
    progress: Callable[[int, int], None],
) -> list[PulledFile]:
    """Reads the files of a folder or store that were not pulled before.

    Args:
        pull: the declaration.
        secrets: values of its placeholders.
        known: whether a file of this name, size and time was pulled before.
        progress: called with the number of files read and their total.

    Raises:
        PullError: the folder cannot be read or changed during the reading.
        SettingsError: the package for the store is not installed.
    """
    core = library("fsspec.core")
    url = pull.url if "://" in pull.url else str(Path(pull.url).expanduser())
    try:
        store, path = core.url_to_fs(url, **{k: filled(v, secrets) for k, v in pull.options.items()})
    except (ImportError, ValueError):
        raise SettingsError(
            f"no package for {pull.url.partition('://')[0]}:// is installed", "Install the package for this store."
        ) from None
    try:
        listed = _listing(store, path, pull.files)
        wanted = [n for n, (size, at) in listed.items() if not known(n, size, at)]
        found = []
        for number, name in enumerate(wanted, 1):
            with store.open(f"{path.rstrip('/')}/{name}", "rb") as file:
                found.append(_file(name, file.read(), listed))
            progress(number, len(wanted))
        store.invalidate_cache()
        _same(listed, _listing(store, path, pull.files))
    except FileNotFoundError:
        raise incomplete(f"there is no folder {pull.url}, or a file disappeared while it was read") from None
    except Exception as error:
        # Each store raises its own classes, whose messages may contain secrets: only bugs and our own errors pass.
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] not in {"rmetrics", "builtins"}:
            raise incomplete(f"{pull.url} cannot be read ({type(error).__name__})") from None
        raise
    return found


def _listing(store: Any, path: str, globs: Sequence[str]) -> Listing:
    listed: Listing = {}
    for entry in store.ls(path, detail=True):
        name = str(entry["name"]).rstrip("/").rpartition("/")[2]
        if entry["type"] == "file" and matches_glob(name, globs):
            listed[name] = int(entry["size"] or 0), _time_of(entry)
    return listed


def _time_of(entry: Mapping[str, Any]) -> int:
    """Returns a file's modification time; each store uses its own key for it. 0 if there is none."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        match entry.get(key):
            case int() | float() as seconds:
                return int(seconds * 1_000_000_000)
            case datetime() as moment:
                return int(moment.timestamp() * 1_000_000_000)
    return 0


def _file(name: str, content: bytes, listed: Listing) -> PulledFile:
    size, at = listed[name]
    if not content:
        raise incomplete(f"{name} is empty: it may still be syncing")
    if len(content) != size:
        raise incomplete(f"{name} is listed with {size:,} bytes, {len(content):,} received")
    return PulledFile(name, content, at or None, {"name": name, "size": size, "modified_ns": at})


def _same(before: Listing, after: Listing) -> None:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            raise incomplete(f"{name} changed while the folder was read: it may still be syncing")


# -- SFTP


def read_sftp(
    pull: SftpPull,
    secrets: Mapping[str, str],
    known: Callable[[str, int, int], bool],
    progress: Callable[[int, int], None],
) -> list[PulledFile]:
    """Reads the files of an SFTP folder that were not pulled before; ``known_hosts`` must contain the server's key.

    Raises:
        PullError: the server cannot be reached or trusted, or the folder changed during the reading.
        SettingsError: there is no ``known_hosts`` file, or the key file cannot be used.
    """
    ssh = library("asyncssh")
    host = urlsplit(pull.url).hostname
    trusted = Path(pull.known_hosts).expanduser()
    key = Path(pull.key_file).expanduser() if pull.key_file else None
    if not trusted.is_file():
        raise SettingsError(
            f"{trusted}, the file with the key of {host}, does not exist",
            f"Create it, and compare the key with the vendor's: ssh-keyscan {host} >> {trusted}",
        )
    try:
        reading = _read_sftp(ssh, pull, secrets, known, progress, trusted, key)
        return asyncio.run(asyncio.wait_for(reading, pull.budget))
    except ssh.HostKeyNotVerifiable:
        raise incomplete(f"{host}: its key differs from the one in {trusted}, or is missing there") from None
    except ssh.PermissionDenied:
        named = " or ".join(pull.secrets.values()) or "the key"
        raise incomplete(f"{host}: the login is refused: {named} is wrong or has expired") from None
    except ssh.SFTPNoSuchFile:
        raise incomplete(f"{host}: there is no such folder, or a file disappeared while it was read") from None
    except TimeoutError:
        raise incomplete(f"{host}: the time budget of {pull.within} is exhausted") from None
    except (OSError, ssh.Error) as error:
        raise incomplete(f"{host}: cannot be read ({type(error).__name__})") from None
    except (ssh.KeyImportError, ssh.KeyEncryptionError):
        raise SettingsError(
            f"the key file {pull.key_file} cannot be used", "Name a private key without a pass phrase."
        ) from None


async def _read_sftp(
    ssh: Any,
    pull: SftpPull,
    secrets: Mapping[str, str],
    known: Callable[[str, int, int], bool],
    progress: Callable[[int, int], None],
    trusted: Path,
    key: Path | None,
) -> list[PulledFile]:
    parts = urlsplit(pull.url)
    path = unquote(parts.path) or "."
    password = str(filled(pull.password, secrets) or "") or None
    async with (
        ssh.connect(
            parts.hostname,
            parts.port or 22,
            username=str(filled(pull.user, secrets) or ""),
            password=password,
            client_keys=[str(key)] if key else None,
            known_hosts=str(trusted),
            config=None,
            agent_path=None,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        listed = await _sftp_listing(ssh, sftp, path, pull.files)
        wanted = [n for n, (size, at) in listed.items() if not known(n, size, at)]
        found = []
        for number, name in enumerate(wanted, 1):
            async with sftp.open(f"{path.rstrip('/')}/{name}", "rb") as file:
                found.append(_file(name, await file.read(), listed))
            progress(number, len(wanted))
        _same(listed, await _sftp_listing(ssh, sftp, path, pull.files))
    return found


async def _sftp_listing(ssh: Any, sftp: Any, path: str, globs: Sequence[str]) -> Listing:
    listed: Listing = {}
    for entry in await sftp.readdir(path):
        if entry.attrs.type == ssh.FILEXFER_TYPE_REGULAR and matches_glob(str(entry.filename), globs):
            listed[str(entry.filename)] = entry.attrs.size or 0, (entry.attrs.mtime or 0) * 1_000_000_000
    return dict(sorted(listed.items()))
