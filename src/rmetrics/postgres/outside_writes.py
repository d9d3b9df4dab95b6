"""Whether tables still hold what was published, without reading large ones.

PostgreSQL counts the rows that were ever inserted, updated and deleted in a table. A publish notes where these counters
stand when it is done, itself included. Where they still stand there, nobody wrote to the table; the file that holds it
tells TRUNCATE, which is not counted. Where they have grown, somebody did, and even a value may have changed. Whatever
else they say, rows are counted: after a crash or a restore the counters begin anew. Small tables are counted always.

A session that is still open may keep its own counts back for some seconds, at most a minute: what it has just done in a
large table is noticed by the sync after that.
"""

from collections.abc import Mapping, Sequence

from rmetrics.postgres.connection import Session, quoted

_SMALL = 100_000
_OLDEST = 150_000  # before 15, counters arrive late and may get lost

Notes = Mapping[str, Sequence[int]]
"""By table: rows ever inserted, updated and deleted, the number of its file, rows published. Fit for JSON."""


def noted(session: Session, tables: Sequence[str]) -> dict[str, list[int]]:
    """How the tables stand, with what this transaction has done so far; nothing where the server's word is not good."""
    version = int(session.query("SELECT current_setting('server_version_num')")[0][0])
    return {name: now for name, now in _standing(session, tables).items() if version >= _OLDEST}


def written_by_others(session: Session, tables: Sequence[str], notes: Notes) -> frozenset[str]:
    """The tables that do not hold what was published, as far as can be told without comparing rows.

    Args:
        session: of a database that was published to.
        tables: which to look at; one that is missing is among the answers.
        notes: what the last publish noted.
    """
    now = _standing(session, tables)
    found = {name for name in tables if name not in now}
    counted = [n for n, numbers in now.items() if numbers[-1] <= _SMALL or list(notes.get(n, ())) != numbers]
    if counted:
        held = session.query(" UNION ALL ".join(f"SELECT '{n}', count(*) FROM {quoted(n)}" for n in counted))
        found |= {name for name, rows in held if rows != now[name][-1]}
    return frozenset(found | {n for n, numbers in now.items() if _went_on(notes.get(n, ()), numbers)})


def _standing(session: Session, tables: Sequence[str]) -> dict[str, list[int]]:
    counters = ", ".join(
        f"pg_stat_get_tuples_{what}(id) + pg_stat_get_xact_tuples_{what}(id)"
        for what in ("inserted", "updated", "deleted")
    )
    found = session.query(
        f"SELECT name, {counters}, coalesce(pg_relation_filenode(id), 0)::bigint, "
        "(SELECT coalesce(sum(rows), 0)::bigint FROM published_parts WHERE table_name = name) "
        "FROM (SELECT name, to_regclass(quote_ident(current_schema()) || '.' || quote_ident(name))::oid AS id "
        "FROM unnest(string_to_array($1, ',')) AS name) "
        "AS t WHERE id IS NOT NULL",
        [",".join(tables)],
    )
    return {name: [int(n) for n in numbers] for name, *numbers in found}


def _went_on(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether the counters have grown: somebody wrote, and it may be values that changed."""
    grown = [n - b for b, n in zip(before[:3], now[:3], strict=False)]
    return any(grown) and min(grown) >= 0
