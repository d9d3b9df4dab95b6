"""schema.sql: applies twice, explains itself, keeps its rules, and its views give hand-worked answers.

Numerics come back from the driver as text, so expected amounts and ratios stand here as text too.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from adbc_driver_postgresql import dbapi

from support import fresh_database

SCHEMA = Path(__file__).parents[2] / "schema.sql"
ZONE = "America/New_York"
VIEWS = ["call_funnel", "daily_cumulative", "data_freshness", "monthly_vs_target", "run_findings"]

DAYS = """
    INSERT INTO daily_metrics (date, time, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost)
    SELECT day, (day + time '12:00') AT TIME ZONE 'America/New_York', source, segment, jobs, leads, units, repairs, gross, gross * 0.40, cost
    FROM (VALUES
        (date '2025-10-30', 'eLocals', 'COD', 3, 4, 2, 1,  500.00, 100.00),
        (date '2025-10-30', 'eLocals', 'INS', 1, 0, 1, 1,   50.00,   0.00),
        (date '2025-10-31', 'Rely',    'INS', 2, 2, 2, 1,  300.00,   0.00),
        (date '2025-11-01', 'Google',  'COD', 1, 1, 1, 0,    0.00,  10.00),
        (date '2025-11-03', 'eLocals', 'COD', 2, 2, 2, 2, 1000.00,  60.00)
    ) AS row (day, source, segment, jobs, leads, units, repairs, gross, cost)
"""
MONTHS = """
    INSERT INTO monthly_metrics (month, time, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost)
    SELECT month, (month + time '12:00') AT TIME ZONE 'America/New_York', source, segment,
           sum(jobs), sum(leads), sum(units), sum(repairs), sum(revenue_gross), sum(revenue40), sum(cost)
    FROM (SELECT date_trunc('month', date::timestamp)::date AS month, * FROM daily_metrics) AS day
    GROUP BY month, source, segment
"""
TARGETS = """
    INSERT INTO targets (month, source, segment, target_repairs, target_revenue40, target_conv_l2r, target_cpl_max) VALUES
        ('2025-10-01', 'ALL',       'ALL', 31, 620, 0.5,  15),
        ('2025-10-01', 'eLocals',   'ALL', 20, 400, NULL, 30),
        ('2025-10-01', 'ALL',       'INS', 4,  NULL, NULL, NULL),
        ('2025-10-01', 'eLocals',   'COD', 4,  NULL, NULL, 25),
        ('2025-10-01', 'Thumbtack', 'ALL', 0,  0,    NULL, 9),
        ('2025-11-01', 'Rely',      'ALL', 6,  NULL, NULL, NULL),
        ('2025-12-01', 'ALL',       'ALL', 62, 310,  0.5,  40)
"""
BUSINESS = f"INSERT INTO business (timezone, currency) VALUES ('{ZONE}', 'USD')"

Row = tuple[Any, ...]


def lines(table: str) -> list[str]:
    """The rows of an expected table below its heading, blanks squeezed as in `Database.table`."""
    return [" ".join(line.split()) for line in table.strip().splitlines()][1:]


def statements() -> list[str]:
    """The statements of schema.sql: every semicolon ends a line, so no parser is needed."""
    without_comments = re.sub(r"--.*", "", SCHEMA.read_text(encoding="utf-8"))
    return [part.strip() for part in re.split(r";\n", without_comments) if part.strip()]


class Database:
    """One autocommit connection with two verbs."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def run(self, *sql: str) -> None:
        """Execute statements one by one."""
        with self._connection.cursor() as cursor:
            for statement in sql:
                cursor.execute(statement)

    def rows(self, query: str) -> list[Row]:
        """Every row of a query."""
        with self._connection.cursor() as cursor:
            # Without COPY, which the driver would wrap around an EXPLAIN too.
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": False})
            cursor.execute(query)
            return [tuple(row) for row in cursor.fetchall()]

    def table(self, query: str) -> list[str]:
        """Every row of a query as words with single blanks between them, NULL as a hyphen."""
        return [" ".join("-" if value is None else str(value) for value in row) for row in self.rows(query)]


@pytest.fixture
def empty(pg_uri: str) -> Iterator[Database]:
    """A database to which the schema has been applied."""
    with fresh_database(pg_uri, ready=True) as uri, dbapi.connect(uri, autocommit=True) as connection:
        yield Database(connection)


@pytest.fixture
def filled(empty: Database) -> Database:
    """The hand-worked metrics and targets of autumn 2025, the data ending on 3 November."""
    empty.run(BUSINESS, DAYS, MONTHS, TARGETS)
    return empty


