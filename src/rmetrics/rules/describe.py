"""The rules in plain words: what is in force on a day, source by source, with file and line."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rmetrics.rules.condition_words import condition_in_words
from rmetrics.rules.dated import Dated
from rmetrics.rules.feeds import Variant, When
from rmetrics.rules.journeys import SHARED_WITHIN
from rmetrics.rules.measure_words import dimension_in_words, measure_in_words, return_in_words
from rmetrics.rules.measures import declared
from rmetrics.rules.model import OTHER, Cost, FeedLeads, Rules, Source
from rmetrics.rules.names import CALLS


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule in words.

    Attributes:
        topic: the subject: ``jobs``, ``revenue``, ``calls``, or the name of a source.
        rule: the rule itself: ``unit``, ``leads``, ``cost`` ...
        words: its meaning as a sentence.
        since, until: the first day in force, and the first day no longer in force; None: unlimited.
        where: ``file:line``.
        key: its dotted key.
    """

    topic: str
    rule: str
    words: str
    since: dt.date | None
    until: dt.date | None
    where: str
    key: str


def rules_in_words(rules: Rules, day: dt.date) -> tuple[RuleText, ...]:
    """Returns every rule in force on a day: jobs, revenue, calls, each source, the counted rows of each feed, pulls."""
    return (
        *_jobs(rules, day),
        *_revenue(rules, day),
        *_calls(rules, day),
        *_journeys(rules, day),
        *(described for name in rules.sources for described in _source(rules, name, day)),
        *(described for name in rules.feeds for described in _feed(rules, name, day)),
        *_measures(rules, day),
        *_pulls(rules),
    )


def next_changes(rules: Rules, day: dt.date) -> tuple[RuleText, ...]:
    """Returns the rules that change after a day, ordered by the day of the change."""
    starts = {start for d in _all(rules) for start, _ in d.versions if start is not None and start > day}
    return tuple(s for start in sorted(starts) for s in rules_in_words(rules, start) if s.since == start)


def _all(rules: Rules) -> Iterator[Dated[Any]]:
    yield from (rules.jobs, rules.revenue, rules.calls, rules.journeys.common)
    yield from rules.journeys.sources.values()
    yield from rules.sources.values()
    yield from rules.feed_where.values()
    yield from rules.measures.values()


def _rule_text(rules: Rules, key: str, day: dt.date, dated: Dated[Any], rule: str, words: str, topic: str) -> RuleText:
    """Builds a ``RuleText`` in force since the latest change of this rule on or before the day."""
    since, place = None, f"{key}.{rule}"
    until = next((s for s, _ in dated.versions if s is not None and s > day and _touched(rules, key, s, rule)), None)
    for i, (start, _) in enumerate(dated.versions[1:]):
        if start is not None and start <= day and _touched(rules, key, start, rule):
            since, place = start, f"{key}.changes.{i}.{rule}"
    return RuleText(topic, rule, words, since, until, rules.place(place), place)


def _touched(rules: Rules, key: str, start: dt.date, rule: str) -> bool:
    """Whether the change of that day sets this rule."""
    table: Any = rules.tables
    for part in key.split(".", maxsplit=2 if key.startswith("journeys.sources.") else 1):
        table = table.get(part, {})
    return any(c.get("from") == start and rule in c for c in table.get("changes", []))


def _jobs(rules: Rules, day: dt.date) -> Iterator[RuleText]:
    dated, jobs = rules.jobs, rules.jobs.at(day)
    yield _rule_text(rules, "jobs", day, dated, "date", f"a job counts on the day of its {jobs.date}", "jobs")
    yield _rule_text(rules, "jobs", day, dated, "unit", f"a job is a unit when {condition_in_words(jobs.unit)}", "jobs")
    repair = f"a job is a repair when {condition_in_words(jobs.repair)} (paid = all payments of the job)"
    yield _rule_text(rules, "jobs", day, dated, "repair", repair, "jobs")
    parts = [f"{s.name} when {condition_in_words(s.where)}" for s in jobs.segments]
    words = "the segment is " + "; ".join([*parts, OTHER + (" otherwise" if parts else "")])
    yield _rule_text(rules, "jobs", day, dated, "segments", words, "jobs")


