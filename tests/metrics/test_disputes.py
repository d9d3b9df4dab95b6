"""Facts of leads and verdicts on them: by hand, by both engines, and in plain Python on leads whose numbers collide."""

import dataclasses
import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest

from call_oracle import Call, Job
from metrics.test_call_classes import entered, frames
from rmetrics.checks.call_classes import create_seen_calls
from rmetrics.checks.disputes import CLAIM_COLUMNS, FACT_COLUMNS, create_lead_facts
from rmetrics.metrics.call_classes import call_rows, job_numbers
from rmetrics.metrics.disputes import LeadRows, claims, lead_facts, with_facts
from rmetrics.metrics.newest import typed_columns
from rmetrics.metrics.phones import keyed
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.dated import Dated
from support import ROOT

ZONE = ZoneInfo("America/New_York")
NOON = dt.datetime(2024, 11, 12, 17, 0, tzinfo=dt.UTC)  # 12:00 in New York
FEED, SOURCE = "elocals_leads", "eLocals"
MINE, OTHER = "6175550101", "6175550102"
FACTS = (
    "duplicate_within_days", "was_customer", "customer_within_days", "booked", "answered", "called_within_hours",
    "zip_served",
)  # fmt: skip


@dataclass(frozen=True)
class Lead:
    """A lead as its newest export has it; ``dearest`` is the most it cost in any."""

    at: dt.datetime = NOON
    number: str | None = MINE
    cost: Decimal | None = Decimal("25.00")
    seconds: int = 60
    zip_code: str | None = "02118"
    status: str | None = None
    highest_costs: Decimal | None = None

    @property
    def day(self) -> dt.date:
        """The business day."""
        return self.at.astimezone(ZONE).date()

    @property
    def numbers(self) -> set[str]:
        """The numbers in the cell."""
        return {n for n in (self.number or "").split(";") if n.isdigit() and len(n) == 10}


@pytest.fixture(scope="module")
def rules() -> Rules:
    loaded = load_rules(ROOT / "rules")
    return dataclasses.replace(loaded, business=loaded.business.model_copy(update={"zips": ("021", "01760")}))


NOBODY = pl.LazyFrame(schema={"_position": pl.Int64})


def given(
    leads: Sequence[Lead], jobs: Sequence[Job], calls: Sequence[Call], rules: Rules, zips: Sequence[str | None] = ()
) -> LeadRows:
    """Rows as the pipeline hands them over; ``zips`` are those of the jobs, which are all of the source."""
    rows = pl.DataFrame(
        {
            "lead_id": [str(i) for i in range(len(leads))], "lead_at": [d.at for d in leads],
            "currency": [None] * len(leads), "cost": [d.cost for d in leads], "status": [d.status for d in leads],
            "duration_s": [d.seconds for d in leads], "zip": [d.zip_code for d in leads],
            "phone": [d.number for d in leads], "lead_date": [d.day for d in leads], "counted": [True] * len(leads),
            "_position": list(range(len(leads))),
        },
        schema={
            **typed_columns(rules.feeds[FEED]), "lead_date": pl.Date, "counted": pl.Boolean, "_position": pl.Int64,
        },
    )  # fmt: skip
    highest_costs = pl.DataFrame(
        {"_position": rows["_position"], "dearest": [d.highest_costs or d.cost for d in leads]},
        schema={"_position": pl.Int64, "dearest": pl.Decimal(18, 2)},
    )
    of_calls, of_jobs = (f.lazy() for f in frames(calls, jobs))
    whole = call_rows(of_calls, of_jobs, rules)
    numbers = job_numbers(of_jobs, rules)
    places = pl.DataFrame(
        {"job_id": [j.job_id for j in jobs], "zip": list(zips) or [None] * len(jobs)},
        schema={"job_id": pl.String, "zip": pl.String},
    )
    unnumbered = (
        numbers.join(keyed(numbers, "phone"), on="job_id", how="anti")
        .drop_nulls("created")
        .join(places.lazy(), on="job_id")
    )
    return LeadRows(
        rows.lazy(),
        highest_costs.lazy(),
        whole,
        unnumbered.select(pl.lit(SOURCE).alias("source"), "zip", "created"),
        NOBODY,
    )


