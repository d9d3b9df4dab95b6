"""The one feed a new file belongs to, or the reason there is none and the remedy."""

import datetime as dt
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from rmetrics.ingest.hints import Sample, likely_column
from rmetrics.ingest.recognise import Fit, best_fit, fit, free_headers, read_as
from rmetrics.lake import RawFile
from rmetrics.lake.typed import Key
from rmetrics.pipeline.landing.typed_rows import Definition, definition_of
from rmetrics.rules import Rules
from rmetrics.rules.feeds import Feed


def chosen(
    fits: list[Fit],
    headers: tuple[str, ...],
    feeds: Mapping[str, Feed],
    file_name: str = "",
    sample: Sample | None = None,
    path: Path | None = None,
) -> tuple[Fit | None, str]:
    """Returns the one feed that fits, or None with the reason and the remedy.

    Args:
        fits: the feeds that fit, or the nearest miss.
        headers: the file's headers.
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
        return None, f"fits the feeds {names} equally well; rename it to match the files = [...] of one of them"
    if not fits:
        what = f"if it is an export of a new kind, draft its rules: {draft}; otherwise remove it from the inbox"
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
            "export it with that column, or add its header to from = [...]; if it is of another kind, draft rules: "
            f"{draft}"
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


@dataclass(frozen=True, slots=True)
class PlacedExport:
    """A landed export, the feed it is read as now, its rank, and how its rows are typed."""

    raw: RawFile
    feed: str
    rank: int
    made_as: Definition

    @property
    def key(self) -> Key:
        """The key of its typed rows in the lake."""
        return self.feed, self.raw.sha256, self.made_as.digest


def place(raws: list[RawFile], rules: Rules) -> tuple[list[PlacedExport], list[RawFile]]:
    """Returns the feed each landed export is read as under these rules.

    That is the feed it landed as, while its headers still fit; otherwise the one feed they fit now. Renaming a feed, or
    removing it and adding it again, therefore loses nothing. Withdrawn exports are left out.

    Returns:
        The exports that are read, and those that fit no feed.
    """
    placed, lost = [], []
    for rank, raw in enumerate(r for r in raws if not r.withdrawn):
        name = feed_of(raw, rules)
        if name is None:
            lost.append(raw)
        else:
            placed.append(PlacedExport(raw, name, rank, definition_of(rules, raw, name)))
    return placed, lost


def feed_of(raw: RawFile, rules: Rules) -> str | None:
    """Returns the feed a landed export is read as under these rules; None if it fits none."""
    file_name = raw.name.rpartition("/")[2]
    if raw.feed in rules.feeds:
        own = fit(raw.headers, file_name, raw.feed, rules.feeds[raw.feed], ranged=bool(raw.preamble))
        if not own.missing and not own.refused:
            return raw.feed
    fits = [f for f in best_fit(raw.headers, file_name, rules.feeds, ranged=bool(raw.preamble)) if f.fits]
    return fits[0].feed if len(fits) == 1 else None


def newest_day(exports: Iterable[RawFile], rules: Rules) -> dt.date | None:
    """Returns the local day of the newest export, by ``RawFile.existed_at``; None without exports."""
    zone = ZoneInfo(rules.business.timezone)
    return max((raw.existed_at.astimezone(zone).date() for raw in exports), default=None)


__all__ = ["chosen"]
