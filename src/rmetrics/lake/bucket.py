"""A lake in a bucket on an S3 server, with local copies of the objects that were used.

A data object's name contains part of its content's digest, so two concurrent runs never write different bytes to the
same name. Records are replaced only if they are unchanged since the run began (``If-Match``): of two committing runs
the later one is refused, and nothing references its objects.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from rmetrics.errors import BusyError, LakeError
from rmetrics.lake.files import file_digest
from rmetrics.lake.lease import lease, refuse_if_leased
from rmetrics.lake.s3 import Connection
from rmetrics.lake.store import Entry, Store

SPARED_SECONDS = 24 * 3600  # unreferenced objects younger than this are kept: a run may be about to reference them
_LEASE = "lease.json"
_AGAIN = "Wait for it to finish, then run again: no result of this run is in force."


class BucketStore(Store):
    """The objects below a prefix of a bucket.

    Args:
        connection: to the bucket.
        root: the local folder for copies and drafts; closed to others, because it holds customers' rows.
    """

    remote = True

    def __init__(self, connection: Connection, root: Path) -> None:
        super().__init__(root)
        self.connection = connection
        self._listed: dict[str, dict[str, Entry]] = {}  # data objects by their first folder
        self._written: dict[str, float] = {}  # modification time of data objects, in seconds
        self._versions: dict[str, str] | None = None  # of the records, as this run found or wrote them
        self._contents: dict[str, tuple[str, bytes]] = {}
        self._lock = threading.RLock()

    @property
    def where(self) -> tuple[str | None, str | None]:
        """Address and server of the bucket."""
        return self.connection.url, self.connection.endpoint

    def shown(self, name: str) -> str:
        """The object's address."""
        return f"{self.connection.url}/{name}"

    def named(self, name: str, digest: str) -> str:
        """The name with part of the digest before its suffix."""
        stem, dot, ending = name.rpartition(".")
        return f"{stem}.{digest[:16]}{dot}{ending}"

    # -- data objects

    def location(self, name: str, digest: str | None = None) -> Path:
        """The local copy, downloaded if it does not exist."""
        path = self.root / name
        if not path.exists():
            self._folder(path.parent)
            part = path.with_name(f".{uuid.uuid4().hex}.copy")
            try:
                if self.connection.download(name, part):
                    if digest is not None and file_digest(part) != digest:
                        raise LakeError(
                            f"{self.shown(name)} is damaged: its checksum does not match",
                            "Run `rmetrics sync --full`, which rebuilds from the exports all files that can be "
                            "rebuilt.",
                        )
                    part.chmod(0o600)
                    part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        return path

    def drop_copy(self, name: str) -> bool:
        """Removes the copy."""
        (self.root / name).unlink(missing_ok=True)
        return True

    def write_new(self, draft: Path, name: str, *, durable: bool = False) -> Entry:  # noqa: ARG002 - always, once there
        """Uploads the draft and keeps it as the copy.

        An existing object of that name has the same content unless it is damaged, so overwriting it changes nothing or
        repairs it.
        """
        draft.chmod(0o600)
        size = draft.stat().st_size
        self.connection.put(name, draft)
        final = self.root / name
        self._folder(final.parent)
        draft.replace(final)
        entry = Entry(name, size, 0, "")
        with self._lock:
            self._listing(name)[name] = entry
            self._written[name] = time.time()
        return entry

    def list(self, prefix: str) -> Sequence[Entry]:
        """The objects below a folder, as listed when this run, or this view of the lake, began."""
        with self._lock:
            return sorted(
                (e for e in self._listing(prefix).values() if e.name.startswith(prefix)), key=lambda e: e.name
            )

    def _listing(self, name: str) -> dict[str, Entry]:
        top = name.partition("/")[0]
        if top not in self._listed:
            found = self.connection.list(f"{top}/")
            self._listed[top] = {o.name: Entry(o.name, o.size, 0, o.version) for o in found}
            self._written |= {o.name: o.written for o in found}
        return self._listed[top]

    def head(self, name: str) -> Entry | None:
        """Looks the object up in the listing, then asks the server, because it may have been written since."""
        if name.endswith(".json"):
            if self._versions is not None:  # during a run, records are those of its start, which ``replace`` expects
                version = self._versions.get(name)
                return None if version is None else Entry(name, 0, 0, version)
            found = self.connection.head(name)
            return None if found is None else Entry(name, found.size, 0, found.version)
        with self._lock:
            listing = self._listing(name)
            if name not in listing and (found := self.connection.head(name)) is not None:
                listing[name] = Entry(name, found.size, 0, found.version)
                self._written[name] = found.written
            return listing.get(name)

    def delete(self, name: str) -> None:
        """Removes the object and its copy."""
        self.connection.delete(name)
        self.drop_copy(name)
        with self._lock:
            if name.endswith(".json"):
                if self._versions is not None:
                    self._versions.pop(name, None)
            else:
                self._listing(name).pop(name, None)

    def discard(self, name: str) -> bool:
        """Removes the object if it is older than ``SPARED_SECONDS``."""
        with self._lock:
            old = time.time() - self._written.get(name, 0.0) > SPARED_SECONDS
        if old:
            self.delete(name)
        return old

    # -- records

    def read(self, name: str) -> bytes:
        """The current content of the record."""
        known = self._contents.get(name)
        if self._versions is not None:
            version = self._versions.get(name)
            if version is None:
                raise FileNotFoundError(name)
            if known is not None and known[0] == version:
                return known[1]
        content, version = self.connection.get(name)
        self._contents[name] = version, content
        return content

    def replace(self, name: str, content: bytes) -> None:
        """Replaces the record if it is unchanged since this run began."""
        with self._lock:
            before = self._known_version(name)
            try:
                version = self.connection.put(name, content, new=before is None, version=before)
            except FileExistsError:
                version = self._ours(name, content)
            self._contents[name] = version, content
            if self._versions is not None:
                self._versions[name] = version

    def _ours(self, name: str, content: bytes) -> str:
        """The version of a record that already has the new content: the reply to an earlier attempt may be lost."""
        with contextlib.suppress(FileNotFoundError):
            stored, version = self.connection.get(name)
            if stored == content:
                return version
        raise BusyError(f"another run has changed {self.shown(name)} in the meantime", _AGAIN)

    def _known_version(self, name: str) -> str | None:
        if self._versions is not None:
            return self._versions.get(name)
        found = self.connection.head(name)
        return None if found is None else found.version

    def records(self) -> Sequence[str]:
        """The JSON objects at the lake's top level, without the lease."""
        return sorted(o.name for o in self.connection.top("") if o.name.endswith(".json") and o.name != _LEASE)

    # -- one run at a time

    def refuse_if_held(self) -> None:
        """Checks the lease."""
        refuse_if_leased(self.connection, _LEASE)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the lease, and notes the version of each record at the start of this run."""
        with lease(self.connection, _LEASE):
            found = [o for prefix in ("", "raw/", "typed/", "rules/") for o in self.connection.top(prefix)]
            self._versions = {o.name: o.version for o in found if o.name.endswith(".json")}
            self._listed = {}
            try:
                yield
            finally:
                self._versions = None

    # -- the local folder

    def _folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_bucket(url: str, root: Path, *, endpoint: str | None = None) -> BucketStore:
    """Returns the store at an address such as ``s3://bucket/folder``; makes no request yet.

    Args:
        url: the address.
        root: the local folder for copies.
        endpoint: the server if it is not Amazon's.

    Raises:
        SettingsError: the address is invalid, or the package for buckets is not installed.
    """
    return BucketStore(Connection.open(url, endpoint), root)


__all__ = ["SPARED_SECONDS", "BucketStore", "open_bucket"]
