"""One view per feed: the newest row of every key, column by column.

For the feed ``f`` there is ``_work.rows_f`` with the declared columns, the business day under the feed's own name for
it, ``_pos`` (one number per row, larger = newer) and ``_counted``; and the view ``f`` for people, with ``counted``.

Source: the design, sections 1 to 3 (newest wins, business date, derived columns, ``where`` of a feed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from rmetrics.rules.expressions.duckdb_form import DUCKDB_TYPES, derived
from rmetrics.rules.feeds import ROW_ID, ColumnType, Feed
from rmetrics.rules.model import Rules
from rmetrics.rules.rows import feed_row, has_zip, mapped_row
from rmetrics.sandbox.connection import file_name
from rmetrics.sandbox.quoting import holds, ident, in_force, text, work

LINE = "_line"
_ALONE, _PACKED, _TOGETHER = "of one export", "of several exports", "put together before"
LINES = 2**40  # more lines than a file has; rank * LINES + line is one number per row of a feed
_HOUR_US = 3_600_000_000
_FEW_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class TypedInput:
    """A typed Parquet file: rows of one export, of several, or merged earlier from several.

    Attributes:
        path: the file; it also holds ``_line``.
        columns: the mapped columns of its export.
        rank: the export's rank, from old to new; None for merged rows, which have all columns and their own ``_file``.
        ranks: for a file with rows of several exports, the rank of each by its ``_export``; rows of other exports do
            not count.
        rows: number of rows that count; None if unknown.
    """

    path: Path
    columns: tuple[str, ...]
    rank: int | None
    ranks: Mapping[int, int] | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class _Group:
    """Files of a feed with the same columns."""

    present_columns: frozenset[str]
    files: tuple[tuple[str, TypedInput], ...]
    kind: str


def create_feeds(
    connection: duckdb.DuckDBPyConnection, typed: Mapping[str, Sequence[TypedInput]], rules: Rules
) -> None:
    """Creates the views of all feeds; a feed without files gets empty ones of the right types."""
    connection.execute(f"CREATE TABLE {work('hours')} (hour BIGINT, day DATE)")
    for name in rules.feeds:
        _Newest(connection, name, rules, typed.get(name, ())).create()


def columns_of(feed: Feed) -> dict[str, ColumnType]:
    """Returns the columns of a feed's rows: the generated id, mapped and derived columns, and the business day."""
    made_up = {} if feed.key else {ROW_ID: ColumnType.TEXT}
    return {**made_up, **{n: c.type for n, c in feed.columns.items()}, feed.business_date: ColumnType.DATE}


def local_day(column: str, kind: ColumnType, zone: str, hours: str) -> str:
    """SQL of the business day of a timestamp; a date is its own.

    Args:
        column: SQL of the column.
        kind: its type.
        zone: the business time zone.
        hours: alias under which ``_work.hours`` is joined on ``hour_of(column)``.
    """
    if kind is not ColumnType.TIMESTAMP:
        return column
    return f"coalesce({hours}.day, {_exact_day(column, zone)})"


def hour_of(column: str) -> str:
    """SQL of the number of whole hours since 1970."""
    return f"epoch_us({column}) // {_HOUR_US}"


def learn_hours(connection: duckdb.DuckDBPyConnection, relation: str, column: str, zone: str) -> None:
    """Adds to ``_work.hours`` the business day of every hour (UTC) that occurs in a timestamp column.

    Converting every timestamp takes ten times as long. Hours that midnight would cut are left out, and those before
    1970, where division rounds the other way; ``local_day`` converts the missing ones itself.
    """
    first = _exact_day(f"make_timestamptz(hour * {_HOUR_US})", zone)
    last = _exact_day(f"make_timestamptz((hour + 1) * {_HOUR_US} - 1)", zone)
    seen, known = work("hours_met"), work("hours")
    # A table, because DuckDB pushes the conversion in the condition below down to every stamp, even into a CTE.
    connection.execute(
        f"CREATE OR REPLACE TABLE {seen} AS "
        f"SELECT DISTINCT {hour_of(column)} AS hour FROM {relation} WHERE {column} IS NOT NULL"
    )
    connection.execute(
        f"INSERT INTO {known} SELECT hour, {first} FROM {seen} m ANTI JOIN {known} k USING (hour) "
        f"WHERE hour > 0 AND {first} = {last}"
    )


def _exact_day(stamp: str, zone: str) -> str:
    return f"CAST(({stamp} AT TIME ZONE {text(zone)}) AS DATE)"


def _rank(typed: TypedInput) -> str:
    """SQL of the rank of a row's export."""
    if typed.ranks is None:
        return str(typed.rank)
    listed = (str(typed.ranks.get(i, "NULL")) for i in range(max(typed.ranks) + 1))
    return f"[{', '.join(listed)}][f._export + 1]"


