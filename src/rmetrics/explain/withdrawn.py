"""Rows of withdrawn exports that might have counted: why a figure is smaller than a person remembers."""

from collections.abc import Iterator

import polars as pl

from rmetrics.explain.asked import Query
from rmetrics.explain.near_misses import NearMiss
from rmetrics.lake import Lake, RawFile
from rmetrics.metrics.jobs import normal
from rmetrics.pipeline.landing.typed_rows import definition_of
from rmetrics.rules import Rules
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.names import JOBS, normal_source


def withdrawn_rows(lake: Lake, rules: Rules, withdrawn: tuple[RawFile, ...], name: str, asked: Query) -> list[NearMiss]:
    """Returns one group per withdrawn export of a feed that has rows in the requested months or days.

    For jobs, only rows of the source are counted; rows of other feeds name no source, so all of them are. An export
    whose typed rows no longer exist (because the rules were edited after the withdrawal) is skipped.

    Args:
        lake: the lake with the typed rows.
        rules: the rules in force.
        withdrawn: the withdrawn exports.
        name: the feed.
        asked: the requested figure.
    """
    return [group for raw in withdrawn if raw.feed == name for group in _of_export(lake, rules, raw, asked)]


def _of_export(lake: Lake, rules: Rules, raw: RawFile, asked: Query) -> Iterator[NearMiss]:
    if raw.feed not in rules.feeds:
        return
    made_as = definition_of(rules, raw, raw.feed)
    feed, typed = made_as.feed, lake.typed_file(raw.feed, raw.sha256, made_as.digest)
    if typed is None or not lake.typed_is_intact(typed, used=True):
        return
    rows = lake.scan_typed(typed)
    date = rules.jobs.latest.date if raw.feed == JOBS else feed.date
    if date not in typed.columns:
        date = feed.date
    if date not in typed.columns:
        return
    rows = rows.filter(_in_time(_day(feed, date, rules.business.timezone), asked))
    if raw.feed == JOBS and "source_raw" in typed.columns:
        rows = rows.filter(_of_source(rules, asked.source))
    count = rows.select(pl.len()).collect().item()
    if count:
        yield NearMiss(_reason(raw, asked), count, None)


def _reason(raw: RawFile, asked: Query) -> str:
    back = f"to count them again, run: rmetrics exports restore {raw.sha256[:12]}"
    months = "months" if asked.several else "month"
    whose = f"of the source and the {months}" if raw.feed == JOBS else f"of the {months}"
    return f"rows {whose} are in the withdrawn export {raw.name}; {back}"


def _day(feed: Feed, column: str, zone: str) -> pl.Expr:
    if feed.columns[column].type is ColumnType.TIMESTAMP:
        return pl.col(column).dt.convert_time_zone(zone).dt.date()
    return pl.col(column).cast(pl.Date)


def _in_time(day: pl.Expr, asked: Query) -> pl.Expr:
    return asked.on(day)


def _of_source(rules: Rules, source: str) -> pl.Expr:
    declared = rules.sources.get(source)
    spellings = {normal_source(s) for s in (source, *(declared.latest.aliases if declared else ()))}
    return normal(pl.col("source_raw")).is_in(sorted(spellings))


__all__ = ["withdrawn_rows"]
