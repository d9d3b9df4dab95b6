"""``tables.py`` and ``schema.sql`` say the same."""

import pytest
from adbc_driver_postgresql import dbapi

from rmetrics.postgres.connection import catalog, connect, server_of, statements
from rmetrics.rules import load_rules
from rmetrics.tables import published_tables
from support import ROOT

RULES = load_rules(ROOT / "rules")


@pytest.fixture
def applied(database: str) -> str:
    """A database with the schema."""
    with dbapi.connect(database) as connection, connection.cursor() as cursor:
        for statement in statements((ROOT / "schema.sql").read_text()):
            cursor.execute(statement)
        connection.commit()
    return database


def test_every_published_column_is_in_the_schema_with_its_type(applied: str) -> None:
    with connect(server_of(applied)) as session:
        for table in published_tables(RULES):
            there = {n: (kind, must) for n, (kind, must, made) in catalog(session, table.name).items() if not made}
            assert there == {c.name: (c.type, c.not_null) for c in table.columns}, table.name


def test_keys_agree(applied: str) -> None:
    with connect(server_of(applied)) as session:
        for table in published_tables(RULES):
            rows = session.query(
                "SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (n, o), pg_attribute a "
                "WHERE i.indrelid = to_regclass($1) AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.n "
                "ORDER BY k.o",
                [table.name],
            )
            assert tuple(r[0] for r in rows) == table.key


def test_a_table_comes_after_those_it_refers_to() -> None:
    names = [t.name for t in published_tables(RULES)]
    assert names.index("jobs") < names.index("payments") < names.index("daily_metrics")
    assert names.index("jobs") < names.index("calls")
