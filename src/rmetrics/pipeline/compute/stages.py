"""The stages from typed rows to job facts: pure functions without files, clock or engine.

newest     all versions of some keys -> positions that a newer version replaced, and merged rows
standing   typed rows, replaced positions, merged rows -> one row per key
links      rows that name a job, and jobs -> the job of each row
facts      jobs and their payments -> job facts, by position
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.jobs import JOB_ID, METRIC_DATE, SEGMENT, SOURCE, job_facts, linked
from rmetrics.metrics.lookup import near
from rmetrics.metrics.newest import TypedExport, all_versions, put_together, typed_columns
from rmetrics.positions import COUNTED, FILE, LINE, LINES, PARTS, POSITION, position
from rmetrics.rules.feeds import Feed, JobLink
from rmetrics.rules.model import Rules

FACT_COLUMNS = (JOB_ID, METRIC_DATE, SOURCE, SEGMENT, "paid", "is_unit", "is_repair")
REPLACED = {POSITION: pl.Int64(), PARTS: pl.Int64()}
LINKS = {POSITION: pl.Int64(), JOB_ID: pl.String()}


@dataclass(frozen=True, slots=True)
class Newest:
    """The outcome of settling versions of rows.

    Attributes:
        replaced: position and line count of each version that is no longer in force.
        together: rows merged from several versions, with the mapped columns, ``_file``, ``_line``, ``_parts``
            and the position of their newest version.
    """

    replaced: pl.DataFrame
    together: pl.DataFrame


def key_hash(feed: Feed) -> pl.Expr:
    """Returns a 64-bit hash of a row's key. Different keys may collide; one key always has the same hash."""
    key = feed.key_columns
    return (pl.col(key[0]) if len(key) == 1 else pl.struct(key)).hash(seed=7)


def newest(
    versions: pl.LazyFrame,
    exports: Sequence[TypedExport],
    feed: Feed,
    *,
    on_top: Sequence[TypedExport] | None = None,
    base: pl.Series | None = None,
) -> Newest:
    """Determines which version of each key is in force.

    Args:
        versions: rows of ``all_versions``: all versions of some keys; or the versions in force so far, and new ones.
        exports: all exports of the feed.
        feed: the feed.
        on_top: the exports of the new versions; None if ``versions`` holds all versions.
        base: positions of rows merged earlier, which already hold the values of older exports.
    """
    # Versions are merged only if the newest one lacks columns, that is, if its form is not in ``complete_forms``.
    key = list(feed.key_columns)
    forms = list({frozenset(e.columns) for e in exports})
    form = {rank: forms.index(frozenset(e.columns)) for e in exports for rank in e.ranks}
    complete_forms = [i for i, columns in enumerate(forms) if columns == frozenset().union(*forms)]
    kind = pl.lit(0, dtype=pl.Int64)
    if len(forms) > 1:
        kind = pl.col(FILE).replace_strict(list(form), list(form.values()), return_dtype=pl.Int64)
    if base is not None and base.len():
        kind = pl.when(position().is_in(base.implode())).then(-1).otherwise(kind)
    places = versions.select(*key, position(), PARTS, kind.alias("_form")).collect(engine="streaming")
    last = pl.col("_form").sort_by(POSITION).last()
    greatest = places.group_by(key).agg(
        pl.col(POSITION).max(),
        ((pl.col("_form").n_unique() > 1) & ~last.is_in(complete_forms)).alias("_mixed"),
    )
    replaced = places.select(POSITION, PARTS).join(greatest, on=POSITION, how="anti")
    mixed = greatest.filter("_mixed").select(key)
    if mixed.is_empty():
        return Newest(replaced, pl.DataFrame(schema=in_force_schema(feed)))
    of_these = versions.join(mixed.lazy(), on=key, how="semi", nulls_equal=True)
    made = put_together(of_these, exports if on_top is None else on_top, feed).with_columns(position())
    return Newest(replaced, made.collect(engine="streaming"))


def in_force_schema(feed: Feed) -> dict[str, pl.DataType]:
    """Returns the columns of ``standing``."""
    return {**typed_columns(feed), LINE: pl.Int64(), PARTS: pl.Int64(), FILE: pl.UInt32(), POSITION: pl.Int64()}


