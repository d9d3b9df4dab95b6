"""Whether tables still hold what was published, without reading large ones.

PostgreSQL counts the rows that were ever inserted, updated and deleted in a table. A publish notes where these counters
stand when it is done, itself included. Where they still stand there, nobody wrote to the table; the file that holds it
tells TRUNCATE, which is not counted. Whatever else they say, rows are counted: after a crash or a restore the counters
begin anew. A session that is still open may keep its own counts back, for up to a minute: what it did is noticed by the
sync after that. Small tables are counted always.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rmetrics.postgres import Session, quoted

_SMALL = 100_000
_OLDEST = 150_000  # before 15, counters arrive late and may get lost

Notes = Mapping[str, Sequence[int]]
"""By table: the number of its file, and the rows ever inserted, updated and deleted. Fit for JSON."""


def noted(session: Session, tables: Sequence[str]) -> dict[str, list[int]]:
    """The counters as they stand, with what this transaction has done so far."""
    found = session.query(
        "SELECT t.name, pg_relation_filenode(t.id), "
        + ", ".join(
            f"pg_stat_get_tuples_{what}(t.id) + pg_stat_get_xact_tuples_{what}(t.id)"
            for what in ("inserted", "updated", "deleted")
        )
        + " FROM (SELECT name, to_regclass(quote_ident(name))::oid AS id FROM unnest(string_to_array($1, ',')) AS name)"
        " AS t WHERE t.id IS NOT NULL AND current_setting('server_version_num')::int >= " + str(_OLDEST),
        [",".join(tables)],
    )
    return {name: [int(n) for n in numbers] for name, *numbers in found}


def written_by_others(session: Session, tables: Sequence[str], notes: Notes) -> frozenset[str]:
    """The tables that do not hold what was published, as far as can be told without comparing rows.

    Args:
        session: of a database that was published to.
        tables: which to look at; one that is missing is among the answers.
        notes: what the last publish noted.
    """
    now = noted(session, tables)
    sizes = _expected(session, tables)
    found = {name for name in tables if name not in sizes}
    counted = [
        name
        for name in tables
        if name in sizes and (sizes[name] <= _SMALL or name not in now or list(notes.get(name, ())) != now[name])
    ]
    if counted:
        held = session.query(" UNION ALL ".join(f"SELECT '{n}', count(*) FROM {quoted(n)}" for n in counted))
        found |= {name for name, rows in held if rows != sizes[name]}
    return frozenset(found | {n for n in now if _went_on(notes.get(n, ()), now[n])})


def _expected(session: Session, tables: Sequence[str]) -> dict[str, int]:
    """How many rows each table that exists must have."""
    rows: list[tuple[Any, ...]] = session.query(
        "SELECT name, (SELECT coalesce(sum(rows), 0)::bigint FROM published_parts WHERE table_name = name) "
        "FROM unnest(string_to_array($1, ',')) AS name WHERE to_regclass(quote_ident(name)) IS NOT NULL",
        [",".join(tables)],
    )
    return {name: int(count) for name, count in rows}


def _went_on(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether the same counters of the same table have grown: somebody wrote, and it may be values that changed."""
    if len(before) != len(now) or before[0] != now[0]:
        return False
    return list(before) != list(now) and all(b <= n for b, n in zip(before, now, strict=True))
