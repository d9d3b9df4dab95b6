"""What happens to a company between two syncs, and to a sync.

To add a kind of event, write a function that takes the ``World``, does it, and writes a ``world.note``, and put it into
``EVENTS`` with a weight; it returns False where it cannot happen yet, and then another event is drawn. An event must
tell the world what it did: ``world.export`` and ``world.put`` register what each content holds, ``world.edit`` changes
the rules that the truth reads. Kinds that the product cannot survive yet are left out by ``world.NOT_YET``, by the name
that stands beside them in ``EVENTS``.

``TROUBLES`` are what happens at the sync itself: each runs at least one ``world.sync``. ``LOOKS`` are commands that are
tried after a sync and compared with the truth.
"""

import datetime as dt
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from rmetrics.lake import Lake
from simulator import exports, truth
from simulator.exports import FORMS, PLAIN, Layout, delivery, written
from simulator.rulebook import Cost, Leads, Source, Terms
from simulator.truth import MEASURES, Row
from simulator.world import NOT_YET, Waiting, World, sha_of

Event = Callable[[World], bool]


# -- exports


def tables(world: World) -> list[tuple[str, Layout, list[Row], str]]:
    """Each kind of export: a name, its layout, all rows there are, and the column with their date."""
    c = world.company
    payments = exports.BARE_PAYMENTS if c.bare else exports.PAYMENTS
    found = [
        ("Import", exports.JOBS, c.jobs, "created_at"),
        ("payments", payments, c.payments, "paid_at"),
        ("leads cost Elocals", exports.ELOCALS, c.elocals, "lead_at"),
        ("Pro Referral leads", exports.PROREF, c.proref, "lead_at"),
    ]
    if world.book.own_feed is not None:
        found.append(("fixly bookings", exports.FIXLY, c.fixly, "asked_at"))
    return found


def between(rows: list[Row], column: str, start: dt.date, end: dt.date) -> list[Row]:
    """The rows of the days from ``start`` to ``end``."""
    return [r for r in rows if start <= (truth.business_day(r[column], "America/New_York") or start) <= end]


def daily_exports(world: World) -> bool:
    """The exports of the last days, of most kinds."""
    for stem, layout, rows, column in tables(world):
        if world.rng.random() < 0.8:
            recent = between(rows, column, world.today - dt.timedelta(days=world.rng.randrange(2, 12)), world.today)
            world.export(stem, layout, world.rng.choice(FORMS), recent)
    return True


def full_export(world: World) -> bool:
    """One kind of export, whole."""
    stem, layout, rows, _ = world.rng.choice(tables(world))
    return bool(world.export(stem, layout, world.rng.choice(FORMS), rows))


def export_in_two_parts(world: World) -> bool:
    """The last weeks of one kind, split by date into two files that overlap by a day."""
    stem, layout, rows, column = world.rng.choice(tables(world))
    start = world.today - dt.timedelta(days=world.rng.randrange(20, 60))
    middle = start + dt.timedelta(days=10)
    for part in (between(rows, column, middle, world.today), between(rows, column, start, middle)):
        world.export(stem, layout, world.rng.choice(FORMS), part)
    return True


def export_with_fewer_columns(world: World) -> bool:
    """Jobs from a newer program that leaves out the source and more: older values stay."""
    rows = world.company.jobs[-world.rng.randrange(5, 40) :]
    return bool(world.export("jobs_export", exports.SHORT_JOBS, PLAIN, rows))


def export_that_comes_late(world: World) -> bool:
    """An export that is made today and arrives some syncs later, with its own time."""
    stem, layout, rows, _ = world.rng.choice(tables(world))
    if not rows:
        return False
    name, rows = world.name(f"late {stem}", PLAIN), rows[-40:]
    held = delivery(layout, rows)
    world.waiting.append(Waiting(name, written(layout, PLAIN, rows), world.now(), held))
    world.note(f"{name} is made, but does not arrive yet")
    return True


def late_export_arrives(world: World) -> bool:
    """An export that was made earlier arrives, older than what has landed since."""
    if not world.waiting:
        return False
    late = world.waiting.pop(0)
    world.put(late.name, late.content, late.holds, late.modified)
    world.note(f"{late.name} arrives at last")
    return True


def bad_rows(world: World) -> bool:
    """Rows with an amount that nobody can read are quarantined, the others count."""
    stem, layout, rows, _ = world.rng.choice(tables(world)[:3])
    money = next(c.column for c in layout.cells if c.holds == "money")
    if len(rows) < 3 or money is None:
        return False
    faulty = [{**r, money: world.rng.choice(("n/a?", "12.3.4", "1,2,3.00", "10.005"))} for r in rows[-2:]]
    return bool(world.export(stem, layout, PLAIN, rows[-12:-2], faulty=faulty))


