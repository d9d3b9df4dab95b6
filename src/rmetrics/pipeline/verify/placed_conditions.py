"""Every expression of the rules, with its place in the rules and the rows of the lake it applies to."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from rmetrics.pipeline.compute.names import FACTS
from rmetrics.rules.dated import Dated
from rmetrics.rules.disputes import lead_row
from rmetrics.rules.expressions import typing
from rmetrics.rules.expressions.typed import Value
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.measures import measure_row, return_row, sum_kind, sums
from rmetrics.rules.model import FeedLeads, Rules, Source
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.rules.rows import feed_row, job_row, mapped_row

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PlacedCondition:
    """A condition or a derived column of the rules in force.

    Attributes:
        key: its dotted key.
        text: as written.
        rows: the table of the lake it applies to: a feed, or the job facts.
        row: the columns it may name.
        start, end: the period in which it is in force, by the business day of the row; None is open.
        kind: the type of the derived column; None for a condition.
    """

    key: str
    text: str
    rows: str
    row: Row
    start: dt.date | None = None
    end: dt.date | None = None
    kind: ColumnType | None = None

    @property
    def typed(self) -> Value:
        """Its typed form."""
        if self.kind is None:
            return typing.condition(self.text, self.row)
        return typing.derived(self.text, self.row, self.kind)


def conditions(rules: Rules) -> Iterator[PlacedCondition]:
    """Yields the conditions of jobs, measures, calls, feeds and sources, in every version."""
    yield from _of_jobs(rules)
    yield from _of_measures(rules)
    zone = rules.business.timezone
    for at, start, end, calls in _versions("calls", rules.calls):
        for i, label in enumerate(calls.sources):
            row = feed_row(rules.feeds[CALLS], zone)
            yield PlacedCondition(f"{at}.sources.{i}.where", label.where, CALLS, row, start, end)
        if calls.not_customer is not None:
            row = feed_row(rules.feeds[CALLS], zone)
            yield PlacedCondition(f"{at}.not_customer", calls.not_customer, CALLS, row, start, end)
    for name, feed in rules.feeds.items():
        for at, start, end, where in _versions(f"feeds.{name}", rules.feed_where[name]):
            if where is not None:
                yield PlacedCondition(f"{at}.where", where, name, feed_row(feed, zone), start, end)
    for name, dated in rules.sources.items():
        for at, start, end, source in _versions(f"sources.{name}", dated):
            for rule, feed_name, where in _of_source(source):
                row = feed_row(rules.feeds[feed_name], zone)
                yield PlacedCondition(f"{at}.{rule}.where", where, feed_name, row, start, end)
            yield from _of_terms(rules, at, start, end, source)


def derived_columns(rules: Rules) -> Iterator[PlacedCondition]:
    """Yields the derived columns of all feeds."""
    for name, feed in rules.feeds.items():
        row = mapped_row(feed, rules.business.timezone)
        for column, spec in feed.derived.items():
            key = f"feeds.{name}.columns.{column}.sql"
            yield PlacedCondition(key, spec.sql or "", name, row, kind=spec.type)


def _of_jobs(rules: Rules) -> Iterator[PlacedCondition]:
    row = job_row(rules)
    for at, start, end, version in _versions(JOBS, rules.jobs):
        yield PlacedCondition(f"{at}.unit", version.unit, FACTS, row, start, end)
        yield PlacedCondition(f"{at}.repair", version.repair, FACTS, row, start, end)
        for i, segment in enumerate(version.segments):
            yield PlacedCondition(f"{at}.segments.{i}.where", segment.where, FACTS, row, start, end)


def _of_measures(rules: Rules) -> Iterator[PlacedCondition]:
    """Yields the conditions and sums of own measures, the texts of dimensions, and the conditions of returns."""
    for name, measure in sums(rules, own=True).items():
        of = measure.latest.of or ""
        rows, row = FACTS if of == JOBS else of, measure_row(rules, of)
        for at, start, end, version in _versions(f"measures.{name}", measure.rule):
            for key in ("count", "where"):
                if (text := getattr(version, key)) is not None:
                    yield PlacedCondition(f"{at}.{key}", text, rows, row, start, end)
            if version.sum is not None:
                kind = sum_kind(version, rules)
                yield PlacedCondition(f"{at}.sum", version.sum, rows, row, start, end, kind)
    for name, dimension in rules.dimensions.items():
        if dimension.sql is not None:
            rows, row = FACTS if dimension.of == JOBS else dimension.of, measure_row(rules, dimension.of)
            yield PlacedCondition(f"dimensions.{name}.sql", dimension.sql, rows, row, kind=ColumnType.TEXT)
    for name, rule in rules.returns.items():
        if rule.where is not None:
            yield PlacedCondition(f"returns.{name}.where", rule.where, FACTS, return_row(rules))


def _of_source(source: Source) -> Iterator[tuple[str, str, str]]:
    """Yields the conditions of a source over the rows of a feed: rule, feed, condition."""
    if isinstance(source.leads, FeedLeads) and source.leads.where is not None:
        yield "leads", source.leads.feed, source.leads.where
    for cost in source.cost:
        if cost.feed is not None and cost.where is not None:
            yield "cost", cost.feed, cost.where


def _of_terms(
    rules: Rules, at: str, start: dt.date | None, end: dt.date | None, source: Source
) -> Iterator[PlacedCondition]:
    """Yields the conditions of a vendor's terms and answers."""
    if not isinstance(source.leads, FeedLeads):
        return
    feed = source.leads.feed
    for i, term in enumerate(source.disputes):
        yield PlacedCondition(f"{at}.disputes.{i}.where", term.where, feed, lead_row(rules, feed), start, end)
    own = feed_row(rules.feeds[feed], rules.business.timezone)
    for key, text in (("granted", source.answers.granted), ("refused", source.answers.refused)):
        if text is not None:
            yield PlacedCondition(f"{at}.answers.{key}", text, feed, own, start, end)


def _versions(key: str, dated: Dated[T]) -> Iterator[tuple[str, dt.date | None, dt.date | None, T]]:
    for i, (start, end, version) in enumerate(dated.spans()):
        yield (key if i == 0 else f"{key}.changes.{i - 1}"), start, end, version
