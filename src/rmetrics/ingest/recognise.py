"""Which feed a file is: its headers decide, its name settles ties.

Names of exports do not tell what they are (``export_export (2).csv`` is a call log), so a file belongs to the feed
whose required columns it has headers for. Where several fit, a fitting name, then the number of headers known, decides;
where two fit equally well, the file is left alone.
"""

import difflib
import fnmatch
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmetrics.rules.model import Feed

FORMATTING = "\ufeff\u200b"


@functools.lru_cache(maxsize=4096)
def normal_header(text: str) -> str:
    """A header as it is compared: without case, outer spaces and BOM; inner white space counts once."""
    return " ".join(text.strip(FORMATTING).split()).casefold()


@dataclass(frozen=True, slots=True)
class Fit:
    """How well a header row fits a feed.

    Attributes:
        feed: the feed's name.
        named: whether the file's name fits one of the feed's globs.
        known: how many of the headers the feed knows.
        missing: required columns without a header, as (column, its headers); empty when the feed fits.
        objection: another reason why the feed does not fit or the file cannot be used; empty when there is none.
        refused: the objection is final: the file is of this feed, but must not be used.
    """

    feed: str
    named: bool
    known: int
    missing: tuple[tuple[str, tuple[str, ...]], ...] = ()
    objection: str = ""
    refused: bool = False

    @property
    def fits(self) -> bool:
        """Whether the file can be this feed."""
        return not self.missing and not self.objection

    @property
    def rank(self) -> tuple[bool, int]:
        """Greater is better."""
        return self.named, self.known


def column_headers(headers: Sequence[str], feed: Feed) -> dict[str, int]:
    """Which header each mapped column is read from: column name to position; columns without a header are left out."""
    where: dict[str, int] = {}
    for i, header in enumerate(headers):
        where.setdefault(normal_header(header), i)
    found = {}
    for name, column in feed.mapped.items():
        for header in column.from_:
            if normal_header(header) in where:
                found[name] = where[normal_header(header)]
                break
    return found


def fit(headers: Sequence[str], file_name: str, name: str, feed: Feed, *, ranged: bool = False) -> Fit:
    """How well one feed fits a header row.

    Args:
        headers: the cells of the header row.
        file_name: the export's name without folders.
        name: the feed's name.
        feed: the feed.
        ranged: whether a date range stands above the header, which can replace a column marked ``range``.
    """
    normal = [normal_header(h) for h in headers]
    present = set(normal)
    found = column_headers(headers, feed)
    named = any(fnmatch.fnmatchcase(file_name.casefold(), _glob(g)) for g in feed.files)
    missing = tuple(
        (n, c.from_) for n, c in feed.mapped.items() if c.required and n not in found and not (c.range and ranged)
    )
    known = len(set(found.values()))
    objection, refused = "", False
    if feed.one_of and not any(c in found for c in feed.one_of):
        headers_of = {c: feed.columns[c].from_ for c in feed.one_of if c in feed.columns}
        missing = (*missing, (" or ".join(feed.one_of), tuple(h for hs in headers_of.values() for h in hs)))
    if other := [h for h in feed.without if normal_header(h) in present]:
        objection = f"it has the header {other[0]!r}, which files of this feed do not have"
    elif feed.distinctive and not named and not any(normal_header(h) in present for h in feed.distinctive):
        objection = (
            f"its name fits none of {', '.join(feed.files)}, and its headers are too common to tell by themselves"
        )
    elif twice := [feed.mapped[c].from_[0] for c, i in found.items() if normal.count(normal[i]) > 1]:
        objection, refused = f"the header {twice[0]!r} stands twice, so it is not clear which one counts", True
    elif bad := [(h, why) for h, why in feed.refuse.items() if normal_header(h) in present]:
        objection, refused = f"it has the header {bad[0][0]!r}: {bad[0][1]}", True
    return Fit(name, named, known, missing, objection, refused)


def likely_header(wanted: Sequence[str], headers: Sequence[str], *, sure: bool = False) -> str:
    """The header that has most likely been renamed from one of those wanted, or "".

    Args:
        wanted: what the column was called.
        headers: headers that no column is read from.
        sure: only what differs by little more than a slip of the pen.
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
    taken = set(column_headers(headers, feed).values())
    return [h for i, h in enumerate(headers) if i not in taken]


def renamed_headers(headers: Sequence[str], feed: Feed) -> Iterator[tuple[str, str]]:
    """Yields (column, header): a column the file lacks, and the header it seems to have become."""
    found, free = column_headers(headers, feed), free_headers(headers, feed)
    for name, column in feed.mapped.items():
        if name not in found and (header := likely_header(column.from_, free, sure=True)):
            yield name, header


def _glob(pattern: str) -> str:
    """The pattern with brackets taken literally: exports are called ``report (1)[2].csv``."""
    folded = pattern.casefold().replace("[", "[[]")
    return folded if folded.endswith("*") else folded + "*"


def best_fit(headers: Sequence[str], file_name: str, feeds: Mapping[str, Feed], *, ranged: bool = False) -> list[Fit]:
    """The feeds that fit best: one, or several that fit equally well, or the nearest misses where none fits.

    Misses are returned only where the row looks like a header of theirs (at least two known headers, or the name).
    """
    fits = [fit(headers, file_name, n, f, ranged=ranged) for n, f in feeds.items()]
    good = [f for f in fits if f.fits]
    if good:
        top = max(f.rank for f in good)
        return [f for f in good if f.rank == top]
    near = [f for f in fits if f.known >= 2 or (f.named and f.known)]
    near.sort(key=lambda f: (f.refused and not f.missing, f.named, f.known), reverse=True)
    return near[:1]
