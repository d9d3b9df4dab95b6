"""Typed rows of exports: of a large one batch by batch, of small ones with the same layout together.

Both ways serve landing, and typing again when a rule was edited.
"""

import contextlib
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.errors import LakeError, withdrawal_hint
from rmetrics.ingest.preamble import range_month
from rmetrics.ingest.recognise import read_as
from rmetrics.ingest.records import EXPORT, small_texts
from rmetrics.ingest.sniff import utf8_blocks
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.ingest.typing import (
    IDENTITY,
    TypedBatch,
    summed,
    type_batches,
    type_together,
    typed_schema,
    typing_digest,
    with_pending_ids,
    with_row_ids,
)
from rmetrics.lake import Counts, Lake, PackRows, RawFile, TypedWriter
from rmetrics.pipeline.landing.exported import exported_text
from rmetrics.rules import Rules
from rmetrics.rules.feeds import Feed
from rmetrics.rules.names import TARGETS

T = TypeVar("T")
SMALL = 64 * 2**10  # bytes; an export up to this size is packed with others
_MAX_AHEAD = dt.timedelta(days=400)  # a row is dated at most this long after its export; more is a mistyped year
_AT_ONCE = 8 * 2**20  # bytes of small exports read together


def is_small(raw: RawFile) -> bool:
    """Tests whether the export is packed with others."""
    return raw.size <= SMALL and not raw.sheet


@dataclass(frozen=True, slots=True)
class Definition:
    """The way the rows of an export are typed.

    Attributes:
        name: the feed it is read as.
        feed: that feed, as it reads this export.
        digest: of everything the typed rows depend on besides the export.
    """

    name: str
    feed: Feed
    digest: str


def definition_of(rules: Rules, raw: RawFile, name: str) -> Definition:
    """Returns how these rules type the rows of an export, read as the named feed."""
    feed = read_as(rules.feeds[name], raw.headers, raw.name)
    return Definition(name, feed, typing_digest(feed, rules.business))


def type_missing(
    lake: Lake, rules: Rules, exports: Iterable[tuple[RawFile, Definition]], progress: Callable[[], None], *, full: bool
) -> None:
    """Types the exports that have no typed rows, from their own bytes.

    This can move other exports of the same pack to another file, so look these up again.

    Args:
        lake: holds the exports; receives the typed rows.
        rules: the rules in force.
        exports: each with the way its rows are typed.
        progress: called for each export once its rows exist.
        full: type all exports again.

    Raises:
        LakeError: an export is damaged, or a file cannot be written.
    """
    small = list[tuple[RawFile, Definition]]()
    wanted = list(exports)
    existing = {} if full else lake.typed_files((made.name, raw.sha256, made.digest) for raw, made in wanted)
    for raw, made_as in wanted:
        if (made_as.name, raw.sha256, made_as.digest) in existing:
            progress()
            continue
        lake.verify_raw(raw)
        if is_small(raw):
            small.append((raw, made_as))
        else:
            with naming_export(raw, landing=False), typed_file(lake, raw, made_as) as writer:
                for batch in typed_batches(exported_text(lake, raw), rules, raw, made_as):
                    write_typed(writer, batch, made_as)
                lake.commit_typed(writer)
            progress()
    for chunk in in_batches(small, lambda item: item[0].size, _AT_ONCE):
        definitions = {raw.sha256: made_as for raw, made_as in chunk}
        texts = lake.exports_bytes([raw for raw, _ in chunk])
        for group in similar_groups([Small(raw, definitions[raw.sha256], data) for raw, data in texts]):
            new = type_small(rules, group, small_batch(group), landing=False)
            write_pack(lake, group, new)
            for _ in group:
                progress()


def write_pack(lake: Lake, group: Sequence["Small"], new: PackRows) -> None:
    """Packs the typed rows of exports that are read in the same way."""
    raw, made_as, _ = group[0]
    lake.write_pack(made_as.name, made_as.digest, columns_of(raw, made_as), new)


