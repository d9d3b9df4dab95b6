"""``rmetrics rules``: the rules in words, and how they fit the data."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.errors import RuleProblem, RulesError
from rmetrics.findings import count
from rmetrics.metrics.jobs import METRIC_DATE, declared_names
from rmetrics.metrics.leads import between
from rmetrics.metrics.measures import member
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import only_source
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.verify.agreement import Disagreement, disagreements, in_words
from rmetrics.pipeline.verify.placed_conditions import conditions
from rmetrics.positions import COUNTED
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.describe import RuleText, next_changes, rules_in_words
from rmetrics.rules.expressions import tree
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.measure_tables import FREE_TEXT, Dimension
from rmetrics.rules.measures import member_text
from rmetrics.rules.model import FeedLeads, Place
from rmetrics.rules.names import JOBS, normal_source
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings

T = TypeVar("T")

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """The rules in force on a day, and their later changes."""

    as_of: dt.date
    rules: tuple[RuleText, ...]
    later: tuple[RuleText, ...]


def rules_in_force(settings: Settings, day: dt.date | None, source: str | None = None) -> RulesInForce:
    """Returns the rules in force on a day.

    Args:
        settings: of the project.
        day: None for today in the business's zone.
        source: only this source, or topic (``jobs``, ``revenue``); None or ``ALL`` for every rule.

    Raises:
        RulesError: the rules do not load.
        SettingsError: no rule concerns such a source.
    """
    rules = load_rules(settings.rules_dir, settings.company)
    day = day or dt.datetime.now(ZoneInfo(rules.business.timezone)).date()
    current, later = rules_in_words(rules, day), next_changes(rules, day)
    topic = only_source(source, rules, {s.topic for s in (*current, *later)})
    if topic is None:
        return RulesInForce(day, current, later)
    return RulesInForce(day, *(tuple(s for s in selection if s.topic == topic) for selection in (current, later)))


@dataclass(frozen=True, slots=True)
class CheckedRules:
    """Rules that load, with warnings."""

    rules: Rules
    warnings: tuple[RuleProblem, ...]


def check_rules(settings: Settings) -> CheckedRules:
    """Loads the rules and tries them on odd values and on the rows of the last sync, with both engines.

    Raises:
        RulesError: with every problem found; also if the engines read a condition differently.
    """
    project = open_project(settings)
    rules = project.rules
    if rules.company is None and (found := list(_problems_of_companies(settings, rules))):
        raise RulesError(found)
    computed = last_rows(project.lake, rules)
    problems = [_differs(d, rules) for d in disagreements(rules, computed)]
    problems += [] if computed is None else free_text(computed, rules)
    if problems:
        raise RulesError(problems)
    return CheckedRules(rules, (*rules.warnings, *data_warnings(computed, rules)))


def free_text(computed: Rows, rules: Rules) -> Iterator[RuleProblem]:
    """Yields dimensions with thousands of members and no ``most``: most likely free text.

    A sync accepts them, because otherwise one more export could stop it: it keeps the largest members and reports it.
    """
    for name, dimension in rules.dimensions.items():
        if dimension.most is None and (members := members_of(computed, dimension, rules)) > FREE_TEXT:
            key = f"dimensions.{name}.{'column' if dimension.column else 'sql'}"
            message = f"has {members:,} members, more than {FREE_TEXT:,}: it appears to be free text"
            yield _problem(
                rules, key, f"{message}; choose another column, or add most = 200 to keep only the largest members"
            )


def members_of(computed: Rows, dimension: Dimension, rules: Rules) -> int:
    """Returns the number of members of a dimension in a computation's rows; 0 if a column is missing."""
    rows = (
        computed.scan(FACTS if dimension.of == JOBS else dimension.of) if dimension.of in computed.rules.feeds else None
    )
    text, _ = member_text(dimension, rules)
    if rows is None or not set(tree.columns_in(parse(text))) <= set(rows.collect_schema().names()):
        return 0
    return int(rows.select(member(dimension, rules).n_unique()).collect().item())


def _problems_of_companies(settings: Settings, rules: Rules) -> Iterator[RuleProblem]:
    """Yields the problems of each company's exceptions; the common rules are sound."""
    for name in rules.companies:
        try:
            load_rules(settings.rules_dir, name)
        except RulesError as error:
            yield from error.problems


