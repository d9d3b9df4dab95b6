"""Whether a peer's daily metrics are rmetrics' own, to the cent and for every key."""

from pathlib import Path

import polars as pl

KEY = ["date", "source", "segment"]
MEASURES = ["jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost"]


def metrics(path: Path) -> pl.DataFrame:
    """Daily metrics in a form that can be compared: counts as integers, money in millionths."""
    frame = pl.read_parquet(path, glob=False)
    amounts = (pl.col(n).cast(pl.Decimal(38, 6)) for n in MEASURES[4:])
    return frame.select(
        pl.col("date").cast(pl.Date),
        *(pl.col(n).cast(pl.String) for n in KEY[1:]),
        *(pl.col(n).cast(pl.Int64) for n in MEASURES[:4]),
        *amounts,
    ).sort(KEY)


def difference(ours: Path, theirs: Path) -> str | None:
    """The first difference in words; None where both say the same."""
    left, right = metrics(ours), metrics(theirs)
    both = left.join(right, on=KEY, how="full", suffix="_peer", coalesce=True)
    other = pl.any_horizontal(pl.col(m).ne_missing(pl.col(f"{m}_peer")) for m in MEASURES)
    wrong = both.filter(other).sort(KEY)
    if wrong.is_empty():
        return None
    row = wrong.row(0, named=True)
    measures = ", ".join(f"{m} {row[m]} / {row[m + '_peer']}" for m in MEASURES if row[m] != row[m + "_peer"])
    return (
        f"{wrong.height} of {left.height} keys differ, first {row['date']} {row['source']} {row['segment']}: {measures}"
    )
