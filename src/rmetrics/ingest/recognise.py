"""Recognises the feed of a file by its headers; its name breaks ties.

The names of exports are not reliable (``export_export (2).csv`` is a call log), so a file belongs to the feed whose
required columns it has headers for. If several feeds match, a matching file name decides, then the number of known
headers; if two match equally well, the file is not used.
"""

import difflib
import fnmatch
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rmetrics.rules.feeds import Column, Feed, When
from rmetrics.rules.variants import with_variant

FORMATTING = "\ufeff\u200b"


@functools.lru_cache(maxsize=4096)
def normal_header(text: str) -> str:
    """A header in comparable form: without case, outer spaces and BOM, inner white space collapsed."""
    return " ".join(text.strip(FORMATTING).split()).casefold()


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a header row matches a feed.

    Attributes:
        feed: the feed's name.
        named: whether the file's name matches one of the feed's globs.
        known: the number of headers that the feed knows.
        missing: required columns without a header, as (column, its headers); empty if the feed matches.
        objection: another reason why the feed does not match or the file cannot be used; empty if there is none.
        refused: the objection is final: the file belongs to this feed, but must not be used.
        variant: the name of the variant that reads it; empty if the feed itself does.
    """

    feed: str
    named: bool
    known: int
    missing: tuple[tuple[str, tuple[str, ...]], ...] = ()
    objection: str = ""
    refused: bool = False
    variant: str = ""

    @property
    def fits(self) -> bool:
        """Whether the file can belong to this feed."""
        return not self.missing and not self.objection

    @property
    def rank(self) -> tuple[bool, int]:
        """Sort key; greater is better."""
        return self.named, self.known


def column_headers(headers: Sequence[str], feed: Feed) -> dict[str, int]:
    """The position of each mapped column's header, by column name; columns without a header are omitted.

    For joined headers, the position of the first.
    """
    return {name: positions[0] for name, positions in column_positions(headers, feed).items()}


def column_positions(headers: Sequence[str], feed: Feed) -> dict[str, tuple[int, ...]]:
    """The positions of the headers that each mapped column is read from; several if they are joined.

    Omits columns without a header, and joined columns with a missing header.
    """
    where = _positions(headers)
    found = {}
    for name, column in feed.mapped.items():
        if positions := _origin(column, where):
            found[name] = positions
    return found


def minus_header(headers: Sequence[str], column: Column) -> str | None:
    """The header whose amount is subtracted from a column; None if the file has none."""
    where = _positions(headers)
    return next((headers[where[n]] for h in column.minus if (n := normal_header(h)) in where), None)


def _used(headers: Sequence[str], feed: Feed) -> set[int]:
    """The positions of the headers that a feed reads."""
    where = _positions(headers)
    subtracted = {where[n] for c in feed.mapped.values() for h in c.minus if (n := normal_header(h)) in where}
    return subtracted.union(*column_positions(headers, feed).values())


def _positions(headers: Sequence[str]) -> dict[str, int]:
    where: dict[str, int] = {}
    for i, header in enumerate(headers):
        where.setdefault(normal_header(header), i)
    return where


def _origin(column: Column, where: Mapping[str, int]) -> tuple[int, ...]:
    if column.join:
        names = [normal_header(h) for h in column.join]
        return tuple(where[n] for n in names) if all(n in where for n in names) else ()
    return next(((where[n],) for h in column.from_ if (n := normal_header(h)) in where), ())


def read_columns(headers: Sequence[str], feed: Feed) -> dict[str, str]:
    """The headers that are read, each with its column, including joined and subtracted ones."""
    read = {headers[i]: name for name, places in column_positions(headers, feed).items() for i in places}
    for name, column in feed.mapped.items():
        if minus := minus_header(headers, column):
            read.setdefault(minus, name)
    return read


def variants_of(headers: Sequence[str], file_name: str, feed: Feed) -> list[int]:
    """The indices of the feed's variants that match the file."""
    present = {normal_header(h) for h in headers}
    return [i for i, v in enumerate(feed.variants) if _applies(v.when, present, file_name)]


def _applies(when: When, present: set[str], file_name: str) -> bool:
    def has(header: str) -> bool:
        return normal_header(header) in present

    return (
        all(map(has, when.headers))
        and (not when.any or any(map(has, when.any)))
        and not any(map(has, when.without))
        and (not when.files or _named(file_name, when.files))
    )


def variant_name(headers: Sequence[str], file_name: str, feed: Feed) -> str:
    """The name of the variant that reads a file; empty if the feed itself does."""
    applying = variants_of(headers, file_name.rpartition("/")[2], feed)
    return feed.variant_name(applying[0]) if len(applying) == 1 else ""


def read_as(feed: Feed, headers: Sequence[str], file_name: str) -> Feed:
    """The feed as it reads this file: with the matching variant, if there is one.

    Args:
        feed: the file's feed.
        headers: the file's headers.
        file_name: its name; leading folders are ignored.
    """
    applying = variants_of(headers, file_name.rpartition("/")[2], feed)
    return with_variant(feed, feed.variants[applying[0]]) if len(applying) == 1 else feed