CATALOG = """
    SELECT 'column', c.oid::text, c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text || a.attgenerated::text || a.attidentity::text,
           coalesce(pg_get_expr(d.adbin, d.adrelid), ''), coalesce(col_description(c.oid, a.attnum), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v') AND a.attnum > 0
    UNION ALL
    SELECT 'constraint', oid::text, conrelid::regclass::text, conname::text, pg_get_constraintdef(oid), '', ''
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT 'relation', oid::text, relname::text, relkind::text,
           CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) WHEN 'i' THEN pg_get_indexdef(oid) ELSE '' END, coalesce(relacl::text, ''),
           coalesce(obj_description(oid, 'pg_class'), '')
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    ORDER BY 1, 3, 4, 2
"""


def test_applying_the_schema_again_changes_nothing(empty: Database) -> None:
    """A second run leaves every object, its identity and the rows as they are."""
    empty.run(BUSINESS, DAYS)
    before = empty.rows(CATALOG)
    empty.run(*statements())
    assert empty.rows(CATALOG) == before
    assert len(before) > 200
    assert empty.rows("SELECT count(*) FROM daily_metrics") == [(5,)]


def test_the_schema_is_plain_sql() -> None:
    """Outside of texts semicolons only end lines, nothing is dollar-quoted, and no schema or role is named."""
    text = SCHEMA.read_text(encoding="utf-8")
    code = re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--.*", "", text))
    assert re.findall(r";(?!\n)", code) == []
    assert not re.search(r";\n", "".join(re.findall(r"'(?:[^']|'')*'", re.sub(r"--.*", "", text))))
    assert all(";" not in line for line in text.splitlines() if line.lstrip().startswith("--"))
    assert "$" not in text
    assert not re.search(r"^\s*(GRANT|REVOKE|DROP|DO|SET|\\)", text, re.MULTILINE)
    assert "public." not in text
    assert all(
        re.match(r"CREATE (TABLE|INDEX) IF NOT EXISTS|CREATE OR REPLACE (VIEW|FUNCTION|TRIGGER)|COMMENT ON", s)
        for s in statements()
    )


def test_the_schema_goes_where_search_path_points(empty: Database) -> None:
    """Applied with another search_path, all objects and what the views read stand in that schema."""
    empty.run("CREATE SCHEMA elsewhere", "SET search_path = elsewhere", *statements(), DAYS, MONTHS)
    assert empty.rows("SELECT count(*) FROM elsewhere.monthly_vs_target") != [(0,)]
    assert empty.rows("SELECT count(*) FROM public.monthly_vs_target") == [(0,)]
    counts = empty.rows(
        "SELECT count(*) FROM pg_class GROUP BY relnamespace HAVING relnamespace IN ('public'::regnamespace, 'elsewhere'::regnamespace)"
    )
    assert counts[0] == counts[1]


def test_everything_has_a_comment(empty: Database) -> None:
    """Each table, view and column explains itself."""
    silent = empty.rows("""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')
          AND (obj_description(c.oid, 'pg_class') IS NULL OR coalesce(col_description(c.oid, a.attnum), '') = '')
    """)
    assert silent == []


def test_every_column_that_may_be_null_says_what_null_means(empty: Database) -> None:
    """Table columns: NULL is spoken of exactly where it is possible (profit alone, a generated column, denies it)."""
    columns = empty.rows("""
        SELECT c.relname || '.' || a.attname, a.attnotnull, col_description(c.oid, a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    """)
    wrong = [name for name, required, comment in columns if required == ("NULL: " in comment)]
    assert sorted(wrong) == ["daily_metrics.profit", "monthly_metrics.profit"]


def test_all_constraints_have_a_name_of_ours(empty: Database) -> None:
    """Names begin with the table, and none was cut or numbered by the server."""
    names = empty.rows("""
        SELECT conrelid::regclass::text, conname FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f', 'u', 'c')
    """)
    text = SCHEMA.read_text(encoding="utf-8")
    assert [name for table, name in names if not name.startswith(table) or f"CONSTRAINT {name} " not in text] == []


