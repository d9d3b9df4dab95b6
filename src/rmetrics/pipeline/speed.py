"""How soon leads were reached: the waits of a computation."""

import polars as pl

from rmetrics.metrics.call_classes import WITHIN, call_rows
from rmetrics.metrics.lead_speed import lead_waits
from rmetrics.metrics.matches import ByNumber
from rmetrics.metrics.touches import TOUCH
from rmetrics.pipeline.compute.journeys import gathered
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.rules.names import CALLS, JOBS

_NONE = {TOUCH: pl.String(), "source": pl.String(), "touch_date": pl.Date(), WITHIN: pl.Int64()}


def followed_leads(rows: Rows) -> tuple[ByNumber, pl.LazyFrame]:
    """Returns all touches, and each numbered lead's wait (``lead_speed.lead_waits``); no waits without calls."""
    of, _ = gathered(rows)
    if CALLS not in rows.rules.feeds:
        return of, pl.LazyFrame(schema=_NONE)
    calls = call_rows(rows.linked(CALLS), rows.feed(JOBS), rows.rules).calls
    return of, lead_waits(of, calls, rows.rules)


__all__ = ["followed_leads"]