def _revenue(rules: Rules, day: dt.date) -> Iterator[RuleText]:
    revenue = rules.revenue.at(day)
    share = f"revenue40 is {percent(revenue.share)} of the amount paid"
    yield _rule_text(rules, "revenue", day, rules.revenue, "share", share, "revenue")
    on = "the day of its job" if revenue.date == "job" else "the day it was paid"
    yield _rule_text(rules, "revenue", day, rules.revenue, "date", f"a payment counts on {on}", "revenue")


def _calls(rules: Rules, day: dt.date) -> Iterator[RuleText]:
    parts = [f"{s.name} when {condition_in_words(s.where)}" for s in rules.calls.at(day).sources]
    if parts:
        yield _rule_text(rules, "calls", day, rules.calls, "sources", f"a call belongs to {'; '.join(parts)}", "calls")
    if CALLS not in rules.feeds:
        return
    calls = rules.calls.at(day)
    for key, words in (
        (
            "existing_job",
            f"a call is about an existing job if its number has one from the last {calls.existing_job} days",
        ),
        ("called_back", f"a missed caller must be reached within {calls.called_back} days"),
        ("booked", f"a job of the number within {calls.booked} days after the call counts as booked"),
    ):
        yield _rule_text(rules, "calls", day, rules.calls, key, words, "calls")
    if calls.not_customer is not None:
        words = f"a call is not from a customer when {condition_in_words(calls.not_customer)}"
        yield _rule_text(rules, "calls", day, rules.calls, "not_customer", words, "calls")
    if rules.business.hours:
        words = f"the phone is answered {'; '.join(rules.business.hours)}"
        yield _rule_text(rules, "calls", day, rules.calls, "hours", words, "calls")


def _journeys(rules: Rules, day: dt.date) -> Iterator[RuleText]:
    """Yields the rules of journeys; phone numbers are counted, not listed, as a property manager's is personal data."""
    key, dated, common = "journeys", rules.journeys.common, rules.journeys.common.at(day)
    window = f"a touch gets the jobs of its number created {_within(common.window)}"
    yield _rule_text(rules, key, day, dated, "window", window, key)
    touch = f"of several touches in the window, the {common.touch} gets the job"
    yield _rule_text(rules, key, day, dated, "touch", touch, key)
    threshold = f"more than {common.shared_when} jobs within {SHARED_WITHIN} days"
    often = f"a number on {threshold} is shared: it is matched only together with the ZIP code"
    yield _rule_text(rules, key, day, dated, "shared_when", often, key)
    for rule, numbers, what in (
        ("own_numbers", common.own_numbers, "no customer's"),
        ("shared_numbers", common.shared_numbers, "shared by many customers"),
    ):
        if numbers:
            words = f"{len(numbers)} number{'s are' if len(numbers) > 1 else ' is'} {what}"
            yield _rule_text(rules, key, day, dated, rule, words, key)
    for name, own in rules.journeys.sources.items():
        place, days = f"journeys.sources.{name}", own.at(day).window
        if days is not None:
            words = f"a touch of {name} gets the jobs of its number created {_within(days)}"
            yield _rule_text(rules, place, day, own, "window", words, key)


def _within(window: int) -> str:
    if window == 0:
        return "on its own day"
    return f"within {window} day{'s' * (window > 1)}"


def _source(rules: Rules, name: str, day: dt.date) -> Iterator[RuleText]:
    dated = rules.sources[name]
    source, key = dated.at(day), f"sources.{name}"
    if source.aliases:
        words = f"also spelled {', '.join(source.aliases)}"
        yield _rule_text(rules, key, day, dated, "aliases", words, name)
    yield _rule_text(rules, key, day, dated, "leads", _leads(source), name)
    yield _rule_text(rules, key, day, dated, "cost", _costs(source), name)
    if isinstance(source.leads, FeedLeads) or any(c.feed or c.monthly is not None for c in source.cost):
        words = f"leads and costs without a job type count in {source.segment}"
        yield _rule_text(rules, key, day, dated, "segment", words, name)


def _feed(rules: Rules, name: str, day: dt.date) -> Iterator[RuleText]:
    dated, key = rules.feed_where[name], f"feeds.{name}"
    where = dated.at(day)
    if where is not None:
        words = f"a row counts when {condition_in_words(where)}"
        yield _rule_text(rules, key, day, dated, "where", words, name)
    feed = rules.feeds[name]
    for i, variant in enumerate(feed.variants):
        place = f"{key}.variants.{i}"
        words = f"{feed.variant_name(i)}, {_file_conditions(variant.when)}{_read(variant)}"
        yield RuleText(name, "variant", words, None, None, rules.place(place), place)


