"""Journeys in plain Python, from the design's section 7: loops over rows, without Polars, SQL or a line of rmetrics.

In: rows of the shipped feeds as typed values, and jobs with what the rules make of them. Out: the touch of each job,
and what became of each touch. Money is whole cents.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
PLACES = {"eLocals": 0, "Pro Referral": 1, "Google": 2}
STEPS = ("uuid", "phone", "phone-other-source", "phone-zip")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Book:
    """``journeys.toml`` as plain values: each list holds (from, value), the first from None."""

    window: Sequence[tuple[dt.date | None, int]] = ((None, 0),)
    own_windows: Mapping[str, Sequence[tuple[dt.date | None, int]]] = field(default_factory=dict)
    touch: Sequence[tuple[dt.date | None, str]] = ((None, "first"),)
    own_numbers: Sequence[tuple[dt.date | None, frozenset[str]]] = ((None, frozenset()),)
    shared_numbers: Sequence[tuple[dt.date | None, frozenset[str]]] = ((None, frozenset()),)
    shared_when: Sequence[tuple[dt.date | None, int]] = ((None, 12),)


@dataclass
class Touch:
    """A touch while it is followed."""

    touch_id: str
    feed: str
    source: str
    at: dt.datetime
    day: dt.date
    numbers: frozenset[str]
    zip: str | None
    answered: bool | None
    links: set[str]
    cost: int
    jobs: list[str] = field(default_factory=list)


def at(versions: Sequence[tuple[dt.date | None, Any]], day: dt.date | None) -> Any:
    return [v for start, v in versions if start is None or day is None or start <= day][-1]


def numbers(cell: str | None) -> frozenset[str]:
    parts = (cell or "").split(";")
    return frozenset(p for p in parts if re.fullmatch(r"([2-9]\d{9}|\+\d{7,15})(x\d+)?", p))


def day_of(moment: dt.datetime) -> dt.date:
    return moment.astimezone(NEW_YORK).date()


def zip_of(text: str | None) -> str | None:
    return (text or "").strip()[:5] or None


def follow(
    feeds: Mapping[str, Iterable[Row]], jobs: Iterable[Row], payments: Iterable[Row], book: Book, price: int = 2000
) -> tuple[dict[str, tuple[str, str, str]], dict[str, tuple[Any, ...]]]:
    """The touch of each job (touch, matched by, source), and what became of each touch.

    Args:
        feeds: rows of elocals_leads, proref_leads and calls; calls with their source and the job they name.
        jobs: with source, paid, is_unit, is_repair, metric_date.
        payments: with the job they are of.
        book: the rules of journeys.
        price: cents of a Pro Referral lead.
    """
    touches = _touches(feeds, book, price)
    made = {j["job_id"]: _Job(j, book) for j in jobs}
    for touch in touches:
        touch.links &= made.keys()
    busy = _busiest(made.values())
    candidates: dict[str, list[tuple[int, Touch]]] = defaultdict(list)
    tried: set[str] = set()
    for touch in touches:
        for job in made.values():
            if (step := _step(touch, job, busy, book)) is not None:
                candidates[job.id].append((step, touch))
                tried.add(touch.touch_id)
    matches = {}
    for job_id, found in candidates.items():
        backwards = at(book.touch, made[job_id].day) == "last"

        def turn(candidate: tuple[int, Touch], backwards: bool = backwards) -> tuple[Any, ...]:
            step, touch = candidate
            moment = touch.at.timestamp()
            return step, -moment if backwards else moment, PLACES[touch.source], touch.touch_id

        step, touch = min(found, key=turn)
        matches[job_id] = (touch.touch_id, STEPS[step], touch.source)
        touch.jobs.append(job_id)
    shares: dict[str, int] = defaultdict(int)
    for payment in payments:
        if payment["counted"] and payment["job_id"] is not None:
            shares[payment["job_id"]] += int(payment["amount"] * 100) * 4000
    outcomes = {}
    for touch in touches:
        own = [made[j] for j in touch.jobs]
        own.sort(key=lambda j: (j.day or dt.date.max, len(j.id), j.id))
        alone = {n for n in touch.numbers if not _shared(n, touch.day, busy, book)}
        days = [j.day for j in made.values() if j.day and j.numbers & alone]
        outcomes[touch.touch_id] = (
            touch.feed,
            touch.source,
            touch.at,
            touch.day,
            touch.answered,
            bool(own),
            any(j.is_unit for j in own),
            any(j.is_repair for j in own),
            len(own),
            own[0].id if own else None,
            matches[own[0].id][1] if own else "none",
            None if own else _reason(touch, alone, days, tried),
            (bool(days) and min(days) < touch.day) if alone else None,
            touch.cost,
            sum(j.paid for j in own),
            sum(shares[j.id] for j in own),
        )
    return matches, outcomes


def _reason(touch: Touch, alone: set[str], days: list[dt.date], tried: set[str]) -> str:
    if touch.touch_id in tried:
        return "no-job"
    if touch.links:
        return "outside-window"
    if not touch.numbers:
        return "no-number"
    if not alone:
        return "shared"
    return "outside-window" if days else "no-job"


class _Job:
    def __init__(self, row: Row, book: Book) -> None:
        self.id: str = row["job_id"]
        created = row["created_at"]
        self.day: dt.date | None = day_of(created) if created else row["metric_date"]
        self.source = row["source"]
        self.zip = zip_of(row["zip"])
        self.is_unit, self.is_repair = row["is_unit"], row["is_repair"]
        self.paid = int(row["paid"] * 100)
        cell = numbers(row["client_phone"]) - at(book.own_numbers, self.day)
        self.numbers = cell if self.day else frozenset()


def _busiest(jobs: Iterable[_Job]) -> dict[str, int]:
    days = defaultdict[str, list[dt.date]](list)
    for job in jobs:
        for number in job.numbers if job.day else ():
            days[number].append(job.day or dt.date.max)
    year = dt.timedelta(days=365)
    return {n: max(sum(d <= e < d + year for e in found) for d in found) for n, found in days.items()}


def _shared(number: str, day: dt.date, busy: Mapping[str, int], book: Book) -> bool:
    return number in at(book.shared_numbers, day) or busy.get(number, 0) > at(book.shared_when, day)


def _step(touch: Touch, job: _Job, busy: Mapping[str, int], book: Book) -> int | None:
    """The first way in which a touch and a job belong together, from 0; None where they do not."""
    if job.id in touch.links and (job.day is None or job.day >= touch.day):
        return 0
    window = at(book.own_windows.get(touch.source, book.window), touch.day)
    if job.day is None or not 0 <= (job.day - touch.day).days <= window:
        return None
    common = touch.numbers & job.numbers
    shared = {n for n in common if _shared(n, touch.day, busy, book)}
    if common - shared:
        return 1 if touch.source == job.source else 2
    return 3 if shared and touch.zip is not None and touch.zip == job.zip else None


def _touches(feeds: Mapping[str, Iterable[Row]], book: Book, price: int) -> list[Touch]:
    found: list[Touch] = []
    for row in feeds["elocals_leads"]:
        cents = int((row["cost"] or 0) * 100)
        found += [_touch("elocals_leads", "eLocals", row, row["lead_id"], "lead_at", cents)] if cents > 0 else []
    for row in feeds["proref_leads"]:
        accepted = row["current_status"] != "Passed"
        found += [_touch("proref_leads", "Pro Referral", row, row["lead_id"], "lead_at", price)] if accepted else []
    heard = [c for c in feeds["calls"] if c["direction"] == "inbound" and c["source"] and c["started_at"]]
    for call in heard:
        if call["source"] == "Google":
            touch = _touch("calls", "Google", {**call, "zip": None}, call["call_id"], "started_at", 0)
            touch.answered = call["answered"]
            touch.links = {call["job_id"]} - {None}
            found.append(touch)
    for touch in found:
        touch.numbers -= at(book.own_numbers, touch.day)
        if touch.feed == "calls":
            continue
        near = [c for c in heard if c["source"] == touch.source and numbers(c["from_number"]) & touch.numbers]
        near = [c for c in near if abs((c["started_at"] - touch.at).total_seconds()) <= 600]
        said = [c["answered"] for c in near if c["answered"] is not None]
        touch.answered = any(said) if said else None
        touch.links |= {c["job_id"] for c in near} - {None}
    return found


def _touch(feed: str, source: str, row: Row, key: str, date: str, cost: int) -> Touch:
    phone = row["from_number"] if feed == "calls" else row["phone"]
    moment: dt.datetime = row[date]
    return Touch(
        f"{feed}:{key}", feed, source, moment, day_of(moment), numbers(phone), zip_of(row["zip"]), None, set(), cost
    )


def made_by_rmetrics(journeys: Iterable[Row]) -> dict[str, tuple[Any, ...]]:
    """What rmetrics made of each touch, in the form of ``follow``."""
    columns = (
        "feed", "source", "touch_at", "touch_date", "answered", "booked", "visited", "repaired", "jobs", "job_id",
        "matched_by", "reason", "returning_customer",
    )  # fmt: skip
    return {
        j["touch_id"]: (
            *(j[c] for c in columns),
            int(Decimal(j["cost"]) * 100),
            int(Decimal(j["paid"]) * 100),
            int(Decimal(j["revenue40"]) * 1_000_000),
        )
        for j in journeys
    }
