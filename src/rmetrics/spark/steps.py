"""The steps of one bucket of rows: the stages of ``pipeline.compute`` on frames, with files only in the lake.

Every step is a function of its frames and of ``Work``, so it may run on any machine that sees the lake, and run again:
its files are named by their content. A step returns rows and, in the same frame, *notes*: in ``KIND`` and ``NOTE``,
records of files written and of sums computed. Both columns are null in rows.
"""

import datetime as dt
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from rmetrics.lake import Lake, LakeAt, TypedFile
from rmetrics.lake.snapshot import CorruptError, Layer, Stored, write_layer
from rmetrics.metrics.costs import feed_costs
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import JOB_ID, dated_jobs, own_names, spellings
from rmetrics.metrics.leads import feed_leads
from rmetrics.metrics.newest import TypedExport, all_versions
from rmetrics.metrics.tallies import SUMS, activity, days, revenue
from rmetrics.pipeline.compute.names import FACTS, links, replaced, together
from rmetrics.pipeline.compute.rows import typed_exports
from rmetrics.pipeline.compute.stages import facts, linked_jobs, newest
from rmetrics.positions import COUNTED, POSITION, position
from rmetrics.postgres.publish.digests import SUMS as CONTENT_SUMS
from rmetrics.postgres.publish.digests import month_sums, sums_after
from rmetrics.rules import Rules
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS
from rmetrics.spark.tasks import Schema
from rmetrics.tables import PgTable, published_tables

KIND, NOTE = "_kind", "_note"
FILE_WRITTEN, CONTENTS_OF = "layer", "contents"
NOTES = {KIND: pl.String(), NOTE: pl.String()}
NAME = "_name"
NAMES = {NAME: pl.String(), "_which": pl.Int32(), JOB_ID: pl.String()}
TALLY_KEYS = {
    "tally": pl.String(),
    "date": pl.Date(),
    "source": pl.String(),
    "segment": pl.String(),
    "known": pl.Boolean(),
    "feed": pl.String(),
    "span": pl.Int32(),
    "cost": pl.Int32(),
}
TALLY_SUMS = tuple(f"n{i}" for i in range(max(map(len, SUMS.values()))))
TALLY = {**TALLY_KEYS, **dict.fromkeys(TALLY_SUMS, pl.Int64())}
"""All tallies as one table: the tally's name, every key of any of them, and as many sums as the widest has."""


@dataclass(frozen=True, slots=True)
class Work:
    """Context of every step.

    Attributes:
        at: the address of the lake, which receives the files; every machine sees it there.
        rules: in force.
        exports: by feed, the mapped columns of its exports and their ranks.
    """

    at: LakeAt
    rules: Rules
    exports: Mapping[str, Sequence[tuple[tuple[str, ...], tuple[int, ...]]]]

    @property
    def lake(self) -> Lake:
        """The lake, as seen by this machine."""
        return _lake(self.at)


@functools.cache
def _lake(at: LakeAt) -> Lake:
    return at.open()


@dataclass(frozen=True, slots=True)
class Piece:
    """Typed rows that one task reads.

    Attributes:
        feed: their feed.
        files: typed files with their ranks; one file, or the exports of one pack.
        first, height: the range of the rows; for a pack, all of them.
    """

    feed: str
    files: tuple[tuple[TypedFile, int], ...]
    first: int = 0
    height: int | None = None


def pieces(feed: str, files: Sequence[tuple[TypedFile, int]], max_rows: int) -> list[Piece]:
    """Cuts the typed rows of a feed into pieces of at most ``max_rows`` rows; a pack, which is small, is one piece."""
    packs: dict[str, list[tuple[TypedFile, int]]] = {}
    found = list[Piece]()
    for file, rank in files:
        if file.packed:
            packs.setdefault(file.name, []).append((file, rank))
        else:
            starts = range(0, max(file.rows, 1), max_rows)
            found += [Piece(feed, ((file, rank),), first, min(max_rows, max(file.rows, 1) - first)) for first in starts]
    return found + [Piece(feed, tuple(pack)) for pack in packs.values()]


