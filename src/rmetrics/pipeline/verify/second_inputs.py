"""Rows of the first engine in files, for the second engine to read."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from rmetrics.checks.recompute import TypedInput
from rmetrics.lake import Lake, writing
from rmetrics.metrics.lookup import holding
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import POSITION
from rmetrics.rules import Rules
from rmetrics.rules.names import PAYMENTS


@contextlib.contextmanager
def stage(lake: Lake) -> Iterator[Path]:
    """Yields a folder for files that are needed during one check only; what a killed run leaves is swept."""
    folder = lake.root / "duckdb"
    lake.folder(folder)
    with tempfile.TemporaryDirectory(prefix="rows-", dir=folder) as made:
        yield Path(made)


def filed(path: Path, rows: pl.LazyFrame) -> Path:
    """Writes rows to a file; returns its path.

    Raises:
        LakeError: it cannot be written.
    """
    with writing(path):
        rows.sink_parquet(path, compression="lz4")
    return path


@contextlib.contextmanager
def feed_inputs(lake: Lake, rules: Rules, frames: Mapping[str, pl.DataFrame]) -> Iterator[dict[str, list[TypedInput]]]:
    """Yields the second engine's inputs: by feed, a file of some of its rows in force.

    Args:
        lake: for temporary files.
        rules: of these rows.
        frames: rows in force by feed, with their mapped columns and positions.
    """
    with stage(lake) as folder:
        yield {
            name: [
                TypedInput(
                    filed(folder / f"{name}.parquet", frame.lazy()),
                    tuple(rules.feeds[name].mapped),
                    None,
                    rows=frame.height,
                )
            ]
            for name, frame in frames.items()
        }


def paths_of(inputs: Mapping[str, Sequence[TypedInput]]) -> list[Path]:
    """Returns the files of some inputs."""
    return [one.path for some in inputs.values() for one in some]


def rows_holding(
    rows: Rows, name: str, columns: Sequence[str], values: pl.Series, *, besides: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Returns a feed's rows in force that hold one of some values; reads whole rows only for the positions found.

    Args:
        rows: the rows in force.
        name: the feed.
        columns: where to look for the values.
        values: of one type.
        besides: rows of the feed that the caller already has; they are left out.
    """
    at = holding(rows.newest(name).select(POSITION, *columns), columns, values).select(POSITION)
    if besides is not None:
        at = at.join(besides.lazy().select(POSITION), on=POSITION, how="anti")
    return rows.newest_at(name, at.collect(engine="streaming")[POSITION]).collect(engine="streaming")


def payments_naming(
    rows: Rows, jobs: Sequence[pl.DataFrame], *, besides: pl.DataFrame | None = None
) -> dict[str, pl.DataFrame]:
    """Returns all payments in force that name some jobs, under their feed; empty if payments name no jobs.

    They are found by the names themselves, not by the links that the first engine made. Payments in ``besides`` are
    left out.
    """
    link = rows.rules.feeds[PAYMENTS].job if PAYMENTS in rows.rules.feeds else None
    if link is None:
        return {}
    names = distinct(jobs, link.match)
    return {PAYMENTS: rows_holding(rows, PAYMENTS, [link.column], names, besides=besides)}


def distinct(frames: Sequence[pl.DataFrame], columns: Sequence[str]) -> pl.Series:
    """Returns the distinct values in some columns; frames may differ in their other columns."""
    values = [frame.select(pl.col(c).alias("name")).drop_nulls() for frame in frames for c in columns]
    return pl.concat(values)["name"].unique()


__all__ = ["distinct", "feed_inputs", "filed", "paths_of", "payments_naming", "rows_holding", "stage"]