@pytest.mark.parametrize("table", ["daily_metrics", "monthly_metrics"])
def test_ratios_are_exact_and_null_at_zero_denominators(empty: Database, table: str) -> None:
    """Every ratio of one row, and NULL (never an error or 0) where there is nothing to divide by."""
    key = "date" if table == "daily_metrics" else "month"
    empty.run(f"""
        INSERT INTO {table} ({key}, time, source, segment, leads, units, repairs, revenue_gross, revenue40, cost) VALUES
            ('2025-11-01', '2025-11-01 12:00-04', 'all there', 'COD', 8, 4, 2, 300.10, 120.040000, 50.00),
            ('2025-11-01', '2025-11-01 12:00-04', 'only cost', 'COD', 0, 0, 0, 0, 0, 50.00),
            ('2025-11-01', '2025-11-01 12:00-04', 'only lead', 'COD', 3, 0, 0, 0, 0, 0)
    """)
    ratios = "trim_scale(conv_l2u), trim_scale(conv_l2r), trim_scale(conv_u2r), trim_scale(cpl), trim_scale(cost_per_repair), trim_scale(avg_ticket), profit"
    assert empty.rows(f"SELECT source, {ratios} FROM {table} ORDER BY source") == [
        ("all there", "0.5", "0.25", "0.5", "6.25", "25", "150.05", "70.040000"),
        ("only cost", None, None, None, None, None, None, "-50.000000"),
        ("only lead", "0", "0", None, "0", None, None, "0.000000"),
    ]


REFUSED = {
    "google_spend_month_is_first": "INSERT INTO google_spend VALUES ('2025-11-02', 'Search', 1)",
    "google_spend_campaign_not_blank": "INSERT INTO google_spend VALUES ('2025-11-01', ' ', 1)",
    "targets_month_is_first": "INSERT INTO targets VALUES ('2025-11-02', 'ALL', 'ALL')",
    "targets_source_not_blank": "INSERT INTO targets VALUES ('2025-11-01', '', 'ALL')",
    "monthly_metrics_month_is_first": "INSERT INTO monthly_metrics (month, source, segment, time) VALUES ('2025-11-02', 'Rely', 'INS', now())",
    "monthly_metrics_source_is_a_name": "INSERT INTO monthly_metrics (month, source, segment, time) VALUES ('2025-11-01', 'ALL', 'INS', now())",
    "daily_metrics_source_is_a_name": "INSERT INTO daily_metrics (date, source, segment, time) VALUES ('2025-11-02', 'ALL', 'INS', now())",
    "daily_metrics_segment_is_a_name": "INSERT INTO daily_metrics (date, source, segment, time) VALUES ('2025-11-02', 'Rely', 'ALL', now())",
    "daily_metrics_counts_not_negative": "INSERT INTO daily_metrics (date, source, segment, time, leads) VALUES ('2025-11-02', 'Rely', 'INS', now(), -1)",
    "jobs_source_not_blank": "INSERT INTO jobs (job_id, source, segment, is_unit, is_repair) VALUES ('1', ' ', 'COD', false, false)",
    "payments_job_id_fkey": "INSERT INTO payments (payment_id, job_id, amount, counted) VALUES ('1', 'unknown', 1, true)",
    "calls_job_id_fkey": "INSERT INTO calls (call_id, job_id) VALUES ('1', 'unknown')",
    "metric_changes_run_id_fkey": "INSERT INTO metric_changes (run_id, month, source, segment, metric) VALUES ('none', '2025-11-01', 'Rely', 'INS', 'leads')",
    "metric_changes_month_is_first": "INSERT INTO metric_changes (run_id, month, source, segment, metric) VALUES ('none', '2025-11-02', 'Rely', 'INS', 'leads')",
    "metric_changes_date_in_month": "INSERT INTO metric_changes (run_id, month, date, source, segment, metric) VALUES ('none', '2025-11-01', '2025-12-01', 'Rely', 'INS', 'leads')",
    "member_changes_run_id_fkey": "INSERT INTO member_changes (run_id, month, dimension, member, members, metric) VALUES ('none', '2025-11-01', 'zip', '02118', 1, 'leads')",
    "member_changes_month_is_first": "INSERT INTO member_changes (run_id, month, dimension, member, members, metric) VALUES ('none', '2025-11-02', 'zip', '02118', 1, 'leads')",
    "member_changes_members_there": "INSERT INTO member_changes (run_id, month, dimension, member, members, metric) VALUES ('none', '2025-11-01', 'zip', '02118', 2, 'leads')",
    "published_parts_part_is_first": "INSERT INTO published_parts VALUES ('jobs', '2025-11-02', 1, '', 'r')",
    "sync_runs_status_known": "INSERT INTO sync_runs (run_id, started_at, status) VALUES ('r', now(), 'fine')",
    "sync_runs_ok_is_finished": "INSERT INTO sync_runs (run_id, started_at, status) VALUES ('r', now(), 'ok')",
    "business_only_row": "INSERT INTO business VALUES (false, 'UTC', 'USD')",
    "Mars/Olympus": "INSERT INTO business (timezone, currency) VALUES ('Mars/Olympus', 'USD')",
}


