"""Computing only what new exports touch gives, to the row and the cent, what computing everything gives."""

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from own_rules import OWN
from rmetrics import memory
from rmetrics.checks import parts
from rmetrics.lake import Lake
from rmetrics.pipeline.compute import increment
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.names import COMPUTED, CONTENTS, FACTS, RETURNS, replaced
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.verify import month_inputs as scope
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.postgres.publish.digests import digests
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.tables import feed_table
from support import MIDNIGHT, ROOT, csv_text

Step = tuple[str, object, int]  # what, with what, minutes

JOBS = ("Job #", "UUID", "Job Type", "Source", "Created", "Job Date", "City")
SHORT_JOBS = ("Job #", "UUID", "Job Type", "Source", "Created")
PAYMENTS = ("Transaction ID", "Job #", "Amount", "Date", "Status")
BARE_PAYMENTS = ("Job #", "Payment Methods", "Amount Paid", "Date", "Status")
LEADS = ("Unique ID", "Time", "Cost", "Status")
SPEND = ("Month", "Campaign", "Spend")
TARGETS = ("Month", "Source", "Target Repairs")

TYPES = ("COD Service", "INS Service", "COD Repair", "Warranty", "")
SOURCES = ("Google", "eLocals", "Rely", "", "Puls", "puls", "PULS ", "Thumb tack", "thumbtack")
CITIES = ("Lynn", "", "Salem", "Lynn, Salem", "Salem,Lynn,, Salem ,Revere", " , ", "Revere")
days = st.dates(dt.date(2024, 9, 20), dt.date(2024, 12, 5))
cents = st.integers(-9_000, 30_000).map(lambda c: f"{c / 100:.2f}")


@st.composite
def job_rows(draw: st.DrawFn) -> list[tuple[object, ...]]:
    rows = draw(
        st.lists(
            st.tuples(st.integers(1, 30), st.integers(0, 40), st.sampled_from(TYPES), st.sampled_from(SOURCES)),
            min_size=1, max_size=8, unique_by=lambda r: r[0],
        )
    )  # fmt: skip
    dated = []
    for number, uuid, kind, source in rows:
        created = draw(st.one_of(st.none(), days))
        visited = draw(st.one_of(st.none(), days))
        spelt = ["" if d is None else f"{d:%a %b %d %Y}" for d in (created, visited)]
        dated.append((number, f"U{uuid}" if uuid else "", kind, source, *spelt, draw(st.sampled_from(CITIES))))
    return dated