def _differs(found: Disagreement, rules: Rules) -> RuleProblem:
    """Returns a condition that the engines read differently, as a problem at its place."""
    difference = in_words(found, rules).partition(f"{found.condition.key}: ")[2]
    return _problem(
        rules,
        found.condition.key,
        f"{difference}; this is a bug in rmetrics: please report it, and write the condition another way",
    )


def data_warnings(computed: Rows | None, rules: Rules) -> tuple[RuleProblem, ...]:
    """Returns warnings for undeclared sources in the data, and for rules that match none of the data.

    It uses the rows of the last computation and reads nothing again, so a column new in the rules is not tried.
    """
    if computed is None:
        return ()
    facts = computed.scan(FACTS)
    return (*_spellings(facts, rules), *_idle(computed, facts, rules))


def _problem(rules: Rules, key: str, message: str) -> RuleProblem:
    """Returns a warning at the key's place."""
    probe = key
    while probe and probe not in rules.places:
        probe = probe.rpartition(".")[0]
    place = rules.places.get(probe, Place(rules.folder, 0))
    return RuleProblem(place.path, place.line, key, message)


def _spellings(facts: pl.LazyFrame, rules: Rules) -> Iterator[RuleProblem]:
    names = declared_names(rules)
    found = facts.group_by(pl.col("source_raw").str.strip_chars()).len().drop_nulls().collect()
    path = next((rules.places[k].path for n in rules.sources if (k := f"sources.{n}") in rules.places), rules.folder)
    unknown: dict[str, tuple[str, int]] = {}
    present = set()
    for spelling, jobs in found.sort("len", "source_raw", descending=[True, False]).iter_rows():
        normal = normal_source(spelling)
        present.add(names.get(normal))
        if normal and normal not in names:
            shown, before = unknown.get(normal, (spelling, 0))
            unknown[normal] = shown, before + jobs
    for shown, jobs in sorted(unknown.values(), key=lambda u: (-u[1], u[0]))[:_SHOWN]:
        near = did_you_mean(shown, rules.sources, near=True).removeprefix("; ")
        add = near or f'add [sources."{shown}"], or an alias to the source it belongs to'
        message = (
            f"{shown!r} is the source of {count(jobs, 'job')}, but no rule declares it: leads and cost are 0; {add}"
        )
        yield RuleProblem(path, 0, "sources", message)
    for name, dated in rules.sources.items():
        if name not in present and any(not isinstance(s.leads, FeedLeads) for _, s in dated.versions):
            message = "no job has this source, so it has no leads; check its name and aliases"
            yield _problem(rules, f"sources.{name}", message)


def _idle(computed: Rows, facts: pl.LazyFrame, rules: Rules) -> Iterator[RuleProblem]:
    frames = {name: computed.scan(name) for name in rules.feeds if name in computed.rules.feeds}
    days = {name: rules.feeds[name].business_date for name in frames}
    frames[FACTS], days[FACTS] = facts, METRIC_DATE
    present = {name: set(frame.collect_schema().names()) for name, frame in frames.items()}
    tries, queries = [], []
    for item in conditions(rules):
        if item.rows not in frames or item.kind is not None or item.key.startswith(f"feeds.{JOBS}."):
            continue
        needed = {*read_condition(item.text, item.row).columns, days[item.rows]}
        if not needed <= present[item.rows]:
            continue
        inside = frames[item.rows].filter(between(pl.col(days[item.rows]), item.start, item.end))
        if COUNTED in present[item.rows] and not item.key.startswith("feeds."):
            inside = inside.filter(pl.col(COUNTED))
        tries.append(item)
        queries.append(inside.select(pl.len().alias("rows"), is_true(item.text, item.row).sum().alias("hits")))
    for item, frame in zip(tries, pl.collect_all(queries), strict=True):
        rows, hits = frame.row(0)
        if rows and not hits:
            yield _problem(rules, item.key, f"matches none of the {count(rows, 'row')} it looks at")


__all__ = ["CheckedRules", "RulesInForce", "check_rules", "data_warnings", "rules_in_force"]
