"""Puts pulled files into the inbox, whole or not at all.

A file is written to its folder under a hidden name, which the inbox ignores, and flushed. Then the manifest gets its
final name, then the file. An interruption in between leaves a manifest and a hidden file with the same hash, which
``finish`` renames.
"""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rmetrics.errors import LakeError
from rmetrics.files import PRIVATE_FOLDER, move_into_place, part_of, replace_private, write_durably
from rmetrics.pulls.answers import Row
from rmetrics.pulls.completeness import incomplete
from rmetrics.pulls.manifest import FOLDER, SUFFIX, Manifest, manifests

Fits = Callable[[Path, str], str]
"""Returns why a file does not fit the feed it was pulled for, empty if it does; takes its path and its final name."""


@dataclass(frozen=True, slots=True)
class LandedPull:
    """A pulled file in the inbox. ``new``: whether a file was written; False without rows or with known content."""

    manifest: Manifest
    new: bool


def folder_of(inbox: Path, name: str) -> Path:
    """Returns the folder for the files of a pull."""
    return inbox / FOLDER / name


def table_bytes(headers: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Formats rows as CSV with every cell quoted, so that no cell is mistaken for syntax."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(headers)
    writer.writerows([row.get(h, "") for h in headers] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def named_for(globs: Sequence[str], pull: str, stamp: str) -> str:
    """Builds a file name that matches the feed's first glob, so that the file counts as one of that feed's.

    >>> named_for(["leads cost Elocals*"], "mail", "20260131T080000Z")
    'leads cost Elocals mail 20260131T080000Z.csv'
    """
    first, _, rest = globs[0].partition("*")
    rest = rest.replace("*", "")
    plain = re.sub(r"[^\w .()-]", "", f"{first} {pull} {stamp} {rest}")
    name = " ".join(plain.split())
    return name if name.lower().endswith(".csv") else f"{name}.csv"


def finish(folder: Path) -> None:
    """Completes an interrupted pull: renames a file whose manifest is in place, removes all other hidden files.

    Raises:
        LakeError: the folder cannot be written.
    """
    try:
        for _, manifest in manifests(folder):
            if manifest.file is None:
                continue
            part = part_of(folder / manifest.file)
            if part.is_file() and _digest(part) == manifest.sha256 and not (folder / manifest.file).exists():
                move_into_place(part, folder / manifest.file)
        for part in folder.glob(".*.part"):
            part.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error


def put(folder: Path, content: bytes, manifest: Manifest, fits: Fits, modified_ns: int | None = None) -> LandedPull:
    """Puts one file and its manifest into the inbox.

    Args:
        folder: the pull's folder.
        content: the file's bytes; empty for a pull without rows.
        manifest: the file's manifest; hash, size and a free name are filled in here.
        fits: checks the file against the feed.
        modified_ns: modification time at the origin in nanoseconds; None for now.

    Raises:
        PullError: the file does not fit the feed.
        LakeError: it cannot be written.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = replace(manifest, sha256=sha256 if manifest.file else None, size=len(content))
    try:
        for place in (folder.parent, folder):
            place.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        if manifest.file is None:
            _empty(folder, manifest)
            return LandedPull(manifest, new=False)
        before = _same(folder, sha256)
        if before is not None:
            path, old = before
            kept = replace(manifest, file=old.file)
            replace_private(path, kept.document())
            return LandedPull(kept, new=False)
        manifest = replace(manifest, file=_free(folder, manifest.file))
        assert manifest.file is not None  # noqa: S101 - it was not above
        part = part_of(folder / manifest.file)
        write_durably(part, content, modified_ns=modified_ns)
        if why := fits(part, manifest.file):
            part.unlink()
            raise incomplete(f"the answer does not fit the feed {manifest.feed}: {why}", _UNFIT)
        replace_private(folder / f"{manifest.file}{SUFFIX}", manifest.document())
        move_into_place(part, folder / manifest.file)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return LandedPull(manifest, new=True)


def check_file(folder: Path, content: bytes, name: str, feed: str, fits: Fits) -> None:
    """Raises an error if a file does not fit its feed; leaves no file in the folder.

    Raises:
        PullError: it does not fit.
        LakeError: the folder cannot be written.
    """
    part = part_of(folder / name)
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        write_durably(part, content)
        why = fits(part, name)
        part.unlink()
    except OSError as error:
        raise _unwritable(folder, error) from error
    if why:
        raise incomplete(f"{name} does not fit the feed {feed}: {why}", _UNFIT)


_UNFIT = "None of its rows are in force. Compare columns = {...} of the pull with the headers of the feed."


def _same(folder: Path, sha256: str) -> tuple[Path, Manifest] | None:
    """Returns the newest pulled file if it has this content and still exists."""
    with_files = [(p, m) for p, m in manifests(folder) if m.file is not None]
    newest = max(with_files, key=lambda f: (f[1].asked_at, f[0].name), default=None)
    if newest is None or newest[1].sha256 != sha256 or not (folder / str(newest[1].file)).is_file():
        return None
    return newest


def _empty(folder: Path, manifest: Manifest) -> None:
    """Writes a manifest of an empty pull and removes the earlier ones of that kind."""
    path = folder / f"nothing {manifest.asked_at.replace(':', '')}{SUFFIX}"
    replace_private(path, manifest.document())
    for other, old in manifests(folder):
        if old.file is None and other != path:
            other.unlink()


def _free(folder: Path, name: str) -> str:
    stem, dot, end = name.rpartition(".")
    number, free = 2, name
    while (folder / free).exists() or (folder / f"{free}{SUFFIX}").exists():
        free = f"{stem} {number}{dot}{end}"
        number += 1
    return free


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwritable(folder: Path, error: OSError) -> LakeError:
    return LakeError(
        f"cannot write pulled files to {folder}: {error.strerror}", "Check the disk, its space and the permissions."
    )
