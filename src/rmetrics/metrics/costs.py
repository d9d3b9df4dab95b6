"""Cost of leads per business day, source and segment, in whole cents; every split adds up."""

from collections.abc import Mapping

import polars as pl

from rmetrics.metrics.leads import KEY, between, counting
from rmetrics.money import cents
from rmetrics.rules.dated import Dated
from rmetrics.rules.model import Cost, Rules, Source

IDLE_MONTHS = 12  # without a lead or job of any source: no fixed fee is due in a stretch this long
_SCHEMA = {**KEY, "cost_cents": pl.Int64()}
_SPENT = {
    "date": pl.Date(),
    "source": pl.String(),
    "span": pl.Int32(),
    "cost": pl.Int32(),
    "cost_cents": pl.Int64(),
}


def feed_costs(feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Returns costs that are sums over a feed, before any of them is spread.

    Args:
        feeds: rows by feed name (``newest.feed_rows``), of the feeds whose amounts are wanted.
        rules: sources; dated changes apply by the date of the row that costs.

    Returns:
        One row per (date, source, span, cost): cost_cents (Int64); span is the index of the source's version, cost the
        index of the cost in it.
    """
    parts = [pl.LazyFrame(schema=_SPENT)]
    for name, dated in rules.sources.items():
        for span, (start, end, source) in enumerate(dated.spans()):
            for number, cost in enumerate(source.cost):
                if cost.feed is None or cost.feed not in feeds:
                    continue
                assert cost.sum is not None  # noqa: S101 - the model allows no other form
                rows = counting(feeds, rules, cost.feed, cost.where).select(
                    pl.col("_day"), cents(pl.col(cost.sum)).alias("cost_cents")
                )
                parts.append(
                    rows.filter(between(pl.col("_day"), start, end))
                    .drop_nulls()
                    .group_by(pl.col("_day").alias("date"))
                    .agg(pl.col("cost_cents").sum())
                    .select(
                        "date",
                        pl.lit(name).alias("source"),
                        pl.lit(span, dtype=pl.Int32).alias("span"),
                        pl.lit(number, dtype=pl.Int32).alias("cost"),
                        "cost_cents",
                    )
                )
    return pl.concat(parts)


def daily_costs(
    activity: pl.LazyFrame, leads: pl.LazyFrame, spent: pl.LazyFrame, last_day: pl.LazyFrame, rules: Rules
) -> pl.LazyFrame:
    """Returns costs per business day, source and segment.

    Args:
        activity: jobs, units, repairs per (date, source, segment).
        leads: leads per (date, source, segment).
        spent: costs that are sums over a feed (``feed_costs``).
        last_day: one row, one column ``last_day``: the data's last day (``tallies.last_day``), null without data.
        rules: sources; dated changes apply by the date of the row, lead or day that costs.

    Returns:
        One row per (date, source, segment): cost_cents (Int64), not 0.

    Source: the design, section 3: Cost.
    """
    parts = [pl.LazyFrame(schema=_SCHEMA)]
    idle = idle_months(pl.concat([activity.select("date"), leads.select("date")]), last_day)
    for name, dated in rules.sources.items():
        per_day = leads.filter(pl.col("source") == name)
        of_source = activity.filter(pl.col("source") == name)
        for span, (start, end, source) in enumerate(dated.spans()):
            for number, cost in enumerate(source.cost):
                inside = between(pl.col("date"), start, end)
                if cost.feed is not None:
                    mine = (pl.col("source") == name) & (pl.col("span") == span) & (pl.col("cost") == number)
                    amounts = spent.filter(mine).group_by("date").agg(pl.col("cost_cents").sum())
                    parts.append(_summed(name, source, cost, amounts, per_day, last_day, rules))
                elif cost.monthly is not None:
                    months = fee_months(per_day, of_source, last_day, idle, int(cost.monthly * 100))
                    days = _placed(spread_days(months, last_day), per_day, name, source.segment, rules)
                    parts.append(days.filter(inside))
                else:
                    parts.append(_priced(cost, per_day, of_source).filter(inside))
    return pl.concat(parts).group_by(*KEY).agg(pl.col("cost_cents").sum()).filter(pl.col("cost_cents") != 0)


def _priced(cost: Cost, leads: pl.LazyFrame, jobs: pl.LazyFrame) -> pl.LazyFrame:
    for price, counts, measure in (
        (cost.per_lead, leads, "leads"),
        (cost.per_unit, jobs, "units"),
        (cost.per_repair, jobs, "repairs"),
    ):
        if price is not None:
            return counts.select(*KEY, (pl.col(measure) * int(price * 100)).alias("cost_cents"))
    msg = "a cost has a price, an amount or a feed"
    raise AssertionError(msg)


def _summed(
    name: str,
    source: Source,
    cost: Cost,
    amounts: pl.LazyFrame,
    leads: pl.LazyFrame,
    last_day: pl.LazyFrame,
    rules: Rules,
) -> pl.LazyFrame:
    if cost.spread is None:
        placed = pl.lit(name).alias("source"), pl.lit(source.segment).alias("segment")
        return amounts.select("date", *placed, "cost_cents")
    months = amounts.group_by(pl.col("date").dt.month_start().alias("month")).agg(pl.col("cost_cents").sum())
    return _placed(spread_days(months, last_day), leads, name, source.segment, rules)


def _placed(days: pl.LazyFrame, leads: pl.LazyFrame, name: str, segment: str, rules: Rules) -> pl.LazyFrame:
    return split_by_leads(days, leads, segment, rules.segment_order).select(
        "date", pl.lit(name).alias("source"), "segment", "cost_cents"
    )


def idle_months(active: pl.LazyFrame, last_day: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the months of gaps of a year or more without a lead or job of any source; no fixed fee is due in them.

    A mistyped year leaves such a gap, and so does a company that paused.

    Args:
        active: the dates of all leads and jobs.
        last_day: one row: the data's last day.

    Returns:
        One row per month.
    """
    days = pl.concat([active.select("date"), last_day.select(pl.col("last_day").alias("date"))]).drop_nulls()
    months = days.select(pl.col("date").dt.month_start().alias("month")).unique().sort("month")
    number = pl.col("month").dt.year().cast(pl.Int64) * 12 + pl.col("month").dt.month()
    between = number.shift(-1) - number - 1
    return (
        months.with_columns(pl.col("month").shift(-1).alias("next"), between.alias("between"))
        .filter(pl.col("between") >= IDLE_MONTHS)
        .select(pl.date_ranges("month", "next", "1mo", closed="none").alias("month"))
        .explode("month")
    )


def fee_months(
    leads: pl.LazyFrame, jobs: pl.LazyFrame, last_day: pl.LazyFrame, idle: pl.LazyFrame, fee_cents: int
) -> pl.LazyFrame:
    """Returns the months of a fixed fee: from the source's first lead or job to the data's last day, less idle months.

    Returns:
        One row per month: cost_cents.
    """
    first = pl.concat([leads.select("date"), jobs.select("date")]).select(pl.col("date").min().dt.month_start())
    return (
        first.join(last_day, how="cross")
        .drop_nulls()
        .filter(pl.col("date") <= pl.col("last_day"))
        .select(pl.date_ranges("date", pl.col("last_day").dt.month_start(), "1mo").alias("month"))
        .explode("month")
        .join(idle, on="month", how="anti")
        .select("month", pl.lit(fee_cents, dtype=pl.Int64).alias("cost_cents"))
    )


def spread_days(months: pl.LazyFrame, last_day: pl.LazyFrame) -> pl.LazyFrame:
    """Spreads each month's amount evenly over its days; the earliest days get one cent more until it adds up.

    Args:
        months: one row per month: cost_cents; a negative amount is split like its absolute value.
        last_day: the data's last day; its month has only the days up to it.

    Returns:
        One row per date: cost_cents. Each month's days add up to its amount.
    """
    in_last = pl.col("month") == pl.col("last_day").dt.month_start()
    days = (
        pl.when(in_last).then(pl.col("last_day").dt.day()).otherwise(pl.col("month").dt.days_in_month()).cast(pl.Int64)
    )
    size, place = pl.col("cost_cents").abs(), pl.col("place")
    per_day = size // pl.col("days") + (place < size % pl.col("days")).cast(pl.Int64)
    return (
        months.join(last_day, how="cross")
        .with_columns(days.alias("days"))
        .with_columns(pl.int_ranges(0, pl.col("days")).alias("place"))
        .explode("place")
        .select(
            (pl.col("month") + pl.duration(days=place)).alias("date"),
            (per_day * pl.col("cost_cents").sign()).alias("cost_cents"),
        )
    )


def split_by_leads(days: pl.LazyFrame, leads: pl.LazyFrame, segment: str, order: tuple[str, ...]) -> pl.LazyFrame:
    """Splits each day's amount over the segments in proportion to that day's leads, by largest remainder.

    Args:
        days: one row per date: cost_cents.
        leads: one source's leads per (date, source, segment).
        segment: gets the whole amount of a day without leads.
        order: the segments, in the order that settles ties.

    Returns:
        One row per (date, segment): cost_cents. Each day's segments add up to its amount.
    """
    weights = leads.group_by("date", "segment").agg(pl.col("leads").sum()).filter(pl.col("leads") > 0)
    ranks = {name: i for i, name in enumerate(order)}
    size, weight, total_leads = pl.col("cost_cents").abs(), pl.col("leads"), pl.col("leads").sum().over("date")
    split = (
        days.join(weights, on="date", how="left")
        .with_columns(pl.col("segment").fill_null(segment), pl.col("leads").fill_null(1))
        .with_columns((size * weight // total_leads).alias("part"), (size * weight % total_leads).alias("rest"))
        .with_columns((size - pl.col("part").sum().over("date")).alias("left"))
        .with_columns(pl.col("segment").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int64).alias("rank"))
        .with_columns(
            pl.struct(-pl.col("rest"), pl.col("rank")).rank("ordinal").over("date").cast(pl.Int64).alias("turn")
        )
    )
    part = pl.col("part") + (pl.col("turn") <= pl.col("left")).cast(pl.Int64)
    return split.select("date", "segment", (part * pl.col("cost_cents").sign()).alias("cost_cents"))


def spend_feeds(rules: Rules) -> set[str]:
    """Returns the feeds of monthly spend, which a source spreads over days; they do not extend the data's last day."""
    versions: list[Source] = [s for dated in rules.sources.values() for s in _versions(dated)]
    return {c.feed for s in versions for c in s.cost if c.feed is not None and c.spread is not None}


def _versions(dated: Dated[Source]) -> list[Source]:
    return [source for _, source in dated.versions]