payment_rows = st.lists(
    st.tuples(
        st.integers(1, 30),
        st.one_of(st.integers(1, 35).map(str), st.integers(1, 40).map(lambda n: f"U{n}")),
        cents,
        days.map(lambda d: f"{d:%m/%d/%Y}"),
        st.sampled_from(["Completed", "", "Failed"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda p: p[0],
)
bare_rows = st.lists(
    st.tuples(
        st.integers(1, 35), st.sampled_from(["cash", "check"]), cents, days.map(lambda d: f"{d:%m/%d/%Y}"), st.just("")
    ),
    min_size=1,
    max_size=6,
).map(lambda rows: [*rows, rows[0]])  # a true duplicate
lead_rows = st.lists(
    st.tuples(st.integers(1, 40), days.map(lambda d: f"{d} 09:15:00 -0500"), cents, st.just("")),
    min_size=1, max_size=8, unique_by=lambda r: r[0],
)  # fmt: skip
spend_rows = st.lists(
    st.tuples(st.sampled_from(["2024-10", "2024-11", "2024-12"]), st.sampled_from("ab"), cents), min_size=1, max_size=4
)

target_rows = st.lists(
    st.tuples(st.sampled_from(["2024-10", "2024-11"]), st.sampled_from(["", "Google", "google", "Rely"]), st.integers(1, 40)),
    min_size=1, max_size=4, unique_by=lambda t: t[:2],
)  # fmt: skip

FEE = '\n[sources.Fee]\nleads = "jobs"\naliases = ["Puls"]\ncost = { monthly = 100.01 }\n'
DATED_PRICE = '\n[[sources."Pro Referral".changes]]\nfrom = 2024-11-01\ncost = { per_lead = 31.00 }\n'
EDITS = {
    "returns": ("own.toml", 'same = ["client_phone"]', 'same = ["client_phone", "zip"]'),
    "price": ("sources.toml", "cost    = { per_lead = 20.00 }", "cost    = { per_lead = 20.50 }"),
    "price from a day on": ("sources.toml", "[sources.Google]", DATED_PRICE + "\n[sources.Google]"),
    "lead amount": ("sources.toml", 'sum = "cost", where = "cost > 0" }', 'sum = "cost", where = "cost > 50" }'),
    "measure": ("own.toml", "type = 'Warranty'", "type = 'COD Service'"),
    "dimension": ("own.toml", 'column = "status"', "sql = \"coalesce(status, 'none')\""),
    "window": ("journeys.toml", "window = 0", "window = 3"),
    "alias": ("sources.toml", 'aliases = ["elocal",', 'aliases = ["elocal", "puls",'),
    "date of jobs": ("business.toml", 'date   = "created_at"', 'date   = "job_date"'),
    "date of revenue": ("business.toml", 'date  = "job" ', 'date  = "payment" '),
    "fee": ("sources.toml", "[sources.Google]", FEE + "\n[sources.Google]"),
}
steps = st.one_of(
    st.tuples(st.just("jobs"), job_rows(), st.integers(0, 1)),
    st.tuples(st.just("short jobs"), job_rows().map(lambda rows: [r[:5] for r in rows if r[4]]), st.integers(0, 1)),
    st.tuples(st.just("payments"), payment_rows, st.integers(0, 1)),
    st.tuples(st.just("bare payments"), bare_rows, st.integers(0, 1)),
    st.tuples(st.just("leads"), lead_rows, st.integers(0, 1)),
    st.tuples(st.just("spend"), spend_rows, st.integers(0, 1)),
    st.tuples(st.just("targets"), target_rows, st.integers(0, 1)),
    st.tuples(st.just("rules"), st.sampled_from(sorted(EDITS)), st.just(0)),
    st.tuples(st.just("late"), st.tuples(st.just("jobs"), job_rows()), st.just(0)),
)
KINDS = {
    "jobs": ("Import", JOBS),
    "short jobs": ("Import short", SHORT_JOBS),
    "payments": ("payments", PAYMENTS),
    "bare payments": ("payments bare", BARE_PAYMENTS),
    "leads": ("leads cost Elocals", LEADS),
    "spend": ("google spend", SPEND),
    "targets": ("targets", TARGETS),
}


class World:
    """A lake that takes one step after another."""

    def __init__(self, folder: Path) -> None:
        self.inbox, self.rules, self.lake = folder / "inbox", folder / "rules", Lake(folder / "lake")
        self.inbox.mkdir()
        self.lake.prepare()
        shutil.copytree(ROOT / "rules", self.rules)
        (self.rules / "own.toml").write_text(OWN)
        self.folder, self.count = folder, 0

    def step(self, what: str, given: object, minutes: int) -> Computed:
        """Puts an export into the inbox, or edits a rule; then computes."""
        self.count += 1
        if what == "rules":
            name, old, new = EDITS[str(given)]
            path = self.rules / name
            if new not in path.read_text():
                path.write_text(path.read_text().replace(old, new, 1))
        elif what == "late":
            self.put(*given, minutes=-self.count)  # type: ignore[misc]
        else:
            self.put(what, given, minutes=10 * self.count + minutes)
        land_inbox(self.inbox, self.lake, self.loaded(), silent)
        return compute(self.lake, self.loaded(), silent)

    def put(self, kind: str, rows: object, *, minutes: int) -> None:
        """Writes an export into the inbox."""
        name, header = KINDS[kind]
        path = self.inbox / f"{name} {self.count}.csv"
        path.write_text(csv_text(header, *rows))  # type: ignore[misc]
        at = MIDNIGHT.timestamp() + 60 * minutes
        os.utime(path, (at, at))

    def loaded(self) -> Rules:
        """The rules in force."""
        return load_rules(self.rules)

    def whole(self) -> Computed:
        """Everything computed anew from the same raw files, elsewhere, a handful of rows at a time."""
        twin = Lake(self.folder / f"twin {self.count}")
        twin.prepare()
        shutil.copytree(self.lake.raw, twin.raw, dirs_exist_ok=True)
        return compute(twin, self.loaded(), silent, full=True, memory=0)


def contents(rows: Rows, rules: Rules) -> dict[str, list[tuple[object, ...]]]:
    """Every table, row by row, provenance included."""
    found = {}
    for name in (*rules.feeds, *COMPUTED, *([RETURNS] if rules.returns else [])):
        frame = rows.scan(name).collect()
        found[name] = sorted(frame.select(sorted(frame.columns)).rows(), key=str)
    return found


def check(world: World, computed: Computed) -> None:
    whole = world.whole()
    rules = world.loaded()
    with scope.of_increment(world.lake, rules, computed) as part:
        found, _ = cross_check(world.lake, rules, computed, part)
    assert found.mismatches == ()
    ours, theirs = contents(computed.rows, rules), contents(whole.rows, rules)
    for name in ours:
        assert ours[name] == theirs[name], name
    assert computed.counts == whole.counts
    assert computed.inputs == whole.inputs


@pytest.fixture(autouse=True)
def _always_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(increment, "MAX_NEW_SHARE", 1_000_000)
    monkeypatch.setattr(scope, "MAX_SHARE", 1_000_000)
    monkeypatch.setattr(memory, "_MIN_ROWS", 5)
    monkeypatch.setattr(parts, "_AT_ONCE", 3)  # the second engine makes its tables a few rows at a time


def run(taken: Sequence[Step], *, each: bool) -> None:
    """Takes the steps and compares with a lake computed at once, after each or after the last."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for number, step in enumerate(taken, 1):
            computed = world.step(*step)
            if each or number == len(taken):
                check(world, computed)


common = settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes too long here
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=2,
)


@common
@given(st.lists(steps, min_size=2, max_size=6))
@pytest.mark.deep
def test_any_exports_and_edits_one_after_another(taken: list[Step]) -> None:
    run(taken, each=False)


@pytest.mark.slow
@settings(common, max_examples=400)
@given(st.lists(steps, min_size=3, max_size=10))
def test_many_exports_and_edits_one_after_another(taken: list[Step]) -> None:
    run(taken, each=True)


def day(text: str) -> str:
    return f"{dt.date.fromisoformat(text):%a %b %d %Y}"


HISTORY: list[Step] = [
    (
        "jobs",
        [(n, f"U{n}", "COD Service", "Rely", day(f"2024-{9 + n % 3:02}-15"), "", "Lynn") for n in range(1, 16)],
        0,
    ),
    ("payments", [(n, str(n), "100.00", f"{9 + n % 3:02}/20/2024", "") for n in range(1, 16)], 0),
    ("payments", [(90, "40", "50.00", "10/05/2024", ""), (91, "U41", "7.00", "09/05/2024", "")], 0),
]


@pytest.mark.parametrize(
    ("step", "touched"),
    [
        pytest.param(("payments", [(1, "3", "100.00", "10/20/2024", "")], 0), {9, 10}, id="of another job"),
        pytest.param(("jobs", [(50, "", "COD Repair", "Google", day("2024-12-01"), "", "")], 0), {12}, id="new"),
        pytest.param(("jobs", [(3, "U3", "INS Repair", "Rely", day("2024-11-15"), "", "")], 0), {9, 11}, id="moved"),
        pytest.param(("payments", [(99, "4", "0.01", "12/01/2024", "")], 0), {10}, id="a late payment"),
        pytest.param(("jobs", [(40, "", "COD Repair", "", day("2024-12-02"), "", "")], 0), {12}, id="job of an orphan"),
        pytest.param(
            ("jobs", [(60, "U41", "", "", day("2024-12-02"), "", "")], 0), {12}, id="job of an orphan by UUID"
        ),
        pytest.param(("leads", [(1, "2024-11-05 09:15:00 -0500", "20.00", "")], 0), set(), id="another feed"),
    ],
)
@pytest.mark.ordinary(0, deep=1)
def test_only_the_touched_months_of_jobs_change(step: Step, touched: set[int], tmp_path: Path) -> None:
    world = World(tmp_path)
    for before in HISTORY:
        world.step(*before)
    computed = world.step(*step)
    check(world, computed)
    assert computed.increment is not None
    assert computed.before is not None
    table = feed_table(load_rules(world.rules), "jobs")
    was, now = (digests(r.snapshot.scan(CONTENTS).collect(), table) for r in (computed.before, computed.rows))
    assert {m.month for m in {*was, *now} if was.get(m) != now.get(m)} == touched


@pytest.mark.deep
def test_an_earlier_spelling_renames_an_undeclared_source_in_every_month(tmp_path: Path) -> None:
    world = World(tmp_path)
    jobs = [(n, f"U{n}", "COD Service", "pu ls", day(f"2024-{10 + n % 2}-15"), "", "Lynn") for n in range(1, 9)]
    world.step("jobs", jobs, 0)
    computed = world.step("jobs", [(20, "", "COD Repair", "Puls ", day("2024-09-01"), "", "")], 0)
    check(world, computed)
    assert computed.increment is not None
    daily = computed.snapshot.scan("daily_metrics").collect()
    assert set(daily["source"]) == {"Puls"}


@pytest.mark.deep
def test_an_older_export_or_an_edited_rule_computes_everything(tmp_path: Path) -> None:
    world = World(tmp_path)
    for before in HISTORY:
        world.step(*before)
    rows = [(70, "", "COD Repair", "Google", day("2024-10-01"), "", "")]
    assert world.step("late", ("jobs", rows), 0).increment is None
    assert world.step("rules", "price", 0).increment is None
    assert world.step("jobs", [(71, *rows[0][1:])], 0).increment is not None


@pytest.mark.deep
def test_few_new_rows_grow_and_many_are_streamed_with_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    for before in HISTORY:
        world.step(*before)
    monkeypatch.setattr(increment, "MAX_NEW_SHARE", 0.2)
    one = (50, "", "COD Repair", "Google", day("2024-12-01"), "", "")
    assert world.step("jobs", [one], 0).increment is not None
    assert world.step("jobs", [(n, *one[1:]) for n in range(50, 60)], 0).increment is None


@pytest.mark.parametrize("table", [FACTS, replaced("jobs"), CONTENTS])
@pytest.mark.ordinary(0, deep=1)
def test_a_spoiled_file_that_would_be_used_is_noticed_and_everything_made_again(table: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    for before in HISTORY:
        computed = world.step(*before)
    part = computed.snapshot.layers(table)[0].file
    path = world.lake.root / part.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(part.modified_ns, part.modified_ns))  # as bits flip on a disk: without a trace
    computed = world.step("jobs", [(3, "U3", "INS Repair", "Rely", day("2024-09-16"), "", "")], 0)
    assert computed.rebuilt == (part.name,)
    assert computed.increment is None
    check(world, computed)
