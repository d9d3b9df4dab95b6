"""Locates differences between figures that must be equal: the keys, months and rows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rmetrics.explain.asked import MEASURES, SCALES, Query, RowOutcome
from rmetrics.explain.evidence import Evidence, Frames
from rmetrics.explain.funnel_figures import by_month, computed_days, computed_months, published_months, with_funnel
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.workspace import Workspace
from rmetrics.postgres.compare import MISSING, RowDifference, table_differences
from rmetrics.postgres.connection import Session
from rmetrics.rules import ALL, Rules
from rmetrics.rules.names import JOBS
from rmetrics.tables import JOURNEY_METRICS, JOURNEYS, MONTHLY, PgTable, feed_table, journey_tables

_MAX_REPORTED = 20
_KEYS = ("date", "source", "segment")


def differing(
    who: str, ours: pl.DataFrame, theirs: pl.DataFrame, metrics: Sequence[str], what: str = ""
) -> Iterator[str]:
    """Yields a sentence for each figure by date, source and segment that differs.

    Args:
        who: the source of the other figures, with a verb: "PostgreSQL has".
        ours: the computed figures.
        theirs: the other figures.
        metrics: the columns to compare; NULL equals 0.
        what: a prefix for figures that are not daily: "month of".
    """
    both = ours.join(theirs, on=_KEYS, how="full", coalesce=True, suffix=" there").sort(_KEYS)
    several = both["source"].n_unique() > 1
    reported = 0
    for row in both.iter_rows(named=True):
        for m in metrics:
            mine, other = row[m], row[f"{m} there"]
            if mine == other or (not mine and other is None) or (mine is None and not other):
                continue
            reported += 1
            if reported <= _MAX_REPORTED:
                shown = f"no row ({MISSING})" if other is None and "PostgreSQL" in who else other
                day = f"{row['date']:%Y-%m}" if what else row["date"]
                key = f"{day} {row['source'] + ' ' if several else ''}{row['segment']}"
                yield f"{what + ' ' if what else ''}{key} {m}: {mine or 0} computed, {who} {shown}"


def months_differing(lake: Workspace, session: Session | None, asked: Query, metrics: Sequence[str]) -> Iterator[str]:
    """Yields differences of published months, which are stored separately from the days and must be their sums."""
    metrics = [m for m in metrics if m in MEASURES]  # a view sums the months of own measures from their days
    if session is None or asked.day is not None or not metrics:
        return
    cells = ", ".join(f"{m}::text" for m in MEASURES)
    published = session.query(
        f"SELECT month, source, segment, {cells} FROM {MONTHLY} "
        f"WHERE $1::text IN (source, '{ALL}') AND month >= $2::text::date AND month < $3::text::date",
        [asked.source, asked.month.isoformat(), asked.end.isoformat()],
    )
    monthly = load(lake.lake).scan(MONTHLY)
    ours = monthly.filter(asked.of(pl.col("source")) & asked.within(pl.col("month")))
    frames = [ours.select(pl.col("month").alias("date"), *_KEYS[1:], *MEASURES).collect(), figures_of(published)]
    if asked.segment is not None:
        frames = [f.filter(pl.col("segment") == asked.segment) for f in frames]
    yield from differing("PostgreSQL has", frames[0], frames[1], metrics, what="month of")


def funnel_months_differing(
    lake: Workspace, session: Session | None, asked: Query, names: Mapping[str, str]
) -> Iterator[str]:
    """Yields differences of months of journeys, which are stored separately from the touches and must be their sums.

    Args:
        lake: the lake.
        session: of the database; None if nothing is published.
        asked: the requested figure.
        names: the requested measures of journeys, with their columns.
    """
    if asked.day is not None or not names:
        return
    computed = load(lake.lake)
    empty = pl.DataFrame(schema=dict(zip(_KEYS, (pl.Date, pl.String, pl.String), strict=True)))
    ours = with_funnel(empty, computed_months(computed.scan(JOURNEY_METRICS), asked), names)
    others = [("the touches add up to", by_month(computed_days(computed.scan(JOURNEYS), asked)))]
    if session is not None:
        others.append(("PostgreSQL has", published_months(session, asked)))
    for who, theirs in others:
        yield from differing(who, ours, with_funnel(empty, theirs, names), list(names), what="month of")


def rows_differing(
    session: Session | None, rules: Rules, frames: Frames, found: Mapping[str, tuple[Evidence, ...]]
) -> Iterator[RowDifference]:
    """Yields the counted rows that differ in their published tables."""
    if session is None:
        return
    reported = 0
    for table, rows, keys in _tables(rules, frames, [e for parts in found.values() for e in parts]):
        only = pl.concat(keys).unique().collect()
        if not only.height:
            continue
        columns = rules.feeds[table.name].columns if table.name in rules.feeds else {}
        hidden = [n for n, c in columns.items() if not c.publish]
        for difference in table_differences(session, table, rows, only=only, hidden=hidden).examples:
            reported += 1
            if reported <= _MAX_REPORTED:
                yield difference


def _tables(
    rules: Rules, frames: Frames, parts: Sequence[Evidence]
) -> Iterator[tuple[PgTable, pl.LazyFrame, list[pl.LazyFrame]]]:
    """Yields the published tables of evidence rows, each with its rows and the keys of the counted ones."""
    counted = [(e, e.rows.filter(pl.col("_outcome") == RowOutcome.COUNTED.value)) for e in parts]
    for name in dict.fromkeys(e.feed for e in parts if e.feed is not None):
        table = feed_table(rules, name)
        rows = frames.facts if name == JOBS else frames.feeds[name]
        yield table, rows, [frame.select(table.key) for e, frame in counted if e.feed == name]
    touches = [frame.select(pl.col("_touch").alias("touch_id")) for e, frame in counted if e.touches]
    if touches:
        yield journey_tables()[0], frames.journeys, touches


def figures_of(rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Builds a frame from an engine's rows of date, source, segment and the seven measures, in the measures' types."""
    schema = {"date": pl.Date, "source": pl.String, "segment": pl.String, **dict.fromkeys(MEASURES, pl.String)}
    text = [[*r[:3], *(str(v) for v in r[3:])] for r in rows]
    frame = pl.DataFrame(text, schema=schema, orient="row")
    kinds = {m: pl.Int64() if SCALES[m] == 0 else pl.Decimal(18, SCALES[m]) for m in MEASURES}
    return frame.with_columns(pl.col(m).cast(kind) for m, kind in kinds.items())


__all__ = ["differing", "figures_of", "funnel_months_differing", "months_differing", "rows_differing"]
