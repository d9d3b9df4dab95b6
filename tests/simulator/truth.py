"""The figures of the simulated company, calculated from design.md section 3 in plain Python.

Nothing here knows rmetrics, Polars or DuckDB. In: the exports that have landed, as typed values (never as text), and
the rules as plain values. Out: the figures per day and per month. Money is whole cents; shares are Decimal.
"""

import calendar
import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from simulator.rulebook import CONDITIONS, Cost, Rulebook, Source, payment_counts

Row = dict[str, Any]
Key = tuple[dt.date, str, str]  # day or first of the month, source, segment
MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
Figures = dict[Key, dict[str, Decimal]]

KEYS = {
    "jobs": ("job_id",),
    "payments": ("payment_id",),
    "elocals_leads": ("lead_id",),
    "proref_leads": ("lead_id",),
    "google_spend": ("month", "day", "campaign"),
    "targets": ("month", "source", "segment"),
    "fixly_leads": ("ref",),
}
COLUMNS = {
    "jobs": ("job_id", "job_uuid", "type", "source_raw", "status", "created_at", "job_date", "total", "city"),
    "payments": ("payment_id", "job_ref", "paid_at", "amount", "method", "status"),
    "elocals_leads": ("lead_id", "lead_at", "cost", "status"),
    "proref_leads": ("lead_id", "lead_at", "current_status"),
    "google_spend": ("month", "day", "campaign", "spend"),
    "targets": ("month", "source", "segment", "target_repairs", "target_revenue40"),
    "fixly_leads": ("ref", "asked_at", "fee", "state"),
}
DATES = {"elocals_leads": "lead_at", "proref_leads": "lead_at", "google_spend": "month", "fixly_leads": "asked_at"}
SEGMENTS = ("COD", "INS", "OTHER")


@dataclass(frozen=True)
class Delivery:
    """What one export holds.

    Attributes:
        columns: the feed's columns that the file has.
        rows: the readable rows in the order of the file, as typed values of those columns.
        rejected, totals: rows that cannot be read; total lines.
    """

    feed: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    rejected: int = 0
    totals: int = 0


@dataclass(frozen=True)
class Landed:
    """A delivery that has landed, with its age: modification time, then name."""

    delivery: Delivery
    age: tuple[int, str]


def newest(landed: Iterable[Landed], feed: str) -> list[Row]:
    """One row per key: each column from the newest export that has the column. Absence deletes nothing."""
    rows: dict[tuple[Any, ...], Row] = {}
    for export in sorted((x for x in landed if x.delivery.feed == feed), key=lambda x: x.age):
        for key, row in _keyed(export.delivery):
            rows.setdefault(key, dict.fromkeys(COLUMNS[feed])).update(row)
    return list(rows.values())


def _keyed(delivery: Delivery) -> list[tuple[tuple[Any, ...], Row]]:
    if delivery.feed == "payments" and "payment_id" not in delivery.columns:
        seen: dict[tuple[Any, ...], int] = defaultdict(int)
        keyed = []
        for row in delivery.rows:
            identity = (row["job_ref"], _instant(row["paid_at"]), row["amount"], row["method"])
            seen[identity] += 1
            keyed.append(((*identity, seen[identity]), row))
        return keyed
    names = KEYS[delivery.feed]
    pairs = [(tuple(row.get(n) for n in names), row) for row in delivery.rows]
    if delivery.feed != "google_spend":
        return pairs
    sums: dict[tuple[Any, ...], Row] = {}
    for key, row in pairs:  # rows that repeat a key within one report are parts of one amount
        if key in sums:
            parts = [x for x in (sums[key]["spend"], row["spend"]) if x is not None]
            sums[key] = {**row, "spend": sum(parts) if parts else None}
        else:
            sums[key] = row
    return list(sums.items())


def _instant(moment: dt.datetime) -> dt.datetime:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo("America/New_York"))
    return aware.astimezone(dt.UTC).replace(second=0, microsecond=0)


