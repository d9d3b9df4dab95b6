"""The inbox: lists and identifies its files, and lands the new ones. Exports are only read, never changed."""

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rmetrics.errors import LakeError, SettingsError
from rmetrics.findings import EMPTY_INBOX, Finding, Severity, count
from rmetrics.lake import Lake, RawFile
from rmetrics.pipeline.landing.bucket_inbox import BucketInbox
from rmetrics.pipeline.landing.land import InboxFile, NewFile, land, state_of
from rmetrics.pipeline.landing.losses import lost_exports, settle_damage
from rmetrics.pipeline.landing.placement import feed_of
from rmetrics.pipeline.landing.spread import PendingFile, Spread, add_landed, in_tasks, worth_spreading
from rmetrics.progress import Progress
from rmetrics.rules import Rules

_SKIPPED_PREFIXES = (".", "~$", "~lock", "~wr")  # hidden files, lock and temporary files of Office
_SKIPPED_NAMES = ("thumbs.db", "desktop.ini", "icon\r")
_DOCUMENTS = (".md", ".toml", ".json", ".py", ".sql", ".log")  # files that people keep next to exports
_SETTLE_SECONDS = 2.0
_SETTLE_WAIT = 0.25
_SAME_TIME_NS = 1_000_000  # files replaced under the same time are ranked by added nanoseconds, within this range