def cut_off(world: World) -> bool:
    """A download ends in the middle of a row; the next day the whole file is there under the same name."""
    stem, layout, rows, _ = world.rng.choice([t for t in tables(world) if t[1].feed != "payments"])
    rows = rows[-20:]
    if len(rows) < 4 or layout is exports.FIXLY:
        return False
    name, whole = world.name(stem, PLAIN), written(layout, PLAIN, rows)
    kept = world.rng.randrange(2, len(rows) - 1)
    lines = whole.split(b"\n")
    torn = b"\n".join([*lines[: kept + 1], lines[kept + 1][: lines[kept + 1].index(b",") + 2]])
    world.put(name, torn, delivery(layout, rows[:kept], rejected=1))
    world.repairs.append(Waiting(name, whole, 0, delivery(layout, rows)))
    world.note(f"{name} is cut off after {kept} of {len(rows)} rows")
    return True


def repair_cut_offs(world: World) -> None:
    """What was cut off yesterday is whole today."""
    for whole in world.repairs:
        world.put(whole.name, whole.content, whole.holds)
        world.note(f"{whole.name} is whole")
    world.repairs.clear()


# -- spend and targets


def sheet_of_spend(world: World) -> bool:
    """The owner's sheet of monthly spend, grown by what has been added or retyped."""
    entries = [{"month": m, "campaign": c, "spend": s} for (m, c), s in sorted(world.company.sheet.items())]
    whole = [e for e in entries if e["campaign"] == "(all)"]
    by_campaign = world.rng.random() < 0.5
    layout, rows = (exports.SHEET_BY_CAMPAIGN, entries) if by_campaign else (exports.SHEET, whole)
    name = world.rng.choice(("google spend.csv", "google spend 2.csv"))
    return bool(world.export("google spend", layout, world.rng.choice(FORMS[:9]), rows, name=name))


def ads_report(world: World) -> bool:
    """A report of Google Ads by day, with totals below."""
    rows = between(world.company.ads, "day", world.today - dt.timedelta(days=world.rng.randrange(10, 70)), world.today)
    return bool(world.export("Campaign report", exports.ADS, world.rng.choice(FORMS[:3]), rows))


def sheet_of_targets(world: World) -> bool:
    """What the owner wants to reach."""
    goals = sorted(world.company.goals.items())
    rows = [
        {"month": m, "source": s, "segment": g, "target_repairs": a, "target_revenue40": b}
        for (m, s, g), (a, b) in goals
    ]
    return bool(world.export("targets", exports.TARGETS, world.rng.choice(FORMS[:5]), rows))


# -- files


def rename(world: World) -> bool:
    """A file gets another name."""
    if not (files := world.files()):
        return False
    old = world.rng.choice(files)
    new = old.with_name(f"renamed {world.name('', PLAIN).strip()[:-4]}{old.suffix}")
    old.rename(new)
    world.note(f"{old.name} is now {new.name}")
    return True


def remove(world: World) -> bool:
    """A file is taken out of the inbox; what it holds stays."""
    if not (files := world.files()):
        return False
    path = world.rng.choice(files)
    holds = world.contents[sha_of(path)]
    assert holds is not None
    world.removed.append(Waiting(path.name, path.read_bytes(), int(path.stat().st_mtime), holds))
    path.unlink()
    world.note(f"{path.name} is removed")
    return True


def put_back(world: World) -> bool:
    """A file that was removed is put back as it was."""
    if not world.removed:
        return False
    file = world.removed.pop()
    if (world.project.inbox / file.name).exists():
        return False
    world.put(file.name, file.content, file.holds, file.modified)
    world.note(f"{file.name} is put back")
    return True


def put_back_as_new(world: World) -> bool:
    """Content that is known is delivered again later, under its old name or another: it is the newest again."""
    if not (files := world.files()):
        return False
    path = world.rng.choice(files)
    holds, name = world.contents[sha_of(path)], world.rng.choice((path.name, f"copy of {path.name}"))
    world.put(name, path.read_bytes(), holds)
    world.note(f"{path.name} is delivered again as {name}")
    return True


def copy(world: World) -> bool:
    """The same content lies in the inbox twice, with the same time."""
    if not (files := world.files()):
        return False
    path = world.rng.choice(files)
    shutil.copy2(path, path.with_name(f"copy of {path.name}"))
    world.note(f"{path.name} is copied")
    return True


