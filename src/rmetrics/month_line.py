"""The figures of a source in a month, shared by all pages, messages and summaries."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class MonthLine:
    """One source in one month, or on one of its days, with its target; source ALL is the whole company."""

    month: dt.date
    source: str
    jobs: int
    leads: int
    units: int
    repairs: int
    revenue_gross: Decimal
    revenue40: Decimal
    cost: Decimal
    target_repairs: Decimal | None = None
    target_revenue40: Decimal | None = None
    target_conv_l2r: Decimal | None = None
    target_cpl_max: Decimal | None = None

    @property
    def cpl(self) -> Decimal | None:
        """Cost per lead; None without leads."""
        return self.cost / self.leads if self.leads else None

    @property
    def conv_l2r(self) -> Decimal | None:
        """Repairs per lead; None without leads."""
        return Decimal(self.repairs) / self.leads if self.leads else None

    @property
    def profit(self) -> Decimal:
        """Revenue after payout minus cost."""
        return self.revenue40 - self.cost
