"""Checks of data quality: questions in SQL whose answers are the offending rows.

Questions run on the second engine's views (``recompute``), so they see the newest rows, the rules' sources and
segments, and the amount paid for each job. Shipped questions are generated from the rules; one about a column or cost
that the rules do not declare is left out. Customers' data (phones) is compared, never shown.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from rmetrics.checks.duplicate_payments import duplicate_payments
from rmetrics.checks.quality_questions import create_days, shipped
from rmetrics.checks.questions import QualityQuestion
from rmetrics.errors import RmetricsError
from rmetrics.findings import Severity
from rmetrics.rules.model import Rules
from rmetrics.rules.names import PAYMENTS
from rmetrics.sandbox.connection import only_select
from rmetrics.sandbox.given import create_given
from rmetrics.sandbox.query import query_errors, rows
from rmetrics.sandbox.quoting import work

EXAMPLES = 5
_EXPORT = {
    "feed": "VARCHAR", "rank": "BIGINT", "name": "VARCHAR", "rows": "BIGINT", "exported": "DATE", "variant": "VARCHAR",
}  # fmt: skip
_ANSWER = "_answer"  # a table: the question runs once for its count and its examples


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question: the number of offending rows, the first of them, and the error of a broken question."""

    question: QualityQuestion
    rows: int
    examples: tuple[Mapping[str, object], ...]
    broken: str = ""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """Facts of an export for the questions; ``variant`` is the form that reads it, empty for the feed's own."""

    feed: str
    rank: int
    name: str
    rows: int
    exported: dt.date
    variant: str = ""


def ask(connection: duckdb.DuckDBPyConnection, rules: Rules, exports: Sequence[ExportFacts]) -> Iterator[Answer]:
    """Yields answers with offending rows, and broken questions; shipped questions first, then the rules' own.

    Args:
        connection: holds the recomputed tables.
        rules: in force.
        exports: every export used.
    """
    facts = ((e.feed, e.rank, e.name, e.rows, e.exported, e.variant) for e in exports)
    create_given(connection, work("exports"), _EXPORT, facts)
    create_days(connection, rules)
    own = (QualityQuestion(c.name, c.severity, c.sql, c.message, own=True) for c in rules.checks)
    for question in (*shipped(rules), *_two_forms(rules, exports), *own):
        answer = _answer(connection, question)
        if answer.rows or answer.broken:
            yield answer


def _answer(connection: duckdb.DuckDBPyConnection, question: QualityQuestion) -> Answer:
    sql = question.sql.strip().rstrip(";").rstrip()
    try:
        if question.own:
            only_select(connection, sql)
        with query_errors():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {_ANSWER} AS SELECT * FROM ({sql}\n) q")
            count = int(connection.execute(f"SELECT count(*) FROM {_ANSWER}").fetchall()[0][0])
            order = f"ORDER BY {question.order} " if question.order else ""
            names = select_columns(connection, f"SELECT * FROM {_ANSWER} {order}LIMIT {EXAMPLES}") if count else []
            found = list(rows(connection)) if count else []
    except RmetricsError as error:
        if not question.own:
            raise
        return Answer(question, 0, (), broken=error.message)
    return Answer(question, count, tuple(dict(zip(names, row, strict=True)) for row in found))


def select_columns(connection: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    """Runs a SELECT and returns its columns' names; its rows remain to be read."""
    connection.execute(sql)
    return [str(d[0]) for d in connection.description or ()]


def _two_forms(rules: Rules, exports: Sequence[ExportFacts]) -> Iterator[QualityQuestion]:
    """Yields a question only if payments come in more than one form."""
    if len({e.variant for e in exports if e.feed == PAYMENTS}) > 1 and (sql := duplicate_payments(rules)):
        yield QualityQuestion(
            "paid-twice",
            Severity.WARNING,
            sql,
            "payments may be the same payment from two programs: same job, same amount, at most a day apart",
            "Export payments from one program only, and withdraw the other export: rmetrics exports withdraw NAME. "
            "Ignore this if the customer paid twice.",
            order="day, job, payment",
        )


__all__ = [
    "Answer",
    "ExportFacts",
    "ask",
]
