"""The published views that an alert may examine: their columns, their window, and what identifies an occurrence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ColumnType

_TEXT, _COUNT, _MONEY, _EXACT = ColumnType.TEXT, ColumnType.INTEGER, ColumnType.MONEY, ColumnType.SHARE


@dataclass(frozen=True, slots=True)
class PublishedView:
    """A view that alerts may examine.

    Attributes:
        columns: the columns available to a condition. Ratios and ``revenue40`` have six decimals (``share``).
        identity: the columns that identify an occurrence. A source behind pace has a new row of daily_cumulative every
            day, but it remains one occurrence.
        window: the key that limits how far back rows are examined; None for a view of the current state only.
        explain: the command that explains a row, with its columns in braces.
    """

    columns: Mapping[str, ColumnType]
    identity: tuple[str, ...]
    window: Literal["months", "days"] | None
    explain: str

    def row(self, zone: str) -> Row:
        """Returns the row that a condition over the view is typed against."""
        return Row.of(self.columns, zone)


VIEWS: Mapping[str, PublishedView] = {
    "monthly_vs_target": PublishedView(
        {
            "month": ColumnType.MONTH, "source": _TEXT, "segment": _TEXT,
            **dict.fromkeys(("jobs", "leads", "units", "repairs"), _COUNT),
            "revenue_gross": _MONEY, "revenue40": _EXACT, "cost": _MONEY, "profit": _EXACT,
            **dict.fromkeys(("cpl", "conv_l2u", "conv_l2r"), _EXACT),
            "target_repairs": _MONEY, "target_revenue40": _MONEY, "target_conv_l2r": _EXACT, "target_cpl_max": _MONEY,
            "repairs_attained": _EXACT, "revenue40_attained": _EXACT, "cpl_over": ColumnType.BOOLEAN,
        },
        ("month", "source", "segment"),
        "months",
        "rmetrics explain --source {source} --month {month}",
    ),
    "daily_cumulative": PublishedView(
        {
            "month": ColumnType.MONTH, "date": ColumnType.DATE, "source": _TEXT, "repairs": _COUNT,
            **dict.fromkeys(("leads_to_date", "units_to_date", "repairs_to_date"), _COUNT),
            "revenue40_to_date": _EXACT, "cost_to_date": _MONEY, "target_repairs": _MONEY, "target_revenue40": _MONEY,
            "repairs_pace": _EXACT, "revenue40_pace": _EXACT, "repairs_of_pace": _EXACT, "revenue40_of_pace": _EXACT,
            "running": ColumnType.BOOLEAN,
        },
        ("month", "source"),
        "days",
        "rmetrics explain --source {source} --month {month} --metric repairs",
    ),
    "call_funnel": PublishedView(
        {
            "month": ColumnType.MONTH, "source": _TEXT,
            **dict.fromkeys(("calls", "inbound", "answered", "missed", "with_job", "jobs", "units", "repairs"), _COUNT),
        },
        ("month", "source"),
        "months",
        "rmetrics report --month {month}",
    ),
    "data_freshness": PublishedView(
        {
            "feed": _TEXT, "rows": _COUNT, "last_date": ColumnType.DATE, "age_days": _COUNT,
            "last_export_at": ColumnType.TIMESTAMP, "exports": _COUNT,
        },
        ("feed",),
        None,
        "rmetrics status",
    ),
    "run_findings": PublishedView(
        {"code": _TEXT, "severity": _TEXT, "rows": _COUNT}, ("code",), None, "rmetrics check"
    ),
    "publication": PublishedView(
        {"hours": _EXACT, "errors": _COUNT, "failed_runs": _COUNT, "last_run_at": ColumnType.TIMESTAMP},
        (),
        None,
        "rmetrics status",
    ),
}  # fmt: skip
