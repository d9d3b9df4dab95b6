"""The second engine on Spark SQL: a connection that accepts DuckDB's statements and runs all of them on Spark."""

import contextlib
import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name that Spark's own documents use
from sqlglot import exp

from rmetrics.checks.compare import CrossCheck, compare
from rmetrics.checks.recompute import TypedInput, recompute
from rmetrics.errors import EngineError
from rmetrics.rules import Rules
from rmetrics.spark.session import spark_errors
from rmetrics.spark.statements import parsed, spark_sql, view_name

_READ = re.compile(r"read_parquet\((\[.*?\]|'(?:[^']|'')*')(?:, filename = '_file')?\)", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^']|'')*)'")
_FOOTERS = "parquet_schema("
_DUCKDB = {"string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER", "date": "DATE", "boolean": "BOOLEAN"}
_SPARK = {"VARCHAR": "STRING", "TEXT": "STRING", "HUGEINT": "DECIMAL(38, 0)", "INT128": "DECIMAL(38, 0)"}


def cross_check_on(
    spark: Any,
    typed: Mapping[str, Sequence[TypedInput]],
    daily: Path,
    monthly: Path,
    rules: Rules,
    newest: dt.date | None,
) -> CrossCheck:
    """Recomputes all figures from the typed files on Spark, and compares them with the metrics' files.

    If an executor is lost with its results, the whole comparison runs once more, but not if Spark would reject it
    again.

    Args:
        spark: a session whose executors see the files.
        typed: the typed files by feed.
        daily: Parquet file of ``daily_metrics``.
        monthly: Parquet file of ``monthly_metrics``.
        rules: in force.
        newest: the day of the newest export.

    Raises:
        EngineError: Spark failed; the figures remain unchecked.
    """
    try:
        return _once(spark, typed, daily, monthly, rules, newest)
    except EngineError as error:
        if _refused(error.__cause__):
            raise
        return _once(spark, typed, daily, monthly, rules, newest)


def _refused(cause: BaseException | None) -> bool:
    """True if Spark rejects a statement as such: another attempt would take minutes and fail in the same way."""
    return isinstance(cause, AnalysisException) or "StackOverflowError" in str(cause)


def _once(
    spark: Any,
    typed: Mapping[str, Sequence[TypedInput]],
    daily: Path,
    monthly: Path,
    rules: Rules,
    newest: dt.date | None,
) -> CrossCheck:
    with spark_errors("recompute the metrics"):
        connection: Any = SparkConnection(spark)
        try:
            recompute(connection, typed, rules, None, newest, classes=False)
            return compare(connection, daily, monthly)
        finally:
            connection.close()


class SparkConnection:
    """The part of a DuckDB connection that ``checks`` needs: views and tables that last as long as it does.

    A table's rows are computed once, and stay on the executors.
    """

    def __init__(self, spark: Any) -> None:
        self.spark = spark
        self._views: dict[str, list[DataFrame]] = {}
        self._files = 0
        self._rows: list[tuple[Any, ...]] = []

    def close(self) -> None:
        """Drops the views."""
        for name in self._views:
            with contextlib.suppress(Exception):  # the session may be gone
                self.spark.catalog.dropTempView(name)
        self._views.clear()

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> "SparkConnection":
        """Runs one or several statements; the rows of the last one can then be fetched."""
        if _FOOTERS in sql:
            self._rows = self._columns_of_files([p.replace("''", "'") for p in _QUOTED.findall(sql)])
            return self
        described = sql.startswith("DESCRIBE ")
        for tree in parsed(_READ.sub(self._read, sql.removeprefix("DESCRIBE "))):
            self._run(tree, list(params or ()), described=described)
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Returns all rows of the last statement."""
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        """Returns the first row of the last statement; None if it has no rows."""
        return self._rows[0] if self._rows else None

    def _run(self, tree: exp.Expr, params: list[Any], *, described: bool) -> None:
        kind = str(tree.args.get("kind") or "").upper()
        if isinstance(tree, exp.Create) and kind == "SCHEMA":
            return
        if isinstance(tree, exp.Drop):
            for table in tree.find_all(exp.Table):
                self._put(view_name(table), None)
        elif isinstance(tree, exp.Create):
            self._create(tree, kind, params)
        elif isinstance(tree, exp.Insert):
            self._insert(tree, params)
        else:
            found = self.spark.sql(self._query(tree, params))
            if described:
                self._rows = [(f.name, _duckdb_type(f.dataType.simpleString())) for f in found.schema.fields]
            else:
                self._rows = [tuple(row) for row in found.collect()]

    def _create(self, tree: exp.Expr, kind: str, params: list[Any]) -> None:
        name = view_name(_table(tree))
        query = tree.args.get("expression")
        if query is None:
            kinds = {c.name: _spark_type(c.args["kind"]) for c in tree.this.expressions}
            columns = ", ".join(f"CAST(NULL AS {kind}) AS `{c}`" for c, kind in kinds.items())
            self._put(name, self.spark.sql(f"SELECT {columns} WHERE false"))
            return
        found = self.spark.sql(self._query(query, params))
        # A checkpoint cuts the lineage: otherwise every use of the table would compute it again.
        self._put(name, found.localCheckpoint() if kind == "TABLE" else found)

    def _insert(self, tree: exp.Expr, params: list[Any]) -> None:
        name, query = view_name(_table(tree)), tree.expression
        existing = self._views[name]
        schema = existing[0].schema
        lists = [e for e in query.expressions if list(e.find_all(exp.Parameter, exp.Placeholder))]
        if params and len(lists) == len(query.expressions) == len(params):  # columns given as lists
            new = self.spark.createDataFrame(pa.table(dict(zip(schema.names, map(pa.array, params), strict=True))))
        else:
            expressions = tree.args.get("with_") or tree.args.get("with")
            if expressions is not None:
                query = query.copy()
                query.set("with_" if "with_" in query.arg_types else "with", expressions.copy())
            new = self.spark.sql(self._query(query, params)).toDF(*schema.names)
        new = new.select(*(F.col(f.name).cast(f.dataType).alias(f.name) for f in schema.fields)).localCheckpoint()
        self._views[name] = [*existing, new]
        whole = existing[0]
        for part in self._views[name][1:]:
            whole = whole.union(part)
        whole.createOrReplaceTempView(name)

    def _put(self, name: str, frame: DataFrame | None) -> None:
        if frame is None:
            self._views.pop(name, None)
            self.spark.catalog.dropTempView(name)
            return
        self._views[name] = [frame]
        frame.createOrReplaceTempView(name)

    def _query(self, tree: exp.Expr, params: list[Any]) -> str:
        tree = tree.copy()
        for place in list(tree.find_all(exp.Parameter, exp.Placeholder)):
            number = int(place.this.name if isinstance(place.this, exp.Expr) else place.this)
            place.replace(_literal(params[number - 1]))
        return spark_sql(tree, lambda name: self.spark.table(f"`{name}`").columns)

    # -- files

    def _read(self, match: re.Match[str]) -> str:
        """Returns a view of Parquet files, with the path of each row's file as written in the statements."""
        paths = [p.replace("''", "'") for p in _QUOTED.findall(match[1])]
        by_folder: dict[Path, list[str]] = {}
        for path in paths:
            by_folder.setdefault(Path(path).parent, []).append(path)
        frames = []
        for folder, files in by_folder.items():
            rows = self.spark.read.parquet(*(Path(f).as_uri() for f in files))
            path = F.concat(F.lit(f"{folder}/"), F.col("_metadata.file_name"))
            frames.append(rows.withColumn("_file", path))
        whole = frames[0]
        for frame in frames[1:]:
            whole = whole.unionByName(frame, allowMissingColumns=True)
        self._files += 1
        name = f"_files_{self._files}"
        self._put(name, whole)
        return name

    def _columns_of_files(self, paths: Sequence[str]) -> list[tuple[Any, ...]]:
        """Returns the columns of Parquet files from their footers: (file, column)."""

        def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            import pyarrow.parquet as pq

            for batch in batches:
                found = [(p, c) for p in batch.column("path").to_pylist() for c in pq.read_schema(p).names]
                names, columns = ([f[i] for f in found] for i in (0, 1))
                yield pa.RecordBatch.from_pydict({"path": pa.array(names, pa.string()), "name": columns})

        rows = self.spark.createDataFrame(pa.table({"path": list(paths)}))
        return [tuple(r) for r in rows.mapInArrow(look, "path string, name string").collect()]


def _table(tree: exp.Expr) -> exp.Table:
    found = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if not isinstance(found, exp.Table):
        raise EngineError(
            f"a statement of the second engine has an unknown form: {tree.key}",
            "This is a bug in rmetrics: please report it.",
        )
    return found


def _literal(value: Any) -> exp.Expr:
    if isinstance(value, (list, tuple)):
        return exp.Array(expressions=[_literal(v) for v in value])
    if isinstance(value, dt.date):
        return exp.cast(exp.Literal.string(value.isoformat()), "date")
    if value is None:
        return exp.Null()
    return exp.Literal.number(value) if isinstance(value, (int, Decimal)) else exp.Literal.string(str(value))


def _spark_type(kind: exp.Expr) -> str:
    name = kind.sql("duckdb").upper()
    return _SPARK.get(name, name)


def _duckdb_type(name: str) -> str:
    return _DUCKDB.get(name, name.upper())


__all__ = ["SparkConnection", "cross_check_on"]
