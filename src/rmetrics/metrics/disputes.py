"""Leads that are creditable under their vendor's terms, and the vendor's answers.

The leads in question are those of sources with ``disputes`` that count, and those that stopped counting because the
vendor answered. A lead gets the first term that holds. Nothing here reads a clock: deadlines are the caller's concern.

Source: the design, section 7 (vendor terms).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rmetrics.metrics.call_classes import CALLER, CallRows
from rmetrics.metrics.leads import between
from rmetrics.metrics.newest import in_force
from rmetrics.metrics.phones import KEY, keyed
from rmetrics.metrics.touches import zip_of
from rmetrics.positions import COUNTED, POSITION
from rmetrics.rules.dispute_terms import Dispute
from rmetrics.rules.disputes import FACTS, lead_row, price_column
from rmetrics.rules.expressions.polars_form import is_true
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import FeedLeads, Rules, Source
from rmetrics.rules.rows import feed_row, has_zip

NEAR_S = 600  # maximum seconds between a lead and a call that belongs to it
GRANTED, REFUSED = "granted", "refused"
EVIDENCE = ("duplicate_of", "customer_job", "first_call")
CLAIMS = {
    POSITION: pl.Int64(), "feed": pl.String(), "source": pl.String(), "version": pl.Int64(), "term": pl.Int64(),
    "answer": pl.String(), "price": pl.Decimal(18, 2), "duplicate_of": pl.Int64(), "customer_job": pl.String(),
    "first_call": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeadRows:
    """The rows from which the facts of leads are computed.

    Attributes:
        leads: rows of the lead's feed with ``POSITION`` and ``counted``.
        highest_costs: position and ``dearest``: the highest cost of the lead in any export; an empty frame if unknown.
        customers: calls and jobs with their numbers (``call_classes.call_rows``).
        with_job: positions of leads to which the journeys give a job.
        unnumbered: source, zip and ``created`` of jobs whose cell holds no whole number: customer unknown.
    """

    leads: pl.LazyFrame
    highest_costs: pl.LazyFrame
    customers: CallRows
    unnumbered: pl.LazyFrame
    with_job: pl.LazyFrame


def claims(feeds: Mapping[str, LeadRows], rules: Rules) -> pl.DataFrame:
    """Returns the leads that are creditable under a term.

    Args:
        feeds: rows by the name of their lead feed.
        rules: sources and their terms; a version of a source applies to the leads of its days.

    Returns:
        The columns ``CLAIMS``, one row per lead: version of the source and index of the term in it, the vendor's
        ``answer`` (null: none), the price (before a credit), and the evidence: position of the earlier lead, job of the
        customer, position of the first call to the number. Sorted by the time of the lead within source and version.
    """
    found = [pl.DataFrame(schema=CLAIMS)]
    for name, dated in rules.sources.items():
        for number, (start, end, source) in enumerate(dated.spans()):
            leads = source.leads
            if source.disputes and isinstance(leads, FeedLeads) and leads.feed in feeds:
                with_terms = with_facts(feeds[leads.feed], name, rules, leads.feed)
                feed = rules.feeds[leads.feed]
                mine = with_terms.filter(between(pl.col(feed.business_date), start, end))
                made = _claims(mine, source, rules, leads.feed)
                found.append(made.select(
                    POSITION, pl.lit(leads.feed).alias("feed"), pl.lit(name).alias("source"),
                    pl.lit(number, dtype=pl.Int64).alias("version"), *list(CLAIMS)[4:],
                ).collect())  # fmt: skip
    return pl.concat(found)


def lead_facts(feeds: Mapping[str, LeadRows], rules: Rules) -> pl.DataFrame:
    """Returns the facts of every lead of a source with terms: feed, source, position, facts and ``EVIDENCE``, in order.

    Args:
        feeds: rows by the name of their lead feed.
        rules: sources and their windows.
    """
    kinds = {n: pl.Boolean() if t is ColumnType.BOOLEAN else pl.Int64() for n, t in FACTS.items()}
    evidence = {n: CLAIMS[n] for n in EVIDENCE}
    key = {"feed": pl.String(), "source": pl.String(), POSITION: pl.Int64()}
    found = [pl.DataFrame(schema={**key, **kinds, **evidence})]
    for name, dated in rules.sources.items():
        leads = (v.leads for _, v in dated.versions if v.disputes)
        for feed in dict.fromkeys(of.feed for of in leads if isinstance(of, FeedLeads) and of.feed in feeds):
            made = with_facts(feeds[feed], name, rules, feed).select(
                pl.lit(feed).alias("feed"), pl.lit(name).alias("source"), POSITION,
                *(pl.col(f"_fact_{n}").cast(kind).alias(n) for n, kind in kinds.items()), *EVIDENCE,
            )  # fmt: skip
            found.append(made.collect())
    return pl.concat(found)


def with_facts(rows: LeadRows, source: str, rules: Rules, name: str) -> pl.LazyFrame:
    """Adds to the leads of a feed the facts that conditions of terms may name, and their evidence.

    Args:
        rows: of the feed.
        source: the source whose window decides whether a job is booked.
        rules: in force.
        name: of the feed.

    Returns:
        The columns of the feed, the facts (a column of the feed takes precedence over a fact of the same name),
        ``dearest`` and ``EVIDENCE``.
    """
    feed = rules.feeds[name]
    phone = next((n for n, c in feed.columns.items() if c.type is ColumnType.PHONE), None)
    day, at = pl.col(feed.business_date), pl.col(feed.date).cast(pl.Datetime("us", "UTC"))
    cell = pl.lit(None, dtype=pl.String) if phone is None else pl.col(phone)
    counted = rows.leads.filter(pl.col(COUNTED))
    narrow = counted.select(POSITION, day.alias("_day"), at.alias("_at"), cell.alias(CALLER)).drop_nulls("_at")
    keys = keyed(narrow, CALLER)
    own = in_force(rules.journeys.common, pl.col("_day"), lambda j: pl.col(KEY).is_in(list(j.own_numbers)))
    keys = keys.filter(~own).select(POSITION, "_day", "_at", KEY)
    window = in_force(rules.journeys.windows(source), pl.col("_day"), pl.lit)
    timed = feed.columns[feed.date].type is ColumnType.TIMESTAMP
    facts = [_duplicates(keys), _customers(keys, rows.customers, window), _calls(keys, rows.customers, timed=timed)]
    joined = counted.join(rows.highest_costs, on=POSITION, how="left")
    for fact in facts:
        names = {n: f"_fact_{n}" for n in FACTS if n in fact.collect_schema()}
        joined = joined.join(fact.rename(names), on=POSITION, how="left")
    known = keys.select(POSITION).unique().with_columns(_known=True)
    unsure = _unsure(counted, feed, rows.unnumbered.filter(pl.col("source") == source), window)
    joined = joined.join(known, on=POSITION, how="left").join(unsure, on=POSITION, how="left")
    joined = joined.join(rows.with_job.select(POSITION).unique().with_columns(_led=True), on=POSITION, how="left")
    found = pl.col("_known")  # without a number the customer of a lead is unknown
    booked = (pl.col("_led") | pl.col("_fact_booked")).fill_null(value=False)
    joined = joined.with_columns(
        _served(feed, rules).alias("_fact_zip_served"),
        pl.when(found).then(pl.col("_fact_was_customer").fill_null(value=False)),
        pl.when(booked | (found & pl.col("_unsure").is_null())).then(booked).alias("_fact_booked"),
    )
    free = [n for n in FACTS if n not in feed.columns and n != feed.business_date]
    return joined.with_columns(pl.col(f"_fact_{n}").alias(n) for n in free)


def _duplicates(keys: pl.LazyFrame) -> pl.LazyFrame:
    """Finds each lead's newest earlier lead of the same number; of simultaneous leads the lower position is earlier."""
    order = [KEY, "_at", POSITION]
    earlier = keys.sort(order).with_columns(
        pl.col(POSITION).shift(1).over(KEY, order_by=["_at", POSITION]).alias("duplicate_of"),
        (pl.col("_day") - pl.col("_day").shift(1).over(KEY, order_by=["_at", POSITION]))
        .dt.total_days()
        .alias("duplicate_within_days"),
    )
    return earlier.drop_nulls("duplicate_of").group_by(POSITION).agg(
        pl.col("duplicate_within_days").min(),
        pl.col("duplicate_of").sort_by("duplicate_within_days", "duplicate_of").first(),
    )  # fmt: skip