# -- the frames of each step


def every_schema(rules: Rules, name: str) -> Schema:
    """Returns the columns of typed rows as read."""
    return {**all_versions([], rules.feeds[name]).collect_schema(), POSITION: pl.Int64()}


def kept_schema(rules: Rules, name: str) -> Schema:
    """Returns the columns of rows in force, and of notes."""
    empty = pl.LazyFrame(schema=every_schema(rules, name))
    return {**kept_rows(empty, rules, name).collect_schema(), **NOTES}


def linked_schema(rules: Rules, name: str) -> Schema:
    """Returns the columns of rows in force with the jobs they name, and of notes."""
    return {JOB_ID: pl.String(), **{n: t for n, t in kept_schema(rules, name).items() if n != JOB_ID}}


def paid_schema(rules: Rules) -> Schema:
    """Returns the columns of payments that job facts need."""
    day = rules.feeds[PAYMENTS].business_date
    wanted = (POSITION, JOB_ID, "amount", COUNTED, day)
    return {n: t for n, t in linked_schema(rules, PAYMENTS).items() if n in wanted}


FACTS_SCHEMA: Schema = {**TALLY, **NOTES}
SPELLED: Schema = {"_fold": pl.String(), "source_raw": pl.String(), "metric_date": pl.Date(), JOB_ID: pl.String()}


# -- steps


def read(piece: Piece, work: Work) -> Iterator[pl.DataFrame]:
    """Yields typed rows of exports, in the columns of ``every_schema``.

    Raises:
        CorruptError: a file fails its checksum.
    """
    columns, lake = list(every_schema(work.rules, piece.feed)), work.lake
    file = piece.files[0][0]
    if not lake.typed_is_intact(file, used=True):
        raise CorruptError(lake.store, f"{lake.typed.name}/{file.name}")
    for export in typed_exports(lake, piece.files):
        rows = export.rows if piece.height is None else export.rows.slice(piece.first, piece.height)
        frame = all_versions([TypedExport(rows, export.columns, export.ranks)], work.rules.feeds[piece.feed])
        yield frame.with_columns(position()).select(columns).collect()


def keep(rows: pl.DataFrame, name: str, work: Work) -> pl.DataFrame:
    """Reduces all versions of some keys to the rows in force; adds notes of positions that newer versions replaced."""
    feed = work.rules.feeds[name]
    exports = [TypedExport(pl.LazyFrame(), columns, ranks) for columns, ranks in work.exports[name]]
    found = newest(rows.lazy(), exports, feed)
    plain = rows.join(found.replaced, on=POSITION, how="anti").join(found.together, on=POSITION, how="anti")
    in_force = pl.concat([plain, found.together.select(plain.columns)])
    kept = kept_rows(in_force.lazy(), work.rules, name).collect()
    notes = [
        *_layer(work.lake, replaced(name), found.replaced),
        *_layer(work.lake, together(name), found.together),
    ]
    if work.rules.feeds[name].job is None and name != JOBS:
        notes += _contents(work.rules, name, kept)
    return _with_notes(kept, notes, kept_schema(work.rules, name))


def spellings_of(jobs: pl.DataFrame, work: Work) -> pl.DataFrame:
    """Returns the spellings of undeclared sources in some jobs."""
    return spellings(dated_jobs(_rows(jobs).lazy(), work.rules), work.rules).select(*SPELLED).collect()


def names_of(jobs: pl.DataFrame, match: Sequence[str]) -> pl.DataFrame:
    """Returns the names of jobs: one row per name."""
    counted = _rows(jobs).filter(pl.col(COUNTED))
    called = [
        counted.select(pl.col(column).cast(pl.String).alias(NAME), pl.lit(i, pl.Int32).alias("_which"), JOB_ID)
        for i, column in enumerate(match)
    ]
    return pl.concat(called).drop_nulls(NAME).select(*NAMES)


