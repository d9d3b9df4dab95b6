"""Classes of calls: worked by hand, and both engines against plain Python on companies where numbers collide."""

import dataclasses
import datetime as dt
import random
from collections.abc import Sequence

import duckdb
import polars as pl
import pytest

from call_oracle import ZONE, Call, Job, Limits, became
from rmetrics.checks.call_classes import create_call_classes
from rmetrics.metrics.call_classes import CLASSES, call_classes, call_rows
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.dated import Dated
from rmetrics.rules.journeys import JourneyRules
from support import ROOT

MONDAY = dt.datetime(2024, 11, 4, 15, 0, tzinfo=dt.UTC)  # 10:00 in New York
LEAD, OTHER, LINE = "6175550101", "6175550102", "6175550199"
ANY = Limits()
OPEN = ("Mon-Fri 08:00-18:00", "Sat 09:00-12:00", "Sat 13:00-14:00")
SPANS = (*((d, 8 * 3600, 18 * 3600) for d in range(5)), (5, 9 * 3600, 12 * 3600), (5, 13 * 3600, 14 * 3600))


@pytest.fixture(scope="module")
def shipped() -> Rules:
    return load_rules(ROOT / "rules")


def ruled(shipped: Rules, limits: Limits, hours: tuple[str, ...]) -> Rules:
    calls = shipped.calls.latest.model_copy(
        update={
            "existing_job": limits.existing, "called_back": limits.back, "booked": limits.booked,
            "not_customer": "ad_group = 'robot'",
        }
    )  # fmt: skip
    business = shipped.business.model_copy(update={"hours": hours})
    common = shipped.journeys.common.latest.model_copy(update={"own_numbers": tuple(sorted(limits.own))})
    journeys = JourneyRules(Dated(((None, common),)))
    return dataclasses.replace(shipped, calls=Dated(((None, calls),)), business=business, journeys=journeys)


