"""Time from a row of a lead feed to the first call that reached the customer.

Only leads of feeds with a time are followed. A lead is reached by the first of these calls with one of its numbers, at
most ``[calls].called_back`` days later: an outbound call at or after the lead, or an answered inbound call. The latter
may be the lead's own call, up to ten minutes before it (clocks of vendors and phone logs differ): a wait of 0. A lead
without a number cannot be followed. Waits are counted in ``[business].hours``, as for calls.

Source: the design, section 7.
"""

import polars as pl

from rmetrics.metrics.call_classes import CALLER, WITHIN, waited
from rmetrics.metrics.callers import Speed, speed_of
from rmetrics.metrics.matches import ByNumber
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import EVIDENCE_S, TOUCH
from rmetrics.rules.hours import spans_of
from rmetrics.rules.model import Rules
from rmetrics.rules.names import CALLS


def lead_waits(of: ByNumber, calls: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns the time until each lead was reached.

    Args:
        of: touches and their numbers.
        calls: ``call_classes.CallRows.calls``.
        rules: hours and limits; dated ones apply by the lead's own day.

    Returns:
        One row per lead with a time and a number: touch_id, source, touch_date, answered_within_s (null: not reached).
    """
    leads = of.touch_keys.filter(_followed()).select(TOUCH, "source", "touch_date", pl.col("touch_at").alias("at"), KEY)
    numbered = keyed(calls.drop_nulls("at"), CALLER).select(KEY, "inbound", "answered", "at", "day")
    out, inbound_calls = (
        numbered.filter(fits).select(
            KEY, pl.col("at").alias(f"_{name}"), pl.col("day").alias(f"_{name}_day"),
            (pl.col("at") + early).alias("_on"),
        ).sort("_on")
        for name, fits, early in (
            ("out", ~pl.col("inbound"), pl.duration(seconds=0)),
            ("in", pl.col("inbound") & pl.col("answered").fill_null(value=False), pl.duration(seconds=EVIDENCE_S)),
        )
    )  # fmt: skip
    first = leads.sort("at")
    for contacts in (out, inbound_calls):
        first = first.join_asof(
            contacts, left_on="at", right_on="_on", by=KEY, strategy="forward", check_sortedness=False
        ).drop("_on", strict=False)
    earlier = pl.col("_in").is_null() | (pl.col("_out") <= pl.col("_in"))
    outbound = pl.col("_out").is_not_null() & earlier
    limit = in_force(rules.calls, pl.col("touch_date"), lambda c: pl.lit(c.called_back))
    days = (pl.col("_contact_day") - pl.col("touch_date")).dt.total_days()
    wait = waited(rules.business.timezone, spans_of(rules.business.hours))
    return (
        first.with_columns(
            pl.when(outbound).then("_out").otherwise("_in").alias("_contact"),
            pl.when(outbound).then("_out_day").otherwise("_in_day").alias("_contact_day"),
        )
        .with_columns(pl.when(days <= limit).then(wait.clip(0)).cast(pl.Int64).alias(WITHIN))
        .group_by(TOUCH)
        .agg(pl.col("source", "touch_date").first(), pl.col(WITHIN).min())
    )


def lead_speeds(of: ByNumber, waits: pl.LazyFrame) -> list[Speed]:
    """Returns how soon leads were reached, by source, ALL first; ``calls`` counts all leads, even without a number.

    Args:
        of: touches of the requested days.
        waits: ``lead_waits`` of them.
    """
    leads = of.touches.filter(_followed()).select(TOUCH, "source")
    return speed_of(leads.join(waits.select(TOUCH, WITHIN), on=TOUCH, how="left").select("source", WITHIN))


def _followed() -> pl.Expr:
    return pl.col("timed") & (pl.col("feed") != CALLS)


__all__ = ["lead_speeds", "lead_waits"]