def test_bad_rows_are_refused(empty: Database) -> None:
    """The constraint of that name stops the row, among them the second day of a month in each month column."""
    for constraint, row in REFUSED.items():
        with pytest.raises(dbapi.Error, match=constraint):
            empty.run(row)


def test_good_rows_are_taken(empty: Database) -> None:
    """Orphan payments, the part without a date, a failed run, and a change of a whole month all have a place."""
    empty.run(
        "INSERT INTO payments (payment_id, job_ref, amount, counted) VALUES ('1', 'unknown', -5.10, true)",
        "INSERT INTO published_parts VALUES ('jobs', '0001-01-01', 1, 'd', 'r')",
        "INSERT INTO sync_runs (run_id, started_at, status, detail) VALUES ('r', now(), 'failed', '{}'::jsonb)",
        "INSERT INTO metric_changes (run_id, month, source, segment, metric, new_value) VALUES ('r', '2025-11-01', 'Rely', 'INS', 'cost', 1.5)",
        BUSINESS,
    )
    with pytest.raises(dbapi.Error, match="business_pkey"):
        empty.run(BUSINESS)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", None])
def test_rows_typed_by_hand_get_local_noon_and_targets_are_for_all(empty: Database, zone: str | None) -> None:
    """As one would type them: without time, and a target without source or segment; a time that is given stays."""
    if zone:
        empty.run(f"INSERT INTO business (timezone, currency) VALUES ('{zone}', 'USD')")
    empty.run(
        "INSERT INTO daily_metrics (date, source, segment, leads) VALUES ('2025-11-02', 'Rely', 'INS', 1), ('2025-07-04', 'Rely', 'INS', 1)",
        "INSERT INTO monthly_metrics (month, source, segment, leads) VALUES ('2025-11-01', 'Rely', 'INS', 2)",
        "INSERT INTO daily_metrics (date, time, source, segment) VALUES ('2025-01-01', '2025-01-01 09:00:00+00', 'Rely', 'INS')",
        "INSERT INTO targets (month, target_repairs) VALUES ('2025-11-01', 30)",
    )
    local = f"SELECT (time AT TIME ZONE '{zone or 'UTC'}')::text FROM"
    assert empty.rows(f"{local} daily_metrics WHERE leads > 0 ORDER BY 1") == [
        ("2025-07-04 12:00:00",), ("2025-11-02 12:00:00",),
    ]  # fmt: skip
    assert empty.rows(f"{local} monthly_metrics") == [("2025-11-01 12:00:00",)]
    assert empty.rows("SELECT (time AT TIME ZONE 'UTC')::text FROM daily_metrics WHERE leads = 0") == [
        ("2025-01-01 09:00:00",)
    ]
    assert empty.rows("SELECT source, segment, target_repairs FROM targets") == [("ALL", "ALL", "30.00")]


def test_views_work_on_empty_tables(empty: Database) -> None:
    """Before the first publish a panel shows nothing, not an error."""
    for view in VIEWS:
        assert empty.rows(f"SELECT * FROM {view}") == []


def test_every_view_column_that_came_out_null_says_what_null_means(filled: Database) -> None:
    """Without a row in business, with a call and a feed of which nothing is known, the most is NULL that can be."""
    filled.run(
        "DELETE FROM business",
        "INSERT INTO calls (call_id) VALUES ('a')",
        "INSERT INTO feed_status (feed, rows, exports) VALUES ('calls', 1, 1)",
        """INSERT INTO sync_runs (run_id, started_at, status, detail) VALUES
            ('r', now(), 'failed', '{"findings": [{"code": "c", "severity": "error", "message": "m", "rows": 1}]}'::jsonb)""",
    )
    for view in VIEWS:
        comments = filled.rows(
            f"SELECT attname, col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = '{view}'::regclass"
        )
        counts = ", ".join(f"count({name}) < count(*)" for name, _ in comments)
        (nulls,) = filled.rows(f"SELECT {counts} FROM {view}")
        spoken = ["NULL: " in comment for _, comment in comments]
        assert list(zip(comments, nulls, strict=True)) == list(zip(comments, spoken, strict=True))