def link(rows: pl.DataFrame, names: pl.DataFrame, name: str, work: Work) -> pl.DataFrame:
    """Links rows of a feed to the jobs they name; ``names`` are all names in this bucket."""
    feed, rows = work.rules.feeds[name], _rows(rows)
    assert feed.job is not None  # noqa: S101 - asked for by the plan
    kinds = kept_schema(work.rules, JOBS)
    each = [
        pl.col(NAME).filter(pl.col("_which") == i).first().cast(kinds[column]).alias(column)
        for i, column in enumerate(feed.job.match)
        if column != JOB_ID
    ]
    jobs = names.group_by(JOB_ID).agg(*each)
    found = linked_jobs(rows.lazy(), jobs.lazy(), feed.job).collect()
    made = rows.drop(JOB_ID, strict=False).join(found, on=POSITION, how="left")
    notes = [*_layer(work.lake, links(name), found), *_contents(work.rules, name, made)]
    return _with_notes(made, notes, linked_schema(work.rules, name))


def tallied(rows: pl.DataFrame, name: str, work: Work) -> pl.DataFrame:
    """Returns the tallies of a feed's rows, except those of jobs and their payments; passes notes on."""
    feeds = {name: _rows(rows).lazy()}
    parts = {"leads": feed_leads(feeds, work.rules), "spent": feed_costs(feeds, work.rules)}
    parts["days"] = days(feeds, work.rules)
    return pl.concat([_long(parts), notes_only(rows)])


def facts_of(jobs: pl.DataFrame, payments: pl.DataFrame, work: Work, own: pl.DataFrame) -> pl.DataFrame:
    """Returns the tallies of jobs, all their payments, and payments without a job; adds notes of facts."""
    jobs = _rows(jobs)
    made = facts(jobs.lazy(), payments.lazy(), work.rules, own.lazy()).collect()
    parts = {
        "activity": activity(made.lazy(), work.rules),
        "revenue": revenue(payments.lazy(), made.lazy(), work.rules),
    }
    return pl.concat([_long(parts), _noted(list(_layer(work.lake, FACTS, made)))])


def notes_only(rows: pl.DataFrame) -> pl.DataFrame:
    """Returns the notes among some rows."""
    return _noted(list(rows.filter(pl.col(KIND).is_not_null()).select(*NOTES).iter_rows()))


def added_notes(notes: pl.DataFrame) -> pl.DataFrame:
    """Returns the notes with the content sums of published tables added up."""
    whole = contents(notes)
    summed = sums_after(whole.clear(), whole, whole.clear())
    others = notes.filter(pl.col(KIND) != CONTENTS_OF).select(*NOTES).iter_rows()
    return _noted([*others, *((CONTENTS_OF, json.dumps(row, default=str)) for row in summed.iter_rows())])


def no_facts(rules: Rules) -> pl.LazyFrame:
    """Returns the facts of no jobs."""
    jobs = pl.LazyFrame(schema={n: t for n, t in kept_schema(rules, JOBS).items() if n not in NOTES})
    payments = pl.LazyFrame(schema=paid_schema(rules))
    return facts(jobs, payments, rules, own_names(pl.LazyFrame(schema=SPELLED)))


# -- notes


def layers(notes: pl.DataFrame) -> dict[str, list[Layer]]:
    """Returns the layers recorded in notes, by table, in an order that does not depend on which task wrote them."""
    found: dict[str, dict[str, Layer]] = {}
    for text in notes.filter(pl.col(KIND) == FILE_WRITTEN)[NOTE]:
        entry = json.loads(text)
        layer = Layer(Stored(**entry["file"]), entry["rows"])
        found.setdefault(entry["table"], {})[layer.file.name] = layer
    return {table: [named[n] for n in sorted(named)] for table, named in found.items()}


def contents(notes: pl.DataFrame) -> pl.DataFrame:
    """Returns the content sums recorded in notes."""
    rows = []
    for text in notes.filter(pl.col(KIND) == CONTENTS_OF)[NOTE]:
        table, month, *sums = json.loads(text)
        rows.append((table, dt.date.fromisoformat(month) if month else None, *sums))
    return pl.DataFrame(rows, schema=CONTENT_SUMS, orient="row")


