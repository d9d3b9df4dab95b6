"""Returning customers in plain Python: loops over jobs, without Polars, SQL or a line of rmetrics."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from journeys_oracle import Book, at, day_of, numbers

Row = Mapping[str, Any]


def days_between(
    jobs: Iterable[Row], book: Book, *, alike: Sequence[str], sought: Callable[[Row], Any], back: bool
) -> dict[str, int]:
    """By job: days to the nearest other job of the same customer; without jobs that have none.

    Args:
        jobs: with ``client_phone``, what must be alike, ``created_at`` and ``metric_date``.
        book: who is a customer, by the day a job was entered.
        alike: columns that both jobs have alike, and filled.
        sought: which jobs are looked for.
        back: earlier ones, or later ones.
    """
    dated = [j for j in jobs if j["metric_date"] is not None]
    whose = {j["job_id"]: numbers(j["client_phone"]) - at(book.own_numbers, _entered(j)) for j in dated}
    entered: dict[str, list[dt.date]] = {}
    for job in dated:
        for number in whose[job["job_id"]]:
            entered.setdefault(number, []).append(_entered(job))
    year = dt.timedelta(days=365)
    busiest = {n: max(sum(d <= e < d + year for e in found) for d in found) for n, found in entered.items()}

    def customers(job: Row) -> set[str]:
        day = _entered(job)
        shared = at(book.shared_numbers, day), at(book.shared_when, day)
        return {n for n in whose[job["job_id"]] if n not in shared[0] and busiest[n] <= shared[1]}

    found = {}
    for job in dated:
        apart = [
            (job["metric_date"] - other["metric_date"]).days * (1 if back else -1)
            for other in dated
            if sought(other) is True
            and customers(job) & customers(other)
            and all(job[c] is not None and job[c] == other[c] for c in alike)
        ]
        if later := [days for days in apart if days > 0]:
            found[job["job_id"]] = min(later)
    return found


def _entered(job: Row) -> dt.date:
    created = job["created_at"]
    day: dt.date = day_of(created) if created else job["metric_date"]
    return day