def test_month_against_target_in_every_scope(filled: Database) -> None:
    """Each of the four kinds of scope, worked out by hand. ALL is the sum of plain rows and meets only its own target."""
    query = """
        SELECT to_char(month, 'YYYY-MM'), source, segment, jobs, leads, units, repairs, revenue_gross::text, trim_scale(revenue40), cost::text,
               trim_scale(profit), round(cpl, 4), round(conv_l2u, 4), round(conv_l2r, 4), trim_scale(target_repairs),
               round(repairs_attained, 4), round(revenue40_attained, 4), cpl_over
        FROM monthly_vs_target ORDER BY month, source COLLATE "C", segment COLLATE "C"
    """
    assert filled.table(query) == lines("""
        month   source    segm. jobs leads units repairs gross   rev40 cost   profit cpl     l2u    l2r    target attained(2)   over
        2025-10 ALL       ALL   6    6     5     3        850.00 340   100.00 240    16.6667 0.8333 0.5000 31     0.0968 0.5484 True
        2025-10 ALL       COD   3    4     2     1        500.00 200   100.00 100    25.0000 0.5000 0.2500 -      -      -      -
        2025-10 ALL       INS   3    2     3     2        350.00 140     0.00 140     0.0000 1.5000 1.0000 4      0.5000 -      -
        2025-10 Rely      ALL   2    2     2     1        300.00 120     0.00 120     0.0000 1.0000 0.5000 -      -      -      -
        2025-10 Rely      INS   2    2     2     1        300.00 120     0.00 120     0.0000 1.0000 0.5000 -      -      -      -
        2025-10 Thumbtack ALL   0    0     0     0          0      0     0      0    -       -      -      0      -      -      -
        2025-10 eLocals   ALL   4    4     3     2        550.00 220   100.00 120    25.0000 0.7500 0.5000 20     0.1000 0.5500 False
        2025-10 eLocals   COD   3    4     2     1        500.00 200   100.00 100    25.0000 0.5000 0.2500 4      0.2500 -      False
        2025-10 eLocals   INS   1    0     1     1         50.00  20     0.00  20    -       -      -      -      -      -      -
        2025-11 ALL       ALL   3    3     3     2       1000.00 400    70.00 330    23.3333 1.0000 0.6667 -      -      -      -
        2025-11 ALL       COD   3    3     3     2       1000.00 400    70.00 330    23.3333 1.0000 0.6667 -      -      -      -
        2025-11 Google    ALL   1    1     1     0          0.00   0    10.00 -10    10.0000 1.0000 0.0000 -      -      -      -
        2025-11 Google    COD   1    1     1     0          0.00   0    10.00 -10    10.0000 1.0000 0.0000 -      -      -      -
        2025-11 Rely      ALL   0    0     0     0          0      0     0      0    -       -      -      6      0.0000 -      -
        2025-11 eLocals   ALL   2    2     2     2       1000.00 400    60.00 340    30.0000 1.0000 1.0000 -      -      -      -
        2025-11 eLocals   COD   2    2     2     2       1000.00 400    60.00 340    30.0000 1.0000 1.0000 -      -      -      -
        2025-12 ALL       ALL   -    -     -     -       -       -     -      -      -       -      -      62     -      -      -
    """)


def test_month_against_target_has_local_noon_for_every_month(filled: Database) -> None:
    """Also for a month that has only a target, so that a panel's time filter keeps it."""
    assert filled.table("SELECT DISTINCT month, (time AT TIME ZONE 'UTC')::text FROM monthly_vs_target ORDER BY 1") == [
        "2025-10-01 2025-10-01 16:00:00",
        "2025-11-01 2025-11-01 16:00:00",
        "2025-12-01 2025-12-01 17:00:00",
    ]
    filled.run("DELETE FROM business")
    assert filled.rows("SELECT count(*), count(time) FROM monthly_vs_target WHERE month = '2025-12-01'") == [(1, 0)]


def test_scopes_of_one_month_agree_with_each_other(filled: Database) -> None:
    """ALL equals the sum of sources, of segments and of pairs: nothing is counted twice or dropped."""
    kinds = filled.rows("""
        SELECT month, source = 'ALL', segment = 'ALL', sum(leads)::bigint, sum(repairs)::bigint, sum(revenue40)::text, sum(cost)::text
        FROM monthly_vs_target WHERE month < '2025-12-01' GROUP BY 1, 2, 3
    """)
    for month in (date(2025, 10, 1), date(2025, 11, 1)):
        totals = {row[3:] for row in kinds if row[0] == month}
        assert len(totals) == 1


def cumulative(db: Database, month: str, source: str) -> list[Row]:
    """(date, repairs, leads, units, repairs, revenue40, cost to date, pace of repairs, of revenue40) of one scope."""
    return db.rows(f"""
        SELECT date, repairs, leads_to_date, units_to_date, repairs_to_date, trim_scale(revenue40_to_date), trim_scale(cost_to_date),
               trim_scale(repairs_pace), trim_scale(revenue40_pace)
        FROM daily_cumulative WHERE month = '{month}' AND source = '{source}' ORDER BY date
    """)


