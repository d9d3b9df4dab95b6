"""Why a job came from its touch, and why a lead led to no job: all touches and jobs tied to it.

Only rows tied to the requested one are read; they pass through the same stages as in a full computation.
"""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.findings import Finding
from rmetrics.metrics.jobs import JOB_ID, SOURCE
from rmetrics.metrics.matches import STEPS, matches, pairs
from rmetrics.metrics.phones import KEY
from rmetrics.metrics.touches import TOUCH, ZIP, row_of_place
from rmetrics.money import dollars
from rmetrics.pipeline.compute.journeys import gathered, tied
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.positions import LINES, POSITION
from rmetrics.rules import Rules
from rmetrics.rules.names import JOBS
from rmetrics.tables import JOURNEYS

_ORDER = {name: step for step, name in STEPS.items()}


@dataclass(frozen=True, slots=True)
class Tie:
    """A touch and a job that share a number or a link.

    Attributes:
        touch_id, source, touch_at, touch_date: the touch.
        job_id, job_source, job_day, paid: the job.
        by: the step that matched them: ``uuid``, ``phone`` ...; None if they do not match.
        days: from the touch to the job.
        window: of the touch, in days.
        has_it: whether the job came from the touch.
        why: the reason in words.
    """

    touch_id: str
    source: str
    touch_at: dt.datetime
    touch_date: dt.date
    job_id: str
    job_source: str
    job_day: dt.date | None
    paid: Decimal
    by: str | None
    days: int | None
    window: int
    has_it: bool
    why: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything known about one job or one lead.

    Attributes:
        kind: ``job`` or ``lead``.
        name: the job's number, or the touch's id.
        source: the source in the CRM, or the touch's source.
        where: file and line of the row.
        facts: of the row, in order.
        ties: in chronological order.
        said: the conclusion in one sentence.
        rule: the window that applies, and its place.
        problems: findings about the lake itself.
    """

    kind: str
    name: str
    source: str
    where: str
    facts: tuple[tuple[str, str], ...]
    ties: tuple[Tie, ...]
    said: str
    rule: str
    problems: tuple[Finding, ...] = ()


def job_story(rows: Rows, exports: dict[int, str], job: str) -> Story:
    """Returns all touches tied to a job: the one it came from, and why each other one lost.

    Args:
        rows: the rows of the computation.
        exports: names by rank.
        job: its number, or its uuid.

    Raises:
        SettingsError: there is no such job.
    """
    named = [c for c in (JOB_ID, "job_uuid") if c in rows.rules.feeds[JOBS].columns]
    fits = pl.any_horizontal(pl.col(c) == job.strip() for c in named)
    found = rows.facts().filter(fits).collect()
    if found.is_empty():
        raise SettingsError(f"no such job: {job!r}", "Use its number as in the CRM; see `rmetrics sql`.")
    row = found.row(0, named=True)
    ties = [
        t for t in _ties(rows, found.select(rows.feed(JOBS).collect_schema().names()), JOBS) if t.job_id == row[JOB_ID]
    ]
    facts = [("type", row.get("type")), ("counts on", row["metric_date"]), ("paid", f"{row['paid']:,.2f}")]
    facts += [("unit", _yes(row["is_unit"])), ("repair", _yes(row["is_repair"]))]
    facts += [(name, row[name]) for name in rows.rules.returns]
    return Story(
        "job",
        row[JOB_ID],
        row[SOURCE],
        _where(row[POSITION], exports),
        tuple((name, str(value)) for name, value in facts if value is not None),
        tuple(ties),
        _job_summary(row, ties),
        _rule(rows.rules, None),
    )


def lead_story(rows: Rows, exports: dict[int, str], lead: str) -> Story:
    """Returns all jobs tied to a touch, and why each of them came from it or did not.

    Args:
        rows: the rows of the computation.
        exports: names by rank.
        lead: the touch's id, or the key of its row.

    Raises:
        SettingsError: no touch has the id or key, or several do.
    """
    wanted = lead.strip()
    name = pl.col(TOUCH)
    found = rows.snapshot.scan(JOURNEYS).filter((name == wanted) | name.str.ends_with(f":{wanted}")).collect()
    exact = found.filter(pl.col(TOUCH) == wanted)
    found = exact if exact.height else found
    if found.is_empty():
        raise SettingsError(
            f"no such touch: {lead!r}",
            "Use the ID of a counting lead, or of an inbound call of a source without leads, as `rmetrics journeys "
            "--rows` lists them.",
        )
    if found.height > 1:
        ids = ", ".join(found[TOUCH].sort().to_list())
        raise SettingsError(f"{lead!r} may mean {ids}", "Use one of these IDs exactly as shown.")
    row = found.row(0, named=True)
    position = found.select(row_of_place()).to_series()
    ties = [t for t in _ties(rows, rows.at(row["feed"], position).collect(), row["feed"]) if t.touch_id == row[TOUCH]]
    facts = [("day", row["touch_date"]), ("cost", f"{row['cost']:,.2f}"), ("answered", _yes(row["answered"]))]
    facts += [("came before", _yes(row["returning_customer"])), ("paid", f"{row['paid']:,.2f}")]
    return Story(
        "lead",
        row[TOUCH],
        row["source"],
        _where(position[0], exports),
        tuple((name, str(value)) for name, value in facts if value is not None),
        tuple(ties),
        _lead_summary(row),
        _rule(rows.rules, row["source"]),
    )


def _ties(rows: Rows, of: pl.DataFrame, feed: str) -> list[Tie]:
    """Returns all touches and jobs that share a number or a link, among the rows tied to those given."""
    reached = tied(rows, [(feed, of)])
    numbers, _ = gathered(rows, reached)
    found = pairs(numbers).collect().lazy()
    matched = matches(numbers, found, rows.rules).collect()
    shared = pl.col("shared").alias("_shared")
    by_number = numbers.touch_keys.select(TOUCH, KEY, shared).join(numbers.job_keys.select(JOB_ID, KEY), on=KEY)
    linked = numbers.links.with_columns(pl.lit(value=None, dtype=pl.Boolean).alias("_shared"), _linked=True)
    every = pl.concat([by_number.drop(KEY), linked], how="diagonal").group_by(TOUCH, JOB_ID).agg(
        pl.col("_shared").all(ignore_nulls=True), pl.col("_linked").any()
    )  # fmt: skip
    described = (
        every.join(numbers.touches.select(TOUCH, "source", "touch_at", "touch_date", "window", "order", ZIP), on=TOUCH)
        .join(
            numbers.jobs.select(
                JOB_ID, pl.col(SOURCE).alias("job_source"), "job_day", "paid_cents", pl.col(ZIP).alias("job_zip")
            ),
            on=JOB_ID,
        )
        .join(found.select(TOUCH, JOB_ID, "step"), on=[TOUCH, JOB_ID], how="left")
        .join(matched.lazy().select(JOB_ID, pl.col(TOUCH).alias("winner"), "matched_by"), on=JOB_ID, how="left")
        .join(
            numbers.touches.select(pl.col(TOUCH).alias("winner"), pl.col("touch_at").alias("won_at"),
                                   pl.col("source").alias("won_source")), on="winner", how="left",
        )
        .with_columns(
            (pl.col("job_day") - pl.col("touch_date")).dt.total_days().alias("days"),
            dollars(pl.col("paid_cents")).alias("paid"),
        )
        .sort("touch_at", "order", TOUCH, "job_day", JOB_ID)
    )  # fmt: skip
    return [_tie(row, rows.rules) for row in described.collect().iter_rows(named=True)]


def _tie(row: dict[str, Any], rules: Rules) -> Tie:
    has_it = row["winner"] == row[TOUCH]
    step = row["step"]
    return Tie(
        touch_id=row[TOUCH],
        source=row["source"],
        touch_at=row["touch_at"],
        touch_date=row["touch_date"],
        job_id=row[JOB_ID],
        job_source=row["job_source"],
        job_day=row["job_day"],
        paid=row["paid"],
        by=STEPS.get(step),
        days=row["days"],
        window=row["window"],
        has_it=has_it,
        why=_why_it_has(row) if has_it else _why_not(row, rules),
    )


_MATCHED_BY = {
    "uuid": "the CRM names the job",
    "phone": "same number, and the CRM names the same source",
    "phone-other-source": "same number; the CRM names another source or none",
    "phone-zip": "a shared number, but the same ZIP code",
}


def _why_it_has(row: dict[str, Any]) -> str:
    return f"has the job: {_MATCHED_BY[row['matched_by']]}"


def _why_not(row: dict[str, Any], rules: Rules) -> str:
    """Returns why the job did not come from the touch."""
    days, window = row["days"], row["window"]
    if row["step"] is not None:
        return _why_lost(row, rules)
    if days is None:
        return "the job has no date"
    if days < 0:
        return f"came {-days} day{'s' * (days < -1)} after the job was created"
    if days > window:
        return f"outside the window: {days} days before the job, with a window of {window}"
    if row["_shared"]:
        return "many customers share the number, and the ZIP codes differ"
    return "does not belong to the job"


def _why_lost(row: dict[str, Any], rules: Rules) -> str:
    """Returns why a matching touch lost the job to another touch."""
    won = row["matched_by"]
    if row["step"] > _ORDER[won]:
        return f"{row['winner']} has priority: {_MATCHED_BY[won]}"
    if row["won_at"] != row["touch_at"]:
        which = rules.journeys.common.at(row["job_day"]).touch
        return f"{row['winner']} came {'earlier' if which == 'first' else 'later'}, and the {which} touch has the job"
    if row["won_source"] != row["source"]:
        order = f"{row['won_source']} comes before {row['source']} in the rules"
        return f"{row['winner']} came at the same moment, and {order}"
    return f"{row['winner']} came at the same moment; the lower id has the job"


def _job_summary(row: dict[str, Any], ties: list[Tie]) -> str:
    winner = next((t for t in ties if t.has_it), None)
    if winner is not None:
        agrees = "so does the CRM" if winner.source == row[SOURCE] else f"the CRM has {row[SOURCE]}"
        return f"It came from {winner.source} (touch {winner.touch_id}, {_MATCHED_BY[winner.by or 'uuid']}); {agrees}."
    if ties:
        return f"No touch has it; the CRM has {row[SOURCE]}."
    return f"No touch has its number or names it; the CRM has {row[SOURCE]}."


def _lead_summary(row: dict[str, Any]) -> str:
    if row["booked"]:
        jobs = f"job {row[JOB_ID]}" + (f" and {row['jobs'] - 1} more" if row["jobs"] > 1 else "")
        return f"It led to {jobs}, which paid {row['paid']:,.2f}."
    return {
        "no-number": "It has no number to match, and no call names a job for it.",
        "shared": "Many customers share its number, and no job has its ZIP code in the window.",
        "outside-window": "Its number has jobs, but none within the window.",
        "no-job": "No job came from it.",
    }[row["reason"]]


def _rule(rules: Rules, source: str | None) -> str:
    common = rules.journeys.common.latest
    place = rules.place("journeys.window")
    if source is not None and source in rules.journeys.sources:
        place = rules.place(f"journeys.sources.{source}.window")
        window = rules.journeys.windows(source).latest
        return f"window = {window} for {source} ({place}); the {common.touch} touch of several has the job"
    return f"window = {common.window} ({place}); the {common.touch} touch of several has the job"


def _where(position: int, exports: dict[int, str]) -> str:
    rank, line = divmod(int(position), LINES)
    return f"{exports.get(rank, '?')} line {line}"


def _yes(value: object) -> str | None:
    """Returns a boolean in words; None if it is unknown."""
    return None if value is None else "yes" if value else "no"


__all__ = ["Story", "Tie", "job_story", "lead_story"]
