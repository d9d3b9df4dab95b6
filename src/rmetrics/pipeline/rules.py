"""What the rules say, and what they say of the data that is there."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.errors import RuleProblem
from rmetrics.lake import Lake
from rmetrics.metrics.jobs import METRIC_DATE, declared_names
from rmetrics.metrics.leads import between
from rmetrics.metrics.newest import COUNTED
from rmetrics.pipeline.parts import FACTS
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.model import Dated, FeedLeads, Place, Source
from rmetrics.rules.nearest import did_you_mean
from rmetrics.rules.validate import CALLS, JOBS, feed_row, job_row, normal_source
from rmetrics.rules.words import Said, next_changes, rules_in_words
from rmetrics.settings import Settings
from rmetrics.snapshot import load

T = TypeVar("T")

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules of a day, and what will be different later."""

    as_of: dt.date
    rules: tuple[Said, ...]
    later: tuple[Said, ...]


def rules_in_force(settings: Settings, day: dt.date | None) -> RulesInForce:
    """The rules in force on a day; without one, today in the business's zone."""
    rules = load_rules(settings.rules_dir)
    day = day or dt.datetime.now(ZoneInfo(rules.business.timezone)).date()
    return RulesInForce(day, rules_in_words(rules, day), next_changes(rules, day))


@dataclass(frozen=True, slots=True)
class CheckedRules:
    """Rules that load, and what deserves a look in them."""

    rules: Rules
    warnings: tuple[RuleProblem, ...]


def check_rules(settings: Settings) -> CheckedRules:
    """Loads the rules and tries them on the rows of the last sync.

    Raises:
        RulesError: with every problem found.
    """
    rules = load_rules(settings.rules_dir)
    return CheckedRules(rules, (*rules.warnings, *data_warnings(Lake(settings.lake_dir), rules)))


def data_warnings(lake: Lake, rules: Rules) -> tuple[RuleProblem, ...]:
    """Sources in the data that no rule declares, and rules that match none of the data.

    Nothing is read anew: the rows are those of the last computation, so a column that is new in the rules is not tried.
    """
    if not load(lake).has(FACTS):
        return ()
    facts = load(lake).scan(FACTS)
    return (*_spellings(facts, rules), *_idle(lake, facts, rules))


def _problem(rules: Rules, key: str, message: str) -> RuleProblem:
    """A warning at the key's place."""
    probe = key
    while probe and probe not in rules.places:
        probe = probe.rpartition(".")[0]
    place = rules.places.get(probe, Place(rules.folder, 0))
    return RuleProblem(place.path, place.line, key, message)


def _spellings(facts: pl.LazyFrame, rules: Rules) -> Iterator[RuleProblem]:
    names = declared_names(rules)
    found = facts.group_by(pl.col("source_raw").str.strip_chars()).len().drop_nulls().collect()
    beside = next((rules.places[k].path for n in rules.sources if (k := f"sources.{n}") in rules.places), rules.folder)
    unknown: dict[str, tuple[str, int]] = {}
    present = set()
    for spelling, count in found.sort("len", "source_raw", descending=[True, False]).iter_rows():
        normal = normal_source(spelling)
        present.add(names.get(normal))
        if normal and normal not in names:
            shown, before = unknown.get(normal, (spelling, 0))
            unknown[normal] = shown, before + count
    for shown, count in sorted(unknown.values(), key=lambda u: (-u[1], u[0]))[:_SHOWN]:
        near = did_you_mean(shown, rules.sources, near=True).removeprefix("; ")
        add = near or f'add [sources."{shown}"], or an alias to the source it belongs to'
        jobs = f"{count:,} job{'' if count == 1 else 's'}"
        told = f"{shown!r} is the source of {jobs}, but no rule declares it: leads and cost are 0; {add}"
        yield RuleProblem(beside, 0, "sources", told)
    for name, dated in rules.sources.items():
        if name not in present and any(not isinstance(s.leads, FeedLeads) for _, s in dated.versions):
            told = "no job is of this source, so it has no leads; look at its name and aliases"
            yield _problem(rules, f"sources.{name}", told)