def business_day(value: dt.datetime | dt.date | None, zone: str) -> dt.date | None:
    """The local day: stamps with an offset are converted first, bare ones are local already."""
    if isinstance(value, dt.datetime):
        return (value.astimezone(ZoneInfo(zone)) if value.tzinfo else value).date()
    return value


@dataclass(frozen=True)
class Job:
    """A job with what the rules make of it."""

    job_id: str
    uuid: str | None
    day: dt.date | None
    source: str
    segment: str
    unit: bool
    repair: bool


@dataclass(frozen=True)
class Lead:
    """A row of a lead feed that counts."""

    day: dt.date
    row: Row


def daily(landed: Sequence[Landed], book: Rulebook) -> Figures:
    """All measures per business day, source and segment; only keys with a measure that is not 0."""
    raw_jobs, payments = newest(landed, "jobs"), [p for p in newest(landed, "payments") if payment_counts(p)]
    names = {j["job_id"]: j["job_id"] for j in raw_jobs}
    uuids = {j["job_uuid"]: j["job_id"] for j in raw_jobs if j["job_uuid"]}
    for p in payments:
        p["job_id"] = names.get(p["job_ref"]) or uuids.get(p["job_ref"])
    jobs = _jobs(raw_jobs, payments, book)
    feeds = {name: _counting(landed, name, book) for name in DATES}
    figures: dict[Key, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(MEASURES, Decimal(0)))
    for job in jobs.values():
        if job.day is not None:
            figures[job.day, job.source, job.segment]["jobs"] += 1
            figures[job.day, job.source, job.segment]["units"] += job.unit
            figures[job.day, job.source, job.segment]["repairs"] += job.repair
    _add_revenue(figures, payments, jobs, book)
    leads = _leads(jobs.values(), feeds, book)
    for (day, source, segment), count in leads.items():
        figures[day, source, segment]["leads"] += count
    end = _last_day(jobs.values(), payments, feeds, book)
    for key, cents in _costs(leads, jobs.values(), feeds, end, book).items():
        figures[key]["cost"] += Decimal(cents) / 100
    return {k: f for k, f in figures.items() if any(f.values())}


def monthly(days: Figures) -> Figures:
    """The sums of each month's days."""
    sums: Figures = {}
    for (day, source, segment), figures in days.items():
        month = sums.setdefault((day.replace(day=1), source, segment), dict.fromkeys(MEASURES, Decimal(0)))
        for name, value in figures.items():
            month[name] += value
    return {k: f for k, f in sums.items() if any(f.values())}


def targets(landed: Sequence[Landed]) -> dict[Key, tuple[Decimal | None, Decimal | None]]:
    """Target repairs and revenue per month, source and segment."""
    found = {}
    for row in newest(landed, "targets"):
        cents = row["target_repairs"], row["target_revenue40"]
        values = tuple(None if c is None else Decimal(c) / 100 for c in cents)
        found[row["month"], row["source"], row["segment"]] = values
    return found  # type: ignore[return-value]


def _jobs(rows: Sequence[Row], payments: Sequence[Row], book: Rulebook) -> dict[str, Job]:
    paid: dict[str, int] = defaultdict(int)
    for p in payments:
        if p["job_id"]:
            paid[p["job_id"]] += p["amount"]
    days = {j["job_id"]: business_day(j[book.jobs_date] or j["created_at"], book.zone) for j in rows}
    sources = _sources(rows, days, book)
    found = {}
    for job in rows:
        kind, number = job["type"] or "", job["job_id"]
        repair = kind in {"COD Repair", "INS Repair"} or (kind == "COD Service" and paid[number] > 10_000)
        segment = "COD" if "COD" in kind else "INS" if "INS" in kind else "OTHER"
        unit = kind in {"COD Service", "INS Service"}
        found[number] = Job(number, job["job_uuid"], days[number], sources[number], segment, unit, repair)
    return found


