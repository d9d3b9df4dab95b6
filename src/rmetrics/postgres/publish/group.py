"""The group's tables: the figures of several companies side by side. Each company is written in one transaction.

Money in different currencies is never added: every row has its currency, and the views that combine companies do so
per currency.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import polars as pl

from rmetrics.errors import PostgresError
from rmetrics.postgres.connection import Server, Session, connect, literal, quoted
from rmetrics.postgres.ddl import apply_schema, fit_tables, has_all, is_complete, require_writable
from rmetrics.postgres.ownership import own_relations, record_relations, refuse_foreign
from rmetrics.postgres.publish.copying import copy, require_types
from rmetrics.tables import DAILY, MONTHLY, PgColumn, PgTable, metric_table

STATES = "group_companies"
_TEXT, _MONEY = "character varying", "numeric(12,2)"
_SUMMED = ("bigint", "numeric(12,2)", "numeric(18,6)", "numeric(9,6)")
_MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
_OWN = (
    PgColumn("company", _TEXT, not_null=True, comment="Name of the company in the rules"),
    PgColumn(
        "currency",
        _TEXT,
        not_null=True,
        comment="Currency of the amounts in the row; never add up different currencies",
    ),
)


def _of_group(table: PgTable, name: str, comment: str) -> PgTable:
    """The group's version of a company's table, with the company first in its key."""
    columns = (_OWN[0], *table.columns, _OWN[1])
    return replace(table, name=name, key=("company", *table.key), columns=columns, custom=True, comment=comment)


_TARGETS = PgTable(
    "targets",
    ("month", "source", "segment"),
    (
        PgColumn("month", "date", not_null=True, comment="First day of the month"),
        PgColumn("source", _TEXT, not_null=True, comment="ALL for every source"),
        PgColumn("segment", _TEXT, not_null=True, comment="ALL for every segment"),
        PgColumn("target_repairs", _MONEY),
        PgColumn("target_revenue40", _MONEY),
        PgColumn("target_conv_l2r", "numeric(9,6)"),
        PgColumn("target_cpl_max", _MONEY),
    ),
    part="month",
)
# By name of the company's own table.
TABLES: Mapping[str, PgTable] = {
    DAILY: _of_group(metric_table(DAILY), "group_daily_metrics", "Daily metrics of every company, in its currency"),
    MONTHLY: _of_group(metric_table(MONTHLY), "group_monthly_metrics", "Monthly metrics of every company"),
    "targets": _of_group(_TARGETS, "group_targets", "Targets of every company, in its currency"),
}
_STATE_TABLE = PgTable(
    STATES,
    ("company",),
    (
        _OWN[0],
        PgColumn("title", _TEXT, not_null=True, comment="Display name of the company"),
        PgColumn("currency", _TEXT, not_null=True),
        PgColumn("timezone", _TEXT, not_null=True, comment="Time zone of its business days"),
        PgColumn(
            "status", _TEXT, not_null=True, comment="ok, or failed: its figures are then those of the previous run"
        ),
        PgColumn("message", _TEXT, comment="Why it failed"),
        PgColumn("run_id", _TEXT, comment="Run that published its figures"),
        PgColumn("inputs", _TEXT, comment="Digest of everything its figures depend on"),
        PgColumn("exports", "bigint", comment="Number of exports behind its figures"),
        PgColumn("published_at", "timestamp with time zone", comment="When its figures were last replaced"),
        PgColumn("tried_at", "timestamp with time zone", not_null=True, comment="When a run last processed it"),
    ),
    part=None,
    custom=True,
    comment="The companies of the group, and the result of the last run for each",
)
_SUMS = ", ".join(f"sum({m}) AS {m}" for m in _MEASURES)
_RATIO_COLUMNS = (
    "units::numeric / NULLIF(leads, 0) AS conv_l2u, repairs::numeric / NULLIF(leads, 0) AS conv_l2r, "
    "repairs::numeric / NULLIF(units, 0) AS conv_u2r, cost / NULLIF(leads, 0) AS cpl, "
    "cost / NULLIF(repairs, 0) AS cost_per_repair, revenue_gross / NULLIF(repairs, 0) AS avg_ticket, "
    "revenue40 - cost AS profit"
)
_VS_TARGET = (
    f"SELECT m.*, {_RATIO_COLUMNS}, t.target_repairs, t.target_revenue40, t.target_conv_l2r, t.target_cpl_max "
    f"FROM (SELECT company, currency, month, COALESCE(source, 'ALL')::character varying AS source, {_SUMS} "
    "FROM group_monthly_metrics GROUP BY GROUPING SETS ((company, currency, month, source), "
    "(company, currency, month))) AS m LEFT JOIN group_targets AS t ON t.company = m.company "
    "AND t.month = m.month AND t.source = m.source AND t.segment = 'ALL'"
)
_BY_CURRENCY = (
    f"SELECT s.*, {_RATIO_COLUMNS} FROM (SELECT currency, month, count(DISTINCT company) AS companies, {_SUMS} "
    "FROM group_monthly_metrics GROUP BY currency, month) AS s"
)
# Comment and query of each view.
VIEWS: Mapping[str, tuple[str, str]] = {
    "group_monthly_vs_target": ("Each company's months against its targets, by source and in total (ALL)", _VS_TARGET),
    "group_monthly_by_currency": (
        "Months of all companies with the same currency; money of different currencies is never added up",
        _BY_CURRENCY,
    ),
}


@dataclass(frozen=True, slots=True)
class CompanyState:
    """A company's row in the group's tables.

    Attributes:
        inputs: digest of everything its figures depend on; empty if none were published.
    """

    company: str
    title: str
    currency: str
    timezone: str
    run_id: str = ""
    inputs: str = ""
    exports: int = 0


@dataclass(frozen=True, slots=True)
class PublishedCompany:
    """A company in the group's tables.

    Attributes:
        status: ``ok``, or ``failed``: then its figures are those of an earlier run.
        message: the reason of the failure; None for ``ok``.
        exports: the number of exports its figures come from; None if it never had figures.
        published_at: the last time its figures were replaced; None if it never had figures.
        tried_at: the last time a run computed or checked it.
        days, months: the number of its daily and monthly rows.
    """

    company: str
    title: str
    currency: str
    timezone: str
    status: str
    message: str | None
    exports: int | None
    published_at: dt.datetime | None
    tried_at: dt.datetime
    days: int
    months: int


def prepare_group(target: Server, schema: str, script: str) -> None:
    """Creates the missing parts of the group's schema: the run log and the group's tables and views.

    Raises:
        PostgresError: a table or view of that name belongs to somebody else, or the user may not create them.
    """
    tables = [*TABLES.values(), _STATE_TABLE]
    with connect(target, schema=schema) as session:
        require_writable(session)
        if not is_complete(session, script):
            apply_schema(session, script, schema)
        fit_tables(session, tables)
        with session.transaction():
            own = own_relations(session)
            refuse_foreign(session, list(VIEWS), own, indexes=[])
            for name, (comment, select) in VIEWS.items():
                session.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {select}")
                session.execute(f"COMMENT ON VIEW {quoted(name)} IS {literal(comment)}")
            if not set(VIEWS) <= own:
                record_relations(session, own | set(VIEWS))


def published_inputs(session: Session, company: str) -> str:
    """The digest of everything a company's published figures depend on; empty if none are published."""
    found = session.query(f"SELECT inputs, status FROM {STATES} WHERE company = $1", [company])
    return str(found[0][0] or "") if found and found[0][1] == "ok" else ""


