"""``rmetrics sql``: one read-only SELECT over the lake as the last sync left it."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rmetrics.checks.periods import PERIODS
from rmetrics.errors import LakeError, SettingsError
from rmetrics.lake import writing
from rmetrics.opening import open_project
from rmetrics.pipeline.compute.compute import inputs_digest
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.compute.names import FACTS, FIGURES
from rmetrics.pipeline.workspace import landed
from rmetrics.positions import PARTS
from rmetrics.sandbox.query import LakeView, batches, lake_views, query_errors, rows, select, tables_named
from rmetrics.settings import Settings
from rmetrics.tables import JOURNEYS

MEMORY_LIMIT = "2GB"  # if the settings name none: a mistaken join must not take the machine down
_HIDDEN = (PARTS,)


@dataclass(frozen=True, slots=True)
class StatementResult:
    """A running statement.

    Attributes:
        columns: names and DuckDB types, in order.
        rows: can be read once.
        stale: whether rules were edited, or exports landed, since the lake was computed.
    """

    columns: tuple[tuple[str, str], ...]
    rows: Iterator[tuple[Any, ...]]
    stale: bool


@contextlib.contextmanager
def query(settings: Settings, sql: str) -> Iterator[StatementResult]:
    """Runs one SELECT on the lake's views; its rows can be read while the context is open.

    Raises:
        SettingsError: it is not one SELECT, reaches beyond the views, or DuckDB cannot run it.
        LakeError: nothing was synced yet, or a file cannot be read.
    """
    with _connected(settings, sql) as (connection, stale):
        columns = select(connection, sql)
        yield StatementResult(columns, rows(connection), stale)


def query_frame(settings: Settings, sql: str) -> pl.DataFrame:
    """Returns the whole result of one SELECT.

    Raises:
        SettingsError, LakeError: see ``query``.
    """
    with _connected(settings, sql) as (connection, _):
        select(connection, sql)
        with query_errors():
            reader = batches(connection)
            found = pl.from_arrow(reader.read_all())
    return found if isinstance(found, pl.DataFrame) else found.to_frame()


def query_to_parquet(settings: Settings, sql: str, target: Path) -> int:
    """Writes the result of one SELECT to a Parquet file, completely or not at all; returns the number of rows.

    Raises:
        SettingsError: see ``query``; or the file cannot be written.
    """
    import pyarrow.parquet as pq

    part = target.with_name(target.name + ".part")
    count = 0
    with _connected(settings, sql) as (connection, _):
        select(connection, sql)
        try:
            with query_errors():
                reader = batches(connection)
                with pq.ParquetWriter(part, reader.schema, compression="zstd") as writer:
                    for batch in reader:
                        writer.write_batch(batch)
                        count += batch.num_rows
            part.replace(target)
        except OSError as error:
            raise SettingsError(
                f"cannot write {target}: {error.strerror or error}", "Name a file in a folder that exists."
            ) from error
        finally:
            part.unlink(missing_ok=True)
    return count


def views(settings: Settings) -> dict[str, tuple[tuple[str, str], ...]]:
    """Returns the columns and types of every view, by view."""
    with _connected(settings) as (connection, _):
        found = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
        ).fetchall()
    names = dict.fromkeys(name for name, _, _ in found)
    return {n: tuple((c, t) for name, c, t in found if name == n) for n in names}


@contextlib.contextmanager
def _connected(settings: Settings, sql: str = "") -> Iterator[tuple[Any, bool]]:
    """Yields a connection with one view per table, and whether the lake is older than rules and exports.

    Only the tables named in the statement have rows: those are written to files for DuckDB to read.
    """
    project = open_project(settings)
    lake, rules, placed = project.lake, project.rules, landed(project)
    computed = last_rows(lake, rules)
    if computed is None:
        raise LakeError(
            "nothing has been computed yet, or the lake was changed by another program", "Run: rmetrics sync"
        )
    stale = computed.snapshot.inputs != inputs_digest(placed, rules)
    exports = {p.rank: p.raw.name for p in placed}
    named = tables_named(sql)
    named |= {of for view, (of, _) in PERIODS.items() if view in named}
    lake.folder(lake.root / "duckdb")
    with tempfile.TemporaryDirectory(prefix="rows-", dir=lake.root / "duckdb") as folder:
        views = []
        for name in (*computed.rules.feeds, FACTS, *FIGURES, JOURNEYS):
            rows, path = computed.scan(name), Path(folder) / f"{name}.parquet"
            with writing(path):
                (rows if name.lower() in named else rows.head(0)).sink_parquet(path, compression="lz4")
            views.append(LakeView(name, [path], _HIDDEN))
        limit = settings.memory_limit or MEMORY_LIMIT
        with lake_views(views, exports, temp=lake.root / "duckdb", memory_limit=limit, more=PERIODS) as connection:
            yield connection, stale