def _sources(rows: Sequence[Row], days: Mapping[str, dt.date | None], book: Rulebook) -> dict[str, str]:
    declared = {_plain(s): name for name, source in book.sources.items() for s in (name, *source.aliases)}
    declared[_plain("Unattributed")] = "Unattributed"
    spelt: dict[str, str] = {}
    found = {}
    # The first seen is the spelling of the earliest job, then of the lowest job number.
    for job in sorted(rows, key=lambda j: (days[j["job_id"]] or dt.date.max, len(j["job_id"]), j["job_id"])):
        name = (job["source_raw"] or "").strip()
        if not name:
            found[job["job_id"]] = "Unattributed"
        elif _plain(name) in declared:
            found[job["job_id"]] = declared[_plain(name)]
        else:
            found[job["job_id"]] = spelt.setdefault(re.sub(r"\s", "", name.lower()), name)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s-]", "", name.lower())


def _counting(landed: Sequence[Landed], feed: str, book: Rulebook) -> list[Lead]:
    where = book.own_feed if feed == "fixly_leads" else ""
    if where is None:
        return []
    rows = [r for r in newest(landed, feed) if CONDITIONS[where](r)]
    dated = [(business_day(r[DATES[feed]], book.zone), r) for r in rows]
    return [Lead(day, row) for day, row in dated if day is not None]


def _add_revenue(
    figures: Mapping[Key, dict[str, Decimal]], payments: Sequence[Row], jobs: Mapping[str, Job], book: Rulebook
) -> None:
    for p in payments:
        job, paid_on = jobs.get(p["job_id"]), business_day(p["paid_at"], book.zone)
        first, second = (job.day if job else None), paid_on
        if book.revenue_date == "payment":
            first, second = second, first
        day = first or second
        if day is None:
            continue
        gross = Decimal(p["amount"]) / 100
        key = (day, job.source, job.segment) if job else (day, "Unattributed", "OTHER")
        figures[key]["revenue_gross"] += gross
        figures[key]["revenue40"] += gross * book.share(day)


def _leads(jobs: Iterable[Job], feeds: Mapping[str, Sequence[Lead]], book: Rulebook) -> dict[Key, int]:
    leads: dict[Key, int] = defaultdict(int)
    for job in jobs:
        source = book.sources.get(job.source)
        if source is None or job.day is None:
            continue
        counts = {"jobs": True, "units": job.unit, "repairs": job.repair}.get(source.at(job.day).leads.by, False)
        leads[job.day, job.source, job.segment] += counts
    for name, source in book.sources.items():
        for feed, rows in feeds.items():
            for lead in rows:
                terms = source.at(lead.day)
                if terms.leads.by == feed and CONDITIONS[terms.leads.where](lead.row):
                    leads[lead.day, name, terms.segment] += 1
    return {k: n for k, n in leads.items() if n}


def _last_day(
    jobs: Iterable[Job], payments: Sequence[Row], feeds: Mapping[str, Sequence[Lead]], book: Rulebook
) -> dt.date | None:
    days = [j.day for j in jobs] + [business_day(p["paid_at"], book.zone) for p in payments]
    days += [lead.day for name, rows in feeds.items() if name != "google_spend" for lead in rows]
    return max((d for d in days if d is not None), default=None)


def _costs(
    leads: Mapping[Key, int],
    jobs: Iterable[Job],
    feeds: Mapping[str, Sequence[Lead]],
    end: dt.date | None,
    book: Rulebook,
) -> dict[Key, int]:
    costs: dict[Key, int] = defaultdict(int)
    every = list(jobs)
    for name, source in book.sources.items():
        mine = {k: n for k, n in leads.items() if k[1] == name}
        own = [j for j in every if j.source == name and j.day is not None]
        for start, terms in source.versions:
            for cost in terms.costs:
                if cost.kind == "feed":
                    placed = _of_feed(cost, name, source, start, feeds[cost.feed], mine, end)
                elif cost.kind == "monthly":
                    placed = _fee(cost, name, mine, own, end, source, start)
                else:
                    placed = _priced(cost, name, mine, own, source, start)
                for key, cents in placed:
                    costs[key] += cents
    return costs


