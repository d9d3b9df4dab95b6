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


class StagedRows:
    """Rows in force by feed, in temporary files for the second engine: each row once, none of them in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, list[Path]] = {}

    def add(self, name: str, rows: pl.LazyFrame) -> None:
        """Adds rows of a feed, with their mapped columns and positions; leaves out those that are there.

        Raises:
            LakeError: they cannot be written.
        """
        files = self._files.setdefault(name, [])
        if files:
            there = self.scan(name)
            rows = rows.select(there.collect_schema().names()).join(there, on=POSITION, how="anti")
        files.append(filed(self._folder / f"{name}-{len(files)}.parquet", rows))

    def scan(self, name: str) -> pl.LazyFrame:
        """Returns the rows of a feed."""
        return pl.scan_parquet(self._files[name], glob=False)

    def positions(self, name: str) -> pl.Series:
        """Returns the positions of a feed's rows."""
        return self.scan(name).select(POSITION).collect()[POSITION]

    def inputs(self, rules: Rules) -> dict[str, list[TypedInput]]:
        """Returns the files as the second engine's inputs, by feed."""
        return {
            name: [TypedInput(path, tuple(rules.feeds[name].mapped), None, rows=_height(path)) for path in files]
            for name, files in self._files.items()
        }


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


@contextlib.contextmanager
def feed_inputs(lake: Lake, rules: Rules, frames: Mapping[str, pl.LazyFrame]) -> Iterator[dict[str, list[TypedInput]]]:
    """Yields the second engine's inputs: by feed, a file of some of its rows in force.

    Args:
        lake: for temporary files.
        rules: of these rows.
        frames: rows in force by feed, with their mapped columns and positions.
    """
    with stage(lake) as folder:
        staged = StagedRows(folder)
        for name, frame in frames.items():
            staged.add(name, frame)
        yield staged.inputs(rules)


def paths_of(inputs: Mapping[str, Sequence[TypedInput]]) -> list[Path]:
    """Returns the files of some inputs."""
    return [one.path for some in inputs.values() for one in some]


def rows_holding(
    rows: Rows, name: str, columns: Sequence[str], values: pl.Series, *, besides: pl.LazyFrame | None = None
) -> pl.LazyFrame:
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
        at = at.join(besides.select(POSITION), on=POSITION, how="anti")
    return rows.newest_at(name, at.collect(engine="streaming")[POSITION])


def payments_naming(
    rows: Rows, jobs: Sequence[pl.LazyFrame], *, besides: pl.LazyFrame | None = None
) -> dict[str, pl.LazyFrame]:
    """Returns all payments in force that name some jobs, under their feed; empty if payments name no jobs.

    They are found by the names themselves, not by the links that the first engine made. Payments in ``besides`` are
    left out.
    """
    link = rows.rules.feeds[PAYMENTS].job if PAYMENTS in rows.rules.feeds else None
    if link is None:
        return {}
    names = distinct(jobs, link.match)
    return {PAYMENTS: rows_holding(rows, PAYMENTS, [link.column], names, besides=besides)}


def distinct(frames: Sequence[pl.LazyFrame], columns: Sequence[str]) -> pl.Series:
    """Returns the distinct values in some columns; frames may differ in their other columns."""
    values = [frame.select(pl.col(c).alias("name")).drop_nulls() for frame in frames for c in columns]
    return pl.concat(values).unique().collect(engine="streaming")["name"]


__all__ = [
    "StagedRows", "distinct", "feed_inputs", "filed", "paths_of", "payments_naming", "rows_holding", "stage",
]  # fmt: skip
