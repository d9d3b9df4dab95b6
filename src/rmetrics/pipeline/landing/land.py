"""Landing exports: their bytes into the raw layer, their rows into the typed layer, raw before typed.

A large export is processed block by block: each is written as it is, read, and typed. Small ones are collected and
landed together, because a file and a few dozen calls for each of thousands of exports would dominate the run time.
"""

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl

from rmetrics.ingest.read import Export, RefusedError, open_export
from rmetrics.ingest.records import EXPORT
from rmetrics.ingest.sniff import blocks, has_lines, is_gzip, is_workbook
from rmetrics.lake import Frame, Lake, PackRows, RawFile, RawWriter
from rmetrics.parallel import in_order
from rmetrics.pipeline.landing.placement import chosen, feed_of
from rmetrics.pipeline.landing.typed_rows import (
    SMALL,
    Small,
    alike,
    columns_of,
    definition_of,
    one_export,
    small_batch,
    type_large,
    type_small,
    write_pack,
)
from rmetrics.rules import Rules

_UNFINISHED = (".part", ".tmp", ".crdownload", ".download", ".partial", ".swp")
_AT_ONCE = 2  # files; each is also read ahead, so more would cost memory and gain little
_TOGETHER = 32 * 2**20  # bytes of small exports that land together
_LONGEST = 64 * 2**20  # bytes without a line end after which lines are no longer counted
_NO_ROWS = "has a header but no rows; export it again"
_MOVING = "is still being written; the next run reads it"