def _holds(source: Source, start: dt.date | None, day: dt.date) -> bool:
    """Whether the version that begins at ``start`` is the one in force on a day."""
    return max(s or dt.date.min for s, _ in source.versions if s is None or s <= day) == (start or dt.date.min)


def _of_feed(
    cost: Cost,
    name: str,
    source: Source,
    start: dt.date | None,
    rows: Sequence[Lead],
    leads: Mapping[Key, int],
    end: dt.date | None,
) -> list[tuple[Key, int]]:
    amounts: dict[dt.date, int] = defaultdict(int)
    for lead in rows:
        amount = lead.row[cost.column]
        if amount is not None and CONDITIONS[cost.where](lead.row) and _holds(source, start, lead.day):
            amounts[lead.day] += amount
    if not cost.spread:
        return [((day, name, source.at(day).segment), cents) for day, cents in amounts.items()]
    months: dict[dt.date, int] = defaultdict(int)
    for day, cents in amounts.items():
        months[day.replace(day=1)] += cents
    placed = []
    for month, cents in months.items():
        for day, part in _spread(month, cents, end):
            placed += _split(day, part, name, leads, source.at(month).segment)
    return placed


def _fee(
    cost: Cost,
    name: str,
    leads: Mapping[Key, int],
    jobs: Sequence[Job],
    end: dt.date | None,
    source: Source,
    start: dt.date | None,
) -> list[tuple[Key, int]]:
    days = [k[0] for k in leads] + [j.day for j in jobs if j.day]
    if not days or end is None:
        return []
    month, placed = min(days).replace(day=1), list[tuple[Key, int]]()
    while month <= end:
        for day, part in _spread(month, cost.cents, end):
            if _holds(source, start, day):
                placed += _split(day, part, name, leads, source.at(day).segment)
        month = (month + dt.timedelta(days=31)).replace(day=1)
    return placed


def _priced(
    cost: Cost, name: str, leads: Mapping[Key, int], jobs: Sequence[Job], source: Source, start: dt.date | None
) -> list[tuple[Key, int]]:
    if cost.kind == "per_lead":
        counted = [(k, n) for k, n in leads.items() if _holds(source, start, k[0])]
        return [(k, n * cost.cents) for k, n in counted]
    of_kind = [j for j in jobs if (j.unit if cost.kind == "per_unit" else j.repair)]
    return [((j.day, name, j.segment), cost.cents) for j in of_kind if j.day and _holds(source, start, j.day)]


def _spread(month: dt.date, cents: int, end: dt.date | None) -> list[tuple[dt.date, int]]:
    """A month's amount over its days up to the data's last: as equal as cents allow, the earliest days take the rest.

    Where there is spend and no job, payment or lead at all, there is no last day, and each month is whole.
    """
    last = end is not None and _ym(month) == _ym(end)
    days = end.day if end and last else calendar.monthrange(*_ym(month))[1]
    size, sign = abs(cents), 1 if cents > 0 else -1
    parts = [size // days + (i < size % days) for i in range(days)]
    return [(month + dt.timedelta(days=i), sign * part) for i, part in enumerate(parts)]


def _ym(month: dt.date) -> tuple[int, int]:
    return month.year, month.month


def _split(day: dt.date, cents: int, name: str, leads: Mapping[Key, int], segment: str) -> list[tuple[Key, int]]:
    """A day's amount over the segments of its leads by largest remainder; ties in the order of the segments."""
    weights = [(s, leads[day, name, s]) for s in SEGMENTS if leads.get((day, name, s))]
    if not weights:
        return [((day, name, segment), cents)]
    size, sign, whole = abs(cents), 1 if cents > 0 else -1, sum(w for _, w in weights)
    parts = {s: size * w // whole for s, w in weights}
    order = sorted(weights, key=lambda x: -(size * x[1] % whole))  # sorting keeps the order of equals
    for s, _ in order[: size - sum(parts.values())]:
        parts[s] += 1
    return [((day, name, s), sign * part) for s, part in parts.items()]
