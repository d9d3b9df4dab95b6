"""From batches of text to typed rows, rejected rows and a count of dropped totals.

Every record ends up as exactly one of the three, so for each file rows read = typed + rejected + totals.
"""

import datetime as dt
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import polars as pl

from rmetrics.ingest.cells import all_clean
from rmetrics.ingest.parse import parse_column, reason
from rmetrics.ingest.preamble import range_month
from rmetrics.ingest.recognise import column_positions, minus_header, normal_header
from rmetrics.ingest.records import EXPORT, LINE, PROBLEM
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.parallel import in_order
from rmetrics.rules.expressions.polars_form import DTYPES
from rmetrics.rules.feeds import ROW_ID, Column, ColumnType, Feed
from rmetrics.rules.model import Business
from rmetrics.rules.rows import must_have

VERSION = 7  # of the parsers: incrementing it retypes every export
IDENTITY = "_identity"
PENDING = " "  # prefix of an id without its occurrence number; ids from exports never begin with white space
PARTS = "_parts"  # the number of lines in a summed row
_CELLS = re.compile(r"has [0-9,]+ cells? where")  # a total line may be shorter or longer than the others
_NO_PROBLEM = "has 1 cell where"
_LABEL = (
    r"(?i)^(?:(?:grand|sub|overall|report|page|running)[ -]?)?"
    r"(?:totals?|sums?|summary|averages?|avg\.?|counts?|итого|всего)"
)
TOTAL = rf"{_LABEL}\s*(:.*)?$"
_NAMED_TOTAL = rf"{_LABEL}([\s:(].*)?$"  # in an id column: Total payments, Totals (12)
_SUM = r"^[-($ ]*[0-9.,]*[)% ]*$"  # a number, an amount, or nothing
REJECTED_SCHEMA = {"line": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String}


