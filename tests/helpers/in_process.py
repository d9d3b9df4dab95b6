"""An engine for the plan that moves rows between lists: what Spark does, without it."""

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from rmetrics.spark.steps import Piece, Schema

Rows = list[pl.DataFrame]
_NOTE = "_kind"


class InProcess:
    """Cuts rows into buckets by their hash, and hands each to its step.

    Attributes:
        moved: how many rows met others.
    """

    def __init__(self) -> None:
        self.moved = 0

    def made(self, items: Sequence[Piece], step: Callable[[Piece], Iterator[pl.DataFrame]], schema: Schema) -> Rows:
        """The frames that a step makes of each item."""
        return [_fits(frame, schema) for item in items for frame in step(item)] or [pl.DataFrame(schema=schema)]

    def mapped(self, rows: Rows, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema) -> Rows:
        """A step over each frame."""
        return [_fits(step(frame), schema) for frame in rows]

    def grouped(
        self, rows: Rows, by: Sequence[str], buckets: int, step: Callable[[pl.DataFrame], pl.DataFrame], schema: Schema
    ) -> Rows:
        """A step over buckets."""
        cut = self._cut(rows, pl.struct(by), buckets)
        return [_fits(step(frame), schema) for frame in cut if frame.height] or [pl.DataFrame(schema=schema)]

    def paired(
        self,
        left: tuple[Rows, Sequence[str]],
        right: tuple[Rows, Sequence[str]],
        buckets: int,
        step: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame],
        schema: Schema,
    ) -> Rows:
        """A step over pairs of buckets."""
        cuts = [
            self._cut(rows, pl.coalesce(pl.col(c).cast(pl.String) for c in by), buckets) for rows, by in (left, right)
        ]
        pairs = [(a, b) for a, b in zip(*cuts, strict=True) if a.height or b.height]
        return [_fits(step(a, b), schema) for a, b in pairs] or [pl.DataFrame(schema=schema)]

    def chosen(self, rows: Rows, columns: Sequence[str], *, notes: bool) -> Rows:
        """Some columns of rows, or of notes."""
        told = pl.col(_NOTE).is_not_null() if notes else pl.col(_NOTE).is_null()
        return [frame.filter(told).select(columns) for frame in rows]

    def together(self, rows: Sequence[Rows]) -> Rows:
        """All of them."""
        return [frame for some in rows for frame in some]

    def summed(self, rows: Rows, keys: Sequence[str], sums: Sequence[str], schema: Schema) -> pl.DataFrame:
        """The sums by key."""
        return _fits(pl.concat(rows).group_by(keys).agg(pl.col(c).sum() for c in sums).select(*schema), schema)

    def collected(self, rows: Rows, schema: Schema) -> pl.DataFrame:
        """The rows."""
        return _fits(pl.concat(rows), schema)

    def persisted(self, rows: Rows) -> Rows:
        """The rows."""
        return rows

    def released(self) -> None:
        """Nothing to free."""

    def _cut(self, rows: Rows, by: pl.Expr, buckets: int) -> Rows:
        whole = pl.concat(rows).sample(fraction=1, shuffle=True, seed=1)  # no step may lean on an order
        self.moved += whole.height
        places = whole.select((by.hash(seed=11) % buckets).alias("b"))["b"]
        return [whole.filter(places == number) for number in range(buckets)]


def _fits(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    assert dict(frame.schema) == dict(schema), (frame.schema, schema)
    return frame


__all__ = ["InProcess"]