def agree(
    rows: LeadRows,
    leads: Sequence[Lead],
    jobs: Sequence[Job],
    calls: Sequence[Call],
    rules: Rules,
    zips: Sequence[str | None] = (),
) -> None:
    """Both engines say the same of every lead: its facts, and what terms make of it."""
    of_calls, of_jobs = frames(calls, jobs)
    kept = rows.leads.collect().rename({"_position": "_pos", "counted": "_counted"})
    dated = of_jobs.with_row_index("_pos").with_columns(
        pl.Series("zip", list(zips) or [None] * len(jobs), pl.String), _created=entered()
    )
    tables = {
        f"rows_{FEED}": kept,
        f"all_{FEED}": kept.with_columns(
            pl.Series("cost", [d.highest_costs or d.cost for d in leads], pl.Decimal(18, 2))
        ),
        "rows_calls": of_calls.drop("job_id").rename({"_position": "_pos", "counted": "_counted"}),
        "dated_jobs": dated,
        "marks": dated.select("_pos", pl.lit(SOURCE).alias("source")),
        "led_leads": rows.with_job.select(pl.lit(FEED).alias("feed"), pl.col("_position").alias("_pos")).collect(),
    }
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA _work")
    for name, frame in tables.items():
        connection.register("given", frame.to_arrow())
        connection.execute(f"CREATE TABLE _work.{name} AS SELECT * FROM given")
    create_seen_calls(connection, rules)
    create_lead_facts(connection, rules)
    for name, first in (("lead_facts", lead_facts({FEED: rows}, rules)), ("lead_claims", claims({FEED: rows}, rules))):
        columns = {"lead_facts": FACT_COLUMNS, "lead_claims": CLAIM_COLUMNS}[name]
        assert set(columns) == set(first.columns)
        second = connection.execute(f"SELECT {', '.join(columns)} FROM _work.{name} ORDER BY _position").fetchall()
        assert second == first.select(columns).sort("_position").rows(), name


def facts(
    leads: Sequence[Lead],
    rules: Rules,
    jobs: Sequence[Job] = (),
    calls: Sequence[Call] = (),
    zips: Sequence[str | None] = (),
) -> list[tuple[object, ...]]:
    rows = given(leads, jobs, calls, rules, zips)
    agree(rows, leads, jobs, calls, rules, zips)
    made = with_facts(rows, SOURCE, rules, FEED)
    return made.sort("_position").select(FACTS).collect().rows()


def reasons(
    leads: Sequence[Lead], rules: Rules, jobs: Sequence[Job] = (), calls: Sequence[Call] = ()
) -> dict[int, tuple[str, str | None]]:
    rows = given(leads, jobs, calls, rules)
    agree(rows, leads, jobs, calls, rules)
    found = claims({FEED: rows}, rules)
    terms = rules.sources[SOURCE].latest.disputes
    assert found["_position"].is_unique().all()
    return {r["_position"]: (terms[r["term"]].reason, r["answer"]) for r in found.to_dicts()}


def job(days: float, number: str | None = MINE, name: str = "1") -> Job:
    return Job(name, f"U{name}", (NOON + dt.timedelta(days=days)).date(), number)


def lead(days: float = 0, **more: object) -> Lead:
    return Lead(NOON + dt.timedelta(days=days), **more)  # type: ignore[arg-type]


def test_facts_by_hand(rules: Rules) -> None:
    nothing = (None, False, None, False, None, None, True)
    assert facts([lead()], rules) == [nothing]
    assert facts([lead(-3), lead(0)], rules)[1] == (3, *nothing[1:])
    assert facts([lead(0), lead(0)], rules)[1] == (0, *nothing[1:])
    assert facts([lead()], rules, [job(-40), job(-5, name="2")])[0] == (None, True, 5, False, None, None, True)
    assert facts([lead()], rules, [job(0)])[0] == (None, False, None, True, None, None, True)
    assert facts([lead()], rules, [job(1)])[0] == nothing  # the shipped window is the same day
    assert facts([lead(zip_code="02458"), lead(zip_code=None)], rules)[0][-1] is False
    assert facts([lead(number=None)], rules) == [(None, None, None, None, None, None, True)]