def in_batches(items: Iterable[T], size_of: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Yields small exports in groups of at most ``limit`` bytes; one that is larger is a group of its own."""
    batch, size = list[T](), 0
    for item in items:
        if batch and size + size_of(item) > limit:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += size_of(item)
    if batch:
        yield batch


def reading_of(rules: Rules, raw: RawFile, name: str) -> ParseContext:
    """Returns the facts about an export that cell parsers need."""
    zone = ZoneInfo(rules.business.timezone)
    exported, existed = (at.astimezone(zone).date() for at in (raw.exported_at, raw.existed_at))
    latest = None if name == TARGETS else existed + _MAX_AHEAD
    return ParseContext(rules.business.timezone, exported, rules.business.currency, latest=latest)


# -- a large export


def columns_of(raw: RawFile, made_as: Definition) -> list[str]:
    """Returns the feed's columns that an export has."""
    return [n for n in typed_schema(made_as.feed, raw.headers, raw.preamble) if n in made_as.feed.mapped]


@contextlib.contextmanager
def typed_file(lake: Lake, raw: RawFile, made_as: Definition) -> Iterator[TypedWriter]:
    """The typed rows of a large export being written, no row yet; removed at the end unless they are committed."""
    feed, schema = made_as.feed, typed_schema(made_as.feed, raw.headers, raw.preamble)
    with lake.typing((made_as.name, raw.sha256, made_as.digest), columns_of(raw, made_as)) as writer:
        writer.finish = functools.partial(summed, feed=feed) if feed.repeats == "sum" else None
        writer.write(pl.DataFrame(schema={n: t for n, t in schema.items() if n != IDENTITY}))
        yield writer


def typed_batches(
    text: Iterator[pl.DataFrame], rules: Rules, raw: RawFile, made_as: Definition
) -> Iterator[TypedBatch]:
    """Yields the typed records of a large export, in order; some batches of text are typed ahead in threads."""
    return type_batches(text, made_as.feed, raw.headers, raw.preamble, reading_of(rules, raw, made_as.name))


def write_typed(writer: TypedWriter, batch: TypedBatch, made_as: Definition) -> None:
    """Appends a batch of a large export to its typed file."""
    writer.totals += batch.totals
    writer.no_numbers += sum(batch.no_numbers.values())
    if batch.rejected.height:
        writer.rejected.append(batch.rejected)
    rows, key = batch.rows, made_as.feed.key_columns[0]
    if IDENTITY in rows.columns:
        if rows[IDENTITY].is_not_null().any():
            # Occurrences are numbered over the whole file: only an export with rows without an id pays for that pass.
            writer.finish = functools.partial(_with_ids, feed=made_as.feed)
        rows = with_pending_ids(rows, key)
    writer.write(rows)


def _with_ids(rows: pl.LazyFrame, feed: Feed) -> pl.LazyFrame:
    """Makes the ids of the rows of a large export, and sums its amounts if the feed says so."""
    rows = with_row_ids(rows, feed.key_columns[0])
    return summed(rows, feed) if feed.repeats == "sum" else rows


# -- small exports


class Small(NamedTuple):
    """A small export, how its rows are typed, and its bytes."""

    raw: RawFile
    made_as: Definition
    data: bytes


def similar_groups(exports: Sequence[Small]) -> Iterator[list[Small]]:
    """Yields the exports in groups that are read and typed in the same way."""
    groups: dict[tuple[object, ...], list[Small]] = {}
    for item in exports:
        raw, made_as, _ = item
        way = (made_as.name, made_as.digest, raw.delimiter, raw.headers, range_month(raw.preamble))
        groups.setdefault(way, []).append(item)
    yield from groups.values()


def small_batch(group: Sequence[Small]) -> pl.DataFrame:
    """Returns the records of exports that are read in the same way, with ``EXPORT``: their place in the group."""
    texts = [(i, b"".join(utf8_blocks(iter([item.data]), item.raw.encoding))) for i, item in enumerate(group)]
    raw = group[0].raw
    frames = list(small_texts(texts, raw.headers, raw.delimiter, [item.raw.body_line for item in group]))
    if not frames:
        return pl.DataFrame(schema={EXPORT: pl.Int64})
    return pl.concat(frames)


def type_small(rules: Rules, group: Sequence[Small], batch: pl.DataFrame, *, landing: bool) -> PackRows:
    """Returns the typed rows of exports that are read in the same way.

    Raises:
        LakeError: they cannot be typed; names the export.
    """
    try:
        return _packed(rules, group, batch)
    except pl.exceptions.PolarsError:
        for i, item in enumerate(group):  # type each alone to find and name the one at fault
            own_rows = batch.filter(pl.col(EXPORT) == i).with_columns(pl.lit(0, dtype=pl.Int64).alias(EXPORT))
            with naming_export(item.raw, landing=landing):
                _packed(rules, [item], own_rows)
        raise


def _packed(rules: Rules, group: Sequence[Small], batch: pl.DataFrame) -> PackRows:
    raw, made_as, _ = group[0]
    readings = [reading_of(rules, item.raw, made_as.name) for item in group]
    which = batch[EXPORT]
    days, latest = (
        pl.Series([getattr(r, n) for r in readings], dtype=pl.Date).gather(which.cast(pl.UInt32))
        for n in ("exported", "latest")
    )
    currency, zone = rules.business.currency, rules.business.timezone
    reading = ParseContext(zone, days, currency, latest=None if made_as.name == TARGETS else latest, export=which)
    typed = type_together(batch, made_as.feed, raw.headers, raw.preamble, reading)
    lines: Mapping[int, int] = dict(which.value_counts().iter_rows())
    rejected = dict(typed.rejected.group_by(EXPORT).len().iter_rows())
    totals, none = typed.totals_of, typed.no_numbers
    counts = [
        Counts(lines.get(i, 0) - rejected.get(i, 0) - totals.get(i, 0), totals.get(i, 0), none.get(i, 0))
        for i in range(len(group))
    ]
    return PackRows([item.raw.sha256 for item in group], typed.rows, typed.rejected, counts)


@contextlib.contextmanager
def naming_export(raw: RawFile, *, landing: bool) -> Iterator[None]:
    """Names the export whose typing fails, and how to go on without it. Polars' own message may quote cells."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        message = f"the rows of {raw.name} cannot be typed ({type(error).__name__})"
        away = f"To continue without it, remove {raw.name!r} from the inbox" if landing else withdrawal_hint({raw.name})
        raise LakeError(message, f"{away}. Please report this: a cell should be rejected, not stop a run.") from error


__all__ = [
    "SMALL",
    "Definition",
    "Small",
    "columns_of",
    "definition_of",
    "in_batches",
    "is_small",
    "naming_export",
    "similar_groups",
    "small_batch",
    "type_missing",
    "type_small",
    "typed_batches",
    "typed_file",
    "write_pack",
    "write_typed",
]