def fit(headers: Sequence[str], file_name: str, name: str, feed: Feed, *, ranged: bool = False) -> Fit:
    """How well one feed matches a header row.

    Args:
        headers: the cells of the header row.
        file_name: the export's name without folders.
        name: the feed's name.
        feed: the feed.
        ranged: whether the lines above the header contain a date range, which can replace a column marked ``range``.
    """
    globs = (feed.files, *(v.when.files for v in feed.variants if v.when.files))
    called = _FileName(file_name, tuple(_named(file_name, g) for g in globs))
    return _fit(tuple(headers), called, name, feed, ranged)


@dataclass(frozen=True, slots=True)
class _FileName:
    """A file's name, equal to any other that matches the same globs of a feed."""

    text: str = field(compare=False)
    fits: tuple[bool, ...]


@functools.lru_cache(maxsize=4096)  # thousands of exports share a handful of name patterns and layouts
def _fit(headers: tuple[str, ...], called: _FileName, name: str, feed: Feed, ranged: bool) -> Fit:  # noqa: FBT001
    file_name = called.text
    applying = variants_of(headers, file_name, feed)
    variant = feed.variant_name(applying[0]) if applying else ""
    read = read_as(feed, headers, file_name)
    found = column_positions(headers, read)
    missing = _missing(read, set(found), ranged=ranged)
    used = _used(headers, read)
    objection, refused = _objection(headers, file_name, read, used)
    if len(applying) > 1:
        names = " and ".join(repr(feed.variant_name(i)) for i in applying)
        objection = f"it matches the variants {names}; add without = [...] to the when of one of them"
        missing, refused = (), True
        used = {p for i in applying for p in _used(headers, with_variant(feed, feed.variants[i]))}
    return Fit(name, _named(file_name, feed.files), len(used), missing, objection, refused, variant)


def _missing(feed: Feed, found: set[str], *, ranged: bool) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Required columns without a header, each with the accepted headers."""
    missing = [
        (n, _wanted(c)) for n, c in feed.mapped.items() if c.required and n not in found and not (c.range and ranged)
    ]
    if feed.one_of and not any(c in found for c in feed.one_of):
        wanted = tuple(h for c in feed.one_of if c in feed.columns for h in _wanted(feed.columns[c]))
        missing.append((" or ".join(feed.one_of), wanted))
    return tuple(missing)


def _wanted(column: Column) -> tuple[str, ...]:
    return (" and ".join(column.join),) if column.join else column.from_


def _objection(headers: Sequence[str], file_name: str, feed: Feed, used: set[int]) -> tuple[str, bool]:
    """Why a file with the right headers does not belong to this feed or cannot be used, and whether that is final."""
    normal = [normal_header(h) for h in headers]
    present = set(normal)
    if other := [h for h in feed.without if normal_header(h) in present]:
        kind = "exports of this feed never have (without = [...] in its rules), so this is another kind of export"
        return f"it has the header {other[0]!r}, which {kind}", False
    undistinguished = feed.distinctive and not any(normal_header(h) in present for h in feed.distinctive)
    if undistinguished and not _named(file_name, feed.files):
        names = ", ".join(feed.files)
        return f"its name fits none of {names}, and its headers alone are too common to identify it", False
    if repeated := [headers[i] for i in sorted(used) if normal.count(normal[i]) > 1]:
        return f"the header {repeated[0]!r} appears twice, so it is not clear which one counts", True
    if refused := [(h, why) for h, why in feed.refuse.items() if normal_header(h) in present]:
        return f"it has the header {refused[0][0]!r}: {refused[0][1]}", True
    return "", False


def _named(file_name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(file_name.casefold(), _glob(g)) for g in globs)


def likely_header(wanted: Sequence[str], headers: Sequence[str], *, sure: bool = False) -> str:
    """The header most likely to be a renamed one of those wanted, or "".

    Args:
        wanted: the column's known headers.
        headers: headers that no column is read from.
        sure: only accept headers that differ by little more than a typo.
    """
    best, nearest = "", 0.0
    for header in headers:
        normal = normal_header(header)
        for name in map(normal_header, wanted):
            likeness = difflib.SequenceMatcher(None, name, normal, autojunk=False).ratio()
            if not sure and len(name) > 3 and (f" {name} " in f" {normal} " or f" {normal} " in f" {name} "):
                likeness = max(likeness, 0.7)
            if likeness > nearest:
                best, nearest = header, likeness
    return best if nearest >= (0.75 if sure else 0.6) else ""


def free_headers(headers: Sequence[str], feed: Feed) -> list[str]:
    """The headers that no column of the feed is read from."""
    used_headers = read_columns(headers, feed)
    return [h for h in headers if h not in used_headers]


def _glob(pattern: str) -> str:
    """The pattern with literal brackets, because exports have names like ``report (1)[2].csv``."""
    folded = pattern.casefold().replace("[", "[[]")
    return folded if folded.endswith("*") else folded + "*"


def best_fit(headers: Sequence[str], file_name: str, feeds: Mapping[str, Feed], *, ranged: bool = False) -> list[Fit]:
    """The best matching feeds: one, or several that match equally well, or the nearest miss if none matches.

    A miss is returned only if the row looks like its header (at least two known headers, or one and the file name).
    """
    fits = [fit(headers, file_name, n, f, ranged=ranged) for n, f in feeds.items()]
    good = [f for f in fits if f.fits]
    if good:
        top = max(f.rank for f in good)
        return [f for f in good if f.rank == top]
    near = [f for f in fits if f.known >= 2 or (f.named and f.known)]
    near.sort(key=lambda f: (f.refused and not f.missing, f.named, f.known), reverse=True)
    return near[:1]