def test_month_to_date_has_every_calendar_day_and_the_pace(filled: Database) -> None:
    """October as a whole: zeros until the 29th, and the pace meets the target on the 31st."""
    zeros = [(date(2025, 10, n), 0, 0, 0, 0, "0", "0", str(n), str(20 * n)) for n in range(1, 30)]
    assert cumulative(filled, "2025-10-01", "ALL") == [
        *zeros,
        (date(2025, 10, 30), 2, 4, 3, 2, "220", "100", "30", "600"),
        (date(2025, 10, 31), 1, 6, 5, 3, "340", "100", "31", "620"),
    ]


def test_month_to_date_ends_with_the_data(filled: Database) -> None:
    """The data ends on 3 November. The 2nd, without rows, carries on, the 4th is unknown. No target, no pace."""
    unknown = [(date(2025, 11, n), *(None,) * 8) for n in range(4, 31)]
    assert cumulative(filled, "2025-11-01", "ALL") == [
        (date(2025, 11, 1), 0, 1, 1, 0, "0", "10", None, None),
        (date(2025, 11, 2), 0, 1, 1, 0, "0", "10", None, None),
        (date(2025, 11, 3), 2, 3, 3, 2, "400", "70", None, None),
        *unknown,
    ]


def test_month_to_date_of_a_source_with_nothing_but_a_target(filled: Database) -> None:
    """Rely did nothing in November: 0 while there is data, and a pace to the month's end."""
    days = cumulative(filled, "2025-11-01", "Rely")
    assert [row[4] for row in days] == [0, 0, 0] + [None] * 27
    assert [row[7] for row in days] == [f"{n / 5:g}" for n in range(1, 31)]


def test_month_to_date_of_a_future_month_is_pace_only(filled: Database) -> None:
    """December has a target and no data."""
    assert cumulative(filled, "2025-12-01", "ALL") == [
        (date(2025, 12, n), *(None,) * 6, str(2 * n), str(10 * n)) for n in range(1, 32)
    ]


def test_month_to_date_before_the_data_is_unknown(filled: Database) -> None:
    """A target of a month before the first export does not claim that nothing was done."""
    filled.run("INSERT INTO targets (month, source, segment, target_repairs) VALUES ('2024-02-01', 'ALL', 'ALL', 29)")
    assert cumulative(filled, "2024-02-01", "ALL") == [
        (date(2024, 2, n), *(None,) * 6, str(n), None) for n in range(1, 30)
    ]
    assert filled.rows("SELECT repairs FROM monthly_vs_target WHERE month = '2024-02-01'") == [(None,)]


def test_month_to_date_scopes(filled: Database) -> None:
    """Per month: ALL, the sources with data, the sources with a target, each day once, all segments together."""
    assert filled.rows("""
        SELECT to_char(month, 'YYYY-MM'), source, count(*), count(DISTINCT date), min(segment) || max(segment) FROM daily_cumulative
        GROUP BY 1, 2 ORDER BY 1, source COLLATE "C"
    """) == [
        *[("2025-10", source, 31, 31, "ALLALL") for source in ("ALL", "Rely", "Thumbtack", "eLocals")],
        *[("2025-11", source, 30, 30, "ALLALL") for source in ("ALL", "Google", "Rely", "eLocals")],
        ("2025-12", "ALL", 31, 31, "ALLALL"),
    ]


def test_time_is_local_noon_across_the_clock_change(filled: Database) -> None:
    """Clocks go back on 2 November 2025: noon is 16:00 UTC before and 17:00 UTC from that day on, as published."""
    for day, noon in filled.rows("SELECT date, time AT TIME ZONE 'UTC' FROM daily_cumulative WHERE source = 'ALL'"):
        local = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(ZONE))
        assert noon == local.astimezone(UTC).replace(tzinfo=None)
    compared = filled.rows("""
        SELECT count(*), count(*) FILTER (WHERE published.time = cumulative.time)
        FROM daily_metrics AS published JOIN daily_cumulative AS cumulative USING (date, source)
    """)
    assert compared == [(5, 5)]


def test_findings_of_runs(empty: Database) -> None:
    """One row per finding; only those of the last good run are the latest; nothing else of the detail shows."""
    empty.run(
        """INSERT INTO sync_runs (run_id, started_at, finished_at, status, detail) VALUES
            ('a', '2025-11-01', '2025-11-01 00:01', 'ok', '{"findings": [{"code": "old", "severity": "error", "message": "m", "rows": 2}]}'),
            ('b', '2025-11-02', '2025-11-02 00:01', 'ok', '{"findings": [{"code": "x", "severity": "warning", "message": "m", "rows": 1, "more": 1}, {"code": "y", "severity": "info", "message": "n", "rows": 0}], "inputs": "secret"}'),
            ('c', '2025-11-03', '2025-11-03 00:01', 'failed', '{"findings": "none"}'), ('d', '2025-11-04', NULL, 'failed', NULL)"""
    )
    assert empty.rows(
        "SELECT run_id, code, severity, message, rows, latest FROM run_findings ORDER BY run_id, code"
    ) == [
        ("a", "old", "error", "m", 2, False),
        ("b", "x", "warning", "m", 1, True),
        ("b", "y", "info", "n", 0, True),
    ]


