"""Leads to dispute: those creditable under the terms, with clause, proof rows, and time left."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.metrics.call_classes import CallRows, call_rows, job_numbers
from rmetrics.metrics.disputes import GRANTED, REFUSED, LeadRows, claims, with_facts
from rmetrics.metrics.jobs import JOB_ID
from rmetrics.metrics.newest import all_versions
from rmetrics.metrics.phones import keyed
from rmetrics.metrics.touches import TOUCH, touches, zip_of
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import FILE, LINE, LINES, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.dispute_terms import read_within
from rmetrics.rules.disputes import lead_row, price_column
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.model import FeedLeads
from rmetrics.rules.names import CALLS, JOBS
from rmetrics.tables import JOURNEYS

_CUSTOMER = frozenset({"was_customer", "customer_within_days"})
_CALLED = frozenset({"called_within_hours"})
_DUPLICATE = frozenset({"duplicate_within_days"})


class ClaimState(StrEnum):
    """The outcome of a claim so far."""

    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Proof:
    """A row that supports a claim.

    Attributes:
        what: ``lead``, ``earlier lead``, ``job``, or ``call``.
        key: the row's key in its export.
        at: its time; for a job, the day it was created.
        place: the export and the line.
    """

    what: str
    key: str
    at: dt.datetime | dt.date | None
    place: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A lead that is creditable under its vendor's terms.

    Attributes:
        lead_id: its key at the vendor.
        lead_at, deadline: in the vendor's time zone.
        reason, clause, within: of the term; ``rule`` is the term's place in the rules.
        price: what the lead cost; None if its export has no prices.
        facts: this lead's values of the columns in the term's condition.
    """

    source: str
    feed: str
    lead_id: str
    lead_at: dt.datetime
    reason: str
    clause: str
    within: str
    deadline: dt.datetime
    state: ClaimState
    price: Decimal | None
    facts: Mapping[str, str]
    proofs: tuple[Proof, ...]
    rule: str

    def hours_left(self, now: dt.datetime) -> int | None:
        """Returns the whole hours until the deadline of an open claim."""
        return int((self.deadline - now).total_seconds() // 3600) if self.state is ClaimState.OPEN else None


def lead_claims(rows: Rows, exports: Mapping[int, str], now: dt.datetime) -> list[Claim]:
    """Returns all claims, by source and time of the lead.

    Args:
        rows: a computation; its rules declare the terms.
        exports: the names of exports by rank.
        now: claims whose deadline has passed by then are expired.
    """
    rules, of_leads = rows.rules, lead_rows(rows)
    if not of_leads:
        return []
    found = claims(of_leads, rules)
    of_calls = _calls(rows, found, exports)
    creditable: list[Claim] = []
    for name in sorted(of_leads):
        mine = found.filter(pl.col("feed") == name)
        leads = _leads(rows, name, pl.concat([mine[POSITION], mine["duplicate_of"].drop_nulls()]).unique(), exports)
        looked = _looked_at(of_leads[name], mine, rules, name)
        of_jobs = _jobs(rows, mine["customer_job"].drop_nulls().unique(), exports)
        creditable += [
            _claim(row, rules, leads, of_jobs, of_calls, looked[row[POSITION], row["source"]], now)
            for row in mine.to_dicts()
        ]
    return sorted(creditable, key=lambda c: (list(rules.sources).index(c.source), c.lead_at, c.lead_id))


def lead_rows(rows: Rows) -> dict[str, LeadRows]:
    """Returns the inputs for facts of leads, by feed of the leads; empty if no source has terms."""
    rules = rows.rules
    feeds = dict.fromkeys(
        version.leads.feed
        for dated in rules.sources.values()
        for _, version in dated.versions
        if version.disputes and isinstance(version.leads, FeedLeads)
    )
    if not feeds:
        return {}
    jobs = rows.feed(JOBS)
    customers = call_rows(rows.linked(CALLS), jobs, rules) if CALLS in rules.feeds else _without_calls(jobs, rules)
    customers = CallRows(*(f.lazy() for f in pl.collect_all([customers.calls, customers.jobs])))
    unnumbered = _unnumbered(rows).collect().lazy()
    return {
        name: LeadRows(rows.feed(name), _highest_costs(rows, name), customers, unnumbered, _leads_with_job(rows, name))
        for name in feeds
    }


def _without_calls(jobs: pl.LazyFrame, rules: Rules) -> CallRows:
    calls = pl.LazyFrame(
        schema={POSITION: pl.Int64(), "at": pl.Datetime("us", "UTC"), "inbound": pl.Boolean(),
                "answered": pl.Boolean(), "customer": pl.String()}
    )  # fmt: skip
    return CallRows(calls, job_numbers(jobs, rules))


def _unnumbered(rows: Rows) -> pl.LazyFrame:
    """Returns the jobs whose cells hold no whole phone number, or none at all."""
    facts, rules = rows.facts(), rows.rules
    numbered = keyed(job_numbers(facts, rules), "phone").select(JOB_ID)
    days = job_numbers(facts, rules).select(JOB_ID, "created").drop_nulls("created")
    jobs = facts.select(JOB_ID, "source", zip_of(rules.feeds[JOBS]).alias("zip"))
    return jobs.join(numbered, on=JOB_ID, how="anti").join(days, on=JOB_ID).select("source", "zip", "created")


def _leads_with_job(rows: Rows, name: str) -> pl.LazyFrame:
    """Returns the positions of the leads of a feed that have a job."""
    won = rows.snapshot.scan(JOURNEYS).filter(pl.col("feed") == name).drop_nulls(JOB_ID).select(TOUCH)
    return touches({name: rows.feed(name)}, rows.rules).join(won, on=TOUCH, how="semi").select(POSITION)


def _highest_costs(rows: Rows, name: str) -> pl.LazyFrame:
    """Returns each lead's highest cost in any export of a feed, by position; empty if no source pays by the lead."""
    feed, rules = rows.rules.feeds[name], rows.rules
    prices = (
        price_column(version)
        for dated in rules.sources.values()
        for _, version in dated.versions
        if isinstance(version.leads, FeedLeads) and version.leads.feed == name
    )
    price, key = next((p for p in prices if p), None), list(feed.key_columns)
    if price is None:
        return pl.LazyFrame(schema={POSITION: pl.Int64(), "dearest": pl.Decimal(18, 2)})
    highest = all_versions(rows.exports(name), feed).group_by(key).agg(pl.col(price).max().alias("dearest"))
    return rows.newest(name).join(highest, on=key, nulls_equal=True).select(POSITION, "dearest")


def _leads(rows: Rows, name: str, positions: pl.Series, exports: Mapping[int, str]) -> dict[int, Proof]:
    feed = rows.rules.feeds[name]
    found = rows.linked_at(name, positions).select(
        POSITION, pl.struct(feed.key_columns).alias("_key"), feed.date, FILE, LINE
    )
    return {
        position: Proof("lead", " ".join(str(k) for k in key.values()), at, _place(exports, file, line))
        for position, key, at, file, line in found.collect().iter_rows()
    }


def _jobs(rows: Rows, ids: pl.Series, exports: Mapping[int, str]) -> dict[str, Proof]:
    numbers = job_numbers(rows.feed(JOBS), rows.rules).select(JOB_ID, "created")
    found = rows.feed(JOBS).filter(pl.col(JOB_ID).is_in(ids.implode())).select(JOB_ID, FILE, LINE)
    return {
        job: Proof("job", job, created, _place(exports, file, line))
        for job, file, line, created in found.join(numbers, on=JOB_ID, how="left").collect().iter_rows()
    }


def _calls(rows: Rows, found: pl.DataFrame, exports: Mapping[int, str]) -> dict[int, Proof]:
    positions = found["first_call"].drop_nulls().unique()
    if CALLS not in rows.rules.feeds or positions.is_empty():
        return {}
    feed = rows.rules.feeds[CALLS]
    calls = rows.linked_at(CALLS, positions).select(POSITION, feed.key_columns[0], feed.date, FILE, LINE).collect()
    return {p: Proof("call", str(key), at, _place(exports, file, line)) for p, key, at, file, line in calls.iter_rows()}


def _place(exports: Mapping[int, str], file: int, line: int) -> str:
    return f"{exports.get(file, 'an export')}:{line % LINES}"


def _looked_at(
    of_leads: LeadRows, mine: pl.DataFrame, rules: Rules, name: str
) -> dict[tuple[int, str], dict[str, str]]:
    """Returns the values in each claim of the columns that its condition names; never a phone number."""
    hidden = {n for n, c in rules.feeds[name].columns.items() if not c.publish or c.type is ColumnType.PHONE}
    found: dict[tuple[int, str], dict[str, str]] = {}
    for (source, version, term), part in mine.group_by("source", "version", "term"):
        dispute = rules.sources[str(source)].versions[int(str(version))][1].disputes[int(str(term))]
        named = [c for c in read_condition(dispute.where, lead_row(rules, name)).columns if c not in hidden]
        facts = with_facts(of_leads, str(source), rules, name)
        rows = facts.join(part.lazy(), on=POSITION, how="semi").select(POSITION, *named).collect()
        for position, *values in rows.iter_rows():
            found[position, str(source)] = {n: _shown(v) for n, v in zip(named, values, strict=True)}
    return found


def _shown(value: object) -> str:
    return "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _claim(
    row: Mapping[str, Any],
    rules: Rules,
    leads: Mapping[int, Proof],
    jobs: Mapping[str, Proof],
    calls: Mapping[int, Proof],
    facts: dict[str, str],
    now: dt.datetime,
) -> Claim:
    version = rules.sources[row["source"]].versions[row["version"]][1]
    term = version.disputes[row["term"]]
    zone = term.zone or rules.business.timezone
    lead = leads[row[POSITION]]
    at = lead.at if isinstance(lead.at, dt.datetime) else dt.datetime.combine(lead.at or dt.date.min, dt.time(), dt.UTC)
    deadline = read_within(term.within).deadline(at, zone)
    answered = {GRANTED: ClaimState.GRANTED, REFUSED: ClaimState.REFUSED}.get(row["answer"] or "")
    state = answered or (ClaimState.EXPIRED if deadline <= now else ClaimState.OPEN)
    columns = frozenset(facts)
    proofs = [lead]
    if columns & _DUPLICATE and row["duplicate_of"] is not None:
        proofs.append(replace(leads[row["duplicate_of"]], what="earlier lead"))
    if columns & _CUSTOMER and row["customer_job"] is not None:
        proofs.append(jobs[row["customer_job"]])
    if columns & _CALLED and row["first_call"] is not None:
        proofs.append(calls[row["first_call"]])
    at_key = f"sources.{row['source']}" + (f".changes.{row['version'] - 1}" if row["version"] else "")
    return Claim(
        source=row["source"],
        feed=row["feed"],
        lead_id=lead.key,
        lead_at=at.astimezone(ZoneInfo(zone)),
        reason=term.reason,
        clause=term.clause,
        within=term.within,
        deadline=deadline,
        state=state,
        price=row["price"],
        facts=facts,
        proofs=tuple(proofs),
        rule=rules.place(f"{at_key}.disputes.{row['term']}"),
    )


__all__ = ["Claim", "ClaimState", "Proof", "lead_claims", "lead_rows"]
