"""Landing exports: their bytes into the raw layer, their rows into the typed layer, raw before typed.

A large export is processed block by block: each is written as it is, read, and typed. Small ones are collected and
landed together, because a file and a few dozen calls for each of thousands of exports would dominate the run time.
"""

import datetime as dt
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl

from rmetrics.ingest.read import Export, RefusedError, open_export
from rmetrics.ingest.records import EXPORT
from rmetrics.ingest.sniff import blocks, has_lines, is_gzip, is_workbook
from rmetrics.ingest.typing import TypedBatch
from rmetrics.lake import Frame, Lake, PackRows, RawFile
from rmetrics.parallel import in_order
from rmetrics.pipeline.landing.placement import chosen, feed_of
from rmetrics.pipeline.landing.typed_rows import (
    SMALL,
    Definition,
    Small,
    definition_of,
    in_batches,
    naming_export,
    similar_groups,
    small_batch,
    type_small,
    typed_batches,
    typed_file,
    write_pack,
    write_typed,
)
from rmetrics.rules import Rules

_UNFINISHED = (".part", ".tmp", ".crdownload", ".download", ".partial", ".swp")
_AT_ONCE = 2  # files; each is also read ahead, so more would cost memory and gain little
_TOGETHER = 32 * 2**20  # bytes of small exports that land together
_MAX_LINE = 64 * 2**20  # bytes without a line end after which lines are no longer counted
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
    """Lands files that are new or changed; yields their outcomes, some at a time, once these are in the lake.

    Args:
        new: the files.
        lake: receives raw and typed rows.
        rules: the rules in force.
        raws: landed exports by hash; receives the new ones.

    Raises:
        LakeError: the lake cannot be written.
    """
    large = [file for file in new if file.status.st_size > SMALL]
    small = [file for file in new if file.status.st_size <= SMALL]
    for files in in_batches(small, lambda file: file.status.st_size, _TOGETHER):
        seen, alone = _land_small(files, lake, rules, raws)
        large += alone
        yield seen
    by_size: dict[int, list[NewFile]] = {}  # files of equal size may be equal, so they land one after the other
    for file in sorted(large, key=lambda n: -n.status.st_size):
        by_size.setdefault(file.status.st_size, []).append(file)
    stop = Event()
    yield from in_order(
        lambda files: [_land_large(file, lake, rules, raws, stop) for file in files],
        by_size.values(),
        workers=_AT_ONCE,
        stop=stop,
    )


# -- identifying a file


def _known(file: NewFile, sha256: str, rules: Rules, raws: Mapping[str, RawFile]) -> InboxFile | None:
    """Returns the outcome for a file whose content has landed already; None if it has not."""
    raw = raws.get(sha256)
    read_as = feed_of(raw, rules) if raw else None
    if raw is None or read_as is None:
        return None
    return file.seen(sha256, read_as, note="" if raw.name == file.name else f"same content as {raw.name}")


def _recognised(export: Export, file: NewFile, sha256: str, lake: Lake, rules: Rules) -> RawFile | InboxFile:
    """Returns the record of an export, except its rows, or the outcome if the file is refused."""
    layout, status = export.layout, file.status
    named = None if file.copied else file.path
    fit, why = chosen(export.fits, layout.headers, rules.feeds, file.path.name, export.sample, named)
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
    return lake.as_first_landed(known)


# -- small exports


@dataclass(frozen=True, slots=True)
class _Read:
    """Small files that were read.

    Attributes:
        seen: the outcomes of those that do not land.
        alone: those that must land alone: workbooks and archives.
        new: the exports to land, by hash, each with the files that hold it.
    """

    seen: list[InboxFile] = field(default_factory=list)
    alone: list[NewFile] = field(default_factory=list)
    new: dict[str, tuple[Small, list[NewFile]]] = field(default_factory=dict)


def _land_small(
    files: Sequence[NewFile], lake: Lake, rules: Rules, raws: dict[str, RawFile]
) -> tuple[list[InboxFile], list[NewFile]]:
    """Lands small exports together; returns the outcomes of the files, and the files that must land alone."""
    read = _read_small(files, lake, rules, raws)
    seen = read.seen
    moved = {file.name for _, same in read.new.values() for file in same if file.moved()}
    seen += [file.seen(refused=_MOVING) for _, same in read.new.values() for file in same if file.name in moved]
    new = {
        s: (e, unmoved) for s, (e, same) in read.new.items() if (unmoved := [f for f in same if f.name not in moved])
    }
    raws |= _land_together([export for export, _ in new.values()], lake, rules)
    for sha256, (_, (first, *others)) in new.items():
        raw = raws.get(sha256)
        if raw is None:
            seen += [file.seen(sha256, refused=_NO_ROWS) for file in (first, *others)]
            continue
        seen.append(first.seen(sha256, raw.feed, landed=True, note="; ".join(raw.notes)))
        seen += [file.seen(sha256, raw.feed, note=f"same content as {raw.name}") for file in others]
    return seen, read.alone


def _read_small(files: Sequence[NewFile], lake: Lake, rules: Rules, raws: Mapping[str, RawFile]) -> _Read:
    read = _Read()
    for file in files:
        try:
            _refuse_unread(file)
            data = _bytes_of(file.path)
            if is_workbook(data) or is_gzip(data):
                read.alone.append(file)
                continue
            _refuse_moved(file)
            sha256 = hashlib.sha256(data).hexdigest()
            if sha256 in read.new:
                read.new[sha256][1].append(file)
            elif known := _known(file, sha256, rules, raws):
                read.seen.append(known)
            else:
                found = _recognised(open_export(data, file.path.name, rules.feeds), file, sha256, lake, rules)
                if isinstance(found, InboxFile):
                    read.seen.append(found)
                else:
                    read.new[sha256] = Small(found, definition_of(rules, found, found.feed), data), [file]
        except RefusedError as error:
            read.seen.append(file.seen(refused=str(error)))
        except OSError as error:
            read.seen.append(file.seen(refused=_why_unreadable(error)))
    return read