def inbox_files(
    inbox: Path | BucketInbox, known: Mapping[str, Any] | None = None
) -> Iterator[tuple[Path, os.stat_result]]:
    """Yields the regular files and the links under the inbox; skips hidden files and Office's lock files.

    Args:
        inbox: the folder or the bucket.
        known: records of earlier runs about its files, by name; see ``BucketInbox.files``.

    Raises:
        SettingsError: the inbox does not exist.
        LakeError: it cannot be read.
    """
    if isinstance(inbox, BucketInbox):
        yield from _bucket_files(inbox, known or {})
        return
    if not inbox.is_dir():
        raise SettingsError(
            f"the inbox {inbox} does not exist",
            f"Create it (mkdir -p {inbox}) and put your exports there, or set RMETRICS_INBOX_DIR.",
        )

    def fail(error: OSError) -> None:
        raise LakeError(f"cannot read {error.filename}: {error.strerror}", "Check its permissions.") from error

    for folder, folders, files in os.walk(inbox, onerror=fail, followlinks=False):
        links = [f for f in folders if Path(folder, f).is_symlink()]
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted([*files, *links]):
            if _is_ignored(name):
                continue
            path = Path(folder, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                yield path, status


def _bucket_files(inbox: BucketInbox, known: Mapping[str, Any]) -> Iterator[tuple[Path, os.stat_result]]:
    for path, status in inbox.files(known):
        *folders, name = path.relative_to(inbox.folder).parts
        if not _is_ignored(name) and not any(f.startswith(".") for f in folders):
            yield path, status


def _is_ignored(name: str) -> bool:
    lower = name.lower()
    return lower.startswith(_SKIPPED_PREFIXES) or lower in _SKIPPED_NAMES or lower.endswith(("#", *_DOCUMENTS))


def folder_of(inbox: Path | BucketInbox) -> Path:
    """Returns the local folder to which names of exports are relative."""
    return inbox.folder if isinstance(inbox, BucketInbox) else inbox


def empty_inbox(inbox: Path | BucketInbox, landed: int) -> Finding:
    """Returns the finding for an inbox without readable files; ``landed`` exports may be in the lake nevertheless."""
    so_far = f"; the figures are those of {count(landed, 'landed export')}" if landed else ""
    message = f"the inbox {inbox} is empty: put exports (CSV or Excel) into it, then run `rmetrics sync`{so_far}"
    return Finding(EMPTY_INBOX, Severity.INFO if landed else Severity.WARNING, message, 0)


def land_inbox(
    inbox: Path | BucketInbox,
    lake: Lake,
    rules: Rules,
    progress: Progress,
    *,
    force: bool = False,
    full: bool = False,
    spread: Spread | None = None,
) -> list[InboxFile]:
    """Lands new files; returns the state of every file of the inbox, by name.

    A file that cannot be read is reported and skipped; it never stops the others. It is tried again when the file or
    the rules change. An export whose copy in the lake is lost or damaged lands again, and one delivered again counts
    as newer (``_renew_deliveries``). ``full`` also reads files that look unchanged. ``spread`` lands many at once on
    other machines.

    Raises:
        LakeError: a landed export is damaged, or missing without ``force``, and is no longer in the inbox.
    """
    memory, folder = lake.load_json("inbox"), folder_of(inbox)
    # A refusal holds only under the rules it was made with (``known``), everything else under any (``always``).
    known: Mapping[str, Any] = memory.get("files", {}) if memory.get("rules") == rules.digest else {}
    always: Mapping[str, Any] = memory.get("files", {})
    found = sorted(inbox_files(inbox, always), key=lambda f: (f[1].st_mtime_ns, str(f[0])))
    sound, damaged = lake.examine_raw()
    raws = {r.sha256: r for r in sound}
    lost = {d.sha256 for d in lost_exports(lake, sound, damaged)}
    found = _settled(folder, found, always)
    seen, new = list[InboxFile](), list[tuple[Path, os.stat_result]]()
    for path, status in found:
        name = _name_in(folder, path)
        before = None if full else _remembered(name, status, known, always, raws, rules)
        if before:
            seen.append(before)
        else:
            new.append((path, status))
    progress("reading the inbox", len(seen), len(found))
    if spread is not None and worth_spreading([status.st_size for _, status in new]):
        arrivals = [PendingFile((p := path.relative_to(folder)).as_posix(), _shown(p), status) for path, status in new]
        seen += add_landed(lake, raws, spread(in_tasks(arrivals)))
        progress("reading the inbox", len(seen), len(found))
        new = []
    with inbox.fetched(new) if isinstance(inbox, BucketInbox) else contextlib.nullcontext(new) as here:
        copied = isinstance(inbox, BucketInbox)
        files = [NewFile(path, _name_in(folder, path), status, copied) for path, status in here]
        for batch in land(files, lake, rules, raws):
            seen += batch
            progress("reading the inbox", len(seen), len(found))
    settle_damage(lake, raws.values(), damaged, force=force)
    _renew_deliveries(lake, raws, seen, always)
    remembered = {
        s.name: [s.size, s.modified_ns, s.inode, s.changed_ns, s.sha256, s.feed, s.refused, s.note] for s in seen
    }
    if memory.get("files") != remembered or memory.get("rules") != rules.digest:
        lake.save_json("inbox", {"rules": rules.digest, "files": remembered})
    note = "landed again: its copy in the lake was damaged or missing"
    noted = (replace(s, note=note) if s.landed and s.sha256 in lost else s for s in seen)
    return sorted((_with_decision(s, raws) for s in noted), key=lambda s: s.name)


def _by_name(exports: Iterable[RawFile]) -> Mapping[str, list[RawFile]]:
    found: dict[str, list[RawFile]] = {}
    for export in exports:
        found.setdefault(export.name, []).append(export)
    return found


def _newest_of_the_time(exports: Iterable[RawFile], modified_ns: int) -> RawFile | None:
    """Returns the newest of some exports that arrived with a given time; None if none did."""
    found = (r for r in exports if 0 <= r.age[0] - modified_ns < _SAME_TIME_NS)
    return max(found, key=lambda r: r.age, default=None)


def _renew_deliveries(
    lake: Lake,
    raws: Mapping[str, RawFile],
    seen: Sequence[InboxFile],
    always: Mapping[str, Any],
) -> None:
    """Records new deliveries of known exports, which make them as new as that delivery.

    An export counts as delivered again if its content replaced another's under the same name, or came as a new file or
    with a newer time. If several exports of one feed return this way at once, for example from a backup that kept no
    times, their new times mean nothing: each keeps its age.
    """
    deliveries: dict[str, dict[str, int]] = {}  # by feed and content, the newest time
    called = _by_name(raws.values())
    for file in seen:
        if file.refused or file.sha256 not in raws:
            continue
        before = always.get(file.name) or [None] * 8
        modified, last_sha256 = (before[1], before[4]) if len(before) == 8 else (None, None)
        now, then = raws[file.sha256], raws.get(last_sha256 or "")
        delivered = file.modified_ns
        if modified is None:  # the record of the inbox is lost: the raw layer still has the export's name and time
            then = _newest_of_the_time(called.get(file.name, ()), delivered)
        if then is not None and then.sha256 != now.sha256:
            if 0 <= then.age[0] - delivered < _SAME_TIME_NS:
                # Replaced under the same time: the present file is the newer one, whatever its name and hash.
                delivered = then.age[0] + 1
            if delivered > now.age[0]:
                lake.decide(file.sha256, delivered_ns=delivered)
        elif (modified, last_sha256) != (delivered, now.sha256) and delivered > now.age[0]:
            of_feed = deliveries.setdefault(now.feed, {})
            of_feed[now.sha256] = max(delivered, of_feed.get(now.sha256, 0))
    for of_feed in deliveries.values():
        if len(of_feed) == 1:
            ((sha256, delivered),) = of_feed.items()
            lake.decide(sha256, delivered_ns=delivered)


def _with_decision(seen: InboxFile, raws: Mapping[str, RawFile]) -> InboxFile:
    """Notes on a withdrawn export that it does not count, and how to restore it."""
    raw = raws.get(seen.sha256)
    if raw is None or not raw.withdrawn:
        return seen
    message = (
        f"withdrawn on {raw.withdrawn[:10]}, does not count; to restore it: rmetrics exports restore {raw.sha256[:12]}"
    )
    return replace(seen, note=message)


def inbox_name(path: Path, inbox: Path | BucketInbox) -> str:
    """Returns the name of a file of the inbox: its path inside it."""
    return _name_in(folder_of(inbox), path)


def _name_in(folder: Path, path: Path) -> str:
    start, text = f"{folder}/", str(path)
    if text.startswith(start):  # ``relative_to`` is slow for many thousands of files
        return _as_text(text.removeprefix(start))
    return _shown(path.relative_to(folder))


def _shown(path: Path) -> str:
    """Returns the path as text, even if its bytes are not valid text."""
    return _as_text(path.as_posix())


def _as_text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _settled(
    inbox: Path, found: list[tuple[Path, os.stat_result]], known: Mapping[str, Any]
) -> list[tuple[Path, os.stat_result]]:
    """Waits a moment if files were just written, so that a write in progress shows."""
    now = time.time()
    fresh = [p for p, s in found if now - s.st_mtime < _SETTLE_SECONDS and _name_in(inbox, p) not in known]
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
) -> InboxFile | None:
    """Returns the result of an earlier run, unless the file or, for a refused file, the rules have changed."""
    entry = known.get(name) or always.get(name)
    if not entry or len(entry) != 8 or tuple(entry[:4]) != state_of(status):
        return None
    size, modified, inode, changed, sha256, feed, refused, note = entry
    unchanged = InboxFile(
        name, size, modified, sha256, feed, landed=False, refused=refused, note=note, inode=inode, changed_ns=changed
    )
    if refused:
        return unchanged if name in known else None
    if sha256 in raws and (read_as := feed_of(raws[sha256], rules)):
        return replace(unchanged, feed=read_as)
    return None


__all__ = ["InboxFile", "inbox_files", "inbox_name", "land_inbox"]
