"""What happens to a sync of the simulated company, and the commands that are tried after it.

``TROUBLES`` are weighted; each runs at least one ``world.sync``, which compares every figure. ``LOOKS`` compare what
another command answers with the truth: one after each sync, all of them now and then. To add one, write a function that
takes the ``World`` and put it into its list.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

from rmetrics.lake import Lake
from simulator import truth
from simulator.truth import MEASURES
from simulator.world import World, differing

# -- what happens to a sync


def undisturbed(world: World) -> None:
    """Nothing happens to it."""
    world.sync()


def planned(world: World) -> None:
    """The owner looks at the plan first; the sync then does just that."""
    before, after = world.months(), truth.monthly(world.truth(world.arrive()))
    plan = world.command("plan")
    told = {}
    for change in plan["changes"]:
        key = (dt.date.fromisoformat(change["month"]), change["source"], change["segment"])
        told[*key, change["metric"]] = tuple(Decimal(change[n] or 0) for n in ("before", "after"))
    expected = {}
    for key in {*before, *after}:
        for metric in MEASURES:
            pair = tuple(figures.get(key, {}).get(metric, Decimal(0)) for figures in (before, after))
            if pair[0] != pair[1]:
                expected[*key, metric] = pair
    assert not (odd := differing(told, expected)), odd
    world.note(f"planned {len(expected)} changes")
    world.sync()


def killed(world: World) -> None:
    """The first try is killed at some step; the second goes on from there."""
    at = world.rng.randrange(1, 160)
    code = world.killed(world.project, at)
    assert code in {-9, 0}, code
    world.note(f"a sync is killed at step {at}: {code}")
    world.sync()


def started_twice(world: World) -> None:
    """Another sync holds the lake: exit 5, and nothing is changed."""
    with Lake(world.project.root / "data" / "lake").locked():
        world.command("sync", code=5)
    world.note("a second sync was turned away")
    world.compare()
    world.sync()


def typo_in_the_rules(world: World) -> None:
    """A rule has a typo for a day: exit 2, nothing is changed; then it is corrected."""
    path = world.project.rules / "sources.toml"
    good = path.read_text(encoding="utf-8")
    wrong = world.rng.choice((("\nleads", "\nlaeds"), ("\ncost", "\ncots"), ("\n[sources", "\n[sources.")))
    assert wrong[0] in good
    path.write_text(good.replace(*wrong), encoding="utf-8")
    for command in (("sync",), ("plan",), ("rules", "check")):
        world.command(*command, code=2)
    path.write_text(good, encoding="utf-8")
    world.note(f"a typo for a day: {wrong[1]}")
    world.compare()
    world.sync()


def everything_again(world: World) -> None:
    """``sync --full``."""
    world.sync("--full")


def caches_are_deleted(world: World) -> None:
    """Everything in the lake but the raw layer is gone; the same figures come back."""
    world.no_caches()
    world.note("the caches are deleted")
    world.sync()


def postgres_is_lost(world: World) -> None:
    """The database is gone; one sync brings everything back."""
    world.new_postgres()
    world.note("the database is lost")
    world.sync()


TROUBLES: tuple[tuple[int, Callable[[World], None]], ...] = (
    (60, undisturbed),
    (14, planned),
    (6, killed),
    (4, started_twice),
    (5, typo_in_the_rules),
    (4, everything_again),
    (4, caches_are_deleted),
    (3, postgres_is_lost),
)


# -- commands after a sync


def look_plan(world: World) -> None:
    """Nothing is left to do."""
    pending = world.command("plan", "--exit-code")
    assert pending["changes"] == [], pending["changes"]
    assert pending["exports"] == [], pending["exports"]


def look_check(world: World) -> None:
    """Both engines and Postgres agree."""
    found = world.command("check")
    assert found["ok"], found


def look_explain(world: World) -> None:
    """A random source and month: each value is the truth's, and the difference is 0."""
    if not (month := world.some_month()):
        return
    months = world.months()
    source = world.rng.choice(sorted({s for m, s, _ in months if m == month}))
    found = world.command("explain", "--source", source, "--month", f"{month:%Y-%m}")
    assert (found["source"], found["verdict"]) == (source, "match"), found
    for name in MEASURES:
        value = sum((f[name] for (m, s, _), f in months.items() if (m, s) == (month, source)), Decimal(0))
        assert Decimal(found["metrics"][name]["value"]) == value, (source, month, name)
        assert not Decimal(found["metrics"][name].get("difference") or 0)


def look_history(world: World) -> None:
    """The last recorded value of each figure is what is published."""
    if not (month := world.some_month()):
        return
    found = world.command("history", "--month", f"{month:%Y-%m}")
    last = {(c["source"], c["segment"], c["metric"]): Decimal(c["after"] or 0) for c in found["changes"]}
    months = world.months()
    for (source, segment, metric), value in last.items():
        assert months.get((month, source, segment), {}).get(metric, Decimal(0)) == value, (month, source, metric)


def look_report(world: World) -> None:
    """The page is written."""
    if world.months():
        world.command("report", "--output", str(world.project.root / "report.html"))
        (world.project.root / "report.html").unlink()


def look_sql(world: World) -> None:
    """The lake answers the same."""
    found = world.command("sql", "SELECT sum(cost) AS cost, sum(leads) AS leads FROM monthly_metrics")
    (row,) = found["rows"]
    cost, leads = row.values() if isinstance(row, dict) else row
    months = world.months().values()
    assert Decimal(cost or 0) == sum((f["cost"] for f in months), Decimal(0))
    assert Decimal(leads or 0) == sum((f["leads"] for f in months), Decimal(0))


def look_status(world: World) -> None:
    """The last run is told, and it did not fail."""
    assert world.command("status")["runs"]


def look_rejected(world: World) -> None:
    """Each rejected row is listed; a later export of the same feed and name takes an earlier one's place."""
    listed = world.command("rejected", "list")["rejected"]
    by_age = sorted(world.counting, key=lambda x: x.age)
    newest = {(x.age[1], x.delivery.feed): x.delivery.rejected for x in by_age}
    assert len(listed) == sum(newest.values())


def look_exports(world: World) -> None:
    """Each landed export is listed, and whether it counts."""
    listed = {x["sha256"]: (x["in_force"], x["name"]) for x in world.command("exports", "list")["exports"]}
    assert listed == {sha: (sha not in world.withdrawn, x.age[1]) for sha, x in world.landed.items()}


def look_rules(world: World) -> None:
    """The rules are valid."""
    assert world.command("rules", "check")["ok"]


LOOKS: tuple[Callable[[World], None], ...] = (
    look_plan,
    look_check,
    look_explain,
    look_status,
    look_history,
    look_sql,
    look_rejected,
    look_exports,
    look_rules,
)
ALL_AFTER = 20  # syncs


def look(world: World) -> None:
    """The next look after each sync, so that each comes as often as the others; after some syncs all of them.

    The page is made only then: nearly all of its time goes into a library of charts.
    """
    if not world.landed:  # an empty lake is told as a finding, by the commands that need one
        return
    whole = world.syncs % ALL_AFTER == 0
    for each in (*LOOKS, look_report) if whole else (LOOKS[world.syncs % len(LOOKS)],):
        each(world)
