"""The questions about the keys of rows: rows that may be the same, and rows without a key."""

from collections.abc import Iterator, Sequence

from rmetrics.checks.feeds import LINES
from rmetrics.checks.questions import QualityQuestion
from rmetrics.findings import Severity
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS, PAYMENTS, TARGETS
from rmetrics.rules.rows import blank_keys, summed_columns
from rmetrics.sandbox.quoting import ident, text, work

_MADE_UP = r"^[0-9a-f]{20}-\d+$"  # ids that typing generates from a row's content


def about_keys(rules: Rules) -> Iterator[QualityQuestion]:
    """Yields the questions that apply to these rules."""
    yield from _duplicates(rules)
    yield from _parts(rules)
    yield from _without_key(rules)


def key_of(feed: Feed, alias: str = "") -> str:
    """SQL of the key of a feed's row as one text."""
    prefix = f"{alias}." if alias else ""
    return " || '/' || ".join(f"coalesce(CAST({prefix}{ident(k)} AS VARCHAR), '')" for k in feed.key_columns)


def _duplicates(rules: Rules) -> Iterator[QualityQuestion]:
    payments = rules.feeds[PAYMENTS]
    ids = set(payments.job.match) if payments.job else set()
    parts = []
    for name, feed in rules.feeds.items():
        if name == TARGETS or not feed.key or feed.repeats == "sum" or len(feed.key) > 1:
            continue
        (key,) = feed.key
        date = ident(feed.business_date)
        counts = f"counted AND {date} IS NOT NULL"
        if feed.identity:
            same = [_minute(c) if feed.columns[c].type is ColumnType.TIMESTAMP else ident(c) for c in feed.identity]
            made_up = f"regexp_matches({ident(key)}, {text(_MADE_UP)})"
            both = f"bool_or({made_up}) AND NOT bool_and({made_up})"
            counts += f" AND ({' OR '.join(f'{ident(c)} IS NOT NULL' for c in feed.identity)})"
        else:
            same = [ident(c) for c in feed.mapped if c != key and not (name == JOBS and c in ids)]
            both = "count(*) > 1"
        parts.append(
            f"SELECT {text(name)} AS feed, min({ident(key)}) AS one, max({ident(key)}) AS other, min({date}) AS day, "
            f"count(*) AS rows FROM {ident(name)} WHERE {counts} AND {_repeated(ident(name), counts, same)} "
            f"GROUP BY {', '.join(same)} HAVING {both}"
        )
    if parts:
        yield QualityQuestion(
            "same-row-twice",
            Severity.WARNING,
            f"SELECT * FROM ({' UNION ALL '.join(parts)})",
            "rows are identical except for their keys: they may count twice",
            "Delete one of them where it was entered, or ignore this if both are real.",
            order="feed, day, one",
        )
    if "job_uuid" in rules.feeds[JOBS].columns:
        every, named = work(f"all_{JOBS}"), "job_uuid IS NOT NULL"
        yield QualityQuestion(
            "job-number-reused",
            Severity.WARNING,
            f"SELECT job_id, min(job_uuid) AS one, max(job_uuid) AS other FROM {every} "
            f"WHERE {named} AND {_repeated(every, named, ['job_id'])} "
            f"GROUP BY job_id HAVING count(DISTINCT job_uuid) > 1",
            "one job number belongs to different jobs (job_uuid): the newer one replaces the older",
            "Withdraw the exports with the old numbers, or give their jobs separate numbers.",
            order="job_id",
        )


def _minute(column: str) -> str:
    """SQL of the number of the minute of a timestamp; ``date_trunc`` takes ten times as long."""
    return f"epoch_us({ident(column)}) // 60_000_000"


def _parts(rules: Rules) -> Iterator[QualityQuestion]:
    """Yields a question for keys on several rows of an export with different amounts: likely charge and credit."""
    parts = []
    for name, column in sorted(summed_columns(rules)):
        feed = rules.feeds[name]
        if not feed.key or feed.repeats == "sum" or column not in feed.mapped:
            continue
        every, key = work(f"all_{name}"), ", ".join(map(ident, feed.key))
        keyed, amount = " AND ".join(f"{ident(k)} IS NOT NULL" for k in feed.key), ident(column)
        parts.append(
            f"SELECT {text(name)} AS feed, {key_of(feed)} AS key, _pos // {LINES} AS rank, count(*) AS rows, "
            f"arg_max({amount}, _pos) AS counts, sum({amount}) AS altogether "
            f"FROM {every} WHERE {keyed} AND {_repeated(every, keyed, [*map(ident, feed.key), f'_pos // {LINES}'])} "
            f"GROUP BY {key}, 1, 2, 3 HAVING count(DISTINCT {amount}) > 1"
        )
    if parts:
        yield QualityQuestion(
            "one-key-other-amounts",
            Severity.WARNING,
            f"SELECT e.feed, key, e.name AS export, p.rows, counts, altogether FROM ({' UNION ALL '.join(parts)}) p "
            f"JOIN {work('exports')} e USING (feed, rank)",
            "one export has several rows with the same key and different amounts: only the last one counts",
            'If the amounts add up, such as a charge and its credit, add repeats = "sum" to the feed.',
            order="feed, key, export",
        )


def _without_key(rules: Rules) -> Iterator[QualityQuestion]:
    """Yields a question for rows that cannot be published, as PostgreSQL allows no NULL in a primary key."""
    parts = [
        f"SELECT {text(name)} AS feed, {ident(feed.business_date)} AS day, {key_of(feed)} AS row FROM {ident(name)} "
        f"WHERE {' OR '.join(f'{ident(k)} IS NULL' for k in blank_keys(feed))}"
        for name, feed in rules.feeds.items()
        if blank_keys(feed)
    ]
    if parts:
        yield QualityQuestion(
            "row-without-key",
            Severity.WARNING,
            " UNION ALL ".join(parts),
            "rows are blank in a column of the published key: they count, but are not in the published table",
            "Fill in the cell where it was entered, or give the column a default in the rules.",
            order="feed, day, row",
        )


def _repeated(table: str, where: str, columns: Sequence[str]) -> str:
    """Condition that holds for all rows that share these values with another row, and for few others.

    By hash: grouping millions of rows by wide text takes three times as long, and much more memory.
    """
    value = f"hash({', '.join(columns)})"
    return f"{value} IN (SELECT {value} FROM {table} WHERE {where} GROUP BY ALL HAVING count(*) > 1)"
