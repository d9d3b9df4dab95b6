"""An inbox in a bucket: its exports, and copies of the new ones while they land.

An object is identified by its size, version and time of upload, so one already read is not downloaded again. The age of
an export is the file's own modification time if the tool that uploaded it kept it (``x-amz-meta-mtime``, as rclone
does), and the time of upload otherwise.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rmetrics.errors import SettingsError
from rmetrics.lake.s3 import Connection
from rmetrics.parallel import in_order

_AT_ONCE = 8  # downloads


@dataclass(frozen=True, slots=True)
class BucketInbox:
    """The exports below a prefix of a bucket.

    Attributes:
        connection: to the bucket.
        folder: receives a copy of each export while it lands.
    """

    connection: Connection
    folder: Path

    def __str__(self) -> str:
        return self.connection.url

    def files(self, known: Mapping[str, Any]) -> Iterator[tuple[Path, os.stat_result]]:
        """Yields the path of each object's copy, which need not exist, and the facts that identify it as read.

        Args:
            known: records of earlier runs, by name: size, time, version, time of upload, and more.
        """
        for found in self.connection.list(""):
            if not found.name.endswith("/"):
                version, written = _number(found.version), int(found.written * 1e9)
                before = known.get(found.name) or [None] * 8
                same = (before[0], *before[2:4]) == (found.size, version, written)
                modified = before[1] if same else written
                yield self.folder / found.name, _status(found.size, modified, version, written)

    @contextlib.contextmanager
    def fetched(self, new: Sequence[tuple[Path, os.stat_result]]) -> Iterator[list[tuple[Path, os.stat_result]]]:
        """Yields copies of objects while they land, each with the uploaded file's own time if known.

        An object deleted in the meantime has no copy.

        Raises:
            LakeError: the bucket cannot be read, or the folder cannot be written.
        """

        def fetch(one: tuple[Path, os.stat_result]) -> tuple[Path, os.stat_result]:
            path, status = one
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            name = path.relative_to(self.folder).as_posix()
            times = list[int]()
            if not self.connection.download(name, path, times):
                return one
            modified = times[0] if times else status.st_mtime_ns
            os.utime(path, ns=(modified, modified))
            return path, _status(status.st_size, modified, status.st_ino, status.st_ctime_ns)

        try:
            yield list(in_order(fetch, new, workers=_AT_ONCE))
        finally:
            for path, _ in new:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class InboxAt:
    """The location of a project's inbox, for another process to open, too.

    Attributes:
        folder: the exports; of a bucket, the local copies.
        url: the bucket's address; None: the folder is the inbox.
        endpoint: the bucket's server if it is not Amazon's.
    """

    folder: Path
    url: str | None = None
    endpoint: str | None = None

    def __str__(self) -> str:
        return self.url or str(self.folder)

    def open(self) -> Path | BucketInbox:
        """Returns the folder, or the bucket; makes no request yet.

        Raises:
            SettingsError: the bucket's address is invalid, or the package for buckets is not installed.
        """
        if self.url is None:
            return self.folder
        return BucketInbox(Connection.open(self.url, self.endpoint), self.folder)

    def refuse_bucket(self) -> None:
        """Raises an error if the inbox is a bucket, for commands that write files into it.

        Raises:
            SettingsError: the inbox is a bucket.
        """
        if self.url is not None:
            raise SettingsError(
                f"the inbox {self.url} is a bucket, but this command writes to a folder",
                "Run it with RMETRICS_INBOX_DIR set to a folder, then upload the files.",
            )

    def here(self) -> "InboxAt":
        """Returns the same location with an absolute path, for a process with another working folder."""
        return replace(self, folder=self.folder.resolve())


def _number(version: str) -> int:
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:6], "big")


def _status(size: int, modified_ns: int, inode: int, changed_ns: int) -> os.stat_result:
    times = (changed_ns, modified_ns, changed_ns)
    seconds = [t // 10**9 for t in times]
    return os.stat_result((stat.S_IFREG | 0o600, inode, 0, 1, 0, 0, size, *seconds, *(t / 1e9 for t in times), *times))


__all__ = ["BucketInbox", "InboxAt"]