@dataclass(frozen=True, slots=True)
class TypedBatch:
    """The result of typing one batch.

    Attributes:
        rows: typed columns and ``LINE``; one row per accepted record.
        rejected: ``REJECTED_SCHEMA``; one row per rejected record, with its first fault.
        totals: number of dropped total lines.
        records: number of records in the batch of text, counted before they were typed.
        totals_of: the same by export, if the batch has several.
        no_numbers: by export (0 if the batch has one), the number of phone cells with a placeholder, which became null.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    totals: int
    records: int
    totals_of: Mapping[int, int] = field(default_factory=dict)
    no_numbers: Mapping[int, int] = field(default_factory=dict)


def typed_schema(feed: Feed, headers: Sequence[str], preamble: Sequence[str] = ()) -> dict[str, pl.DataType]:
    """The columns that a file of this feed provides, and their types; omits columns without a header in the file."""
    found = column_positions(headers, feed)
    month = range_month(preamble)
    names = [n for n, c in feed.mapped.items() if n in found or c.constant or _filled(n, c, feed, month)]
    schema = {n: DTYPES[feed.mapped[n].type] for n in names}
    if feed.identity or not feed.key:
        schema = {**{k: pl.String() for k in feed.key_columns}, **schema, IDENTITY: pl.String()}
    return {**schema, LINE: pl.Int64()}


def _filled(name: str, column: Column, feed: Feed, month: dt.date | None) -> bool:
    """Whether a column without a header still has a value."""
    return bool((column.range and month) or (column.default and name in feed.key))


def type_batches(
    batches: Iterator[pl.DataFrame], feed: Feed, headers: Sequence[str], preamble: Sequence[str], reading: ParseContext
) -> Iterator[TypedBatch]:
    """Types the batches of one export.

    Args:
        batches: text columns named ``headers``, with ``LINE`` and ``PROBLEM``.
        feed: the export's feed, as returned by ``recognise.read_as``.
        headers: the export's headers, in order.
        preamble: the lines above the header.
        reading: zone and day of the export.

    Yields:
        One typed batch for each batch, in order.

    Source: the design, sections 1 and 2.
    """
    found = {n: tuple(headers[i] for i in places) for n, places in column_positions(headers, feed).items()}
    month = range_month(preamble)
    schema = typed_schema(feed, headers, preamble)
    yield from in_order(lambda batch: _Typing(batch, feed, found, month, reading).result(schema), batches)


def type_together(
    batch: pl.DataFrame, feed: Feed, headers: Sequence[str], preamble: Sequence[str], reading: ParseContext
) -> TypedBatch:
    """Types the records of several small exports at once, with the same result as ``type_batches`` and its last steps.

    Args:
        batch: text columns, ``LINE``, ``PROBLEM``, and ``EXPORT``: the number of the export.
        feed: the exports' feed, as returned by ``recognise.read_as``.
        headers: the exports' headers, in order.
        preamble: the lines above the header of one of them; all have the same month.
        reading: the zone; export, day and latest day of each record.

    Returns:
        Typed and rejected rows with ``EXPORT``, sorted by it; with final ids and summed amounts.
    """
    found = {n: tuple(headers[i] for i in places) for n, places in column_positions(headers, feed).items()}
    schema = typed_schema(feed, headers, preamble)
    typed = _Typing(batch, feed, found, range_month(preamble), reading).result(schema)
    rows = typed.rows
    if IDENTITY in schema:
        rows = _with_ids(with_pending_ids(rows, feed.key_columns[0]), feed.key_columns[0])
    if feed.repeats == "sum":
        rows = summed(rows.lazy(), feed, within=(EXPORT,)).collect()
    return replace(typed, rows=rows.sort(EXPORT, LINE))


class _Typing:
    def __init__(
        self,
        batch: pl.DataFrame,
        feed: Feed,
        found: Mapping[str, tuple[str, ...]],
        month: dt.date | None,
        reading: ParseContext,
    ) -> None:
        # Rechunked: on a frame of several chunks, Polars 2.1 returns a literal-only expression once per chunk.
        self.batch = batch.rechunk()
        self.feed, self.found, self.month, self.reading = feed, found, month, reading
        subtracted = (minus_header(batch.columns, column) for column in feed.mapped.values())
        used = list(dict.fromkeys([*(h for headers in found.values() for h in headers), *filter(None, subtracted)]))
        # Numbered, because Polars takes a name such as * for a pattern.
        cells = all_clean(pl.DataFrame([self.batch[h].alias(str(i)) for i, h in enumerate(used)]))
        self.cells = dict(zip(used, cells, strict=True))
        self.height = batch.height
        self.several = [batch[EXPORT]] if EXPORT in batch.columns else []
        self.values: dict[str, pl.Series] = {}
        self.faults: list[tuple[str, Column, pl.Series, pl.Series]] = []  # column, spec, cells, bad
        self.needless = pl.Series([False]).new_from_index(0, self.height)
        self.labels = {" and ".join(h): h for h in found.values()}  # labels of columns with joined headers
        named = (*feed.key, *((feed.job.column,) if feed.job else ()))
        self.dating = {feed.date, *feed.one_of, *feed.needs}  # columns whose date is the row's date
        self.late: set[int] = set()  # indices of faults for dates after the latest possible day
        self.no_numbers = Counter[int]()
        self._names = [n for n in named if n in feed.mapped and feed.mapped[n].type is ColumnType.TEXT]

    def result(self, schema: Mapping[str, pl.DataType]) -> TypedBatch:
        bad = self.batch[PROBLEM].is_not_null()
        suspect = pl.Series([False]).new_from_index(0, self.height)
        for name, column in self.feed.mapped.items():
            if name not in schema:
                continue
            cells, faulty = self._column(name, column)
            bad = bad | faulty
            if name in self._names and cells is not None:
                suspect = suspect | cells.str.contains(_NAMED_TOTAL).fill_null(value=False)
        bad = bad | suspect | self._needless()
        if self.feed.identity or not self.feed.key:
            self._identity()
        values = [self.values[n].alias(n) for n in schema if n != LINE]
        frame = pl.DataFrame([*values, self.batch[LINE], *self.several])
        rejected, totals = self._rejected(bad, suspect)
        rejected = rejected if self.several else rejected.drop(EXPORT)
        rows = frame.filter(~bad) if bad.any() else frame
        return TypedBatch(rows, rejected, sum(totals.values()), self.height, totals, self.no_numbers)

    def _column(self, name: str, column: Column) -> tuple[pl.Series | None, pl.Series]:
        nothing = pl.Series([False]).new_from_index(0, self.height)
        headers = self.found.get(name)
        if headers is None:
            constant = self.month if column.range and self.month is not None else column.constant or column.default
            self.values[name] = pl.Series(name, [constant], dtype=DTYPES[column.type]).new_from_index(0, self.height)
            return None, nothing
        header, cells = " and ".join(headers), translated(joined([self.cells[h] for h in headers]), column)
        values = parse_column(cells, column, self.reading).alias(name)
        is_id = name in self.feed.key and column.type is ColumnType.TEXT
        if is_id and cells.str.contains("+", literal=True).any():
            # 1.23E+09 is the rounded form of many ids. (1E2345 has no plus sign and is a valid id.)
            powers = cells.str.contains(r"^[0-9](\.[0-9]+)?[eE]\+[0-9]+$")
            values = values.set(powers.fill_null(value=False), None)
        faulty = values.is_null() & cells.is_not_null()
        if column.type is ColumnType.PHONE and not must_have(self.feed, name, column) and name not in self.feed.key:
            self._placeholders(faulty)
            faulty = nothing
        if faulty.any():
            self.faults.append((header, column, cells, faulty))
        if name in self.dating and (late := self._late(values)).any():
            self.late.add(len(self.faults))
            self.faults.append((header, column, cells, late))
            faulty = faulty | late
        if must_have(self.feed, name, column) and cells.null_count():
            blank = cells.is_null()
            self.faults.append((header, column, cells, blank))
            faulty = faulty | blank
        if subtracted := minus_header(self.batch.columns, column):
            values, bad = self._less(values, subtracted, column)
            faulty = faulty | bad
        if column.default is not None:
            values = values.fill_null(pl.Series([column.default]).cast(values.dtype)[0])
        self.values[name] = values
        return cells, faulty

    def _placeholders(self, cells: pl.Series) -> None:
        """Counts phone cells with text that is not a phone number; the row is accepted nevertheless."""
        if cells.any():
            exports = self.several[0].filter(cells).to_list() if self.several else [0] * int(cells.sum())
            self.no_numbers.update(exports)

    def _late(self, values: pl.Series) -> pl.Series:
        """Whether dates are later than possible for this export."""
        days = values.dt.date() if isinstance(values.dtype, pl.Datetime) else values
        if days.dtype != pl.Date or self.reading.latest is None:
            return pl.Series([False]).new_from_index(0, self.height)
        return (days > self.reading.latest).fill_null(value=False)

    def _needless(self) -> pl.Series:
        """Whether rows lack all of the columns of which one is needed: totals, remarks, counts below a report.

        Never true if the export has none of these columns.
        """
        present = [self.values[n] for n in self.feed.needs if n in self.found]
        if not present:
            return pl.Series([False]).new_from_index(0, self.height)
        self.needless = pl.DataFrame(present).select(pl.all_horizontal(pl.all().is_null())).to_series()
        return self.needless

    def _less(self, values: pl.Series, header: str, column: Column) -> tuple[pl.Series, pl.Series]:
        """The amounts minus those of another column, and whether these are unreadable; a blank subtracts nothing."""
        cells = self.cells[header]
        less = parse_column(cells, column, self.reading)
        bad = less.is_null() & cells.is_not_null()
        if bad.any():
            self.faults.append((header, column, cells, bad))
        return (values - less.fill_null(0)).cast(values.dtype), bad

    def _identity(self) -> None:
        """Sets a hash of the identifying values; null if the export provides an id, which is then the key."""
        (key,) = self.feed.key_columns
        given = self.values.get(key)
        if given is None:
            given = pl.Series(key, [None], dtype=pl.String).new_from_index(0, self.height)
        without = given.is_null()
        if not without.any():
            self.values |= {key: given, IDENTITY: pl.Series([None], dtype=pl.String).new_from_index(0, self.height)}
            return
        named = [n for n in self.feed.identity if n in self.values]  # an export may have none of them
        parts: dict[str, pl.Series] = {}
        for name in named or [n for n in self.feed.mapped if n in self.values]:
            value = self.values[name].filter(without)
            # Some variants of the same export omit seconds: compare timestamps to the minute.
            value = value.dt.truncate("1m").dt.epoch("s") if value.dtype == pl.Datetime("us", "UTC") else value
            parts[name] = value.cast(pl.String).fill_null("")
        cells = [pl.concat_str(pl.lit(f"{name}="), name) for name in parts]
        text = pl.DataFrame(parts).select(pl.concat_str(cells, separator="\x1f").cast(pl.Binary)).to_series()
        digests = [hashlib.blake2b(t, digest_size=10).hexdigest() for t in text.to_list()]
        identity = pl.Series(IDENTITY, [None], dtype=pl.String).new_from_index(0, self.height)
        self.values[key] = given
        self.values[IDENTITY] = identity.scatter(without.arg_true(), digests) if digests else identity

    def _rejected(self, bad: pl.Series, suspect: pl.Series) -> tuple[pl.DataFrame, Mapping[int, int]]:
        """The rejected records, with their export, and the number of dropped total lines by export."""
        schema = {**REJECTED_SCHEMA, EXPORT: pl.Int64}
        if not bad.any():
            return pl.DataFrame(schema=schema), {}
        texts_of = {h: pl.nth(i).str.strip_chars() for i, h in enumerate(self.batch.columns) if not h.startswith("_")}
        keep = pl.DataFrame({"suspect": suspect, "needless": self.needless})
        if isinstance(self.reading.latest, pl.Series):
            keep = keep.with_columns(self.reading.latest.alias("latest"))
        for i, (_, _, cells, faulty) in enumerate(self.faults):
            keep = keep.with_columns(cells.alias(f"cell{i}"), faulty.alias(f"fault{i}"))
        first = pl.coalesce(pl.when(text != "").then(text) for text in texts_of.values())
        sums = self._sums(texts_of)
        export = pl.col(EXPORT) if self.several else pl.lit(0, dtype=pl.Int64).alias(EXPORT)
        texts = self.batch.filter(bad).select(LINE, PROBLEM, export, first.alias("first"), sums.alias("sums"))
        rows = pl.concat([texts, keep.filter(bad)], how="horizontal")
        out: list[tuple[int, str | None, str | None, str, int]] = []
        totals = Counter[int]()
        for row in rows.iter_rows(named=True):
            named = re.match(TOTAL.removeprefix("(?i)"), row["first"] or "", re.IGNORECASE)
            named = named or (row["needless"] and row["sums"])
            if (named or row["suspect"]) and _CELLS.match(row[PROBLEM] or _NO_PROBLEM):
                totals[row[EXPORT]] += 1
                continue
            out.append((row[LINE], *self._fault(row), row[EXPORT]))
        return pl.DataFrame(out, schema=schema, orient="row"), totals

    def _sums(self, cells: Mapping[str, pl.Expr]) -> pl.Expr:
        """Whether a row consists of numbers only, at least one outside the name columns: a total without a label.

        A row cut off after its id does not qualify.
        """
        names = {h for n in self._names for h in self.found.get(n, ())}
        numbers = pl.all_horizontal(c.str.contains(_SUM).fill_null(value=True) for c in cells.values())
        filled = pl.any_horizontal(c.ne("").fill_null(value=False) for h, c in cells.items() if h not in names)
        return numbers & filled & pl.col(PROBLEM).is_null()

    def _fault(self, row: Mapping[str, object]) -> tuple[str | None, str | None, str]:
        if row[PROBLEM] is not None:
            return None, None, f"the row {row[PROBLEM]}"
        if self._repeats_header(row):
            return None, None, "the row repeats the header: two exports may have been joined in one file"
        for i, (header, column, _, _) in enumerate(self.faults):
            if row[f"fault{i}"]:
                value = row[f"cell{i}"]
                place = self.labels.get(header, (header,))[0]
                if i in self.late:
                    latest = f"latest possible day: {row.get('latest', self.reading.latest)}"
                    why = f"{header} is long after the export ({latest}): correct the year and export again"
                    return place, str(value), why
                if value is None:
                    return place, None, f"{header} is blank, but every row needs it"
                return place, str(value), f"{header} {reason(str(value), column, self.reading)}"
        if row["needless"]:
            needed = " or ".join(h for n in self.feed.needs for h in self.found.get(n, ()))
            return None, None, f"the row has no {needed}: it may be a total or a remark, and does not count"
        msg = "a rejected row has a fault"
        raise AssertionError(msg)

    def _repeats_header(self, row: Mapping[str, object]) -> bool:
        cells = [(header, row[f"cell{i}"]) for i, (header, *_) in enumerate(self.faults) if row[f"fault{i}"]]
        return bool(cells) and all(
            normal_header(str(value)) == normal_header(" ".join(self.labels.get(header, (header,))))
            for header, value in cells
        )


def joined(parts: Sequence[pl.Series]) -> pl.Series:
    """Joins clean cells of several columns with spaces; null if all are null."""
    if len(parts) == 1:
        return parts[0]
    frame = pl.DataFrame([p.alias(str(i)) for i, p in enumerate(parts)])
    text = pl.concat_str(pl.all(), separator=" ", ignore_nulls=True)
    return frame.select(pl.when(~pl.all_horizontal(pl.all().is_null())).then(text)).to_series()


def translated(cells: pl.Series, column: Column) -> pl.Series:
    """Replaces the export's words in clean cells by the feed's, ignoring case; ``*`` matches any other word."""
    if not column.values:
        return cells
    words = {w.strip().casefold(): ours or None for w, ours in column.values.items()}
    other = {"*"} & words.keys()
    texts = cells.drop_nulls().unique().to_list()
    found = {t: words.get(t.casefold(), words.get("*")) for t in texts if other or t.casefold() in words}
    return cells.replace(found) if found else cells


def with_pending_ids(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Replaces blank keys by ``PENDING`` plus the identity, for ``with_row_ids``; drops ``IDENTITY``."""
    return rows.with_columns(pl.coalesce(key, PENDING + pl.col(IDENTITY))).drop(IDENTITY)


