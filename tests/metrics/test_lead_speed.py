"""How soon leads were reached: by hand, by both engines, and in plain Python where numbers collide."""

import dataclasses
import datetime as dt
import random
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from call_oracle import Call
from metrics.test_call_classes import frames
from rmetrics.checks.call_classes import create_seen_calls
from rmetrics.checks.lead_speed import create_lead_waits
from rmetrics.metrics.call_classes import call_rows
from rmetrics.metrics.lead_speed import lead_speeds, lead_waits
from rmetrics.metrics.matches import ByNumber
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.dated import Dated
from support import ROOT

ZONE = ZoneInfo("America/New_York")
MONDAY = dt.datetime(2024, 11, 4, 14, 0, tzinfo=dt.UTC)  # 9:00 in New York
NOTHING = pl.LazyFrame()
Leads = Sequence[tuple[dt.datetime, Sequence[str]]]


@pytest.fixture(scope="module")
def shipped() -> Rules:
    return load_rules(ROOT / "rules")


def open_at(rules: Rules, *hours: str, called_back: int = 7) -> Rules:
    limits = rules.calls.latest.model_copy(update={"called_back": called_back})
    business = rules.business.model_copy(update={"hours": hours})
    return dataclasses.replace(rules, business=business, calls=Dated(((None, limits),)))


def touched(leads: Leads) -> ByNumber:
    touches = pl.DataFrame(
        [(str(i), "elocals_leads", "eLocals", at, True, at.astimezone(ZONE).date()) for i, (at, _) in enumerate(leads)],
        schema={"touch_id": pl.String, "feed": pl.String, "source": pl.String, "touch_at": pl.Datetime("us", "UTC"),
                "timed": pl.Boolean, "touch_date": pl.Date}, orient="row",
    )  # fmt: skip
    keys = pl.DataFrame(
        [(str(i), key) for i, (_, numbers) in enumerate(leads) for key in numbers],
        schema={"touch_id": pl.String, "phone_key": pl.String}, orient="row",
    )  # fmt: skip
    return ByNumber(touches.lazy(), touches.lazy().join(keys.lazy(), on="touch_id"), NOTHING, NOTHING, NOTHING, NOTHING)


def waits(leads: Leads, calls: Sequence[Call], rules: Rules) -> list[int | None]:
    """What both engines say; null, too, of a lead without a number."""
    of, (of_calls, of_jobs) = touched(leads), frames(calls, [])
    made = lead_waits(of, call_rows(of_calls.lazy(), of_jobs.lazy(), rules).calls, rules).collect()
    assert made["touch_id"].is_unique().all()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA _work")
    seen = of_calls.drop("job_id").rename({"_position": "_pos", "counted": "_counted"})
    numbers = of.touch_keys.rename({"phone_key": "number", "touch_date": "day"}).collect()
    for name, frame in (("rows_calls", seen), ("touch_numbers", numbers)):
        connection.register("given", frame.to_arrow())
        connection.execute(f"CREATE TABLE _work.{name} AS SELECT * FROM given")
    create_seen_calls(connection, rules)
    create_lead_waits(connection, rules)
    second = connection.execute(
        "SELECT touch_id, source, touch_date, answered_within_s FROM _work.lead_waits"
    ).fetchall()
    assert sorted(second) == sorted(made.select("touch_id", "source", "touch_date", "answered_within_s").rows())
    found = dict(made.select("touch_id", "answered_within_s").iter_rows())
    return [found.get(str(i)) for i in range(len(leads))]


def call(minutes: float, *, number: str = "6175550101", out: bool = False, answered: bool | None = True) -> Call:
    return Call(MONDAY + dt.timedelta(minutes=minutes), not out, None if out else answered, number)


LEAD = [(MONDAY, ["6175550101"])]


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], None),
        ([call(30, out=True)], 1800),
        ([call(30, out=True), call(20)], 1200),
        ([call(-1, out=True)], None),  # a call before the lead is about something else
        ([call(-10)], 0),  # the lead's own call, by another clock
        ([call(-11)], None),
        ([call(-5, answered=False), call(50, out=True)], 3000),
        ([call(5, answered=None)], None),  # the export does not say
        ([call(5, number="6175550102")], None),
        ([call(7 * 1440, out=True)], 7 * 86_400),
        ([call(8 * 1440, out=True)], None),
    ],
)
def test_the_first_call_that_reached_the_customer(shipped: Rules, calls: list[Call], expected: int | None) -> None:
    assert waits(LEAD, calls, open_at(shipped)) == [expected]


def test_only_open_hours_count(shipped: Rules) -> None:
    rules = open_at(shipped, "Mon-Fri 08:00-18:00")
    evening = [(MONDAY + dt.timedelta(hours=8, minutes=50), ["6175550101"])]  # 17:50
    assert waits(evening, [call(24 * 60, out=True)], rules) == [600 + 3600]  # 9:00 on Tuesday
    assert waits(LEAD, [call(-10)], rules) == [0]


def test_leads_without_a_number_are_counted_and_not_reached(shipped: Rules) -> None:
    leads = [*LEAD, (MONDAY, []), (MONDAY, ["6175550102"]), (MONDAY, ["6175550103", "6175550104"])]
    calls = [call(10, out=True), call(40, number="6175550104", out=True), call(60, number="6175550103", out=True)]
    rules, of = open_at(shipped), touched(leads)
    assert waits(leads, calls, rules) == [600, None, None, 2400]
    of_calls, of_jobs = (f.lazy() for f in frames(calls, []))
    found = lead_speeds(of, lead_waits(of, call_rows(of_calls, of_jobs, rules).calls, rules))
    assert [(s.source, s.calls, s.reached, s.median_s, s.p90_s) for s in found] == [
        ("ALL", 4, 2, 600, 2400),
        ("eLocals", 4, 2, 600, 2400),
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.ordinary(2)
def test_both_engines_and_plain_python_agree_where_numbers_collide(shipped: Rules, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    rules, numbers = open_at(shipped, called_back=2), [f"61755501{n:02}" for n in range(6)]

    def moment() -> dt.datetime:
        return MONDAY + dt.timedelta(minutes=5 * dice.randrange(12 * 24 * 6))

    leads = [(moment(), dice.sample(numbers, dice.choice([0, 1, 1, 2]))) for _ in range(40)]
    calls = [
        Call(moment(), inbound, dice.choice([True, False, None]) if inbound else None, dice.choice(numbers))
        for inbound in dice.choices([True, False], k=80)
    ]

    def by_hand(at: dt.datetime, keys: Sequence[str]) -> int | None:
        came = at.astimezone(ZONE).date()
        reached = [
            max(0, int((c.at - at).total_seconds()))
            for c in calls
            if c.number in keys
            and (c.day - came).days <= 2
            and (c.at >= at if not c.inbound else c.answered and (at - c.at).total_seconds() <= 600)
        ]
        return min(reached, default=None)

    assert waits(leads, calls, rules) == [by_hand(at, keys) for at, keys in leads]