def _land_together(exports: Sequence[Small], lake: Lake, rules: Rules) -> dict[str, RawFile]:
    """Lands small exports, feed by feed: one raw file, and a typed pack for each way to type; raw before typed.

    Returns:
        The landed exports by hash; an export without records is left out.
    """
    landed = dict[str, RawFile]()
    for feed in dict.fromkeys(export.raw.feed for export in exports):
        packs = list[tuple[list[Small], PackRows]]()
        for group in similar_groups([export for export in exports if export.raw.feed == feed]):
            filled, text = _filled(group)
            if filled:
                packs.append((filled, type_small(rules, filled, text, landing=True)))
        with_rows = [export for filled, _ in packs for export in filled]
        if not with_rows:
            continue
        with lake.landing(feed, _stem([export.raw.sha256 for export in with_rows])) as raw_file:
            raw_file.write_small({r.sha256: Frame(0, int(has_lines(d, r.encoding)), d) for r, _, d in with_rows})
            made = lake.commit_raw(raw_file, [export.raw for export in with_rows])
        landed |= {raw.sha256: raw for raw in made}
        for filled, rows in packs:
            write_pack(lake, filled, rows)
    return landed


_PLACES = {EXPORT: pl.Int64, "place": pl.Int64}


def _filled(group: Sequence[Small]) -> tuple[list[Small], pl.DataFrame]:
    """Returns the exports of a group that have records, with their row counts, and the records."""
    batch = small_batch(group)
    rows = dict(batch[EXPORT].value_counts().iter_rows())
    filled = [i for i in range(len(group)) if rows.get(i)]
    places = pl.DataFrame({EXPORT: filled, "place": list(range(len(filled)))}, schema=_PLACES)
    batch = batch.join(places, on=EXPORT, maintain_order="left").drop(EXPORT).rename({"place": EXPORT})
    return [group[i]._replace(raw=replace(group[i].raw, rows=rows[i])) for i in filled], batch


# -- large exports


def _land_large(file: NewFile, lake: Lake, rules: Rules, raws: dict[str, RawFile], stop: Event) -> InboxFile:
    """Lands an export on its own; returns the file's outcome.

    Raises:
        CancelledError: ``stop`` was set before it was in the lake.
    """
    try:
        _refuse_unread(file)
        sha256 = file_digest(file.path)
        _refuse_moved(file)
        if known := _known(file, sha256, rules, raws):
            return known
        export = open_export(file.path, file.path.name, rules.feeds)
        found = _recognised(export, file, sha256, lake, rules)
        if isinstance(found, InboxFile):
            return found
        raw = _land_blocks(export, file, found, lake, rules, stop)
    except RefusedError as error:
        return file.seen(refused=str(error))
    except OSError as error:
        return file.seen(refused=_why_unreadable(error))
    raws[sha256] = raw
    return file.seen(sha256, raw.feed, landed=True, note="; ".join(raw.notes))


def _land_blocks(export: Export, file: NewFile, raw: RawFile, lake: Lake, rules: Rules, stop: Event) -> RawFile:
    """Lands one export block by block: its bytes as they are, and its typed rows; raw is committed before typed."""
    made_as, digest, records = definition_of(rules, raw, raw.feed), hashlib.sha256(), 0
    with (
        naming_export(raw, landing=True),
        lake.landing(raw.feed, raw.sha256) as raw_file,
        typed_file(lake, raw, made_as) as typed_rows,
    ):
        for block in _read_ahead(export, file.path, raw, made_as, rules):
            if stop.is_set():
                raise CancelledError
            for frame in block.frames:
                digest.update(frame.data)
                raw_file.write([(raw.sha256, frame)])
            if block.typed is not None:
                records += block.typed.records
                write_typed(typed_rows, block.typed, made_as)
        if not records:
            raise RefusedError(_NO_ROWS)
        if digest.hexdigest() != raw.sha256 or file.moved():
            raise RefusedError(_MOVING)
        (landed,) = lake.commit_raw(raw_file, [replace(raw, rows=records)])
        lake.commit_typed(typed_rows)
    return landed


@dataclass(frozen=True, slots=True)
class _Block:
    """A part of a large export.

    Attributes:
        frames: the bytes read since the previous block; they may be ahead of the rows, or none.
        typed: the next typed records; None after the last, for bytes that are no records.
    """

    frames: tuple[Frame, ...]
    typed: TypedBatch | None


def _read_ahead(export: Export, path: Path, raw: RawFile, made_as: Definition, rules: Rules) -> Iterator[_Block]:
    """Yields an export in blocks; threads read and type the next ones meanwhile."""
    frames, read = _frames(blocks(path), raw.encoding), list[Frame]()

    def data() -> Iterator[bytes]:
        for frame in frames:
            read.append(frame)
            yield frame.data

    for typed in typed_batches(export.batches(data()), rules, raw, made_as):
        yield _Block(tuple(read), typed)
        read.clear()
    yield _Block(tuple(read), None)
    for frame in frames:  # bytes that the reader does not use: a workbook's
        yield _Block((frame,), None)


def _frames(data: Iterator[bytes], encoding: str) -> Iterator[Frame]:
    """Yields blocks of bytes as frames, cut after a line end if lines can be recognised."""
    offset, line, carry, by_line = 0, 1, b"", None
    for block in data:
        by_line = has_lines(block, encoding) if by_line is None else by_line
        carry += block
        cut = carry.rfind(b"\n") + 1 if by_line else len(carry)
        if not cut and len(carry) > _MAX_LINE:
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