def _with_ids(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The result of ``with_row_ids`` per export, for few rows of many exports in line order."""
    occurrence = pl.int_range(1, pl.len() + 1).over(EXPORT, key).cast(pl.String)
    made = pl.col(key).str.slice(len(PENDING)) + "-" + occurrence
    return rows.with_columns(pl.when(pl.col(key).str.starts_with(PENDING)).then(made).otherwise(key).alias(key))


def with_row_ids(rows: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """Makes ids from pending keys: the identity and its occurrence within the file, in line order.

    True duplicates inside one file get 1, 2, 3...; the same row in another export of the same data gets the same id.

    Source: the notes on exports, feeds without a key.
    """
    pending = pl.col(key).str.starts_with(PENDING)
    # Compare hashes (eight bytes per row), because a file may have millions of rows, of which few repeat. A hash
    # collision does no harm: it only adds a row to the exact comparison below.
    numbers = rows.filter(pending).select(pl.col(key).hash().sort()).collect(engine="streaming").to_series()
    repeated = numbers.filter(numbers == numbers.shift(1)).unique()
    renumbered = (
        rows.filter(pending)
        .select(LINE, key)
        .filter(pl.col(key).hash().is_in(repeated.implode()))
        .collect(engine="streaming")
        .sort(key, LINE)
        .select(LINE, pl.int_range(1, pl.len() + 1).over(key).alias("occurrence"))
    )
    occurrence = pl.col("occurrence").fill_null(1).cast(pl.String)
    made = pl.col(key).str.slice(len(PENDING)) + "-" + occurrence
    return (
        rows.join(renumbered.lazy(), on=LINE, how="left")
        .with_columns(pl.when(pending).then(made).otherwise(pl.col(key)).alias(key))
        .drop("occurrence")
    )


def summed(rows: pl.LazyFrame, feed: Feed, within: Sequence[str] = ()) -> pl.LazyFrame:
    """Merges rows that repeat a key inside one file, adding up their money, at the line of the first.

    ``_parts`` is the number of lines in a row. An amount is null if all its parts are. If the rows come from several
    files, ``within`` names the column that identifies the file.
    """
    names = rows.collect_schema()
    key = [*within, *(k for k in feed.key_columns if k in names)]
    others = [n for n in names if n not in key]
    money = [n for n in others if n in feed.columns and feed.columns[n].type is ColumnType.MONEY]
    amounts = [pl.when(pl.col(n).count() > 0).then(pl.col(n).sum()).cast(names[n]).alias(n) for n in money]
    rest = [pl.col(n).sort_by(LINE).first() for n in others if n not in money]
    return rows.group_by(key).agg(*amounts, *rest, pl.len().cast(pl.Int64).alias(PARTS)).select(*names.names(), PARTS)


@lru_cache(maxsize=256)
def typing_digest(feed: Feed, business: Business) -> str:
    """A digest of all that typed rows depend on besides the raw file: columns, key, zone, currency, parsers."""
    columns = {
        n: c.model_dump(mode="json", by_alias=True, exclude={"comment", "publish"}) for n, c in feed.mapped.items()
    }
    of_feed = (columns, feed.key, feed.identity, feed.repeats, feed.needs, feed.one_of, feed.date)
    meaning = (VERSION, pl.__version__, of_feed, business.timezone, business.currency, ROW_ID)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]