class _Newest:
    """Builder of one feed's views, layer by layer."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, name: str, rules: Rules, inputs: Sequence[TypedInput]
    ) -> None:
        self.connection, self.name, self.rules = connection, name, rules
        self.feed = rules.feeds[name]
        self.keys = self.feed.key_columns
        made_up = {} if self.feed.key else {ROW_ID: ColumnType.TEXT}
        self.types = {**made_up, **{n: c.type for n, c in self.feed.mapped.items()}}
        self.groups = self._groups(inputs)
        # Every query plans through all the views below; a small feed is materialised once instead.
        self.few = all(i.rows is not None for i in inputs) and sum(i.rows or 0 for i in inputs) <= _FEW_ROWS

    def create(self) -> None:
        self._all_rows()
        self._newest_rows()
        self._derived()
        self._counted()
        self._public()

    def _groups(self, inputs: Sequence[TypedInput]) -> tuple[_Group, ...]:
        if not inputs:
            return ()
        names = {file_name(i.path): i for i in inputs}
        listed = ", ".join(text(n) for n in names)
        present: dict[str, set[str]] = {}
        for file, column in self.connection.execute(
            f"SELECT file_name, name FROM parquet_schema([{listed}])"
        ).fetchall():
            present.setdefault(file, set()).add(column)
        groups: dict[tuple[str, frozenset[str]], list[tuple[str, TypedInput]]] = {}
        for file, typed in names.items():
            if typed.rank is None and typed.ranks is None:
                groups.setdefault((_TOGETHER, frozenset(self.types)), []).append((file, typed))
                continue
            # Typing may create a key column (an id, a default); any other column counts only if the export had it.
            present_columns = {c for c in self.types if c in typed.columns} | (
                set(self.keys) & present.get(file, set())
            )
            kind = _ALONE if typed.ranks is None else _PACKED
            groups.setdefault((kind, frozenset(present_columns)), []).append((file, typed))
        return tuple(_Group(present_columns, tuple(files), kind) for (kind, present_columns), files in groups.items())

    def _view(self, layer: str, select: str) -> None:
        self.connection.execute(f"CREATE OR REPLACE VIEW {work(f'{layer}_{self.name}')} AS {select}")

    def _all_rows(self) -> None:
        """Creates ``_work.all_f``: every typed row of every file, with ``_pos`` and the number of its file's group."""
        if not self.groups:
            nothing = ", ".join(f"CAST(NULL AS {DUCKDB_TYPES[t]}) AS {ident(n)}" for n, t in self.types.items())
            self._view("all", f"SELECT {nothing}, CAST(NULL AS BIGINT) AS _pos, 0 AS _group WHERE false")
            return
        self._view("all", " UNION ALL ".join(self._group(i, g) for i, g in enumerate(self.groups)))

    def _group(self, number: int, group: _Group) -> str:
        cells = ", ".join(
            f"CAST({f'f.{ident(n)}' if n in group.present_columns else 'NULL'} AS {DUCKDB_TYPES[t]}) AS {ident(n)}"
            for n, t in self.types.items()
        )
        listed = ", ".join(text(f) for f, _ in group.files)
        if group.kind == _TOGETHER:
            return (
                f"SELECT {cells}, CAST(f._file AS BIGINT) * {LINES} + f.{ident(LINE)} AS _pos, {number} AS _group "
                f"FROM read_parquet([{listed}]) f"
            )
        # Not a join with a table of ranks: joins on _pos would then compare every row with every row.
        ranks = " ".join(f"WHEN {text(f)} THEN {_rank(typed)}" for f, typed in group.files)
        rank = f"CAST(CASE f._file {ranks} END AS BIGINT)"
        counts = f" WHERE {rank} IS NOT NULL" if group.kind == _PACKED else ""
        return (
            f"SELECT {cells}, {rank} * {LINES} + f.{ident(LINE)} AS _pos, "
            f"{number} AS _group FROM read_parquet([{listed}], filename = '_file') f{counts}"
        )

    def _newest_rows(self) -> None:
        """Creates ``_work.newest_f``: one row per key.

        Most keys occur once and pass through unchanged. For the others only positions are collected, not rows: the
        newest per key, the superseded rest, and, for each set of columns that some files lack, the newest row of a file
        that has them.
        """
        rows = work(f"all_{self.name}")
        key_hash = f"hash({', '.join(ident(k) for k in self.keys)})"
        repeated = work(f"repeated_{self.name}")
        self.connection.execute(
            f"CREATE TABLE {repeated} AS SELECT {key_hash} AS key FROM {rows} GROUP BY ALL HAVING count(*) > 1"
        )
        if not self._count(repeated):
            self._view("newest", f"SELECT * EXCLUDE (_group) FROM {rows}")
            return
        missing = self._missing_columns()
        newest = "".join(
            f", max(_pos) FILTER (_group IN ({', '.join(map(str, sorted(holders)))})) AS _pos{i}"
            for i, holders in enumerate(missing)
        )
        winners, superseded = work(f"winners_{self.name}"), work(f"superseded_{self.name}")
        source_rows = f"FROM {rows} WHERE {key_hash} IN (SELECT key FROM {repeated})"
        self.connection.execute(
            f"CREATE TABLE {winners} AS SELECT max(_pos) AS _pos{newest} {source_rows} "
            f"GROUP BY {', '.join(ident(k) for k in self.keys)}"
        )
        self.connection.execute(
            f"CREATE TABLE {superseded} AS "
            f"SELECT a._pos FROM (SELECT _pos {source_rows}) a ANTI JOIN {winners} w ON w._pos = a._pos"
        )
        self.connection.execute(f"DROP TABLE {repeated}")
        older = self._older_values(rows, winners, missing)
        filled = [n for names in missing.values() for n in names] if older else []
        cells = ", ".join(f"coalesce(a.{ident(n)}, o.{ident(n)}) AS {ident(n)}" for n in filled)
        self._view(
            "newest",
            f"SELECT a.* EXCLUDE (_group){f' REPLACE ({cells})' if filled else ''} FROM {rows} a "
            f"ANTI JOIN {superseded} s ON s._pos = a._pos"
            f"{f' LEFT JOIN {older} o ON o._pos = a._pos' if filled else ''}",
        )

    def _missing_columns(self) -> dict[frozenset[int], list[str]]:
        """Columns that some groups of files have and others lack, by the set of groups that have them."""
        found: dict[frozenset[int], list[str]] = {}
        for name in self.types:
            holders = frozenset(i for i, g in enumerate(self.groups) if name in g.present_columns)
            if name not in self.keys and 0 < len(holders) < len(self.groups):
                found.setdefault(holders, []).append(name)
        return found

    def _older_values(self, rows: str, winners: str, missing: Mapping[frozenset[int], list[str]]) -> str:
        """Creates a table of older values for columns missing from a key's newest export; "" if there are none."""
        needed = " OR ".join(f"_pos{i} <> _pos" for i in range(len(missing)))
        if not missing or not self._count(winners, needed):
            return ""
        older = work(f"older_{self.name}")
        cells, places, joins = [], [], []
        for i, (holders, names) in enumerate(missing.items()):
            cells += [f"r{i}.{ident(n)}" for n in names]
            places.append(f"CASE WHEN _pos{i} <> _pos THEN _pos{i} END AS _pos{i}")
            listed = ", ".join(ident(n) for n in names)
            groups = ", ".join(map(str, sorted(holders)))
            older_rows = f"SELECT _pos, {listed} FROM {rows} WHERE _group IN ({groups})"
            joins.append(f"LEFT JOIN ({older_rows}) r{i} ON r{i}._pos = w._pos{i}")
        self.connection.execute(
            f"CREATE TABLE {older} AS SELECT w._pos, {', '.join(cells)} "
            f"FROM (SELECT _pos, {', '.join(places)} FROM {winners} WHERE {needed}) w {' '.join(joins)}"
        )
        return older

    def _count(self, table: str, where: str = "true") -> int:
        row = self.connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
        return int(row[0]) if row else 0

    def _derived(self) -> None:
        """Creates ``_work.derived_f``: the newest rows with the columns derived from the mapped ones."""
        row = mapped_row(self.feed, self.rules.business.timezone)
        cells = "".join(f", {derived(c.sql, row, c.type)} AS {ident(n)}" for n, c in self.feed.derived.items() if c.sql)
        self._view("derived", f"SELECT *{cells} FROM {work(f'newest_{self.name}')}")

    def _counted(self) -> None:
        """Creates ``_work.rows_f``: the rows with their business day and whether they count."""
        feed, rows = self.feed, work(f"derived_{self.name}")
        kind, zone, join = feed.columns[feed.date].type, self.rules.business.timezone, ""
        if kind is ColumnType.TIMESTAMP:
            learn_hours(self.connection, rows, ident(feed.date), zone)
            join = f"LEFT JOIN {work('hours')} q ON q.hour = {hour_of(f'd.{ident(feed.date)}')}"
        date = local_day(f"d.{ident(feed.date)}", kind, zone, "q")
        others = ", ".join(f"d.{ident(n)}" for n in columns_of(feed) if n != feed.business_date)
        row = feed_row(feed, zone)
        counted = in_force(
            self.rules.feed_where[self.name],
            ident(feed.business_date),
            lambda where: "true" if where is None else holds(where, row),
        )
        dated = f"SELECT {others}, d._pos, {date} AS {ident(feed.business_date)} FROM {rows} d {join}"
        select = f"SELECT *, {counted} AS _counted FROM ({dated})"
        if self.few:
            self.connection.execute(f"CREATE TABLE {work(f'rows_{self.name}')} AS {select}")
        else:
            self._view("rows", select)

    def _public(self) -> None:
        names = ", ".join(ident(n) for n in columns_of(self.feed) if n != "counted")
        self.connection.execute(
            f"CREATE OR REPLACE VIEW {ident(self.name)} AS "
            f"SELECT {names}, _counted AS counted FROM {work(f'rows_{self.name}')}"
        )


def zip_of(feed: Feed, row: str = "r") -> str:
    """SQL of the postal code of a row in the form that is compared: its first five characters; NULL without any."""
    return f"nullif(substr(trim({row}.zip), 1, 5), '')" if has_zip(feed) else "CAST(NULL AS VARCHAR)"
