"""The edits between two versions of the rules: the key, its file and line, the value before and after."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rmetrics.rules.measure_tables import JOURNEYS
from rmetrics.rules.measures import links_to_jobs, member_columns, reading, sums
from rmetrics.rules.model import FeedLeads, Place, Rules, Source
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS, normal_source
from rmetrics.rules.phones import is_number, read_phone

_ABSENT = object()
# The measures that an edit of each part of the rules can change.
_REVENUE = frozenset({"revenue_gross", "revenue40"})
_LEADS = frozenset({"leads", "cost"})
_ALL = frozenset({"jobs", "units", "repairs", *_REVENUE, *_LEADS})
_BY_KEY: Mapping[str, frozenset[str]] = {
    "jobs.unit": frozenset({"units", *_LEADS}),
    "jobs.repair": frozenset({"repairs", *_LEADS}),
    "jobs.changes": _ALL,
    "revenue.share": frozenset({"revenue40"}),
    "revenue.changes": frozenset({"revenue40"}),
    "revenue.date": _REVENUE,
    "business.currency": frozenset(),
    "business.hours": frozenset(),
    "business.zips": frozenset(),
    "business.country": frozenset(),
    "business.timezone": _ALL,
}


@dataclass(frozen=True, slots=True)
class Edit:
    """One edited key.

    Attributes:
        key: dotted, for instance ``sources.Google.cost.sum``.
        place: ``rules/sources.toml:22``; for a removed key, its former place.
        before, after: the value in TOML; None if the key was absent.
    """

    key: str
    place: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.key.count(".") == 1 and not (self.before and self.after):  # a whole source or feed
            return f"{self.place} {self.key} {'added' if self.before is None else 'removed'}"
        if self.before is None:
            return f"{self.place} {self.key} added: {self.after}"
        if self.after is None:
            return f"{self.place} {self.key} removed (was {self.before})"
        return f"{self.place} {self.key}: {self.before} -> {self.after}"


def rule_edits(old: Rules, new: Rules) -> tuple[Edit, ...]:
    """Returns every edited key, in the order of the tables. Comments and layout do not count."""
    return tuple(
        Edit(key, _shown_place(old if after is _ABSENT else new, key), _toml(before), _toml(after))
        for key, before, after in _differences(old.tables, new.tables, ())
    )


def can_move(edit: Edit, source: str, metric: str, old: Rules, new: Rules) -> bool:
    """Whether an edit can change a figure: a conservative answer that is never False if it can."""
    group, _, rest = edit.key.partition(".")
    if group in {"measures", "dimensions"}:
        name, _, key = rest.partition(".")
        return group == "measures" and name == metric and key not in {"title", "format", "comment"}
    if group == "returns":
        return any(metric in reading(rest.partition(".")[0], rules) for rules in (old, new))
    if metric not in _ALL:
        return _can_move_own(edit, group, rest, metric, old, new)
    if group == "sources":
        return metric in _source_metrics(edit, rest) and _concerns(_name_in(rest, old, new), source, old, new)
    if group == "feeds":
        return metric in _feed_metrics(rest.partition(".")[0], source, old, new)
    if group in {"calls", "checks", "journeys"}:
        return False
    return metric in _BY_KEY.get(".".join(edit.key.split(".")[:2]), _ALL)


def moves_members(edit: Edit, dimension: str, old: Rules, new: Rules) -> bool:
    """Whether an edit changes how the members of a dimension are distinguished."""
    group, _, rest = edit.key.partition(".")
    name, _, key = rest.partition(".")
    if group == "returns":
        return any(name in member_columns(dimension, rules) for rules in (old, new))
    return group == "dimensions" and name == dimension and key not in {"title", "comment"}


def _can_move_own(edit: Edit, group: str, rest: str, metric: str, old: Rules, new: Rules) -> bool:
    """``can_move`` for an own measure, which depends on its rows and their jobs."""
    if group == "feeds":
        return any(metric in own_metrics(rest.partition(".")[0], rules) for rules in (old, new))
    if group == "calls":
        return any(metric in own_metrics(CALLS, rules) for rules in (old, new))
    return group != "checks" and edit.key != "business.currency" and not edit.key.startswith("revenue.share")


def own_metrics(feed: str, rules: Rules) -> frozenset[str]:
    """Returns the own sums that rows of a feed can change: over its rows, rows of the same jobs, or journeys."""
    jobs = feed in {JOBS, PAYMENTS}
    own = sums(rules, own=True)
    touches = feed in {JOBS, PAYMENTS, CALLS} or any(
        isinstance(v.leads, FeedLeads) and v.leads.feed == feed for d in rules.sources.values() for _, v in d.versions
    )
    return frozenset(
        n
        for n, m in own.items()
        if m.latest.of == feed
        or (jobs and links_to_jobs(rules, m.latest.of or ""))
        or (touches and m.latest.of == JOURNEYS)
    )


def feed_metrics(feed: str, source: str, rules: Rules) -> frozenset[str]:
    """Returns the measures of a source that rows of a feed can change."""
    return _feed_metrics(feed, source, rules, rules)


def _name_in(rest: str, old: Rules, new: Rules) -> str:
    """Returns the source in ``Name.key.key``; the name itself may contain dots."""
    names = [n for n in {*old.sources, *new.sources} if rest == n or rest.startswith(n + ".")]
    return max(names, key=len, default=rest)


def _source_metrics(edit: Edit, rest: str) -> frozenset[str]:
    parts = rest.split(".")
    if {"disputes", "answers"} & set(parts[1:]) and "changes" not in parts:
        return frozenset()
    whole = edit.before is None or edit.after is None
    if "aliases" in parts[1:] or (whole and len(parts) == 1):
        return _ALL
    return frozenset({"cost"}) if "cost" in parts[1:] and "changes" not in parts else _LEADS


def _concerns(edited: str, source: str, old: Rules, new: Rules) -> bool:
    """Whether an edit of one source can change another's figures: an alias takes over the other's jobs."""
    spellings = {normal_source(edited)}
    for rules in (old, new):
        if edited in rules.sources:
            spellings |= {normal_source(a) for a in rules.sources[edited].latest.aliases}
    return source == edited or normal_source(source) in spellings


def _feed_metrics(feed: str, source: str, old: Rules, new: Rules) -> frozenset[str]:
    own = own_metrics(feed, old) | own_metrics(feed, new)
    if feed == JOBS:
        return _ALL | own
    if feed == PAYMENTS:
        return (_ALL - {"jobs"}) | own
    found: set[str] = set(own)
    for rules in (old, new):
        dated = rules.sources.get(source)
        for _, version in dated.versions if dated else ():
            found |= _uses(version, feed)
    return frozenset(found) if feed not in {CALLS, TARGETS} or found else frozenset()


def _uses(source: Source, feed: str) -> set[str]:
    leads = isinstance(source.leads, FeedLeads) and source.leads.feed == feed
    cost = any(c.feed == feed for c in source.cost)
    return ({"leads", "cost"} if leads else set()) | ({"cost"} if cost else set())


def _differences(old: Any, new: Any, key: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(name, _ABSENT), new.get(name, _ABSENT), (*key, name))
    elif _tables(old) and _tables(new):
        for i in range(max(len(old), len(new))):
            yield from _differences(
                old[i] if i < len(old) else _ABSENT, new[i] if i < len(new) else _ABSENT, (*key, str(i))
            )
    elif old is _ABSENT and isinstance(new, Mapping) and len(key) == 1:
        for name, value in new.items():
            yield ".".join((*key, name)), _ABSENT, value
    elif new is _ABSENT and isinstance(old, Mapping) and len(key) == 1:
        for name, value in old.items():
            yield ".".join((*key, name)), value, _ABSENT
    elif old != new:
        yield ".".join(key), old, new


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _shown_place(rules: Rules, key: str) -> str:
    probe = key
    while probe:
        if probe in rules.places:
            return shown_place(rules.places[probe])
        probe = probe.rpartition(".")[0]
    return rules.folder.name


def shown_place(place: Place) -> str:
    """Returns a place without the path of the machine: ``rules/sources.toml:22``."""
    return f"rules/{place.path.name}:{place.line}" if place.line else f"rules/{place.path.name}"


def _toml(value: Any) -> str | None:
    """Formats a value as TOML on one line, truncated to 160 characters."""
    if value is _ABSENT:
        return None
    text = written(_without_numbers(value))
    return text if len(text) <= 160 else text[:157] + "..."


def _without_numbers(value: Any) -> Any:
    """Replaces phone numbers by their count: edits are shown and published, and a number may be a customer's."""
    if isinstance(value, Mapping):
        return {k: _without_numbers(v) for k, v in value.items()}
    if isinstance(value, list) and value and all(isinstance(v, str) and is_number(read_phone(v) or "") for v in value):
        return f"{len(value)} phone number{'s' * (len(value) > 1)}"
    return [_without_numbers(v) for v in value] if isinstance(value, list) else value


def written(value: Any) -> str:
    """Formats a value as TOML on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        cells = (f"{k if re.fullmatch('[A-Za-z0-9_-]+', k) else written(k)} = {written(v)}" for k, v in value.items())
        return "{ " + ", ".join(cells) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(written(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


__all__ = ["Edit", "can_move", "feed_metrics", "moves_members", "rule_edits", "shown_place", "written"]