@dataclass(frozen=True, slots=True)
class InboxFile:
    """The state of one file of the inbox.

    Attributes:
        sha256: of its bytes; empty if it was not read.
        inode, changed_ns: from the file system; they differ if the file was replaced by one of equal size and time.
        landed: whether it landed in this run.
        refused: the reason it was skipped; empty if it is in the lake.
        note: a remark for the user.
        delivered: whether the file is new or changed in this run.
    """

    name: str
    size: int
    modified_ns: int
    sha256: str
    feed: str | None
    landed: bool
    refused: str = ""
    note: str = ""
    inode: int = 0
    changed_ns: int = 0
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that is new, or changed since it was read.

    Attributes:
        copied: whether the path is a temporary copy of an object in a bucket, deleted when the run ends.
    """

    path: Path
    name: str
    status: os.stat_result
    copied: bool = False

    def seen(
        self, sha256: str = "", feed: str | None = None, *, landed: bool = False, refused: str = "", note: str = ""
    ) -> InboxFile:
        """Returns the outcome for this file."""
        size, modified, inode, changed = state_of(self.status)
        return InboxFile(self.name, size, modified, sha256, feed, landed, refused, note, inode, changed, delivered=True)

    def moved(self) -> bool:
        """Tests whether the file has changed or disappeared."""
        try:
            now = self.path.lstat()
        except FileNotFoundError:
            return True
        return (now.st_size, now.st_mtime_ns) != (self.status.st_size, self.status.st_mtime_ns)


def state_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """Returns the facts that identify a file as read: unzip, cp -p and rsync -t preserve size and time of another."""
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


def land(new: Sequence[NewFile], lake: Lake, rules: Rules, raws: dict[str, RawFile]) -> Iterator[list[InboxFile]]:
    """Lands files that are new or changed; yields their outcomes, some at a time.

    Args:
        new: the files.
        lake: receives raw and typed rows.
        rules: the rules in force.
        raws: landed exports by hash; receives the new ones.

    Raises:
        LakeError: the lake cannot be written.
    """
    landing = _Landing(lake, rules, raws)
    large = [n for n in new if n.status.st_size > SMALL]
    for file in (n for n in new if n.status.st_size <= SMALL):
        found = landing.small(file)
        if found is None:
            large.append(file)
        elif found.sha256 not in landing.waiting:
            yield [found]
        if landing.size > _TOGETHER:
            yield landing.land_small()
    yield landing.land_small()
    yield from landing.land_large(large)


class _Landing:
    """The landing of one run.

    Attributes:
        waiting: small exports to land together, by hash, each with the files that hold it.
        size: total size of their bytes.
    """

    def __init__(self, lake: Lake, rules: Rules, raws: dict[str, RawFile]) -> None:
        self.lake, self.rules, self.raws = lake, rules, raws
        self.waiting: dict[str, tuple[Small, list[NewFile]]] = {}
        self.size = 0
        self.stop = Event()

    # -- identifying a file

    def _known(self, file: NewFile, sha256: str) -> InboxFile | None:
        """Returns the outcome for a file whose content has landed already; None if it has not."""
        raw = self.raws.get(sha256)
        read_as = feed_of(raw, self.rules) if raw else None
        if raw is None or read_as is None:
            return None
        return file.seen(sha256, read_as, note="" if raw.name == file.name else f"same content as {raw.name}")

    def _recognised(self, export: Export, file: NewFile, sha256: str) -> RawFile | InboxFile:
        """Returns the record of an export, except its rows, or the outcome if the file is refused."""
        layout, status, feeds = export.layout, file.status, self.rules.feeds
        named = None if file.copied else file.path
        fit, why = chosen(export.fits, layout.headers, feeds, file.path.name, export.sample, named)
        if fit is None:
            nearest = export.fits[0].feed if export.fits and export.fits[0].refused else None
            return file.seen(sha256, nearest, refused=why)
        known = RawFile(
            sha256=sha256,
            feed=fit.feed,
            name=file.name,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            landed_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            encoding=layout.encoding,
            delimiter=layout.delimiter,
            sheet=layout.sheet,
            header_line=layout.header_line,
            body_line=layout.body_line,
            preamble=layout.preamble,
            headers=layout.headers,
            notes=layout.notes,
        )
        return self.lake.as_first_landed(known)

    # -- small exports

    def small(self, file: NewFile) -> InboxFile | None:
        """Returns the outcome of a small file, preliminary if it lands with others; None if it must land alone."""
        try:
            _refuse_unread(file)
            data = _bytes_of(file.path)
            if is_workbook(data) or is_gzip(data):
                return None
            _refuse_moved(file)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in self.waiting:
                self.waiting[sha256][1].append(file)
                return file.seen(sha256)
            if known := self._known(file, sha256):
                return known
            found = self._recognised(open_export(data, file.path.name, self.rules.feeds), file, sha256)
        except RefusedError as error:
            return file.seen(refused=str(error))
        except OSError as error:
            return file.seen(refused=_why_unreadable(error))
        if isinstance(found, RawFile):
            self.waiting[sha256] = (found, definition_of(self.rules, found, found.feed), data), [file]
            self.size += len(data)
        return found if isinstance(found, InboxFile) else file.seen(sha256)

    def land_small(self) -> list[InboxFile]:
        """Lands the waiting small exports; returns the outcomes of their files."""
        waiting, found = self._settled()
        by_feed: dict[str, list[_Typed]] = {}
        for group in alike([small for small, _ in waiting.values()]):
            filled, batch = _filled(group)
            if filled:
                new = type_small(self.rules, filled, batch, landing=True)
                by_feed.setdefault(filled[0][1].name, []).append((filled, new))
        for feed, groups in by_feed.items():
            self._land_pack(feed, groups)
        for sha256, (_, (first, *others)) in waiting.items():
            raw = self.raws.get(sha256)
            if raw is None:
                found += [file.seen(sha256, refused=_NO_ROWS) for file in (first, *others)]
                continue
            found.append(first.seen(sha256, raw.feed, landed=True, note="; ".join(raw.notes)))
            found += [file.seen(sha256, raw.feed, note=f"same content as {raw.name}") for file in others]
        return found

    def _settled(self) -> tuple[dict[str, tuple[Small, list[NewFile]]], list[InboxFile]]:
        """Returns the waiting exports without files that changed since they were read, and the outcomes of these."""
        waiting, self.waiting, self.size = self.waiting, {}, 0
        files = [file for _, those in waiting.values() for file in those]
        moved = {file.name for file in files if file.moved()}
        still = {
            sha256: (small, there)
            for sha256, (small, those) in waiting.items()
            if (there := [file for file in those if file.name not in moved])
        }
        return still, [file.seen(refused=_MOVING) for file in files if file.name in moved]

    def _land_pack(self, feed: str, groups: Sequence["_Typed"]) -> None:
        """Lands small exports of one feed: one raw file, and a typed pack per typing definition."""
        exports = [small for group, _ in groups for small in group]
        with self.lake.landing(feed, _stem([raw.sha256 for raw, *_ in exports])) as writer:
            writer.write_small({r.sha256: Frame(0, int(has_lines(d, r.encoding)), d) for r, _, d in exports})
            made = self.lake.commit_raw(writer, [raw for raw, *_ in exports])
        self.raws.update({raw.sha256: raw for raw in made})
        for group, new in groups:
            write_pack(self.lake, group, new)

    # -- large exports

    def land_large(self, files: Sequence[NewFile]) -> Iterator[list[InboxFile]]:
        """Lands several files at a time, the largest first; files of equal size may be equal, so they run in order."""
        by_size: dict[int, list[NewFile]] = {}
        for file in sorted(files, key=lambda n: -n.status.st_size):
            by_size.setdefault(file.status.st_size, []).append(file)

        def read(some: list[NewFile]) -> list[InboxFile]:
            return [self._large(file) for file in some]

        yield from in_order(read, by_size.values(), workers=_AT_ONCE, stop=self.stop)

    def _large(self, file: NewFile) -> InboxFile:
        try:
            _refuse_unread(file)
            sha256 = file_digest(file.path)
            _refuse_moved(file)
            if known := self._known(file, sha256):
                return known
            export = open_export(file.path, file.path.name, self.rules.feeds)
            found = self._recognised(export, file, sha256)
            if isinstance(found, InboxFile):
                return found
            raw = self._land(export, file, found)
        except RefusedError as error:
            return file.seen(refused=str(error))
        except OSError as error:
            return file.seen(refused=_why_unreadable(error))
        self.raws[sha256] = raw
        return file.seen(sha256, raw.feed, landed=True, note="; ".join(raw.notes))

    def _land(self, export: Export, file: NewFile, raw: RawFile) -> RawFile:
        """Lands one export on its own, block by block."""
        made_as = definition_of(self.rules, raw, raw.feed)
        key = (made_as.name, raw.sha256, made_as.digest)
        with (
            one_export(raw, landing=True),
            self.lake.landing(raw.feed, raw.sha256) as writer,
            self.lake.typing(key, columns_of(raw, made_as)) as typing,
        ):
            kept = _Kept(writer, raw, file.path)
            type_large(typing, self.rules, raw, made_as, self._counted(export.batches(kept.data()), kept))
            for _ in kept.left:  # bytes the reader does not use: a workbook's, or text after an unclosed quote
                pass
            if not kept.rows:
                raise RefusedError(_NO_ROWS)
            if kept.digest.hexdigest() != raw.sha256 or file.moved():
                raise RefusedError(_MOVING)
            (made,) = self.lake.commit_raw(writer, [replace(raw, rows=kept.rows)])
            self.lake.commit_typed(typing)
        return made

    def _counted(self, batches: Iterator[pl.DataFrame], kept: "_Kept") -> Iterator[pl.DataFrame]:
        for batch in batches:
            if self.stop.is_set():  # aborts the landing in progress
                raise CancelledError
            kept.rows += batch.height
            yield batch


_Typed = tuple[list[Small], PackRows]
_PLACES = {EXPORT: pl.Int64, "place": pl.Int64}


def _filled(group: Sequence[Small]) -> tuple[list[Small], pl.DataFrame]:
    """Returns the exports of a group that have records, with their row counts, and the records."""
    batch = small_batch(group)
    rows = dict(batch[EXPORT].value_counts().iter_rows())
    filled = [i for i in range(len(group)) if rows.get(i)]
    places = pl.DataFrame({EXPORT: filled, "place": list(range(len(filled)))}, schema=_PLACES)
    batch = batch.join(places, on=EXPORT, maintain_order="left").drop(EXPORT).rename({"place": EXPORT})
    return [(replace(raw, rows=rows[i]), made_as, data) for i in filled for raw, made_as, data in [group[i]]], batch


class _Kept:
    """The bytes of a large export, written to the raw layer as they are read.

    Attributes:
        left: the blocks not read yet.
        digest: of all bytes read.
        rows: the number of records read from them.
    """

    def __init__(self, writer: RawWriter, raw: RawFile, path: Path) -> None:
        self.digest, self.rows = hashlib.sha256(), 0
        self.left = self._written(writer, raw, path)

    def data(self) -> Iterator[bytes]:
        """Yields the bytes in frames that end with a line, if lines can be recognised."""
        yield from self.left

    def _written(self, writer: RawWriter, raw: RawFile, path: Path) -> Iterator[bytes]:
        for frame in _frames(blocks(path), raw.encoding):
            self.digest.update(frame.data)
            writer.write([(raw.sha256, frame)])
            yield frame.data


def _frames(data: Iterator[bytes], encoding: str) -> Iterator[Frame]:
    """Yields blocks of bytes as frames, cut after a line end if lines can be recognised."""
    offset, line, carry, by_line = 0, 1, b"", None
    for block in data:
        by_line = has_lines(block, encoding) if by_line is None else by_line
        carry += block
        cut = carry.rfind(b"\n") + 1 if by_line else len(carry)
        if not cut and len(carry) > _LONGEST:
            by_line, cut = False, len(carry)
        if cut:
            yield Frame(offset, line if by_line else 0, carry[:cut])
            offset, line, carry = offset + cut, line + carry.count(b"\n", 0, cut), carry[cut:]
    if carry:
        yield Frame(offset, line if by_line else 0, carry)


def _stem(exports: Sequence[str]) -> str:
    """Returns the name of a raw file: the hash of its export, or of the hashes of several."""
    return exports[0] if len(exports) == 1 else hashlib.sha256("".join(exports).encode()).hexdigest()


def _refuse_unread(file: NewFile) -> None:
    """Refuses files that must not be read, whatever their content."""
    if stat.S_ISLNK(file.status.st_mode):
        raise RefusedError("is a link; only files in the inbox itself are read: copy the file here")
    if file.path.name.lower().endswith(_UNFINISHED):
        raise RefusedError("is an unfinished download; it is read once it has its final name")


def _refuse_moved(file: NewFile) -> None:
    if file.moved():
        raise RefusedError(_MOVING)


def _why_unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened: no permission; check its access rights"
    if isinstance(error, FileNotFoundError):
        return "was removed while it was being read"
    return f"cannot be read: {error.strerror or 'input error'}; check the disk or copy it again"


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, the lake's key of an export; does not follow links."""
    with _opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes_of(path: Path) -> bytes:
    with _opened(path) as file:
        data: bytes = file.read()
        return data


def _opened(path: Path) -> Any:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags), "rb")


__all__ = ["InboxFile", "NewFile", "file_digest", "land", "state_of"]
