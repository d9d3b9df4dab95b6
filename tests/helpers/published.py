"""The sample exports, published twice, and the reader role: what tests of queries, dashboards and the page work on."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adbc_driver_postgresql import dbapi

from rmetrics.postgres.connection import statements
from rmetrics.postgres.roles import READER, roles_script
from support import MIDNIGHT, ROOT, Project, fresh_database, new_project

LATE = ("jobs_export_2025-01-03.csv", "payments_2024-09-15_2024-12-31.csv")


@dataclass(frozen=True)
class Published:
    """A published database.

    Attributes:
        owner, reader: its URI for the owner and for the reader role.
        project: the project it was published from, None where rows were made in the database.
    """

    owner: str
    reader: str
    project: Project | None = None


def run(uri: str, *sql: str) -> None:
    """Runs statements one by one."""
    with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in sql:
            cursor.execute(statement)


_open: dict[str, Any] = {}


def query(uri: str, sql: str) -> tuple[list[tuple[str, Any]], list[tuple[Any, ...]]]:
    """(name, Arrow type) of each column, and the rows; numerics are text. One connection serves all queries."""
    if uri not in _open:
        _open[uri] = dbapi.connect(uri, autocommit=True)
    with _open[uri].cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": False})
        cursor.execute(sql)
        table = cursor.fetch_arrow_table()
    columns = [(field.name, field.type) for field in table.schema]
    return columns, list(zip(*(table.column(i).to_pylist() for i in range(len(columns))), strict=True))


def rows_read(uri: str, sql: str) -> dict[str, int]:
    """How many rows a query reads from each table, by what PostgreSQL did."""
    read: dict[str, int] = {}

    def visit(plan: Mapping[str, Any]) -> None:
        if "Relation Name" in plan:
            rows = plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
            read[plan["Relation Name"]] = read.get(plan["Relation Name"], 0) + round(rows * plan["Actual Loops"])
        for part in plan.get("Plans", ()):
            visit(part)

    visit(json.loads(query(uri, f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")[1][0][0])[0]["Plan"])
    return read


def _close(*uris: str) -> None:
    for uri in uris:
        if uri in _open:
            _open.pop(uri).close()


def with_reader(uri: str) -> str:
    """Makes the reader role in a database that has the schema; returns the role's URI."""
    run(uri, *statements(roles_script()))
    return uri.replace("postgresql://postgres:", f"postgresql://{READER}:", 1)


@contextmanager
def empty_schema(pg_uri: str) -> Iterator[Published]:
    """The schema without a row."""
    with fresh_database(pg_uri) as uri:
        run(uri, *statements((ROOT / "schema.sql").read_text(encoding="utf-8")))
        made = Published(uri, with_reader(uri))
        yield made
        _close(made.owner, made.reader)


@contextmanager
def published_sample(pg_uri: str, folder: Path) -> Iterator[Published]:
    """The sample, published first without the latest exports and then with them, so that figures have changed."""
    with fresh_database(pg_uri) as uri:
        project = new_project(folder / "sample", uri)
        exports = [p for p in sorted((ROOT / "data" / "sample").iterdir()) if p.suffix in {".csv", ".xlsx"}]
        first = MIDNIGHT.timestamp() + 4 * 86_400  # whatever a checkout or `make sample` left; after the data
        for late in (False, True):
            for number, path in enumerate(exports):
                if (path.name in LATE) == late:
                    copied = shutil.copy2(path, project.inbox / path.name)
                    os.utime(copied, (first + number, first + number))
            project.sync()
        made = Published(uri, with_reader(uri), project)
        yield made
        _close(made.owner, made.reader)


YEARS = """
    INSERT INTO daily_metrics (date, time, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost)
    SELECT day, (day + time '12:00') AT TIME ZONE 'America/New_York', source, segment, 3, 4, 2, 1, 250.00, 100.00, 60.00
    FROM (SELECT d::date AS day FROM generate_series(date '2020-01-01', date '2024-12-20', interval '1 day') AS d) AS days
    CROSS JOIN unnest(ARRAY['eLocals', 'Pro Referral', 'Google', 'Rely', 'NSA', 'Liberty', 'Retention', 'Unattributed', 'O''Brien']) AS source
    CROSS JOIN unnest(ARRAY['COD', 'INS', 'OTHER']) AS segment
"""
MONTHS = """
    INSERT INTO monthly_metrics (month, time, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost)
    SELECT month, (month + time '12:00') AT TIME ZONE 'America/New_York', source, segment,
           sum(jobs), sum(leads), sum(units), sum(repairs), sum(revenue_gross), sum(revenue40), sum(cost)
    FROM (SELECT date_trunc('month', date::timestamp)::date AS month, * FROM daily_metrics) AS day
    GROUP BY month, source, segment
"""
TARGETS = """
    INSERT INTO targets (month, source, segment, target_repairs, target_revenue40, target_conv_l2r, target_cpl_max)
    SELECT DISTINCT month, scope, 'ALL', 900, 90000, 0.3, 20
    FROM monthly_metrics CROSS JOIN LATERAL unnest(ARRAY['ALL', source]) AS scope
"""


# An estimate as a publish writes it: 540 repairs on the 20th, 27 more on each day left.
FORECASTS = """
INSERT INTO forecasts (date, source, measure, time, month, as_of, value, low, high, past_months)
SELECT DATE '2024-12-01' + day - 1, 'ALL', measure, (DATE '2024-12-01' + day - 1 + time '12:00') AT TIME ZONE 'America/New_York',
       '2024-12-01', '2024-12-20', each * day, CASE WHEN day = 31 THEN each * day - 37 * each / 27 END,
       CASE WHEN day = 31 THEN each * day + 37 * each / 27 END, 24
FROM generate_series(20, 31) AS day, (VALUES ('repairs', 27), ('revenue40', 2700)) AS of (measure, each)
"""


@contextmanager
def five_years(pg_uri: str) -> Iterator[Published]:
    """Five years of days of nine sources in three segments, one of them named O'Brien."""
    with empty_schema(pg_uri) as made:
        run(
            made.owner,
            "INSERT INTO business (timezone, currency) VALUES ('America/New_York', 'USD')",
            YEARS,
            MONTHS,
            TARGETS,
            FORECASTS,
            "VACUUM ANALYZE",
        )
        yield made