def test_call_funnel(empty: Database) -> None:
    """Calls count as calls, jobs as jobs, and a call without a source is Unattributed."""
    empty.run(
        BUSINESS,
        """INSERT INTO jobs (job_id, source, segment, is_unit, is_repair) VALUES
            ('1', 'eLocals', 'COD', true, true), ('2', 'eLocals', 'COD', true, false), ('3', 'Rely', 'INS', false, false)""",
        """INSERT INTO calls (call_id, call_date, direction, source, answered, duration_s, job_id) VALUES
            ('a', '2025-10-31', 'inbound',  'eLocals', true,  60,   '1'),
            ('b', '2025-10-31', 'inbound',  'eLocals', true,  90,   '1'),
            ('c', '2025-10-01', 'inbound',  'eLocals', false, 0,    NULL),
            ('d', '2025-10-02', 'outbound', 'eLocals', true,  600,  '2'),
            ('e', '2025-10-02', 'inbound',  'eLocals', NULL,  NULL, NULL),
            ('f', '2025-11-01', 'inbound',  NULL,      false, 5,    '3'),
            ('g', NULL,         NULL,       NULL,      NULL,  NULL, NULL)""",
    )
    query = """
        SELECT month, source, calls, inbound, answered, missed, with_job, jobs, units, repairs, trim_scale(avg_answered_s)
        FROM call_funnel ORDER BY month NULLS LAST
    """
    assert empty.table(query) == lines("""
        month      source       calls inbound answered missed with_job jobs units repairs seconds
        2025-10-01 eLocals      5     4       2        1      3        2    2     1       75
        2025-11-01 Unattributed 1     1       0        1      1        1    0     0       -
        -          Unattributed 1     0       0        0      0        0    0     0       -
    """)


