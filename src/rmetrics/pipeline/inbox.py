"""The inbox: which files are there, what each is, and landing the new ones. Exports are only ever read."""

import datetime as dt
import hashlib
import os
import shlex
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import polars as pl

from rmetrics.errors import LakeError, SettingsError
from rmetrics.ingest.hints import Sample, likely_column
from rmetrics.ingest.read import Export, RefusedError, open_export
from rmetrics.ingest.recognise import Fit, free_headers, read_as
from rmetrics.lake import Lake, RawFile
from rmetrics.parallel import in_order
from rmetrics.pipeline.compute import feed_of, type_landing
from rmetrics.pipeline.damage import lost_exports, settle_damage
from rmetrics.pipeline.progress import Progress
from rmetrics.results import EMPTY_INBOX, Finding, Severity, count
from rmetrics.rules import Rules
from rmetrics.rules.model import Feed

_SKIPPED_PREFIXES = (".", "~$", "~lock", "~wr")  # hidden files, lock and temporary files of Office
_SKIPPED_NAMES = ("thumbs.db", "desktop.ini", "icon\r")
_DOCUMENTS = (".md", ".toml", ".json", ".py", ".sql", ".log")  # what people keep beside exports
_UNFINISHED = (".part", ".tmp", ".crdownload", ".download", ".partial", ".swp")
_SETTLE_SECONDS = 2.0
_SETTLE_WAIT = 0.25
_AT_ONCE = 2  # files; each is also read ahead, so more would take memory, and gain little
_SAME_TIME_NS = 1_000_000  # a file that replaces one of its own time counts as this little newer, each a nanosecond


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one file of the inbox.

    Attributes:
        sha256: of its bytes; empty where it was not read.
        inode, changed_ns: of the file system: a file that was replaced by one of its size and time has others.
        landed: whether it landed in this run.
        refused: why it was left alone; empty where it is in the lake.
        note: what to know about it.
        delivered: whether this run met the file for the first time, or met it changed.
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


