"""Weeks, quarters and years, added up by the second engine from days and months: views of `rmetrics sql`."""

from collections.abc import Mapping

from rmetrics.checks.recompute import DAILY, MEASURES, MONTHLY

_SUMS = ", ".join(f"sum({m}) AS {m}" for m in MEASURES)


def _view(period: str, table: str, date: str) -> str:
    return (
        f"SELECT CAST(date_trunc('{period}', {date}) AS DATE) AS {period}, source, segment, {_SUMS} "
        f"FROM {table} GROUP BY ALL"
    )


PERIODS: Mapping[str, tuple[str, str]] = {
    "weekly_metrics": (DAILY, _view("week", DAILY, "date")),
    "quarterly_metrics": (MONTHLY, _view("quarter", MONTHLY, "month")),
    "yearly_metrics": (MONTHLY, _view("year", MONTHLY, "month")),
}
"""By name: the table that the view reads, and its SELECT. One row per period, source and segment; measures only."""

__all__ = ["PERIODS"]