def test_data_freshness(empty: Database) -> None:
    """Age counts from today in the business zone. A failed run after the good one is not the last run."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    empty.run(
        BUSINESS,
        f"""INSERT INTO feed_status VALUES
            ('jobs', 'jobs', 7, '{today - timedelta(days=3)}', '2025-11-04 09:00+00', 2), ('calls', NULL, 0, NULL, NULL, 0)""",
    )
    assert empty.rows("SELECT last_run_id, last_run_at FROM data_freshness") == [(None, None)] * 2
    empty.run("""
        INSERT INTO sync_runs (run_id, started_at, finished_at, status) VALUES
            ('r1', '2025-11-04 10:00+00', '2025-11-04 10:01+00', 'ok'),
            ('r2', '2025-11-04 11:00+00', '2025-11-04 11:01+00', 'ok'),
            ('r3', '2025-11-04 12:00+00', '2025-11-04 12:01+00', 'failed')
    """)
    query = """
        SELECT feed, table_name, rows, last_date, age_days, to_char(last_export_at AT TIME ZONE 'UTC', 'HH24:MI'), exports,
               last_run_id, to_char(last_run_at AT TIME ZONE 'UTC', 'HH24:MI')
        FROM data_freshness ORDER BY feed
    """
    assert empty.table(query) == lines(f"""
        feed  table rows last_date                    age export exports run when
        calls -     0    -                            -   -      0       r2  11:01
        jobs  jobs  7    {today - timedelta(days=3)}  3   09:00  2       r2  11:01
    """)


QUESTIONS = [
    ("jobs_metric_date_idx", "SELECT * FROM jobs WHERE metric_date BETWEEN '2025-11-01' AND '2025-11-30'"),
    ("payments_paid_date_idx", "SELECT * FROM payments WHERE paid_date BETWEEN '2025-11-01' AND '2025-11-30'"),
    ("payments_job_id_idx", "SELECT * FROM payments WHERE job_id = '7'"),
    ("calls_call_date_idx", "SELECT * FROM calls WHERE call_date BETWEEN '2025-11-01' AND '2025-11-30'"),
    ("calls_job_id_idx", "SELECT * FROM calls WHERE job_id = '7'"),
    ("elocals_leads_lead_date_idx", "SELECT * FROM elocals_leads WHERE lead_date = '2025-11-01'"),
    ("proref_leads_lead_date_idx", "SELECT * FROM proref_leads WHERE lead_date = '2025-11-01'"),
    ("google_spend_pkey", "SELECT * FROM google_spend WHERE month = '2025-11-01'"),
    ("daily_metrics_pkey", "SELECT * FROM daily_metrics WHERE date >= '2025-11-01' AND date < '2025-12-01'"),
    (
        "daily_metrics_pkey",
        "SELECT * FROM daily_metrics WHERE date = '2025-11-01' AND source = 'S1' AND segment = 'COD'",
    ),
    ("daily_metrics_source_idx", "SELECT * FROM daily_metrics WHERE source = 'S1' AND date >= '2025-06-01'"),
    ("daily_metrics_segment_idx", "SELECT * FROM daily_metrics WHERE segment = 'COD' AND date >= '2025-06-01'"),
    (
        "daily_metrics_time_idx",
        "SELECT * FROM daily_metrics WHERE time BETWEEN '2025-11-01T04:00:00Z' AND '2025-12-01T05:00:00Z'",
    ),
    ("monthly_metrics_pkey", "SELECT * FROM monthly_metrics WHERE month = '2025-11-01'"),
    (
        "monthly_metrics_pkey",
        "SELECT * FROM monthly_metrics WHERE month = '2025-11-01' AND source = 'S1' AND segment = 'COD'",
    ),
    ("monthly_metrics_source_idx", "SELECT * FROM monthly_metrics WHERE source = 'S1' ORDER BY month"),
    ("monthly_metrics_segment_idx", "SELECT * FROM monthly_metrics WHERE segment = 'COD' ORDER BY month"),
    (
        "monthly_metrics_time_idx",
        "SELECT * FROM monthly_metrics WHERE time BETWEEN '2025-11-01T04:00:00Z' AND '2025-12-01T05:00:00Z'",
    ),
    ("targets_pkey", "SELECT * FROM targets WHERE month = '2025-11-01'"),
    ("jobs_touch_id_idx", "SELECT * FROM jobs WHERE touch_id = 'elocals_leads:1'"),
    ("journeys_touch_date_idx", "SELECT * FROM journeys WHERE touch_date = '2025-11-01'"),
    ("journeys_source_idx", "SELECT * FROM journeys WHERE source = 'S1' AND month = '2025-11-01'"),
    ("journeys_job_id_idx", "SELECT * FROM journeys WHERE job_id = '7'"),
    ("journey_metrics_time_idx", "SELECT * FROM journey_metrics WHERE time >= '2025-11-01 00:00Z'"),
    ("journey_metrics_source_idx", "SELECT * FROM journey_metrics WHERE source = 'S1' ORDER BY month"),
    ("measure_daily_measure_idx", "SELECT * FROM measure_daily WHERE measure = 'callbacks' AND date >= '2025-06-01'"),
    ("dimension_monthly_member_idx", "SELECT * FROM dimension_monthly WHERE dimension = 'zip' AND member = '02118'"),
    ("metric_changes_month_idx", "SELECT * FROM metric_changes WHERE month = '2025-11-01'"),
    ("metric_changes_run_id_idx", "SELECT * FROM metric_changes WHERE run_id = 'r1'"),
    ("member_changes_month_idx", "SELECT * FROM member_changes WHERE month = '2025-11-01' AND dimension = 'zip'"),
    ("member_changes_run_id_idx", "SELECT * FROM member_changes WHERE run_id = 'r1'"),
]


def test_each_index_serves_its_question(empty: Database) -> None:
    """The planner takes the index that was made for the question, and there is no index without a question."""
    key = "('2023-01-01'::date + n / 24), 'S' || n % 8, (ARRAY['COD', 'INS', 'OTHER'])[1 + n / 8 % 3]"
    empty.run(
        f"INSERT INTO daily_metrics (date, source, segment, time) SELECT {key}, '2023-01-01 17:00Z'::timestamptz + n / 24 * interval '1 day' FROM generate_series(0, 26279) AS n",
        """INSERT INTO monthly_metrics (month, source, segment, time)
           SELECT DISTINCT ON (1, 2, 3) date_trunc('month', date::timestamp)::date, source, segment, time FROM daily_metrics ORDER BY 1, 2, 3, 4""",
        "ANALYZE",
        "SET enable_seqscan = off",
    )
    for index, question in QUESTIONS:
        plan = "\n".join(row[0] for row in empty.rows(f"EXPLAIN {question}"))
        assert re.search(rf"\b{index}\b", plan), f"{question}\n{plan}"
    ours = empty.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace AND relname NOT LIKE '%\\_pkey'"
    )
    assert {name for (name,) in ours} <= {index for index, _ in QUESTIONS}