def inbox_files(inbox: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yields the regular files and the links under the inbox; hidden files and Office's lock files are passed over.

    Raises:
        SettingsError: the inbox does not exist.
        LakeError: it cannot be read.
    """
    if not inbox.is_dir():
        raise SettingsError(
            f"the inbox {inbox} does not exist",
            f"Create it and put your exports there (mkdir -p {inbox}), or set RMETRICS_INBOX_DIR.",
        )

    def fail(error: OSError) -> None:
        raise LakeError(f"cannot read {error.filename}: {error.strerror}", "Check its permissions.") from error

    for folder, folders, files in os.walk(inbox, onerror=fail, followlinks=False):
        links = [f for f in folders if Path(folder, f).is_symlink()]
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted([*files, *links]):
            lower = name.lower()
            if lower.startswith(_SKIPPED_PREFIXES) or lower in _SKIPPED_NAMES or lower.endswith(("#", *_DOCUMENTS)):
                continue
            path = Path(folder, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status


def empty_inbox(inbox: Path, landed: int) -> Finding:
    """What to say of an inbox without a file to read; ``landed`` exports are in the lake all the same."""
    so_far = f"; the figures are those of {count(landed, 'landed export')}" if landed else ""
    told = f"the inbox {inbox} is empty: put exports (CSV or Excel) there, then run `rmetrics sync`{so_far}"
    return Finding(EMPTY_INBOX, Severity.INFO if landed else Severity.WARNING, told, 0)


def land_inbox(
    inbox: Path, lake: Lake, rules: Rules, progress: Progress, *, force: bool = False, full: bool = False
) -> list[Seen]:
    """Lands what is new; returns what is known of every file of the inbox, by name.

    A file that cannot be read is reported and left alone; it never stops the others. It is tried again when it or the
    rules change. An export whose copy in the lake is lost or damaged lands again, and one
    that is delivered again counts as newer (``_renew_deliveries``). ``full`` reads every file, also those that look as
    they did.

    Raises:
        LakeError: a landed export is damaged, or gone without ``force``, and the inbox does not have it any more.
    """
    found = sorted(inbox_files(inbox), key=lambda f: (f[1].st_mtime_ns, str(f[0])))
    memory = lake.load_json("inbox")
    known: Mapping[str, Any] = memory.get("files", {}) if memory.get("rules") == rules.digest else {}
    always: Mapping[str, Any] = memory.get("files", {})
    sound, damaged = lake.examine_raw()
    raws = {r.sha256: r for r in sound}
    lost = {d.sha256 for d in lost_exports(lake, sound, damaged)}
    found = _settled(inbox, found, always)
    seen, new = list[Seen](), list[_New]()
    for path, status in found:
        name = _shown(path.relative_to(inbox))
        before = None if full else _remembered(name, status, known, always, raws, rules)
        if before:
            seen.append(before)
        else:
            new.append(_New(path, name, status))
    progress("reading the inbox", len(seen), len(found))
    for some in _read(new, lake, rules, raws):
        seen += some
        progress("reading the inbox", len(seen), len(found))
    settle_damage(lake, raws.values(), damaged, force=force)
    _renew_deliveries(lake, raws, seen, always)
    remembered = {
        s.name: [s.size, s.modified_ns, s.inode, s.changed_ns, s.sha256, s.feed, s.refused, s.note] for s in seen
    }
    if memory.get("files") != remembered or memory.get("rules") != rules.digest:
        lake.save_json("inbox", {"rules": rules.digest, "files": remembered})
    again = "landed again: its copy in the lake was damaged or gone"
    told = (replace(s, note=again) if s.landed and s.sha256 in lost else s for s in seen)
    return sorted((_with_decision(s, raws) for s in told), key=lambda s: s.name)


def _renew_deliveries(lake: Lake, raws: Mapping[str, RawFile], seen: Sequence[Seen], always: Mapping[str, Any]) -> None:
    """Records that known exports were delivered again, which makes them as new as that delivery.

    They were where their content took the place of another one's under the same name, or came as a new file or under a
    newer time. Where several exports of one feed come back so at once, from a backup that kept no times, say, their new
    times mean nothing: each keeps the age it had.
    """
    came: dict[str, dict[str, int]] = {}  # by feed and content, the newest time
    for file in seen:
        if file.refused or file.sha256 not in raws:
            continue
        before = always.get(file.name) or [None] * 8
        modified, held = (before[1], before[4]) if len(before) == 8 else (None, None)
        now, then = raws[file.sha256], raws.get(held or "")
        delivered = file.modified_ns
        if then is not None and then.sha256 != now.sha256:
            if 0 <= then.age[0] - delivered < _SAME_TIME_NS:
                # Replaced under the same time: the file that is there now is the newer one, whatever name and hash say.
                delivered = then.age[0] + 1
            if delivered > now.age[0]:
                lake.decide(file.sha256, delivered_ns=delivered)
        elif (modified, held) != (delivered, now.sha256) and delivered > now.age[0]:
            of_feed = came.setdefault(now.feed, {})
            of_feed[now.sha256] = max(delivered, of_feed.get(now.sha256, 0))
    for of_feed in came.values():
        if len(of_feed) == 1:
            ((sha256, delivered),) = of_feed.items()
            lake.decide(sha256, delivered_ns=delivered)


def _with_decision(seen: Seen, raws: Mapping[str, RawFile]) -> Seen:
    """Says of a withdrawn export that it does not count, and how it would."""
    raw = raws.get(seen.sha256)
    if raw is None or not raw.withdrawn:
        return seen
    told = (
        f"withdrawn on {raw.withdrawn[:10]}, does not count; `rmetrics exports restore {raw.sha256[:12]}` undoes that"
    )
    return replace(seen, note=told)


def inbox_name(path: Path, inbox: Path) -> str:
    """The name that a file of the inbox is known by: its path inside it."""
    return _shown(path.relative_to(inbox))


def _shown(path: Path) -> str:
    """The name as text, also where its bytes are no text."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _settled(
    inbox: Path, found: list[tuple[Path, os.stat_result]], known: Mapping[str, Any]
) -> list[tuple[Path, os.stat_result]]:
    """Gives files written a moment ago the time to show that they are still being written."""
    now = time.time()
    fresh = [p for p, s in found if now - s.st_mtime < _SETTLE_SECONDS and _shown(p.relative_to(inbox)) not in known]
    if fresh:
        time.sleep(_SETTLE_WAIT)
    return found