def all_published_inputs(target: Server, schema: str) -> dict[str, str]:
    """``published_inputs`` of every company of the group."""
    with connect(target, schema=schema) as session:
        found = session.query(f"SELECT company, inputs FROM {STATES} WHERE status = 'ok'")
    return {str(company): str(inputs or "") for company, inputs in found}


def published_companies(session: Session) -> list[PublishedCompany]:
    """Returns the companies in the group's tables, by name; empty if the schema has no such tables."""
    if not has_all(session, [STATES, *(t.name for t in TABLES.values())]):
        return []
    counts = [f"(SELECT count(*) FROM {TABLES[t].name} AS r WHERE r.company = s.company)" for t in (DAILY, MONTHLY)]
    found = session.query(
        "SELECT company, title, currency, timezone, status, message, exports, published_at, tried_at, "
        f"{', '.join(counts)} FROM {STATES} AS s ORDER BY company"
    )
    return [PublishedCompany(*row) for row in found]


def replace_company(session: Session, state: CompanyState, rows: Mapping[str, pl.DataFrame]) -> dict[str, int]:
    """Puts a company's figures in the place of those that were there, all of them or none.

    Args:
        session: of the group's schema.
        state: of the company.
        rows: by name of the company's table.

    Returns:
        The number of rows written, by name of the group's table.

    Raises:
        PostgresError: the rows read back differ from those sent; nothing was changed.
    """
    written = {}
    with session.transaction():
        _serialised(session)
        for name, table in TABLES.items():
            require_types(session, table)
            frame = _framed(table, rows.get(name), state)
            session.execute(f"DELETE FROM {quoted(table.name)} WHERE company = $1", [state.company])
            copy(session, table, [frame.lazy()], table.name, columns=table.names, schema=session.schema)
            _require_equal(session, table, frame, state.company)
            written[table.name] = frame.height
        _write_state(session, state)
    return written


def confirm_companies(target: Server, schema: str, companies: Collection[str]) -> None:
    """Notes that a run looked at companies and found their published figures right."""
    if not companies:
        return
    with connect(target, schema=schema) as session, session.transaction():
        session.execute(
            f"UPDATE {STATES} SET status = 'ok', message = NULL, tried_at = clock_timestamp() "
            f"WHERE company IN ({', '.join(map(literal, sorted(companies)))})",
        )


