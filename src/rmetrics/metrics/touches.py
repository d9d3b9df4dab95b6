"""Touches: each row of a lead feed that counts, and each inbound call of a source without a lead feed.

A call of a source with a lead feed is evidence for that feed's rows, not a touch of its own.

Source: the design, section 7.
"""

from collections.abc import Mapping

import polars as pl

from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.leads import between, counting
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.money import cents
from rmetrics.periods import local_noon
from rmetrics.positions import COUNTED, LINES, POSITION
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import FeedLeads, Rules, Source
from rmetrics.rules.names import CALLS
from rmetrics.rules.rows import feed_row, has_zip

TOUCH = "touch_id"
EVIDENCE_S = 600  # maximum seconds between a lead and a call that is evidence for it
ZIP = "zip"
TOUCHES = {
    TOUCH: pl.String(),
    "feed": pl.String(),
    POSITION: pl.Int64(),
    "source": pl.String(),
    "order": pl.Int64(),
    "touch_at": pl.Datetime("us", "UTC"),
    "timed": pl.Boolean(),
    "touch_date": pl.Date(),
    "phone": pl.String(),
    ZIP: pl.String(),
    "duration_s": pl.Int64(),
    "answered": pl.Boolean(),
    JOB_ID: pl.String(),
    "cost_cents": pl.Int64(),
    "window": pl.Int64(),
}
_SOURCES = 2**30  # more lines than an export has; see ``place``
EVIDENCE = {TOUCH: pl.String(), POSITION: pl.Int64(), "answered": pl.Boolean(), JOB_ID: pl.String()}


def touches(feeds: Mapping[str, pl.LazyFrame], rules: Rules) -> pl.LazyFrame:
    """Returns one row per touch, with the facts of its own row.

    Args:
        feeds: rows by feed name, as ``rows.Rows.feed`` returns them: with the jobs they name and their position.
        rules: sources, calls and journeys; dated changes apply by the touch's own day. A row without a day is no lead.

    Returns:
        The columns ``TOUCHES``. touch_id: the feed and the row's key. POSITION: of the row in its feed. order: the
        source's place in the rules. touch_at: noon if the feed has days only (``timed`` false). phone: the cell;
        ``touch_keys`` extracts its numbers. zip: its first five characters. answered: of calls. job_id: the job that
        the row itself names. cost_cents: the row's own cost; 0 if its source pays by the month. window: in days.
    """
    parts, sources = [pl.LazyFrame(schema=TOUCHES)], source_order(rules)
    for name, dated in rules.sources.items():
        for start, end, source in dated.spans():
            leads = source.leads
            if isinstance(leads, FeedLeads) and leads.feed in feeds:
                rows = counting(feeds, rules, leads.feed, leads.where).filter(between(pl.col("_day"), start, end))
                named = rows.with_columns(pl.lit(name).alias("_source"))
                cost = _own_cost(source, rules)
                parts.append(_touches(named, leads.feed, rules, sources, str(sources[name]), cost))
    if CALLS in feeds and any(labels.sources for _, labels in rules.calls.versions):
        rows = feeds[CALLS].filter(pl.col(COUNTED) & pl.col("source").is_not_null() & inbound(rules.feeds[CALLS]))
        day = pl.col(rules.feeds[CALLS].business_date)
        fed = [
            (pl.col("source") == name) & between(day, start, end)
            for name, dated in rules.sources.items()
            for start, end, source in dated.spans()
            if isinstance(source.leads, FeedLeads)
        ]
        own = rows.filter(day.is_not_null() & ~pl.any_horizontal([pl.lit(value=False), *fed]))
        named = own.with_columns(day.alias("_day"), pl.col("source").alias("_source"))
        parts.append(_touches(named, CALLS, rules, sources, "call", pl.lit(0, dtype=pl.Int64)))
    return pl.concat(parts)