def test_calls_near_the_lead_and_the_first_call_back(rules: Rules) -> None:
    def at(minutes: float, *, inbound: bool, answered: bool | None = None) -> Call:
        return Call(NOON + dt.timedelta(minutes=minutes), inbound, answered, MINE)

    assert facts([lead()], rules, calls=[at(10, inbound=True, answered=False)])[0][4:6] == (False, None)
    assert facts([lead()], rules, calls=[at(-10, inbound=True, answered=True)])[0][4:6] == (True, None)
    assert facts([lead()], rules, calls=[at(11, inbound=True, answered=True)])[0][4:6] == (None, None)
    assert facts([lead()], rules, calls=[at(-1, inbound=False), at(119, inbound=False)])[0][4:6] == (None, 1)


def test_a_job_whose_number_was_typed_wrong_may_be_the_lead_s(rules: Rules) -> None:
    bad = job(0, "5550101")
    assert facts([lead()], rules, [bad], zips=["02118"])[0][3] is None
    assert facts([lead()], rules, [bad])[0][3] is None  # the zip is not known
    assert facts([lead()], rules, [bad], zips=["02458"])[0][3] is False
    assert facts([lead()], rules, [job(1, None)], zips=["02118"])[0][3] is False
    assert facts([lead()], rules, [bad, job(0, name="2")], zips=["02118", "02118"])[0][3] is True


def test_a_lead_that_the_journeys_give_a_job_is_booked_whatever_its_number_says(rules: Rules) -> None:
    rows = dataclasses.replace(
        given([lead(), lead()], [job(-20)], [], rules), with_job=pl.LazyFrame({"_position": [1]})
    )
    agree(rows, [lead(), lead()], [job(-20)], [], rules)
    found = claims({FEED: rows}, rules)
    assert found["_position"].to_list() == [0, 1]  # a duplicate is one although it is booked
    assert with_facts(rows, SOURCE, rules, FEED).sort("_position").collect()["booked"].to_list() == [False, True]


def test_the_first_term_that_holds_is_the_lead_s(rules: Rules) -> None:
    leads = [lead(-3), lead(0, seconds=5), lead(0, number=OTHER, seconds=5), lead(0, number=OTHER, seconds=20)]
    assert reasons(leads, rules) == {1: ("duplicate", None), 2: ("too short", None), 3: ("duplicate", None)}
    assert reasons([lead()], rules, [job(-20)]) == {0: ("present customer", None)}
    assert reasons([lead()], rules, [job(-20), job(0, name="2")]) == {}
    assert reasons([lead(zip_code="90210")], rules) == {0: ("out of area", None)}


def test_nothing_is_owed_for_what_cost_nothing_unless_it_was_credited(rules: Rules) -> None:
    free, blank = lead(seconds=5, cost=Decimal(0)), lead(seconds=5, cost=None, number=OTHER)
    assert reasons([free, blank], rules) == {}
    by_status = lead(seconds=5, cost=Decimal(0), status="Call Credited (No Charge)")
    by_price = lead(seconds=5, cost=Decimal(0), highest_costs=Decimal(25), number=OTHER)
    assert {a for _, a in reasons([by_status, by_price], rules).values()} == {"granted"}
    assert reasons([lead(seconds=5, status="Credit Unavailable")], rules) == {0: ("too short", "refused")}
    assert reasons([lead(status="Call Credited (No Charge)", cost=Decimal(0))], rules) == {}


