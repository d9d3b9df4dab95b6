"""Jobs and payments to publish without a lake: a few rows, the rest of their columns blank."""

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.publish import Change, DesiredTable, Run, Written, last_run, publish
from rmetrics.postgres.publish.digests import digests, month_sums
from rmetrics.postgres.publish.months import month_of, polars_type
from rmetrics.rules import load_rules
from rmetrics.tables import PgTable, feed_table
from support import ROOT

_RULES = load_rules(ROOT / "rules")
JOBS, PAYMENTS = feed_table(_RULES, "jobs"), feed_table(_RULES, "payments")
_runs = itertools.count()

Row = tuple[str, str | None, str]


def frame(table: PgTable, rows: Sequence[Mapping[str, object]]) -> pl.LazyFrame:
    """Rows of a table, blank where nothing is said."""
    return pl.LazyFrame(rows, schema={c.name: polars_type(c.type) for c in table.columns}, strict=False)


def jobs(*rows: Row) -> pl.LazyFrame:
    """Jobs: number, day, amount paid."""
    fixed = {"source": "Google", "segment": "COD", "is_unit": True, "is_repair": False}
    return frame(JOBS, [{"job_id": n, "metric_date": _day(d), "paid": _money(p), **fixed} for n, d, p in rows])


def payments(*rows: tuple[str, str | None, str, str | None]) -> pl.LazyFrame:
    """Payments: number, day, amount, job."""
    return frame(
        PAYMENTS,
        [{"payment_id": n, "paid_date": _day(d), "amount": _money(a), "job_id": j, "counted": True} for n, d, a, j in rows],
    )  # fmt: skip


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def _money(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def content(table: PgTable, rows: pl.LazyFrame, before: DesiredTable | None = None) -> DesiredTable:
    """Rows as what a table must hold, with what changed since another content."""
    found = rows.collect()
    change = None
    if before is not None:
        held = pl.concat(before.months(list(before.digests))) if before.digests else rows.head(0)
        came = found.lazy().join(held, on=list(table.names), how="anti", nulls_equal=True)
        gone = held.join(found.lazy(), on=list(table.key), how="anti", nulls_equal=True).select(table.key)
        change = Change(before.digests, came, gone)
    made = digests(month_sums(table, found.lazy()), table)
    return DesiredTable(table, made, lambda months: [found.lazy().filter(month_of(table).is_in(list(months)))], change)


def publish_contents(server: Server, *contents: DesiredTable, full: bool = False) -> Written:
    """Publishes through the real protocol, after whatever was published last."""
    with connect(server) as session:
        after = last_run(session)
    run = Run(
        f"r{next(_runs):04}", dt.datetime.now(dt.UTC), "rules", "0", 0, 0, 0, (), "inputs", "America/New_York", "USD"
    )
    return publish(server, "public", contents, run, schema_digest="0", cause="a test", full=full, after=after)