def frames(calls: Sequence[Call], jobs: Sequence[Job]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows as the feeds have them."""
    ends = [(c.number, LINE) if c.inbound else (LINE, c.number) for c in calls]
    ids = {j.uuid: j.job_id for j in sorted(jobs, key=lambda j: j.job_id, reverse=True)}
    of_calls = pl.DataFrame(
        {
            "_position": range(len(calls)),
            "counted": [True] * len(calls),
            "started_at": [c.at.astimezone(dt.UTC) for c in calls],
            "call_date": [c.day for c in calls],
            "direction": ["inbound" if c.inbound else "outbound" for c in calls],
            "answered": [c.answered for c in calls],
            "from_number": [e[0] for e in ends],
            "to_number": [e[1] for e in ends],
            "ad_group": ["robot" if c.robot else None for c in calls],
            "job_ref": [c.job for c in calls],
            "job_id": [ids.get(c.job or "") for c in calls],
        },
        schema_overrides={
            "started_at": pl.Datetime("us", "UTC"), "call_date": pl.Date, "answered": pl.Boolean,
            "from_number": pl.String, "to_number": pl.String, "ad_group": pl.String, "job_ref": pl.String,
            "job_id": pl.String, "_position": pl.Int64, "counted": pl.Boolean, "direction": pl.String,
        },
    )  # fmt: skip
    noon = [j.created and dt.datetime.combine(j.created, dt.time(12), ZONE).astimezone(dt.UTC) for j in jobs]
    of_jobs = pl.DataFrame(
        {
            "job_id": [j.job_id for j in jobs],
            "job_uuid": [j.uuid for j in jobs],
            "counted": [True] * len(jobs),
            "created_at": noon,
            "client_phone": [j.number for j in jobs],
        },
        schema={
            "job_id": pl.String, "job_uuid": pl.String, "counted": pl.Boolean, "created_at": pl.Datetime("us", "UTC"),
            "client_phone": pl.String,
        },
    )  # fmt: skip
    return of_calls, of_jobs


def entered() -> pl.Expr:
    """The day on which a job was entered, as the tables before those under test say it."""
    return pl.col("created_at").dt.convert_time_zone(ZONE.key).dt.date()


Found = list[tuple[str, int | None] | None]


def polars_says(calls: pl.DataFrame, jobs: pl.DataFrame, rules: Rules) -> Found:
    made = call_classes(call_rows(calls.lazy(), jobs.lazy(), rules), rules).collect()
    assert made["_position"].is_unique().all()
    found = {p: (c, w) for p, c, w in made.iter_rows()}
    return [found.get(p) for p in range(calls.height)]


def duckdb_says(calls: pl.DataFrame, jobs: pl.DataFrame, rules: Rules) -> Found:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA _work")
    for name, frame in (
        ("rows_calls", calls),
        ("dated_jobs", jobs.with_row_index("_position").with_columns(_created=entered())),
    ):
        table = frame.drop("job_id") if name == "rows_calls" else frame
        arrow = table.rename({"_position": "_pos", "counted": "_counted"}).to_arrow()
        connection.register("given", arrow)
        connection.execute(f"CREATE TABLE _work.{name} AS SELECT * FROM given")
    create_call_classes(connection, rules)
    rows = connection.execute("SELECT _pos, class, answered_within_s FROM _work.call_classes").fetchall()
    assert len({r[0] for r in rows}) == len(rows)
    found = {p: (c, w) for p, c, w in rows}
    return [found.get(p) for p in range(calls.height)]


def both(
    shipped: Rules,
    calls: Sequence[Call],
    jobs: Sequence[Job] = (),
    limits: Limits = ANY,
    hours: tuple[str, ...] = (),
) -> Found:
    """What both engines say, which is what plain Python says."""
    rules = ruled(shipped, limits, hours)
    given = frames(calls, jobs)
    first = polars_says(*given, rules)
    assert first == [became(c, calls, jobs, limits) for c in calls]
    assert duckdb_says(*given, rules) == first
    return first


def call(
    hours: float = 0, *, number: str | None = LEAD, answered: bool | None = False, out: bool = False, **more: object
) -> Call:
    return Call(MONDAY + dt.timedelta(hours=hours), not out, None if out else answered, number, **more)  # type: ignore[arg-type]


def classes(found: Found) -> list[str | None]:
    return [f and f[0] for f in found]


def test_each_class_by_hand(shipped: Rules) -> None:
    day = MONDAY.date()
    assert classes(both(shipped, [call(answered=True)])) == ["answered"]
    assert both(shipped, [call()]) == [("missed and lost", None)]
    assert both(shipped, [call(), call(2, out=True)]) == [("missed and called back", 7200), None]
    assert both(shipped, [call(), call(1, answered=True)]) == [("missed and called back", 3600), ("answered", 0)]
    assert both(shipped, [call(), call(1)]) == [("missed and lost", None)] * 2
    assert classes(both(shipped, [call()], [Job("1", "U", day, LEAD)])) == ["missed but booked anyway"]
    assert classes(both(shipped, [call(answered=True)], [Job("1", "U", day, LEAD)])) == ["answered"]
    earlier = Job("1", "U", day - dt.timedelta(days=1), LEAD)
    assert both(shipped, [call()], [earlier]) == [("existing job", None)]
    assert both(shipped, [call(answered=True, robot=True)], [earlier]) == [("not a customer", 0)]
    assert classes(both(shipped, [call(number=LINE)], limits=Limits(own=frozenset({LINE})))) == ["own number"]
    assert both(shipped, [call(answered=None)]) == [("answered", 0)]


def test_the_days_of_the_rules_are_inclusive(shipped: Rules) -> None:
    day = MONDAY.date()

    def job(days: int) -> list[Job]:
        return [Job("1", "U", day + dt.timedelta(days=days), LEAD)]

    found = [classes(both(shipped, [call()], job(d)))[0] for d in (-31, -30, -1, 0, 7, 8)]
    assert found == [
        "missed and lost",
        "existing job",
        "existing job",
        *["missed but booked anyway"] * 2,
        "missed and lost",
    ]
    late = [call(), call(24 * 7, out=True)], [call(), call(24 * 8, out=True)]
    assert [classes(both(shipped, calls))[0] for calls in late] == ["missed and called back", "missed and lost"]


def test_a_call_that_names_a_job_follows_the_job_and_not_the_number(shipped: Rules) -> None:
    old = Job("1", "U", MONDAY.date() - dt.timedelta(days=90), OTHER)
    new = Job("2", "V", MONDAY.date() + dt.timedelta(days=60), OTHER)
    assert classes(both(shipped, [call(job="U"), call(job="V"), call(job="W")], [old, new])) == [
        "existing job", "missed but booked anyway", "missed and lost",
    ]  # fmt: skip


def test_a_call_without_a_number_is_nobody_s_and_two_numbers_are_two(shipped: Rules) -> None:
    calls = [
        call(number=None),
        call(number=f"{LEAD};{OTHER}"),
        call(1, number=OTHER, out=True),
        call(1, number=None, out=True),
    ]
    assert classes(both(shipped, calls)) == ["missed and lost", "missed and called back", None, None]


def test_only_open_hours_count(shipped: Rules) -> None:
    friday = 24 * 4 + 7.5  # 17:30
    calls = [call(friday), call(24 * 7 - 1.5, out=True)]  # Monday 08:30
    assert both(shipped, calls, hours=OPEN, limits=Limits(hours=SPANS))[0] == (
        "missed and called back",
        1800 + 4 * 3600 + 1800,
    )
    night = [call(12), call(13, out=True)]
    assert both(shipped, night, hours=OPEN, limits=Limits(hours=SPANS))[0] == ("missed and called back", 0)


@pytest.mark.parametrize("seed", range(12))
def test_engines_and_plain_python_agree_where_numbers_collide(shipped: Rules, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    numbers = [f"61755501{n:02}" for n in range(8)]

    def cell() -> str | None:
        return dice.choice(
            [None, "asked", ";".join(dice.sample(numbers, 2)), *(dice.choice(numbers) for _ in range(5))]
        )

    def moment() -> dt.datetime:  # over the end of summer time, to the minute, so that moments repeat
        return dt.datetime(2024, 10, 25, tzinfo=dt.UTC) + dt.timedelta(minutes=dice.randrange(20 * 24 * 60))

    jobs = [
        Job(str(i), f"U{dice.randrange(20)}", dice.choice([None, moment().date(), moment().date()]), cell())
        for i in range(15)
    ]
    calls = []
    for _ in range(120):
        inbound = dice.random() < 0.7
        answered = dice.choice([True, False, False, None]) if inbound else None
        job = f"U{dice.randrange(25)}" if dice.random() < 0.15 else None
        calls.append(Call(moment(), inbound, answered, cell(), job, dice.random() < 0.05))
    open_at = dice.random() < 0.7
    limits = Limits(
        dice.choice([0, 3, 30]), dice.choice([0, 1, 7]), dice.choice([0, 2, 7]), frozenset(numbers[: seed % 3]),
        SPANS if open_at else (),
    )  # fmt: skip
    found = both(shipped, calls, jobs, limits, OPEN if open_at else ())
    assert {f[0] for f in found if f} <= set(CLASSES)
    assert sum(f is not None for f in found) == sum(c.inbound for c in calls)
    rules = ruled(shipped, limits, OPEN if open_at else ())
    of_calls, of_jobs = (f.sample(fraction=1, shuffle=True, seed=seed) for f in frames(calls, jobs))
    assert polars_says(of_calls, of_jobs, rules) == found


def test_without_any_rows_nothing_is_classed(shipped: Rules) -> None:
    assert both(shipped, []) == []