def by_row(rules: Rules, table: PgTable) -> bool:
    """True if the content of a published table is that of its rows in the steps, and adds up over subsets of rows.

    Jobs and calls carry results of following phone numbers, which are computed later.
    """
    return table.name in rules.feeds and not table.sums and table.name not in (TARGETS, JOBS, CALLS)


def tallies(long: pl.DataFrame) -> dict[str, pl.LazyFrame]:
    """Splits the table of all tallies into one frame per tally, with its own columns."""
    frames = {}
    for name, key in _KEYS.items():
        columns = [pl.col(place).alias(n) for place, n in zip(TALLY_SUMS, SUMS[name], strict=False)]
        frames[name] = long.lazy().filter(pl.col("tally") == name).select(*key, *columns)
    return frames


_KEYS = {
    "activity": ("date", "source", "segment"),
    "revenue": ("date", "source", "segment", "known"),
    "leads": ("date", "source", "segment"),
    "spent": ("date", "source", "span", "cost"),
    "days": ("feed", "date"),
}


def _long(parts: Mapping[str, pl.LazyFrame]) -> pl.DataFrame:
    frames = []
    for name, part in parts.items():
        sums = dict(zip(TALLY_SUMS, SUMS[name], strict=False))
        cells = {"tally": pl.lit(name), **{key: pl.col(key) for key in _KEYS[name]}}
        cells |= {place: pl.col(sums[place]) if place in sums else pl.lit(0) for place in TALLY_SUMS}
        frames.append(part.select(cells.get(n, pl.lit(None)).cast(t).alias(n) for n, t in FACTS_SCHEMA.items()))
    return pl.concat(pl.collect_all(frames))


def _layer(lake: Lake, table: str, rows: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Writes rows of a table, sorted so that a repeated task writes the same bytes; writes nothing for no rows."""
    if rows.height:
        made = write_layer(lake, table, rows.sort(POSITION))
        yield FILE_WRITTEN, json.dumps({"table": table, "rows": made.rows, "file": asdict(made.file)})


def _contents(rules: Rules, name: str, rows: pl.DataFrame) -> list[tuple[str, str]]:
    table = next(t for t in published_tables(rules) if t.name == name)
    if not by_row(rules, table):
        return []
    sums = month_sums(table, rows.lazy()).select(*CONTENT_SUMS)
    return [(CONTENTS_OF, json.dumps(row, default=str)) for row in sums.iter_rows()]


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows of a frame without notes."""
    return frame.filter(pl.col(KIND).is_null()).drop(*NOTES) if KIND in frame.columns else frame


def _noted(notes: Sequence[tuple[str, str]]) -> pl.DataFrame:
    found = pl.DataFrame(list(notes), schema=NOTES, orient="row")
    return found.select(*(pl.lit(None, t).alias(n) for n, t in TALLY.items()), *NOTES)


def _with_notes(rows: pl.DataFrame, notes: Sequence[tuple[str, str]], schema: Schema) -> pl.DataFrame:
    note_rows = pl.DataFrame(list(notes), schema=NOTES, orient="row")
    frames = [rows.with_columns(pl.lit(None, t).alias(n) for n, t in NOTES.items())]
    frames.append(note_rows.select(pl.col(n) if n in NOTES else pl.lit(None, t).alias(n) for n, t in schema.items()))
    return pl.concat(frame.select(*schema) for frame in frames)


__all__ = [
    "FACTS_SCHEMA", "NAME", "NAMES", "NOTES", "SPELLED", "TALLY", "TALLY_KEYS", "TALLY_SUMS", "Piece", "Schema", "Work",
    "added_notes", "by_row", "contents", "every_schema", "facts_of", "keep", "kept_schema", "layers", "link",
    "linked_schema", "names_of", "no_facts", "notes_only", "paid_schema", "pieces", "read", "spellings_of", "tallied",
    "tallies",
]  # fmt: skip