@dataclass(frozen=True, slots=True)
class _Try:
    """A condition to try: where it stands, over which rows, in which time."""

    key: str
    where: str
    rows: str
    row: Row
    start: dt.date | None
    end: dt.date | None


def _idle(lake: Lake, facts: pl.LazyFrame, rules: Rules) -> Iterator[RuleProblem]:
    computed = load(lake)
    frames = {name: computed.scan(name) for name in rules.feeds if computed.has(name)}
    days = {name: rules.feeds[name].business_date for name in frames}
    frames[FACTS], days[FACTS] = facts, METRIC_DATE
    present = {name: set(frame.collect_schema().names()) for name, frame in frames.items()}
    tries, queries = [], []
    for item in _tries(rules):
        if item.rows not in frames:
            continue
        needed = {*read_condition(item.where, item.row).columns, days[item.rows]}
        if not needed <= present[item.rows]:
            continue
        inside = frames[item.rows].filter(between(pl.col(days[item.rows]), item.start, item.end))
        if COUNTED in present[item.rows] and not item.key.startswith("feeds."):
            inside = inside.filter(pl.col(COUNTED))
        tries.append(item)
        queries.append(inside.select(pl.len().alias("rows"), is_true(item.where, item.row).sum().alias("hits")))
    for item, frame in zip(tries, pl.collect_all(queries), strict=True):
        rows, hits = frame.row(0)
        if rows and not hits:
            yield _problem(rules, item.key, f"matches none of the {rows:,} rows it looks at")


def _tries(rules: Rules) -> Iterator[_Try]:
    yield from _job_tries(rules)
    for at, start, end, calls in _placed("calls", rules.calls):
        for i, label in enumerate(calls.sources):
            yield _Try(
                f"{at}.sources.{i}.where",
                label.where,
                CALLS,
                feed_row(rules.feeds[CALLS], rules.business.timezone),
                start,
                end,
            )
    for name, feed in rules.feeds.items():
        for at, start, end, where in _placed(f"feeds.{name}", rules.feed_where[name]):
            if where is not None and name != JOBS:
                yield _Try(f"{at}.where", where, name, feed_row(feed, rules.business.timezone), start, end)
    for name, dated in rules.sources.items():
        for at, start, end, source in _placed(f"sources.{name}", dated):
            for rule, feed_name, where in _row_rules(source):
                yield _Try(
                    f"{at}.{rule}.where",
                    where,
                    feed_name,
                    feed_row(rules.feeds[feed_name], rules.business.timezone),
                    start,
                    end,
                )


def _job_tries(rules: Rules) -> Iterator[_Try]:
    row = job_row(rules)
    for at, start, end, version in _placed("jobs", rules.jobs):
        yield _Try(f"{at}.unit", version.unit, FACTS, row, start, end)
        yield _Try(f"{at}.repair", version.repair, FACTS, row, start, end)
        for i, segment in enumerate(version.segments):
            yield _Try(f"{at}.segments.{i}.where", segment.where, FACTS, row, start, end)


def _row_rules(source: Source) -> Iterator[tuple[str, str, str]]:
    """The conditions of a source over the rows of a feed: rule, feed, condition."""
    if isinstance(source.leads, FeedLeads) and source.leads.where is not None:
        yield "leads", source.leads.feed, source.leads.where
    for cost in source.cost:
        if cost.feed is not None and cost.where is not None:
            yield "cost", cost.feed, cost.where


def _placed(key: str, dated: Dated[T]) -> Iterator[tuple[str, dt.date | None, dt.date | None, T]]:
    for i, (start, end, version) in enumerate(dated.spans()):
        yield (key if i == 0 else f"{key}.changes.{i - 1}"), start, end, version


__all__ = ["CheckedRules", "RulesInForce", "check_rules", "data_warnings", "rules_in_force"]