def note_failed(target: Server, schema: str, state: CompanyState, message: str) -> None:
    """Records that a company could not be computed; its figures remain those of the previous run."""
    with connect(target, schema=schema) as session, session.transaction():
        session.execute(
            f"INSERT INTO {STATES} (company, title, currency, timezone, status, message, tried_at) "
            "VALUES ($1, $2, $3, $4, 'failed', $5, clock_timestamp()) ON CONFLICT (company) DO UPDATE "
            "SET status = 'failed', message = excluded.message, tried_at = excluded.tried_at",
            [state.company, state.title, state.currency, state.timezone, message],
        )


def remove_undeclared(target: Server, schema: str, companies: Collection[str]) -> list[str]:
    """Removes companies that the rules no longer declare; returns their names."""
    with connect(target, schema=schema) as session, session.transaction():
        _serialised(session)
        published = {str(name) for (name,) in session.query(f"SELECT company FROM {STATES}")}
        removed = sorted(published - set(companies))
        for name in removed:
            for table in (*(t.name for t in TABLES.values()), STATES):
                session.execute(f"DELETE FROM {quoted(table)} WHERE company = $1", [name])
    return removed


def _serialised(session: Session) -> None:
    """Serialises runs that write companies to the same schema."""
    session.execute("SELECT pg_advisory_xact_lock(hashtextextended('rmetrics:group:' || $1, 0))", [session.schema])


def _framed(table: PgTable, rows: pl.DataFrame | None, state: CompanyState) -> pl.DataFrame:
    """A company's rows with all columns of the group's table."""
    own = {"company": state.company, "currency": state.currency}
    if rows is None:
        rows = pl.DataFrame(schema={c.name: _DTYPES[c.type] for c in table.columns if c.name not in own})
    missing = [
        pl.lit(None, dtype=_DTYPES[c.type]).alias(c.name)
        for c in table.columns
        if c.name not in rows.columns and c.name not in own
    ]
    named = [pl.lit(v, dtype=pl.String).alias(n) for n, v in own.items()]
    return rows.drop(own, strict=False).with_columns(*named, *missing).select(table.names)


_DTYPES: Mapping[str, Any] = {
    _TEXT: pl.String(),
    "date": pl.Date(),
    "bigint": pl.Int64(),
    _MONEY: pl.Decimal(12, 2),
    "numeric(18,6)": pl.Decimal(18, 6),
    "numeric(9,6)": pl.Decimal(9, 6),
    "timestamp with time zone": pl.Datetime("us", "UTC"),
}


def _require_equal(session: Session, table: PgTable, sent: pl.DataFrame, company: str) -> None:
    """Compares the number of rows and the sums of numeric columns read back with those sent."""
    numbers = [c.name for c in table.columns if c.type in _SUMMED]
    sums = ", ".join(f"sum({quoted(n)})::text" for n in numbers)
    found = session.query(f"SELECT count(*), {sums} FROM {quoted(table.name)} WHERE company = $1", [company])[0]
    expected = (sent.height, *(_sum(sent[n]) for n in numbers))
    actual = (int(found[0]), *(None if v is None else Decimal(v) for v in found[1:]))
    if expected != actual:
        differing = next(n for n, a, b in zip(("rows", *numbers), expected, actual, strict=True) if a != b)
        raise PostgresError(
            f"{table.name}, {company}: {differing} read back differs from the rows sent",
            "Nothing was changed. Run the sync again; if the error remains, please report it.",
        )


def _sum(column: pl.Series) -> Decimal | None:
    """The exact sum; None where there is no value."""
    if column.null_count() == len(column):
        return None
    if isinstance(column.dtype, pl.Decimal):
        column = column.cast(pl.Decimal(38, column.dtype.scale))
    return Decimal(column.sum())


def _write_state(session: Session, state: CompanyState) -> None:
    columns = ("company", "title", "currency", "timezone", "status", "run_id", "inputs", "exports")
    values = [
        state.company,
        state.title,
        state.currency,
        state.timezone,
        "ok",
        state.run_id,
        state.inputs,
        state.exports,
    ]
    marks = ", ".join(f"${i + 1}" for i in range(len(values)))
    changes = ", ".join(f"{c} = excluded.{c}" for c in (*columns[1:], "message", "published_at", "tried_at"))
    session.execute(
        f"INSERT INTO {STATES} ({', '.join(columns)}, message, published_at, tried_at) "
        f"VALUES ({marks}, NULL, clock_timestamp(), clock_timestamp()) ON CONFLICT (company) DO UPDATE SET {changes}",
        values,
    )


__all__ = [
    "STATES",
    "TABLES",
    "VIEWS",
    "CompanyState",
    "all_published_inputs",
    "confirm_companies",
    "note_failed",
    "prepare_group",
    "published_inputs",
    "remove_undeclared",
    "replace_company",
]