def replace_content(world: World) -> bool:
    """A file is replaced by a newer export under the same name."""
    files = [p for p in world.files() if p.suffix == ".csv"]
    if not files:
        return False
    stem, layout, rows, _ = world.rng.choice(tables(world))
    return bool(world.export(stem, layout, PLAIN, rows[-25:], name=world.rng.choice(files).name))


def replace_without_a_trace(world: World) -> bool:
    """A file is replaced by another of the same size and time, as unzip and rsync -t do."""
    rows = [r for r in world.company.jobs[-30:] if r["type"] in {"COD Service", "INS Service"}]
    if not rows:
        return False
    name, form = world.name("Import", PLAIN), PLAIN
    at = world.now()
    for kind in ("COD Service", "INS Service"):
        job = {**rows[-1], "type": kind}
        world.put(name, written(exports.JOBS, form, [job]), delivery(exports.JOBS, [job]), at)
        if kind == "COD Service":
            world.sync()
    world.note(f"{name} is replaced by a file of the same size and time")
    return True


def save_again(world: World) -> bool:
    """Somebody opens the newest export of a kind in Excel and saves it."""
    stem, layout, rows, _ = world.rng.choice(tables(world))
    if not rows:
        return False
    name = world.export(stem, layout, PLAIN, rows[-30:])
    world.sync()
    form = world.rng.choice(FORMS[1:])
    world.export(f"{name[:-4]} saved again", layout, form, rows[-30:])
    return True


def rubbish(world: World) -> bool:
    """What is no export lies in the inbox: a login page, an empty file, a header without rows, a letter, a picture."""
    login = b"<!DOCTYPE html><html><head><title>Log in</title></head><body><form>...</form></body></html>"
    kinds = {
        "leads cost Elocals export.csv": login,
        "payments empty.csv": b"",
        "Import header only.csv": b"Job #,Job Type,Source,Created\n",
        "letter.csv": b"Dear Ann,\nthe washer is fine again.\n",
        "picture.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "other.csv": b"Colour,Taste\nred,sweet\n",
    }
    name, content = world.rng.choice(sorted(kinds.items()))
    world.put(name, content, None)
    world.note(f"{name} is no export")
    return True


# -- rules


def price_changes_from_a_day(world: World) -> bool:
    """A source's costs change with a date, in the middle of a month."""
    name = world.rng.choice(sorted(world.book.sources))
    source = world.book.sources[name]
    start = world.today - dt.timedelta(days=world.rng.randrange(40))
    if source.versions[-1][0] is not None and source.versions[-1][0] >= start:
        return False
    latest = source.versions[-1][1]
    later = replace(latest, costs=(*latest.costs[:1], _some_cost(world)))
    if world.rng.random() < 0.3:
        later = replace(later, segment=world.rng.choice(truth.SEGMENTS))
    world.edit(world.book.with_source(name, replace(source, versions=(*source.versions, (start, later)))))
    world.note(f"{name} from {start}: {later}")
    return True


def price_is_edited(world: World) -> bool:
    """Somebody edits the costs of a source without a date: all of history follows."""
    name = world.rng.choice(sorted(world.book.sources))
    (start, first), *later = world.book.sources[name].versions
    edited = replace(first, costs=(*[c for c in first.costs if c.kind == "feed"], _some_cost(world)))
    source = replace(world.book.sources[name], versions=((start, edited), *later))
    world.edit(world.book.with_source(name, source))
    world.note(f"{name} edited: {edited}")
    return True


def _some_cost(world: World) -> Cost:
    kind = world.rng.choice(("per_lead", "per_unit", "per_repair", "monthly"))
    return Cost(kind, world.rng.choice((2_050, 1, 30_000, 9_999)))


def leads_are_counted_otherwise(world: World) -> bool:
    """A source counts other leads: by jobs, units or repairs, or by another condition."""
    name = world.rng.choice(sorted(world.book.sources))
    (start, first), *later = world.book.sources[name].versions
    ways = [Leads("jobs"), Leads("units"), Leads("repairs"), Leads("elocals_leads", "cost > 20")]
    edited = replace(first, leads=world.rng.choice(ways))
    source = replace(world.book.sources[name], versions=((start, edited), *later))
    world.edit(world.book.with_source(name, source))
    world.note(f"{name} counts {edited.leads}")
    return True


def share_changes(world: World) -> bool:
    """The share changes from a day on."""
    start = world.today - dt.timedelta(days=world.rng.randrange(30))
    last = world.book.shares[-1][0]
    if last is not None and last >= start:
        return False
    share = Decimal(world.rng.choice(("0.42", "0.3333", "0.5", "1.0", "0.0")))
    world.edit(replace(world.book, shares=(*world.book.shares, (start, share))))
    world.note(f"share {share} from {start}")
    return True


