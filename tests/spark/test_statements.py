"""What Spark would read otherwise, or not at all, is written so that it means what DuckDB means by it."""

import pytest

from rmetrics.spark.statements import parsed, spark_sql


def in_spark(sql: str) -> str:
    (tree,) = parsed(sql)
    return spark_sql(tree, lambda _: ["a", "b", "_group"])


@pytest.mark.parametrize(
    ("duckdb", "spark"),
    [
        # the second of a list, whatever the way of counting; beyond its end there is nothing
        ("SELECT [10, 11][f._export + 1] FROM t f", "SELECT TRY_ELEMENT_AT(ARRAY(10, 11), CAST(f._export + 1 AS INT)) FROM t AS f"),
        ("SELECT x[2] FROM t", "SELECT TRY_ELEMENT_AT(x, 2) FROM t"),
        # the sign of money is no floating-point number
        ("SELECT sign(c) FROM t", "SELECT CASE WHEN c > 0 THEN 1 WHEN c < 0 THEN -1 ELSE 0 END FROM t"),
        ("SELECT CAST(x AS HUGEINT) FROM t", "SELECT CAST(x AS DECIMAL(38, 0)) FROM t"),
        ('SELECT 1 FROM "_work"."rows_jobs"', "SELECT 1 FROM `_work__rows_jobs`"),
        ("SELECT hash(a, b) FROM t", "SELECT XXHASH64(a, b) FROM t"),
        ("SELECT DATE 'infinity'", "SELECT CAST('9999-12-31' AS DATE)"),
        ("SELECT epoch_us(a) // 9 FROM t", "SELECT UNIX_MICROS(a) DIV 9 FROM t"),
        ("SELECT make_timestamptz(a * 9) FROM t", "SELECT TIMESTAMP_MICROS(a * 9) FROM t"),
        ("SELECT concat(a, b) FROM t", "SELECT CONCAT(COALESCE(a, ''), COALESCE(b, '')) FROM t"),
        (
            "SELECT a.* EXCLUDE (_group) REPLACE (coalesce(a.b, o.b) AS b) FROM t a JOIN o ON o.a = a.a",
            "SELECT `a`.`a` AS `a`, COALESCE(a.b, o.b) AS `b` FROM t AS a JOIN o ON o.a = a.a",
        ),
        (
            "SELECT a FROM t UNION ALL BY NAME SELECT b, a FROM u",
            "SELECT a, NULL AS b FROM t UNION ALL SELECT a, b FROM u",
        ),
        (
            "SELECT CAST(unnest(generate_series(a, b, INTERVAL 1 MONTH)) AS DATE) AS m FROM t",
            "SELECT EXPLODE(CAST(CASE WHEN a <= b THEN SEQUENCE(a, b, INTERVAL '1' MONTH) END AS ARRAY<DATE>)) AS m FROM t",
        ),
    ],
)  # fmt: skip
def test_a_statement_in_spark_s_words(duckdb: str, spark: str) -> None:
    assert in_spark(duckdb) == spark


def test_what_stands_inside_what_is_replaced_is_replaced_too() -> None:
    found = in_spark("SELECT sign([1, 2][a + 1]) FROM t")
    assert found.count("TRY_ELEMENT_AT") == 2
    assert "[" not in found
