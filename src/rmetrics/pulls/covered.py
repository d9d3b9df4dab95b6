"""The time up to which complete pulls prove feeds complete, even if they brought no new rows."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rmetrics.pulls.landing import folder_of
from rmetrics.pulls.manifest import Manifest, manifests
from rmetrics.pulls.window import midnight
from rmetrics.rules.pulls import ListPull, Pull


@dataclass(frozen=True, slots=True)
class Covered:
    """A feed filled by pulled lists.

    Attributes:
        at: the time up to which all its lists are complete; None if one never was.
        exports: SHA-256 of the newest file of each list; ``at`` applies to figures computed from these.
        lists: number of lists.
    """

    at: dt.datetime | None
    exports: frozenset[str]
    lists: int


def covered_feeds(pulls: Mapping[str, Pull], inbox: Path, zone: str) -> dict[str, Covered]:
    """Returns the feeds whose pulls are all lists.

    Feeds with other pulls are left out: a mailbox or a folder without a new file does not prove that nothing is new.

    Args:
        pulls: the declared pulls.
        inbox: the inbox, which holds their manifests.
        zone: the business's time zone.
    """
    by_feed: dict[str, list[tuple[str, Pull]]] = {}
    for name, pull in pulls.items():
        by_feed.setdefault(pull.feed, []).append((name, pull))
    return {
        feed: _covered([_newest(folder_of(inbox, name)) for name, _ in declared], zone)
        for feed, declared in by_feed.items()
        if all(isinstance(pull, ListPull) for _, pull in declared)
    }


def _newest(folder: Path) -> tuple[Manifest | None, str | None]:
    """Returns the newest complete pull and the hash of the newest file."""
    found = sorted((m for _, m in manifests(folder)), key=lambda m: m.asked_at)
    return (found[-1] if found else None), next((m.sha256 for m in reversed(found) if m.file is not None), None)


def _covered(newest: list[tuple[Manifest | None, str | None]], zone: str) -> Covered:
    moments = [None if m is None else _as_of(m, zone) for m, _ in newest]
    known = [at for at in moments if at is not None]
    whole = min(known) if len(known) == len(moments) else None
    return Covered(whole, frozenset(sha256 for _, sha256 in newest if sha256), len(newest))


def _as_of(manifest: Manifest, zone: str) -> dt.datetime:
    """Returns the time of the request, or the end of the last day before a gap if that is earlier."""
    return min(dt.datetime.fromisoformat(manifest.asked_at), midnight(manifest.good_day + dt.timedelta(days=1), zone))


__all__ = ["Covered", "covered_feeds"]
