"""What happens to a company between two syncs, and to a sync.

To add a kind of event, write a function that takes the ``World``, does it, and writes a ``world.note``, and put it into
``EVENTS`` with a weight; it returns False where it cannot happen yet, and then another event is drawn. An event must
tell the world what it did: ``world.export`` and ``world.put`` register what each content holds, ``world.edit`` changes
the rules that the truth reads.

What happens to the sync itself stands in ``syncs``.
"""

import datetime as dt
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from simulator import exports, truth
from simulator.exports import FORMS, PLAIN, TEXT_FORMS, Layout, delivery, written
from simulator.rulebook import Cost, Leads, Source, Terms
from simulator.truth import Row
from simulator.world import Waiting, World, sha_of

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


def export_with_a_total(world: World) -> bool:
    """A report with a line below that sums up: with a label, or as ServiceTitan's, with the number of jobs and a sum."""
    stem, layout, rows, _ = world.rng.choice(tables(world))
    label = world.rng.choice(("Total", "Grand Total", "TOTALS:", *("#",) * 2 * (layout is exports.JOBS)))
    below = replace(layout, below=label)
    return bool(world.export(stem, below, world.rng.choice(FORMS), rows[-world.rng.randrange(3, 40) :]))


def two_currencies(world: World) -> bool:
    """Payments and spend with a column of currencies: amounts in another one than the company's are rejected."""
    other = {"currency": world.rng.choice(("CAD", "EUR", "gbp"))}
    if world.rng.random() < 0.3:
        days = world.company.ads[-12:]
        faulty = [{**r, **other} for r in days[-3:-1]]
        return bool(world.export("Campaign report", exports.ADS, PLAIN, days[:-3], faulty=faulty))
    layout = exports.BARE_PAYMENTS_WITH_CURRENCY if world.company.bare else exports.PAYMENTS_WITH_CURRENCY
    paid = world.company.payments[-12:]
    faulty = [{**r, **other} for r in paid[-3:-1]] + [{**r, "amount": "\u20ac 85.00"} for r in paid[-1:]]
    return bool(world.export("payments", layout, world.rng.choice(TEXT_FORMS), paid[:-3], faulty=faulty))


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
    return bool(world.export("google spend", layout, world.rng.choice(TEXT_FORMS), rows, name=name))


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


def deliver_again(world: World) -> bool:
    """Known content replaces another export under that one's name: it is the newest again."""
    files = world.files()
    if len({sha_of(f) for f in files}) < 2:
        return False
    known, replaced = world.rng.sample(files, 2)
    return _put_known(world, known, replaced.name)


def restore_with_new_times(world: World) -> bool:
    """Files of the inbox come back from a backup that kept no times: several of a feed keep their order."""
    files = [f for f in world.files() if world.rng.random() < 0.7]
    for path in files:
        at = world.now()
        os.utime(path, (at, at))
    world.note(f"{len(files)} files are restored with new times")
    return bool(files)


def copy_later(world: World) -> bool:
    """A copy under another name, made later: the content is delivered again."""
    return bool(files := world.files()) and _put_known(world, path := world.rng.choice(files), f"copy of {path.name}")


def _put_known(world: World, known: Path, name: str) -> bool:
    world.put(name, known.read_bytes(), world.contents[sha_of(known)])
    world.note(f"{known.name} is delivered again as {name}")
    return True


def copy(world: World) -> bool:
    """The same content lies in the inbox twice, with the same time."""
    if not (files := world.files()):
        return False
    path = world.rng.choice(files)
    shutil.copy2(path, path.with_name(f"copy of {path.name}"))
    world.note(f"{path.name} is copied")
    return True


def withdraw(world: World) -> bool:
    """An export that has landed is taken back: nothing that it alone brought counts."""
    known = sorted(world.landed.keys() - world.withdrawn)
    if not known:
        return False
    sha = world.rng.choice(known)
    world.decide("withdraw", sha)
    return True


def restore(world: World) -> bool:
    """An export that was withdrawn counts again."""
    if not world.withdrawn:
        return False
    world.decide("restore", world.rng.choice(sorted(world.withdrawn)))
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


EVENTS: tuple[tuple[int, Event], ...] = (
    (30, daily_exports),
    (8, full_export),
    (5, export_with_a_total),
    (4, two_currencies),
    (6, export_in_two_parts),
    (3, export_with_fewer_columns),
    (4, export_that_comes_late),
    (4, late_export_arrives),
    (4, bad_rows),
    (4, cut_off),
    (8, ads_report),
    (6, sheet_of_spend),
    (4, sheet_of_targets),
    (3, rename),
    (3, remove),
    (3, put_back),
    (4, deliver_again),
    (2, restore_with_new_times),
    (2, copy_later),
    (2, copy),
    (3, replace_content),
    (2, replace_without_a_trace),
    (3, save_again),
    (3, withdraw),
    (3, restore),
    (3, rubbish),
    (4, price_changes_from_a_day),
    (2, price_is_edited),
    (2, leads_are_counted_otherwise),
    (3, share_changes),
    (2, revenue_moves),
    (2, channel_is_declared),
    (4, channel_with_a_feed),
)


def happen(world: World) -> None:
    """A few events."""
    repair_cut_offs(world)
    weights, possible = zip(*EVENTS, strict=True)
    wanted = world.rng.randrange(1, 4)
    while wanted:
        (event,) = world.rng.choices(possible, weights)
        wanted -= event(world)
