"""Detects writes by others to published tables without reading large ones.

PostgreSQL counts the rows ever inserted, updated and deleted in a table. A publish records these counters when it is
done, its own writes included. If they have not changed, nobody else wrote to the table; TRUNCATE is not counted, but
gives the table a new file, and a dropped column changes the number of columns. If the counters have grown, somebody
wrote, and values may have changed even if the row count has not. In every other case rows are counted: after a crash
or a restore the counters start over. Small tables are always counted.

An open session may delay its own counts for some seconds, at most a minute: its latest writes to a large table are
noticed by the sync after that.
"""

from collections.abc import Mapping, Sequence

from rmetrics.postgres.connection import Session, quoted

_SMALL = 100_000
_OLDEST = 150_000  # before 15, counters arrive late and may get lost

Notes = Mapping[str, Sequence[int]]
"""By table: rows ever inserted, updated and deleted, the number of its file, columns, rows published. Serialises to
JSON."""


def noted(session: Session, tables: Sequence[str]) -> dict[str, list[int]]:
    """The tables' current counters, including this transaction; empty for servers whose counters are unreliable."""
    version = int(session.query("SELECT current_setting('server_version_num')")[0][0])
    return {name: now for name, now in _counters(session, tables).items() if version >= _OLDEST}


def changed_outside(session: Session, tables: Sequence[str], notes: Notes) -> frozenset[str]:
    """The tables that no longer hold the published rows, as far as can be found without comparing rows.

    Args:
        session: of the published database.
        tables: the tables to check; a missing one is included in the result.
        notes: the counters that the last publish recorded.
    """
    now = _counters(session, tables)
    found = {name for name in tables if name not in now}
    counted = [n for n, numbers in now.items() if numbers[-1] <= _SMALL or list(notes.get(n, ())) != numbers]
    if counted:
        counts = session.query(" UNION ALL ".join(f"SELECT '{n}', count(*) FROM {quoted(n)}" for n in counted))
        found |= {name for name, rows in counts if rows != now[name][-1]}
    found |= {n for n, numbers in now.items() if n in notes and notes[n][4:-1] != numbers[4:-1]}  # columns
    return frozenset(found | {n for n, numbers in now.items() if _counters_grew(notes.get(n, ()), numbers)})


def _counters(session: Session, tables: Sequence[str]) -> dict[str, list[int]]:
    counters = ", ".join(
        f"pg_stat_get_tuples_{what}(id) + pg_stat_get_xact_tuples_{what}(id)"
        for what in ("inserted", "updated", "deleted")
    )
    found = session.query(
        f"SELECT name, {counters}, coalesce(pg_relation_filenode(id), 0)::bigint, "
        "(SELECT count(attnum) FROM pg_attribute WHERE attrelid = id AND attnum > 0 AND NOT attisdropped), "
        "(SELECT coalesce(sum(rows), 0)::bigint FROM published_parts WHERE table_name = name) "
        "FROM (SELECT name, to_regclass(quote_ident(current_schema()) || '.' || quote_ident(name))::oid AS id "
        "FROM unnest(string_to_array($1, ',')) AS name) "
        "AS t WHERE id IS NOT NULL",
        [",".join(tables)],
    )
    return {name: [int(n) for n in numbers] for name, *numbers in found}


def _counters_grew(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether the counters have grown: somebody wrote, possibly changing only values."""
    growth = [n - b for b, n in zip(before[:3], now[:3], strict=False)]
    return any(growth) and min(growth) >= 0