def _customers(keys: pl.LazyFrame, customers: CallRows, window: pl.Expr) -> pl.LazyFrame:
    """Finds the jobs of each lead's numbers: the newest of an earlier day, and whether one was booked."""
    jobs = keyed(customers.jobs.drop_nulls("created"), "phone").select(KEY, "created", "job_id")
    days = (pl.col("_day") - pl.col("created")).dt.total_days()
    before = days > 0
    return (
        keys.with_columns(window.alias("_window"))
        .join(jobs, on=KEY)
        .with_columns(days.alias("_days"))
        .group_by(POSITION)
        .agg(
            before.any().alias("was_customer"),
            pl.col("_days").filter(pl.col("_days") > 0).min().alias("customer_within_days"),
            ((pl.col("_days") <= 0) & (-pl.col("_days") <= pl.col("_window"))).any().alias("booked"),
            pl.col("job_id")
            .filter(pl.col("_days") > 0)
            .sort_by(pl.col("_days").filter(pl.col("_days") > 0), pl.col("job_id").filter(pl.col("_days") > 0))
            .first()
            .alias("customer_job"),
        )
    )


def _unsure(leads: pl.LazyFrame, feed: Feed, jobs: pl.LazyFrame, window: pl.Expr) -> pl.LazyFrame:
    """Finds leads of possible jobs without a number: same source, created in the window, same or unknown zip."""
    narrow = leads.select(POSITION, pl.col(feed.business_date).alias("_day"), zip_of(feed).alias("_zip"))
    until = narrow.drop_nulls("_day").with_columns((pl.col("_day") + pl.duration(days=window)).alias("_until"))
    near = until.join_where(jobs, pl.col("created") >= pl.col("_day"), pl.col("created") <= pl.col("_until"))
    same_zip = (pl.col("_zip") == pl.col("zip")).fill_null(value=True)
    return near.filter(same_zip).select(POSITION).unique().with_columns(_unsure=True)