def rows_in_force(
    exports: Sequence[TypedExport], feed: Feed, replaced: pl.LazyFrame | None, together: pl.LazyFrame | None
) -> pl.LazyFrame:
    """Returns the rows in force: one per key.

    Args:
        exports: the typed exports.
        feed: the feed.
        replaced: the positions that a newer version replaced; None if there are none.
        together: merged rows, which replace the typed rows at their positions; None if there are none.

    Returns:
        The columns of ``all_versions``, and ``POSITION``.
    """
    rows = all_versions(exports, feed).with_columns(position())
    if replaced is not None:
        rows = rows.join(replaced.select(POSITION), on=POSITION, how="anti")
    if together is not None:
        rows = rows.join(together.select(POSITION), on=POSITION, how="anti")
        rows = pl.concat([rows, together.select(rows.collect_schema().names())])
    return rows


def rows_at(exports: Sequence[TypedExport], feed: Feed, positions: pl.Series) -> pl.LazyFrame:
    """Returns the typed rows at some positions, with the columns of ``standing``."""
    found = positions.to_frame(POSITION).with_columns(
        (pl.col(POSITION) // LINES).cast(pl.UInt32).alias(FILE), (pl.col(POSITION) % LINES).alias(LINE)
    )
    by_rank = {int(str(rank)): places[LINE] for (rank,), places in found.partition_by(FILE, as_dict=True).items()}
    narrowed = []
    for export in exports:
        ranks = [rank for rank in export.ranks if rank in by_rank]
        if not ranks:
            continue
        lines = pl.concat([by_rank[rank] for rank in ranks])
        inside = near(LINE, lines) & pl.col(LINE).is_in(lines.implode())
        narrowed.append(TypedExport(export.rows.filter(inside), export.columns, export.ranks))
    rows = all_versions(narrowed, feed).with_columns(position())
    return rows.filter(pl.col(POSITION).is_in(positions.implode()))


def linked_jobs(rows: pl.LazyFrame, jobs: pl.LazyFrame, link: JobLink) -> pl.LazyFrame:
    """Returns the job that each row names, without rows that name none.

    Args:
        rows: with ``POSITION`` and the column that names the job.
        jobs: one row per job that counts: its id and the columns it is looked up in.
        link: the column that names the job, and the columns of jobs it matches.

    Returns:
        One row per row that names a job: position and job_id. If two jobs share a name, the lower id wins.

    Source: the design, section 4 (job_id of payments and calls).
    """
    asked = rows.select(POSITION, link.column).drop_nulls(link.column)
    return linked(asked, jobs, link).select(POSITION, JOB_ID).drop_nulls(JOB_ID)


def facts(jobs: pl.LazyFrame, payments: pl.LazyFrame, rules: Rules, own: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the facts of jobs; see ``jobs.job_facts``.

    Returns:
        One row per job that counts: its position, and ``FACT_COLUMNS``.
    """
    return job_facts(jobs, payments.select(JOB_ID, "amount", COUNTED), rules, own).select(POSITION, *FACT_COLUMNS)


def with_facts(jobs: pl.LazyFrame, stored: pl.LazyFrame) -> pl.LazyFrame:
    """Returns the jobs that count, joined with the facts at their positions; drops jobs without facts."""
    own = [c for c in FACT_COLUMNS if c != JOB_ID]
    return jobs.filter(pl.col(COUNTED)).drop(own, strict=False).join(stored.select(POSITION, *own), on=POSITION)


def bucket(column: pl.Expr, number: int, count: int) -> pl.Expr:
    """Tests whether a row is in one of ``count`` buckets, by the hash of a column; NULLs share one bucket."""
    return pl.lit(value=True) if count == 1 else column.hash(seed=3) % count == number


__all__ = [
    "FACT_COLUMNS",
    "LINKS",
    "REPLACED",
    "Newest",
    "bucket",
    "facts",
    "in_force_schema",
    "key_hash",
    "linked_jobs",
    "newest",
    "rows_at",
    "rows_in_force",
    "with_facts",
]  # fmt: skip
