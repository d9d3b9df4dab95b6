"""Versions of the metric tables of which each says, in every row, which version it is."""

import datetime as dt
from collections.abc import Mapping

import polars as pl

from rmetrics.postgres.connection import Server, connect, server_of
from rmetrics.postgres.ddl import apply_schema
from rmetrics.postgres.publish import DesiredTable, Run, last_run, publish
from rmetrics.postgres.publish.digests import digests, month_sums
from rmetrics.postgres.publish.months import month_of
from rmetrics.tables import DAILY, MONTHLY, PgTable, metric_table
from support import ROOT

SEEN = """
SELECT d.n, d.low, d.high, d.jobs, m.n, m.low, m.high, r.run_id
FROM (SELECT count(*) AS n, min(leads) AS low, max(leads) AS high, sum(jobs)::bigint AS jobs FROM daily_metrics) AS d,
     (SELECT count(*) AS n, min(leads) AS low, max(leads) AS high FROM monthly_metrics) AS m,
     (SELECT run_id FROM sync_runs ORDER BY finished_at DESC LIMIT 1) AS r
"""


def prepared(dsn: str) -> Server:
    """A database with the schema and nothing in it."""
    server = server_of(dsn)
    with connect(server) as session:
        apply_schema(session, (ROOT / "schema.sql").read_text(encoding="utf-8"), "public")
    return server


def seen_of(version: int) -> tuple[object, ...]:
    """What ``SEEN`` answers when it sees this version whole."""
    rows = _rows(version)
    return rows, version, version, rows * (rows - 1) // 2 + version * rows, 12, version, version, f"v{version:04}"


def _rows(version: int) -> int:
    """Versions differ in size too: every third one is larger, so rows come and go."""
    return 90 + 60 * (version % 3)


def publish_version(server: Server, version: int, *, after: str | None = "last") -> Mapping[str, int]:
    """Publishes a version through the real protocol; returns the rows written."""
    if after == "last":
        with connect(server) as session:
            after = last_run(session)
    run = Run(
        f"v{version:04}", dt.datetime.now(dt.UTC), "rules", "0", 0, 0, 0, (), f"inputs {version}", "America/New_York", "USD"
    )  # fmt: skip
    contents = [content_of(metric_table(name), _rows_of(name, version)) for name in (DAILY, MONTHLY)]
    return publish(server, "public", contents, run, schema_digest="0", cause="a version", after=after).rows


def content_of(table: PgTable, rows: pl.LazyFrame) -> DesiredTable:
    """Rows as the months of a table; nothing is known of where they come from."""
    made = digests(month_sums(table, rows), table)
    return DesiredTable(table, made, lambda months: [rows.filter(month_of(table).is_in(list(months)))])


def _rows_of(name: str, version: int) -> pl.LazyFrame:
    if name == DAILY:
        days = [(dt.date(2024, 1, 1) + dt.timedelta(n), "Google", n) for n in range(_rows(version))]
    else:
        days = [(dt.date(2024, m, 1), "Google", 0) for m in range(1, 13)]
    frame = pl.DataFrame(days, schema={"day": pl.Date, "source": pl.String, "n": pl.Int64}, orient="row").lazy()
    zero = pl.lit(0, dtype=pl.Int64)
    return frame.select(
        pl.col("day").alias("date" if name == DAILY else "month"),
        "source",
        pl.lit("COD").alias("segment"),
        pl.col("day").cast(pl.Datetime("us", "UTC")).alias("time"),
        (pl.col("n") + version).alias("jobs"),
        pl.lit(version, dtype=pl.Int64).alias("leads"),
        zero.alias("units"),
        zero.alias("repairs"),
        *(zero.alias(n) for n in ("revenue_gross", "revenue40", "cost")),
    )
