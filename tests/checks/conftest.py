"""A lake on paper: rules as TOML, typed files as rows, the numbers DuckDB makes of them."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.feeds import ColumnType
from rmetrics.sandbox.connection import sandbox

ARROW = {
    ColumnType.TEXT: pa.string(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.MONEY: pa.decimal128(18, 2),
    ColumnType.SHARE: pa.decimal128(18, 6),
    ColumnType.TIMESTAMP: pa.timestamp("us", "UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.MONTH: pa.date32(),
    ColumnType.DURATION: pa.int64(),
    ColumnType.PHONE: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
}

BUSINESS = """
[business]
timezone = "America/New_York"

[jobs]
date = "created_at"
unit = "type IN ('COD Service', 'INS Service')"
repair = "type IN ('COD Repair', 'INS Repair') OR (type = 'COD Service' AND paid > 100)"
[[jobs.segments]]
name = "COD"
where = "type LIKE '%COD%'"
[[jobs.segments]]
name = "INS"
where = "type LIKE '%INS%'"

[revenue]
share = 0.40
"""
FEEDS = """
[feeds.jobs]
files = ["jobs*"]
key = ["job_id"]
date = "created_at"
[feeds.jobs.columns]
job_id = { type = "text", from = ["Job"], required = true }
job_uuid = { type = "text", from = ["UUID"] }
type = { type = "text", from = ["Type"], required = true }
source_raw = { type = "text", from = ["Source"] }
created_at = { type = "timestamp", from = ["Created"] }
job_date = { type = "date", from = ["Date"] }

[feeds.payments]
files = ["payments*"]
key = ["payment_id"]
date = "paid_at"
job = { column = "job_ref", match = ["job_id", "job_uuid"] }
where = "status IS NULL OR lower(status) NOT IN ('failed')"
[feeds.payments.columns]
payment_id = { type = "text", from = ["ID"], required = true }
job_ref = { type = "text", from = ["Job"] }
paid_at = { type = "timestamp", from = ["Paid"], required = true, blank = true }
amount = { type = "money", from = ["Amount"], required = true }
status = { type = "text", from = ["Status"] }

[feeds.calls]
files = ["calls*"]
key = ["call_id"]
date = "started_at"
local_date = "call_date"
[feeds.calls.columns]
call_id = { type = "text", from = ["ID"], required = true }
started_at = { type = "timestamp", from = ["Time"], required = true }

[feeds.shop_leads]
files = ["leads*"]
key = ["lead_id"]
date = "lead_at"
[feeds.shop_leads.columns]
lead_id = { type = "text", from = ["ID"], required = true }
lead_at = { type = "timestamp", from = ["Time"], required = true, blank = true }
cost = { type = "money", from = ["Cost"] }
status = { type = "text", from = ["Status"] }
big = { type = "boolean", sql = "cost > 50" }

[feeds.ads]
files = ["ads*"]
key = ["month", "day", "campaign"]
date = "month"
repeats = "sum"
publish_by = ["month", "campaign"]
[feeds.ads.columns]
month = { type = "month", from = ["Month"], required = true }
day = { type = "date", from = ["Day"] }
campaign = { type = "text", from = ["Campaign"], default = "(all)" }
spend = { type = "money", from = ["Spend"], required = true, blank = true }
"""

Row = dict[str, Any]


def at(text: str, hour: int = 12) -> dt.datetime:
    """A stamp on a New York day."""
    return dt.datetime.fromisoformat(text).replace(hour=hour, tzinfo=ZoneInfo("America/New_York"))


@dataclass
class Lab:
    """Rules and typed files of one test."""

    folder: Path
    business: str = BUSINESS
    feeds: str = FEEDS
    sources: str = ""
    typed: dict[str, list[TypedInput]] = field(default_factory=dict)
    open: list[duckdb.DuckDBPyConnection] = field(default_factory=list)

    @property
    def rules(self) -> Rules:
        """The rules as written so far."""
        folder = self.folder / "rules"
        folder.mkdir(exist_ok=True)
        (folder / "all.toml").write_text(self.business + self.feeds + self.sources, encoding="utf-8")
        return load_rules(folder)

    def add(
        self,
        feed: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        columns: Sequence[str] | None = None,
        rank: int | None = None,
        made_up: Sequence[str] = (),
    ) -> None:
        """Adds a typed file: ``columns`` are those its export had (default: all), ``made_up`` those typing added."""
        spec = self.rules.feeds[feed]
        names = list(columns if columns is not None else spec.mapped)
        stored = [*made_up, *names]
        types = {n: ARROW[spec.columns[n].type] if n in spec.columns else pa.string() for n in stored}
        arrays = [pa.array([r.get(n) for r in rows], type=t) for n, t in types.items()]
        lines = pa.array([r.get("_line", i + 2) for i, r in enumerate(rows)], type=pa.int64())
        files = self.typed.setdefault(feed, [])
        path = self.folder / f"{feed}-{len(files)}.parquet"
        pq.write_table(pa.table([*arrays, lines], names=[*stored, "_line"]), path)
        files.append(TypedInput(path, tuple(names), len(files) if rank is None else rank))

    def jobs(self, *rows: tuple[Any, ...]) -> None:
        """Jobs as (job_id, type, source_raw, created_at)."""
        self.add("jobs", [dict(zip(("job_id", "type", "source_raw", "created_at"), r, strict=True)) for r in rows])

    def payments(self, *rows: tuple[Any, ...]) -> None:
        """Payments as (job_ref, paid_at, amount), numbered."""
        names = ("job_ref", "paid_at", "amount")
        self.add("payments", [{"payment_id": str(i), **dict(zip(names, r, strict=True))} for i, r in enumerate(rows)])

    def leads(self, *rows: tuple[Any, ...]) -> None:
        """Leads as (lead_at, cost), numbered."""
        self.add("shop_leads", [{"lead_id": str(i), "lead_at": a, "cost": c} for i, (a, c) in enumerate(rows)])

    def ads(self, *rows: tuple[dt.date, Decimal]) -> None:
        """Spend as (month, spend), one campaign each."""
        names = ("month", "day", "campaign", "spend")
        self.add("ads", [dict(zip(names, (m, None, f"c{i}", s), strict=True)) for i, (m, s) in enumerate(rows)])

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A sandbox in which everything is recomputed."""
        files = [i.path for inputs in self.typed.values() for i in inputs]
        connection = sandbox(files, temp=self.folder / "temp", threads=2)
        self.open.append(connection)
        recompute(connection, self.typed, self.rules)
        return connection

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Recomputes and asks."""
        return self.connect().execute(sql).fetchall()

    def daily(self, *measures: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Rows (day, source, segment, measures), only those where one of the measures is not zero."""
        return self._metrics("date", "daily_metrics", measures, where)

    def monthly(self, *measures: str, where: str = "true") -> list[tuple[Any, ...]]:
        """The same of months."""
        return self._metrics("month", "monthly_metrics", measures, where)

    def _metrics(self, period: str, table: str, measures: Sequence[str], where: str) -> list[tuple[Any, ...]]:
        some = " OR ".join(f"{m} <> 0" for m in measures)
        return self.query(
            f"SELECT strftime({period}, '%Y-%m-%d'), source, segment, {', '.join(measures)} FROM {table} "
            f"WHERE ({some}) AND {where} ORDER BY ALL"
        )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    for connection in made.open:
        connection.close()


@pytest.fixture
def noon() -> Callable[..., dt.datetime]:
    return at