def _calls(keys: pl.LazyFrame, customers: CallRows, *, timed: bool) -> pl.LazyFrame:
    """Finds for each lead whether its own call was answered, and when its number was first called."""
    calls = keyed(customers.calls.drop_nulls("at"), CALLER).select(
        KEY, "at", "inbound", "answered", pl.col(POSITION).alias("_call")
    )
    later = pl.col("at") - pl.col("_at")
    near = pl.col("inbound") & (later.abs() <= pl.duration(seconds=NEAR_S)) & pl.lit(value=timed)
    back = ~pl.col("inbound") & (later >= pl.duration(seconds=0))
    hours = later.dt.total_hours().filter(back)
    return (
        keys.join(calls, on=KEY)
        .group_by(POSITION)
        .agg(
            # Kleene logic: if no call was answered, one without that information makes the result unknown.
            pl.col("answered").filter(near).any(ignore_nulls=False).alias("_any"),
            near.any().alias("_near"),
            hours.min().alias("called_within_hours"),
            pl.col("_call").filter(back).sort_by(later.filter(back), pl.col("_call").filter(back)).first()
            .alias("first_call"),
        )
        .with_columns(pl.when("_near").then("_any").alias("answered"))
        .drop("_any", "_near")
    )  # fmt: skip


def _served(feed: Feed, rules: Rules) -> pl.Expr:
    zips = [z.upper().replace(" ", "") for z in rules.business.zips]
    if not has_zip(feed) or not zips:
        return pl.lit(None, dtype=pl.Boolean)
    own = pl.col("zip").str.to_uppercase().str.replace_all(" ", "", literal=True)
    return pl.any_horizontal(own.str.starts_with(z) for z in zips)


def _claims(leads: pl.LazyFrame, source: Source, rules: Rules, name: str) -> pl.LazyFrame:
    feed, day = rules.feeds[name], pl.col(rules.feeds[name].business_date)
    own, row = feed_row(feed, rules.business.timezone), lead_row(rules, name)
    price = price_column(source)
    now = pl.lit(None, dtype=pl.Decimal(18, 2)) if price is None else pl.col(price)
    nothing = pl.lit(value=False)
    credited = (pl.col("dearest") > 0) & (now.fill_null(0) == 0) if price is not None else nothing
    granted = is_true(source.answers.granted, own) if source.answers.granted else nothing
    refused = is_true(source.answers.refused, own) if source.answers.refused else nothing
    answer = (
        pl.when(granted | credited.fill_null(value=False)).then(pl.lit(GRANTED))
        .when(refused).then(pl.lit(REFUSED))
    )  # fmt: skip
    where = source.leads.where if isinstance(source.leads, FeedLeads) else None
    counts = pl.lit(value=True) if where is None else is_true(where, own)
    term = pl.lit(None, dtype=pl.Int64)
    for i in reversed(range(len(source.disputes))):
        dispute = source.disputes[i]
        holds = is_true(dispute.where, row) & _dated(dispute, day)
        term = pl.when(holds).then(pl.lit(i, dtype=pl.Int64)).otherwise(term)
    return (
        leads.with_columns(answer.alias("answer"), term.alias("term"))
        .filter((counts | pl.col("answer").is_not_null()) & pl.col("term").is_not_null())
        .with_columns(_price(now))
        .sort(feed.date, POSITION)
    )


def _price(now: pl.Expr) -> pl.Expr:
    """Cost of a lead: the highest in any export; null if it was credited before any export showed the price."""
    highest = pl.max_horizontal(now, pl.col("dearest")).cast(pl.Decimal(18, 2))
    unknown = (pl.col("answer") == GRANTED) & (highest == 0)
    return pl.when(~unknown.fill_null(value=False)).then(highest).alias("price")


def _dated(dispute: Dispute, day: pl.Expr) -> pl.Expr:
    return between(day, dispute.from_, dispute.until)


__all__ = ["CLAIMS", "EVIDENCE", "GRANTED", "NEAR_S", "REFUSED", "LeadRows", "claims", "lead_facts", "with_facts"]