def _remembered(
    name: str,
    status: os.stat_result,
    known: Mapping[str, Any],
    always: Mapping[str, Any],
    raws: Mapping[str, RawFile],
    rules: Rules,
) -> Seen | None:
    """The answer of an earlier run, where neither the file nor, for a refused one, the rules have changed."""
    entry = known.get(name) or always.get(name)
    if not entry or len(entry) != 8 or tuple(entry[:4]) != _state(status):
        return None
    size, modified, inode, changed, sha256, feed, refused, note = entry
    as_before = Seen(
        name, size, modified, sha256, feed, landed=False, refused=refused, note=note, inode=inode, changed_ns=changed
    )
    if refused:
        return as_before if name in known else None
    if sha256 in raws and (read_as := feed_of(raws[sha256], rules)):
        return replace(as_before, feed=read_as)
    return None


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    """What tells that a file is the one that was read: unzip, cp -p and rsync -t keep size and time of another."""
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns


@dataclass(frozen=True, slots=True)
class _New:
    """A file that is not known as it stands there now."""

    path: Path
    name: str
    status: os.stat_result


def _read(new: Sequence[_New], lake: Lake, rules: Rules, raws: dict[str, RawFile]) -> Iterator[list[Seen]]:
    """Reads several files at a time, the largest first; those of one size, which may be the same, in order."""
    by_size: dict[int, list[_New]] = {}
    for file in sorted(new, key=lambda n: -n.status.st_size):
        by_size.setdefault(file.status.st_size, []).append(file)
    stop = Event()

    def read(files: list[_New]) -> list[Seen]:
        return [_read_one(f, lake, rules, raws, stop) for f in files]

    yield from in_order(read, by_size.values(), workers=_AT_ONCE, stop=stop)


def _read_one(file: _New, lake: Lake, rules: Rules, raws: dict[str, RawFile], stop: Event) -> Seen:
    path, name, status = file.path, file.name, file.status

    def found(sha256: str, feed: str | None, *, landed: bool = False, refused: str = "", note: str = "") -> Seen:
        size, modified, inode, changed = _state(status)
        return Seen(name, size, modified, sha256, feed, landed, refused, note, inode, changed, delivered=True)

    def refused(why: str, sha256: str = "", feed: str | None = None) -> Seen:
        return found(sha256, feed, refused=why)

    if unread := _not_to_read(path, status):
        return refused(unread)
    try:
        sha256 = file_digest(path)
        if _moved(path, status):
            return refused("is still being written; it is read by the next run")
        if sha256 in raws and (read_as := feed_of(raws[sha256], rules)):
            raw = raws[sha256]
            note = "" if raw.name == name else f"same content as {raw.name}"
            return found(sha256, read_as, note=note)
        export = open_export(path, path.name, rules.feeds)
        fit, why = chosen(export.fits, export.layout.headers, rules.feeds, path.name, export.sample, path)
        if fit is None:
            nearest = export.fits[0].feed if export.fits and export.fits[0].refused else None
            return refused(why, sha256, nearest)
        raw = _land(export, file, lake, rules, sha256, fit.feed, stop)
    except RefusedError as error:
        return refused(str(error))
    except OSError as error:
        return refused(_why_unreadable(error))
    raws[sha256] = raw
    return found(sha256, raw.feed, landed=True, note="; ".join(raw.notes))


def _not_to_read(path: Path, status: os.stat_result) -> str:
    """Why a file is left alone whatever is in it, or ""."""
    if stat.S_ISLNK(status.st_mode):
        return "is a link; only files in the inbox itself are read: copy the file here"
    if path.name.lower().endswith(_UNFINISHED):
        return "is an unfinished download; it is read when it has its final name"
    return ""


