"""Recognises an unknown export of a CRM's jobs or payments, for which there is already a feed."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from rmetrics.drafting.guess import Guess, looks_like_id
from rmetrics.drafting.privacy import words_of
from rmetrics.drafting.toml_text import quoted
from rmetrics.drafting.words import JOB, PAID, SCHEDULED, TECHNICIAN, TOTAL
from rmetrics.ingest.recognise import normal_header
from rmetrics.rules.feeds import Column, ColumnType, Feed
from rmetrics.rules.names import JOBS, PAYMENTS

_MIN_FACTS = 3  # facts of a job besides its number
_DAYS = (ColumnType.TIMESTAMP, ColumnType.DATE)
_Fits = Callable[[Guess, AbstractSet[str]], bool]


@dataclass(frozen=True, slots=True)
class Likeness:
    """A feed that an export probably belongs to, and the header of each of its columns."""

    feed: str
    columns: Mapping[str, Guess]


def likeness(found: Sequence[Guess], rows: int) -> Likeness | None:
    """Returns the CRM feed that an export probably belongs to; None if it may be leads of a channel.

    Jobs have a unique number and at least three of: a type, a technician, a day of the visit, a total, a status.
    Payments have an amount, a day, and headers about payments; leads have neither.
    """
    if any("lead" in words_of(g.header) and "source" not in words_of(g.header) for g in found):
        return None
    jobs = _jobs(found, rows)
    if "job_id" in jobs and len({"type", "technician", "job_date", "total", "status"} & jobs.keys()) >= _MIN_FACTS:
        return Likeness(JOBS, jobs)
    payments = _payments(found)
    payment_headers = sum(bool(PAID & set(words_of(g.header))) for g in found)
    if payment_headers > 1 and {"amount", "paid_at"} <= payments.keys():
        return Likeness(PAYMENTS, payments)
    return None


def _jobs(found: Sequence[Guess], rows: int) -> dict[str, Guess]:
    wanted: dict[str, Guess | None] = {
        "job_id": _first(found, lambda g, w: _names_job(g, w) and g.distinct * 10 >= rows * 9),
        "type": _first(
            found, lambda _, w: "type" in w and bool(w & {"job", "service", "work", "type"}) and len(w) <= 2
        ),
        "source_raw": _first(found, lambda _, w: bool(w & {"source", "campaign"})),
        "status": _first(found, lambda _, w: "status" in w),
        "created_at": _first(
            found, lambda g, w: g.type in _DAYS and bool(w & {"created", "entered", "opened", "booked"})
        ),
        "job_date": _first(found, lambda g, w: g.type in _DAYS and bool(w & SCHEDULED)),
        "technician": _first(found, lambda g, w: bool(w & TECHNICIAN) and g.type is ColumnType.TEXT),
        "city": _first(found, lambda _, w: "city" in w),
        "zip": _first(found, lambda _, w: bool(w & {"zip", "zipcode", "postcode"})),
        "total": _first(found, lambda g, w: g.type is ColumnType.MONEY and bool(w & TOTAL)),
    }
    return {n: g for n, g in wanted.items() if g is not None}


def _payments(found: Sequence[Guess]) -> dict[str, Guess]:
    wanted: dict[str, Guess | None] = {
        "payment_id": _first(
            found,
            lambda g, w: looks_like_id(g.header) and bool(w & (PAID | {"id"}) - {"card"}) and g.filled == g.distinct,
        ),
        "job_ref": _first(found, _names_job),
        "paid_at": _first(
            found, lambda g, w: g.type in _DAYS and bool(w & {"paid", "date", "received", "created", "payment"})
        ),
        "amount": _first(
            found, lambda g, w: g.type is ColumnType.MONEY and bool(w & {"amount", "paid", "total", "gross"})
        ),
        "method": _first(found, lambda _, w: bool(w & {"method", "tender"}) or {"payment", "type"} <= w),
        "status": _first(found, lambda _, w: "status" in w),
    }
    return {n: g for n, g in wanted.items() if g is not None}


def _names_job(guess: Guess, words: AbstractSet[str]) -> bool:
    order = {"work", "order"} <= words
    named = looks_like_id(guess.header) or len(words) == 1 + order
    return (bool(words & JOB) or order) and named and guess.type in {ColumnType.TEXT, ColumnType.INTEGER}


def _first(found: Sequence[Guess], fits: _Fits) -> Guess | None:
    return next((g for g in found if g.filled and fits(g, set(words_of(g.header)))), None)


def variant_text(like: Likeness, feed: Feed, name: str) -> str:
    """Returns the TOML that makes the feed read the export: a variant with the headers that are new to it."""
    headers = [g.header for g in like.columns.values()][:4]
    lines = [
        f"[[feeds.{like.feed}.variants]]",
        f"name = {quoted(name)}",
        f"when = [{', '.join(quoted(h) for h in headers)}]",
        f"[feeds.{like.feed}.variants.columns]",
    ]
    for column, spec in feed.mapped.items():
        guess = like.columns.get(column)
        if guess is not None:
            lines += _differences(column, spec, guess)
        elif spec.required:
            lines.append(f"{column} = {{ required = false }}   # this export has none")
    return "\n".join(lines)


def _differences(name: str, spec: Column, guess: Guess) -> list[str]:
    known = normal_header(guess.header) in {normal_header(h) for h in spec.from_}
    parts = [] if known else [f"from = [{quoted(guess.header)}]"]
    if any(f not in spec.formats for f in guess.formats):
        parts.append(f"formats = [{', '.join(quoted(f) for f in guess.formats)}]")
    if guess.decimal != spec.decimal:
        parts.append(f"decimal = {quoted(guess.decimal)}")
    return [f"{name} = {{ {', '.join(parts)} }}"] if parts else []


__all__ = ["Likeness", "likeness", "variant_text"]