def touch_keys(of: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    """Returns touches with ``phone_key``, one row per number, without the company's own lines."""
    own = in_force(rules.journeys.common, pl.col("touch_date"), lambda j: pl.col(KEY).is_in(list(j.own_numbers)))
    return keyed(of, "phone").filter(~own)


def evidence(keys: pl.LazyFrame, calls: pl.LazyFrame | None, rules: Rules) -> pl.LazyFrame:
    """Returns the calls that are evidence for rows of lead feeds: of the same source and number, within ten minutes.

    Args:
        keys: ``touch_keys``.
        calls: rows of the calls feed with the jobs they name; None without such a feed.
        rules: which column holds the caller's number.

    Returns:
        The columns ``EVIDENCE``, one row per touch and call: the call's position, whether it was answered, its job.
    """
    if calls is None:
        return pl.LazyFrame(schema=EVIDENCE)
    feed = rules.feeds[CALLS]
    job = pl.col(JOB_ID) if feed.job is not None else pl.lit(None, dtype=pl.String)
    answered = pl.col("answered") if "answered" in feed.columns else pl.lit(None, dtype=pl.Boolean)
    if feed.columns[feed.date].type is not ColumnType.TIMESTAMP or (phone := phone_column(feed)) is None:
        return pl.LazyFrame(schema=EVIDENCE)
    mine = keys.filter(pl.col("timed") & (pl.col("feed") != CALLS)).select(TOUCH, "source", "touch_at", KEY)
    counted = calls.filter(pl.col(COUNTED) & pl.col("source").is_not_null() & inbound(feed)).select(
        POSITION,
        "source",
        pl.col(feed.date).alias("_at"),
        pl.col(phone).alias("phone"),
        answered.alias("answered"),
        job.alias(JOB_ID),
    )
    near = (pl.col("_at") - pl.col("touch_at")).abs() <= pl.duration(seconds=EVIDENCE_S)
    return mine.join(keyed(counted, "phone"), on=["source", KEY]).filter(near).select(*EVIDENCE).unique()


def source_order(rules: Rules) -> dict[str, int]:
    """Maps every source that a touch may have to its place: declared sources first, then those that calls name."""
    called = (s.name for _, calls in rules.calls.versions for s in calls.sources)
    return {name: i for i, name in enumerate(dict.fromkeys([*rules.sources, *called]))}


def inbound(feed: Feed) -> pl.Expr:
    """True for an inbound call; every call is inbound if the feed has no direction."""
    if "direction" not in feed.columns:
        return pl.lit(value=True)
    return pl.col("direction").is_not_null() & (pl.col("direction") == "inbound")


def phone_column(feed: Feed) -> str | None:
    """Returns the column of the customer's number: ``from_number`` if there is one, else the feed's first."""
    phones = [n for n, c in feed.columns.items() if c.type is ColumnType.PHONE]
    return "from_number" if "from_number" in phones else next(iter(phones), None)


def feed_is_shared(rules: Rules, feed: str) -> bool:
    """True if a row of a feed may be a touch of several sources, which then need distinct touch ids."""
    users = {
        name
        for name, dated in rules.sources.items()
        for _, version in dated.versions
        if isinstance(version.leads, FeedLeads) and version.leads.feed == feed
    }
    return len(users) > (0 if feed == CALLS else 1)


def _touches(
    rows: pl.LazyFrame, name: str, rules: Rules, sources: Mapping[str, int], user: str, cost: pl.Expr
) -> pl.LazyFrame:
    feed, zone, day = rules.feeds[name], rules.business.timezone, pl.col("_day")
    timed = feed.columns[feed.date].type is ColumnType.TIMESTAMP
    phone, nothing = phone_column(feed), pl.lit(None)
    prefix = f"{name}@{user}:" if feed_is_shared(rules, name) else f"{name}:"
    windows = [
        (pl.col("_source") == source, in_force(rules.journeys.windows(source), day, pl.lit)) for source in sources
    ]
    window = pl.coalesce(pl.when(fits).then(days) for fits, days in windows)
    values = {
        TOUCH: pl.concat_str(pl.lit(prefix), _key(feed)),
        "feed": pl.lit(name),
        POSITION: pl.col(POSITION),
        "source": pl.col("_source"),
        "order": pl.col("_source").replace_strict(list(sources), list(sources.values()), return_dtype=pl.Int64),
        "touch_at": pl.col(feed.date) if timed else local_noon(day, zone),
        "timed": pl.lit(value=timed),
        "touch_date": day,
        "phone": nothing if phone is None else pl.col(phone),
        ZIP: zip_of(feed),
        "duration_s": pl.col("duration_s") if _is(feed, "duration_s", ColumnType.DURATION) else nothing,
        "answered": pl.col("answered") if name == CALLS and "answered" in feed.columns else nothing,
        JOB_ID: pl.col(JOB_ID) if feed.job is not None else nothing,
        "cost_cents": cost,
        "window": window,
    }
    return rows.select(values[n].cast(t).alias(n) for n, t in TOUCHES.items())


def place() -> pl.Expr:
    """One number per touch: its row's position combined with the source's place, as sources may share a row."""
    return pl.col(POSITION) + pl.col("order") * _SOURCES


def row_of_place() -> pl.Expr:
    """Position of the row behind a touch, from its ``place``."""
    return pl.col(POSITION) // LINES * LINES + pl.col(POSITION) % _SOURCES


def zip_of(feed: Feed) -> pl.Expr:
    """Postal code of a row in the form that is compared: its first five characters, null if there are none."""
    if not has_zip(feed):
        return pl.lit(None, dtype=pl.String)
    text = pl.col(ZIP).str.strip_chars().str.head(5)
    return pl.when(text != "").then(text)


def _is(feed: Feed, column: str, kind: ColumnType) -> bool:
    return column in feed.columns and feed.columns[column].type is kind


def _key(feed: Feed) -> pl.Expr:
    """Key of a row as text; the parts of a composite key are escaped and separated."""
    parts = []
    for name in feed.key_columns:
        value = pl.col(name)
        if name in feed.columns and feed.columns[name].type is ColumnType.TIMESTAMP:
            value = value.dt.epoch("us")
        part = value.cast(pl.String).fill_null("")
        if len(feed.key_columns) > 1:
            part = part.str.replace_all("\\", "\\\\", literal=True).str.replace_all("|", "\\|", literal=True)
        parts.append(part)
    return pl.concat_str(parts, separator="|")


def _own_cost(source: Source, rules: Rules) -> pl.Expr:
    """Cost of one row of the source's lead feed by itself: its own amounts, and a price per lead."""
    leads, total = source.leads, pl.lit(0, dtype=pl.Int64)
    assert isinstance(leads, FeedLeads)  # noqa: S101 - asked for by the caller
    row = feed_row(rules.feeds[leads.feed], rules.business.timezone)
    for cost in source.cost:
        if cost.per_lead is not None:
            total = total + int(cost.per_lead * 100)
        elif cost.feed == leads.feed and cost.spread is None and cost.sum is not None:
            fits = pl.lit(value=True) if cost.where is None else is_true(cost.where, row)
            total = total + pl.when(fits).then(cents(pl.col(cost.sum)).fill_null(0)).otherwise(0)
    return total


__all__ = [
    "EVIDENCE", "EVIDENCE_S", "TOUCH", "TOUCHES", "ZIP", "evidence", "feed_is_shared", "inbound", "phone_column",
    "place", "row_of_place", "source_order", "touch_keys", "touches", "zip_of",
]  # fmt: skip