def revenue_moves(world: World) -> bool:
    """Revenue counts on another date, or jobs do."""
    if world.rng.random() < 0.5:
        other = "payment" if world.book.revenue_date == "job" else "job"
        world.edit(replace(world.book, revenue_date=other))
    else:
        other = "job_date" if world.book.jobs_date == "created_at" else "created_at"
        world.edit(replace(world.book, jobs_date=other))
    world.note(f"figures count by {other}")
    return True


def channel_is_declared(world: World) -> bool:
    """A name of the CRM becomes a source, with other spellings."""
    name, *aliases = world.rng.choice((("Puls", "pu-ls"), ("Service Direct",), ("Yelp", "yelp.com")))
    if name in world.book.sources:
        return False
    terms = Terms(Leads(world.rng.choice(("jobs", "units"))), (_some_cost(world),), world.rng.choice(truth.SEGMENTS))
    world.edit(world.book.with_source(name, Source(tuple(aliases), ((None, terms),))))
    world.note(f"{name} is declared: {terms}")
    return True


def channel_with_a_feed(world: World) -> bool:
    """A new channel comes with exports of its own kind; later the rows that count are other ones."""
    where = world.rng.choice(("state IS DISTINCT FROM 'test'", "state IN ('won', 'open')"))
    if world.book.own_feed is None:
        count = world.rng.choice(("state IS DISTINCT FROM 'refunded'", "fee >= 12.50", ""))
        cost = Cost("feed", feed="fixly_leads", column="fee", where=count)
        terms = Terms(Leads("fixly_leads", count), (cost,), "COD")
        world.edit(
            replace(world.book, own_feed=where).with_source("Fixly", Source(("fixly.com", "Fix ly"), ((None, terms),)))
        )
    else:
        world.edit(replace(world.book, own_feed=where))
    world.note(f"the feed of Fixly counts rows where {where}")
    return True


EVENTS: tuple[tuple[int, Event, str], ...] = (
    (30, daily_exports, ""),
    (8, full_export, ""),
    (6, export_in_two_parts, ""),
    (3, export_with_fewer_columns, ""),
    (4, export_that_comes_late, ""),
    (4, late_export_arrives, ""),
    (4, bad_rows, ""),
    (4, cut_off, ""),
    (8, ads_report, ""),
    (6, sheet_of_spend, "second spend sheet"),
    (4, sheet_of_targets, ""),
    (3, rename, ""),
    (3, remove, ""),
    (3, put_back, ""),
    (4, put_back_as_new, "delivered again"),
    (2, copy, ""),
    (3, replace_content, ""),
    (2, replace_without_a_trace, "replaced without a trace"),
    (3, save_again, ""),
    (3, rubbish, ""),
    (4, price_changes_from_a_day, ""),
    (2, price_is_edited, ""),
    (2, leads_are_counted_otherwise, ""),
    (3, share_changes, ""),
    (2, revenue_moves, ""),
    (2, channel_is_declared, ""),
    (4, channel_with_a_feed, ""),
)


def happen(world: World) -> None:
    """A few events."""
    repair_cut_offs(world)
    possible = [(w, e) for w, e, gate in EVENTS if gate not in NOT_YET]
    wanted = world.rng.randrange(1, 4)
    while wanted:
        (event,) = world.rng.choices([e for _, e in possible], [w for w, _ in possible])
        wanted -= event(world)


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
    assert told == expected
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
    wrong = world.rng.choice((('leads = "jobs"', 'laeds = "jobs"'), ("cost", "cots"), ("[sources", "[sources.")))
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
    assert found["verdict"] == "match", found["verdict"]
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
        os.unlink(world.project.root / "report.html")  # noqa: PTH108


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
    """Each rejected row is listed; a later export of the same name takes the place of an earlier one."""
    listed = world.command("rejected", "list")["rejected"]
    newest = {x.age[1]: x.delivery.rejected for x in sorted(world.landed.values(), key=lambda x: x.age)}
    assert len(listed) == sum(newest.values())


def look_rules(world: World) -> None:
    """The rules are valid."""
    assert world.command("rules", "check")["ok"]


CHEAP, DEAR = (look_status, look_history, look_sql), (look_check, look_explain, look_rejected, look_rules, look_report)


def look(world: World) -> None:
    """A cheap look after each sync, a dear one now and then."""
    if not world.landed:  # an empty lake is told as a finding, by the commands that need one
        return
    world.rng.choice(CHEAP)(world)
    if world.rng.random() < 0.3:
        world.rng.choice(DEAR)(world)