def _measures(rules: Rules, day: dt.date) -> Iterator[RuleText]:
    for name, measure in declared(rules).items():
        key, version = f"measures.{name}", measure.rule.at(day)
        changing = next(k for k in ("count", "sum", "ratio") if getattr(version, k) is not None)
        words = f"{measure.title}: {measure_in_words(version)}"
        described = _rule_text(rules, key, day, measure.rule, changing, words, "measures")
        yield dataclasses.replace(described, rule=name)
    for name, dimension in rules.dimensions.items():
        key = f"dimensions.{name}"
        yield RuleText("dimensions", name, dimension_in_words(dimension), None, None, rules.place(key), key)
    for name, rule in rules.returns.items():
        key = f"returns.{name}"
        yield RuleText("returns", name, return_in_words(rule), None, None, rules.place(key), key)


def _pulls(rules: Rules) -> Iterator[RuleText]:
    for name, pull in rules.pulls.items():
        place = f"pulls.{name}"
        back = f", with an overlap of {pull.overlap}" if pull.looks_back else ""
        words = f"{pull.feed} is fetched from {pull.url} ({pull.kind}){back}"
        yield RuleText("pulls", name, words, None, None, rules.place(place), place)


def _file_conditions(when: When) -> str:
    parts = []
    if when.files:
        parts.append(f"called {_listed(list(when.files), 'or')}")
    if when.headers:
        parts.append(f"with the header{'s' * (len(when.headers) > 1)} {_listed(list(when.headers), 'and')}")
    if when.any:
        parts.append(f"with a header such as {_listed(list(when.any), 'or')}")
    return "files " + " ".join(parts)


def _read(variant: Variant) -> str:
    """Returns the differences in how a variant is read, after a colon; "" if only its headers differ."""
    parts = []
    if variant.zone:
        parts.append(f"times are in {variant.zone}")
    if variant.scale:
        parts.append(f"amounts are divided by {variant.scale:,}")
    if variant.decimal == ",":
        parts.append("amounts are written 1.234,56")
    for name, column in variant.columns.items():
        if column.zone:
            parts.append(f"{name} is in {column.zone}")
        if column.scale:
            parts.append(f"{name} is divided by {column.scale:,}")
        if column.minus:
            parts.append(f"{name} is reduced by {_listed(list(column.minus), 'or')}")
        if column.join:
            parts.append(f"{name} joins {_listed(list(column.join), 'and')}")
        if column.constant:
            parts.append(f"{name} is always {column.constant}")
    return f": {'; '.join(parts)}" if parts else ""


def _leads(source: Source) -> str:
    if isinstance(source.leads, FeedLeads):
        fits = f" when {condition_in_words(source.leads.where)}" if source.leads.where else ""
        return f"a row of {source.leads.feed} is a lead{fits}"
    return {
        "jobs": "every job of the source is a lead",
        "units": "every job of the source with a visit (a unit) is a lead",
        "repairs": "every job of the source that is a repair is a lead",
    }[source.leads]


def _costs(source: Source) -> str:
    return "costs " + " plus ".join(_cost(c) for c in source.cost) if source.cost else "costs nothing"


def _cost(cost: Cost) -> str:
    for price, per in ((cost.per_lead, "lead"), (cost.per_unit, "unit"), (cost.per_repair, "repair")):
        if price is not None:
            return f"{price:,.2f} per {per}"
    if cost.monthly is not None:
        return f"{cost.monthly:,.2f} a month, spread over its days"
    fits = f" where {condition_in_words(cost.where)}" if cost.where else ""
    spread = ", each month's amount spread over its days" if cost.spread else ""
    return f"the sum of {cost.sum} in {cost.feed}{fits}{spread}"


def percent(share: Decimal) -> str:
    """Formats a share as a percentage without trailing zeros.

    >>> percent(Decimal("0.40")), percent(Decimal("0.425"))
    ('40 %', '42.5 %')
    """
    return f"{(share * 100).normalize():f} %"


def _listed(parts: list[str], word: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"
