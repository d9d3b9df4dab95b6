"""The role of each row, and the rows whose role differs from before.

A row's role is a sentence with everything the rules derive from it: source, segment, day, unit, repair, lead, price.
Comparing two computations by role finds exactly the rows for which a rule or a newer export changes the outcome.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.leads import between
from rmetrics.metrics.revenue import revenue_rows
from rmetrics.pipeline.compute.names import FACTS, links, replaced, together
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import COUNTED, FILE
from rmetrics.rules import Rules
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.model import Cost, FeedLeads, Source
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.rules.projections import same_meaning, without_prices_and_own_measures
from rmetrics.rules.rows import feed_row

_MOVED = {
    "feed": pl.String, "key": pl.String, "from": pl.String, "to": pl.String, "month": pl.Date, "month_to": pl.Date,
    "source": pl.String, "source_to": pl.String, "file": pl.UInt32,
}  # fmt: skip
_SCHEMA = {"key": pl.String, "role": pl.String, "month": pl.Date, "source": pl.String, "file": pl.UInt32}
UNCOUNTED = "counts nowhere"


@dataclass(frozen=True, slots=True)
class State:
    """One computation.

    Attributes:
        exports: names of its exports by rank.
    """

    rows: Rows
    exports: Mapping[int, str]

    @property
    def rules(self) -> "Rules":
        """The rules it was computed with."""
        return self.rows.rules


def moved_rows(
    before: State | None, after: State, month: dt.date | None, source: str | None, *, max_rows: int
) -> pl.DataFrame:
    """Returns the rows whose role differs.

    Args:
        before: the earlier computation; None if there is none, so that every row is new.
        after: the later one.
        month: only rows that were or are in this month.
        source: only rows that were or are of this source.
        max_rows: maximum number of rows compared at a time.

    Returns:
        One row per moved row, by feed and key: feed, key, from (NULL: it was not there), to (NULL: it is gone),
        months and sources of both sides, file (rank of the export that holds it now).
    """
    names = dict.fromkeys([*after.rules.feeds, *(before.rules.feeds if before else ())])
    frames = []
    same_rules = before is not None and same_meaning(
        *(without_prices_and_own_measures(s.rules) for s in (before, after))
    )
    for name in names:
        if before is not None and same_rules and _same_rows(before, after, name):
            frames.append(_moved_in_place(before, after, name, month, source))
            continue
        shares = -(-(_rows(before, name) + _rows(after, name)) // max_rows) or 1
        moved = [_moved(before, after, name, month, source, share, shares) for share in range(shares)]
        frames.append(pl.concat(moved))
    return pl.concat([f.sort("month_to", "key", nulls_last=True) for f in frames])


def _rows(state: State | None, feed: str) -> int:
    return sum(f.rows for f, _ in state.rows.typed.get(feed, ())) if state else 0


def _moved(
    before: State | None,
    after: State,
    name: str,
    month: dt.date | None,
    source: str | None,
    share: int,
    shares: int,
) -> pl.DataFrame:
    """Returns the rows of a feed whose role differs, for one share of the keys to limit the rows compared at once."""
    of_share = pl.col("key").hash(seed=1) % shares == share
    was = roles(before, name) if before else pl.LazyFrame(schema=_SCHEMA)
    both = was.filter(of_share).join(
        roles(after, name).filter(of_share), on="key", how="full", suffix="_to", coalesce=True
    )
    return _differing(both, name, month, source)


def _same_rows(before: State, after: State, feed: str) -> bool:
    """Tests whether a feed has the same rows in two computations whose rules differ only in prices and own measures.

    It has if the rows and the tables derived from them are in files of the same names, hence of the same content.
    """
    one, other = before.rows, after.rows
    if not (one.has(feed) and other.has(feed)):
        return False
    used = [replaced(feed), together(feed)]
    used += [FACTS] if feed == JOBS else [FACTS, links(feed)] if feed == PAYMENTS else []
    files = ([(f.name, rank) for f, rank in rows.typed.get(feed, ())] for rows in (one, other))
    return next(files) == next(files) and one.snapshot.same_files(other.snapshot, used)


def _moved_in_place(before: State, after: State, name: str, month: dt.date | None, source: str | None) -> pl.DataFrame:
    """Returns the rows whose role differs in a feed whose rows are unchanged: only the rules change their role."""
    rows, *was = _parts(before, name)
    _, *now = _parts(after, name)
    if all(one.meta.eq(other) for one, other in zip(was, now, strict=True)):
        return pl.DataFrame(schema=_MOVED)
    role, day, of = was
    role_to, day_to, of_to = now
    both = rows.select(
        _key(before, name).alias("key"),
        role.alias("role"),
        role_to.alias("role_to"),
        day.dt.month_start().alias("month"),
        day_to.dt.month_start().alias("month_to"),
        of.alias("source"),
        of_to.alias("source_to"),
        pl.col(FILE).alias("file_to"),
    )
    return _differing(both, name, month, source)


def _differing(both: pl.LazyFrame, name: str, month: dt.date | None, source: str | None) -> pl.DataFrame:
    """Returns the rows of both sides whose role differs, with the columns of ``moved_rows``."""
    moved = both.filter(pl.col("role").ne_missing(pl.col("role_to")))
    if month is not None:
        moved = moved.filter((pl.col("month") == month) | (pl.col("month_to") == month))
    if source is not None:
        moved = moved.filter((pl.col("source") == source) | (pl.col("source_to") == source))
    return moved.select(
        pl.lit(name).alias("feed"),
        "key",
        pl.col("role").alias("from"),
        pl.col("role_to").alias("to"),
        "month",
        "month_to",
        "source",
        "source_to",
        pl.col("file_to").alias("file"),
    ).collect(engine="streaming")


def roles(state: State, feed: str) -> pl.LazyFrame:
    """Returns each row of a feed: key, role, month, source (NULL if several or none), file."""
    if feed not in state.rules.feeds or not state.rows.has(feed):
        return pl.LazyFrame(schema=_SCHEMA)
    rows, role, day, source = _parts(state, feed)
    return rows.select(
        _key(state, feed).alias("key"),
        role.alias("role"),
        day.dt.month_start().alias("month"),
        source.alias("source"),
        pl.col(FILE).alias("file"),
    )


def _key(state: State, feed: str) -> pl.Expr:
    """Returns a row's key as text."""
    cells = [pl.col(k).cast(pl.String).fill_null("") for k in state.rules.feeds[feed].key_columns]
    return pl.concat_str(cells, separator=", ")