def _why_unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "cannot be opened: no permission; check its access rights"
    if isinstance(error, FileNotFoundError):
        return "was taken away while it was read"
    return f"cannot be read: {error.strerror or 'input error'}; check the disk or copy it again"


def chosen(
    fits: list[Fit],
    headers: tuple[str, ...],
    feeds: Mapping[str, Feed],
    file_name: str = "",
    sample: Sample | None = None,
    path: Path | None = None,
) -> tuple[Fit | None, str]:
    """The one feed that fits, or why there is none and what to do.

    Args:
        fits: the feeds that fit, or the nearest miss.
        headers: of the file.
        feeds: all feeds.
        file_name: the file's name without folders.
        sample: the first cells under each header, which a hint must agree with.
        path: the file, for the command that drafts its rules.
    """
    draft = f"rmetrics rules new NAME --from {shlex.quote(str(path)) if path else 'FILE'}"
    good = [f for f in fits if f.fits]
    if len(good) == 1:
        return good[0], ""
    if good:
        names = " and ".join(repr(f.feed) for f in good)
        return None, f"fits the feeds {names} equally well; rename it so that it fits the files = [...] of one of them"
    if not fits:
        what = f"if it is an export of a new kind, draft its rules: {draft}; otherwise take it out of the inbox"
        return None, f"fits no feed: no known headers among {_listed(headers)}; {what}"
    near = fits[0]
    if near.missing:
        feed = read_as(feeds[near.feed], headers, file_name)
        free = free_headers(headers, feed)
        lacks = "; ".join(
            f"{column} ({' or '.join(names)}{_renamed(likely_column(column, feed, free, sample))})"
            for column, names in near.missing
        )
        what = (
            f"export it with that column, or add its header to from = [...]; of another kind, draft its rules: {draft}"
        )
        kind = f"{near.feed} ({near.variant})" if near.variant else near.feed
        return None, f"looks like {kind}, but has no header for {lacks}; it has {_listed(headers)}; {what}"
    new = "" if near.refused else f"; draft rules for it: {draft}"
    return None, f"looks like {near.feed}, but {near.objection}{new}"


def _renamed(likely: str) -> str:
    return f", perhaps renamed to {likely!r}" if likely else ""


def _listed(headers: tuple[str, ...]) -> str:
    shown = ", ".join(repr(h[:40]) for h in headers[:60])
    return shown + (f" and {len(headers) - 60} more" if len(headers) > 60 else "")


def _land(export: Export, file: _New, lake: Lake, rules: Rules, sha256: str, feed: str, stop: Event) -> RawFile:
    """Lands an export, and types it on the way."""
    layout, status = export.layout, file.status
    known = RawFile(
        sha256=sha256,
        feed=feed,
        name=file.name,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        landed_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        encoding=layout.encoding,
        delimiter=layout.delimiter,
        sheet=layout.sheet,
        header_line=layout.header_line,
        preamble=layout.preamble,
        headers=layout.headers,
        notes=layout.notes,
        rows=0,
        parquet_sha256="",
        parquet_size=0,
    )

    def record(rows: int, parquet_sha256: str, parquet_size: int) -> RawFile:
        if _moved(file.path, status):
            raise RefusedError("is still being written; it is read by the next run")
        if rows == 0:
            raise RefusedError("has a header but no rows; export it again")
        return replace(known, rows=rows, parquet_sha256=parquet_sha256, parquet_size=parquet_size)

    made: list[RawFile] = []
    batches = lake.landing(_at_least_one(_until(stop, export.batches())), record, feed, sha256, made.append)
    type_landing(lake, rules, lake.as_first_landed(known), batches)
    return made[0]


def _until(stop: Event, batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The batches, until the run is to end, which undoes the landing that is on its way."""
    for batch in batches:
        if stop.is_set():
            raise CancelledError
        yield batch


def _at_least_one(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    first = next(batches, None)
    if first is None:
        raise RefusedError("has a header but no rows; export it again")
    yield first
    yield from batches


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, by which the lake knows an export; links are not followed."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _moved(path: Path, before: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return True
    return (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


__all__ = ["Seen", "chosen", "inbox_files", "inbox_name", "land_inbox"]
