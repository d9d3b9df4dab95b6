"""The time up to which complete pulls prove feeds complete, even if they brought no new rows."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

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
        feed: _covered([_newest(folder_of(inbox, name), zone) for name, _ in declared])
        for feed, declared in by_feed.items()
        if all(isinstance(pull, ListPull) for _, pull in declared)
    }


def _newest(folder: Path, zone: str) -> tuple[dt.datetime | None, str | None]:
    """Returns the time up to which a list is complete, and the hash of its newest file."""
    found = sorted((m for _, m in manifests(folder)), key=lambda m: m.asked_at)
    return _complete_until(found, zone), next((m.sha256 for m in reversed(found) if m.file is not None), None)


def _covered(newest: list[tuple[dt.datetime | None, str | None]]) -> Covered:
    known = [at for at, _ in newest if at is not None]
    whole = min(known) if len(known) == len(newest) else None
    return Covered(whole, frozenset(sha256 for _, sha256 in newest if sha256), len(newest))


def _complete_until(pulls: Sequence[Manifest], zone: str) -> dt.datetime | None:
    """Returns the time of the last request that left no gap behind it; None if there was no request.

    If only requests that left a gap are on record, the last day before the gap was requested at an unknown time, so
    nothing is known beyond its beginning.
    """
    asked = [(dt.datetime.fromisoformat(m.asked_at), m.good_day) for m in pulls]
    whole = [at for at, day in asked if at.astimezone(ZoneInfo(zone)).date() <= day]
    if whole or not asked:
        return max(whole, default=None)
    return midnight(max(day for _, day in asked), zone)


__all__ = ["Covered", "covered_feeds"]