def test_the_price_is_what_it_cost_before_the_credit(rules: Rules) -> None:
    leads = [
        lead(seconds=5, cost=Decimal(0), highest_costs=Decimal("24.50")),
        lead(seconds=5, cost=Decimal(0), status="Call Credited (No Charge)", number=OTHER),
        lead(seconds=5, number=None),
    ]
    rows = given(leads, [], [], rules)
    agree(rows, leads, [], [], rules)
    found = claims({FEED: rows}, rules).sort("_position")
    assert found["price"].to_list() == [Decimal("24.50"), None, Decimal("25.00")]


def test_a_term_holds_for_the_leads_of_its_days(rules: Rules) -> None:
    source = rules.sources[SOURCE].latest
    days = {"from_": NOON.date(), "until": NOON.date() + dt.timedelta(days=2)}
    terms = tuple(d.model_copy(update=days) for d in source.disputes)
    dated = dataclasses.replace(
        rules, sources={SOURCE: Dated(((None, source.model_copy(update={"disputes": terms})),))}
    )
    leads = [lead(d, seconds=5, number=None) for d in (-1, 0, 1, 2)]
    assert sorted(reasons(leads, dated)) == [1, 2]


def by_hand(lead: Lead, place: int, leads: Sequence[Lead], jobs: Sequence[Job]) -> str | None:
    """The verdict of the shipped terms in plain Python."""
    if not (lead.cost and lead.cost > 0):
        return None
    earlier = [
        (lead.day - o.day).days
        for i, o in enumerate(leads)
        if (o.at, i) < (lead.at, place) and o.numbers & lead.numbers
    ]
    if earlier and min(earlier) <= 30:
        return "duplicate"
    theirs = [(lead.day - j.created).days for j in jobs if j.created and j.numbers & lead.numbers]
    booked = any(d == 0 for d in theirs)
    unsure = any(j.created == lead.day and not j.numbers for j in jobs)
    if any(0 < d <= 90 for d in theirs) and not booked and not unsure:
        return "present customer"
    if lead.seconds < 20:
        return "too short"
    if lead.zip_code is not None and not lead.zip_code.startswith(("021", "01760")):
        return "out of area"
    return None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.ordinary(4)
def test_verdicts_agree_with_plain_python_where_numbers_collide(rules: Rules, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
    numbers = [f"61755501{n:02}" for n in range(12)]

    def cell() -> str | None:
        return dice.choice([None, "none", ";".join(dice.sample(numbers, 2)), *(dice.choice(numbers) for _ in range(6))])

    def moment() -> dt.datetime:
        return NOON + dt.timedelta(minutes=15 * dice.randrange(-96 * 60, 96 * 5))

    jobs = [Job(str(i), f"U{i}", moment().date(), cell() if dice.random() < 0.97 else "12") for i in range(25)]
    leads = [
        Lead(moment(), cell(), dice.choice([None, Decimal(0), Decimal(20), Decimal(30), Decimal(40)]),
             dice.choice([5, 19, 20, 90]), dice.choice([None, "02118", "02118", "01760", "90210"]))
        for _ in range(60)
    ]  # fmt: skip
    calls = [
        Call(moment(), inbound, dice.choice([True, False, None]) if inbound else None, cell())
        for inbound in dice.choices([True, False], k=80)
    ]
    near = [
        dataclasses.replace(dice.choice(calls), at=d.at + dt.timedelta(minutes=apart), inbound=True, number=d.number)
        for d in leads[:30]
        for apart in (dice.choice([-11, -10, -3, 4, 10, 11]),)
    ]
    facts(leads, rules, jobs, [*calls, *near])
    expected = {i: r for i, d in enumerate(leads) if (r := by_hand(d, i, leads, jobs))}
    assert {p: r for p, (r, _) in reasons(leads, rules, jobs).items()} == expected
    shuffled = given(leads, jobs, [], rules)
    mixed = dataclasses.replace(
        shuffled, leads=shuffled.leads.collect().sample(fraction=1, shuffle=True, seed=seed).lazy()
    )
    again = claims({FEED: mixed}, rules)
    assert again.sort("_position").equals(claims({FEED: shuffled}, rules).sort("_position"))