def _parts(state: State, feed: str) -> tuple[pl.LazyFrame, pl.Expr, pl.Expr, pl.Expr]:
    """Returns the rows of a feed, and expressions for each row's role, day and source."""
    computed = state.rows
    facts, rows = computed.scan(FACTS), computed.scan(feed)
    if feed == JOBS:
        role, day, source = _job_role(state.rules), pl.col("metric_date"), pl.col("source")
        rows = facts
    elif feed == PAYMENTS:
        rows = revenue_rows(rows, facts, state.rules)
        role, day, source = _payment_role(), pl.col("date"), pl.col("source")
    else:
        role, source = _feed_role(state.rules, feed)
        day = pl.col(state.rules.feeds[feed].business_date)
    return rows, role, day, source


def _words(*parts: pl.Expr, separator: str = ", ") -> pl.Expr:
    return pl.concat_str(list(parts), separator=separator, ignore_nulls=True)


def _day(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.String).fill_null("no day")


def _text_when(when: pl.Expr, text: str) -> pl.Expr:
    return pl.when(when).then(pl.lit(text))


def _job_role(rules: Rules) -> pl.Expr:
    day = pl.col("metric_date")
    parts = [
        pl.col("source"),
        pl.col("segment"),
        _day(day),
        _text_when(pl.col("is_unit"), "unit"),
        _text_when(pl.col("is_repair"), "repair"),
    ]
    counts = {"jobs": pl.lit(value=True), "units": pl.col("is_unit"), "repairs": pl.col("is_repair")}
    for name, dated in rules.sources.items():
        for start, end, source in dated.spans():
            mine = (pl.col("source") == name) & between(day, start, end)
            if not isinstance(source.leads, FeedLeads):
                price = _each(source, "per_lead")
                parts.append(_text_when(mine & counts[source.leads], f"lead{price}"))
            for measure, flag in (("per_unit", "units"), ("per_repair", "repairs")):
                if price := _each(source, measure):
                    parts.append(_text_when(mine & counts[flag], f"{flag.removesuffix('s')}{price}"))
    return _words(*parts)


def _each(source: Source, measure: str) -> str:
    prices = [p for c in source.cost if (p := getattr(c, measure)) is not None]
    return f" at {sum(prices):.2f}" if prices else ""


def _payment_role() -> pl.Expr:
    after = (pl.col("revenue40_micros").cast(pl.Decimal(38, 6)) * pl.lit("0.000001").cast(pl.Decimal(38, 6))).cast(
        pl.Decimal(18, 6)
    )
    return _words(
        pl.concat_str(pl.col("amount").cast(pl.String), pl.lit(" paid, revenue40 "), after.cast(pl.String)),
        pl.col("source"),
        pl.col("segment"),
        _day(pl.col("date")),
    )


def _feed_role(rules: Rules, feed: str) -> tuple[pl.Expr, pl.Expr]:
    """Returns the role of a row of any other feed, and the one source it counts for."""
    day = pl.col(rules.feeds[feed].business_date)
    counts = pl.col(COUNTED)
    row = feed_row(rules.feeds[feed], rules.business.timezone)
    parts: list[pl.Expr] = []
    sources: list[pl.Expr] = []
    if feed == CALLS:
        parts.append(pl.concat_str(pl.lit("call of "), pl.col("source").fill_null("no source")))
    if feed == TARGETS:
        values = [n for n in rules.feeds[feed].mapped if n not in rules.feeds[feed].key]
        parts += [pl.concat_str(pl.lit(f"{n} "), pl.col(n).cast(pl.String)) for n in values]
    for name, dated in rules.sources.items():
        for start, end, source in dated.spans():
            inside = counts & between(day, start, end)
            if isinstance(source.leads, FeedLeads) and source.leads.feed == feed:
                hit = inside & _fits(source.leads.where, row)
                parts.append(_text_when(hit, f"lead of {name} ({source.segment}){_each(source, 'per_lead')}"))
                sources.append(_text_when(hit, name))
            for cost in source.cost:
                if cost.feed == feed:
                    hit = inside & _fits(cost.where, row)
                    parts.append(pl.when(hit).then(_amount(cost, name)))
                    sources.append(_text_when(hit, name))
    role = _words(*parts, separator="; ") if parts else pl.lit("")
    described = pl.when(role == "").then(pl.lit(UNCOUNTED)).otherwise(role)
    whose = pl.coalesce(sources) if sources else pl.lit(None, dtype=pl.String)
    return _words(described, _day(day)), whose


def _fits(where: str | None, row: Row) -> pl.Expr:
    return pl.lit(value=True) if where is None else is_true(where, row)


def _amount(cost: Cost, name: str) -> pl.Expr:
    spread = " over the month's days" if cost.spread else ""
    return pl.concat_str(
        pl.lit(f"costs {name} "), pl.col(cost.sum or "").cast(pl.String).fill_null("nothing"), pl.lit(spread)
    )


__all__ = ["UNCOUNTED", "State", "moved_rows", "roles"]
