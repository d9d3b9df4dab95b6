"""What an edit of the rules cannot reach stands, and what stands is what computing everything makes."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal

from properties import test_growth as growth
from properties import test_journeys as follow
from properties.test_journeys import PHONES
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.changes import row_changes
from rmetrics.pipeline.changes.row_changes import State, moved_rows
from rmetrics.pipeline.compute import compute as compute_module
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.compute.kept import KeptTables
from rmetrics.pipeline.compute.local import Tables, compute_all
from rmetrics.pipeline.compute.names import CONTENTS, FACTS, FIGURES, MATCHES, RETURNS, TALLIES, tables
from rmetrics.progress import silent
from rmetrics.rules.projections import same_meaning, without_own_measures, without_prices
from rmetrics.tables import JOURNEYS

OWN = {TALLIES["measures"], TALLIES["members"]}
PRICED = {TALLIES["spent"], JOURNEYS}
ALWAYS = {*FIGURES, CONTENTS}
MADE = {  # by edit, what is made again; None: everything
    "price": PRICED,
    "price from a day on": PRICED,
    "fee": None,  # of a source that was not there
    "lead amount": None,  # which source a feed belongs to may hang on it
    "measure": OWN,
    "dimension": OWN,
    "returns": OWN | {RETURNS},
    "window": None,
    "alias": None,
    "date of jobs": None,
}
MONTHS = ("Tue Oct", "Fri Nov")
LEAD = (70, "2024-11-05 09:15:00 -0500", "12.00", "")


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> growth.World:
    """Jobs, leads with and without prices of their own, calls and payments, with numbers that tie them together."""
    world = follow.World(tmp_path_factory.mktemp("world"), "shipped")
    kinds, sources = ["COD Service", "COD Repair", "Warranty"], ["Google", "Puls", "puls ", "Pro Referral"]
    days, phones = range(1, 13), [PHONES[n % 6] for n in range(13)]
    steps = {
        "jobs": [
            (n, f"U{n}", kinds[n % 3], sources[n % 4], f"{MONTHS[n % 2]} {n:02} 2024", "", phones[n], "02118")
            for n in days
        ],
        "elocals": [
            (n, f"2024-{10 + n % 2}-{n:02} 09:00:00 -0500", f"{n * 9}.00", "", phones[n], "02118") for n in days
        ],
        "proref": [(f"PR{n}", f"{10 + n % 2}/{n:02}/2024 08:00", "Won", phones[n], "02118") for n in days],
        "calls": [
            (f"C{n}", f"2024-11-{n:02} 10:00:00 -0500", "60", "Missed Call", phones[n], "Google Ads", "", "", "inbound")
            for n in days
        ],
        "payments": [(n, str(n), "100.00", f"{10 + n % 2}/20/2024", "") for n in days],
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(growth, "KINDS", follow.KINDS)
        for kind, rows in steps.items():
            world.step(kind, rows, 0)
    return world


def edited(world: growth.World, folder: Path, edits: Sequence[str]) -> growth.World:
    """A copy of a world with edited rules, not computed yet."""
    shutil.copytree(world.folder, folder)
    twin = growth.World.__new__(growth.World)
    twin.inbox, twin.rules, twin.lake = folder / "inbox", folder / "rules", Lake(folder / "lake")
    twin.folder, twin.count = folder, world.count
    for edit in edits:
        name, old, new = growth.EDITS[edit]
        path = twin.rules / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
    return twin


@pytest.mark.parametrize("edits", [*([e] for e in MADE), ["price", "measure"], ["price from a day on", "price"]])
@pytest.mark.ordinary(1, deep=3)
def test_only_what_an_edit_reaches_is_made_again(
    edits: list[str], computed: growth.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = edited(computed, tmp_path / "edited", edits)
    stood = set[str]()

    def noting(*given: Any, kept: KeptTables | None, **options: Any) -> Tables:
        stood.update(kept.tables if kept else ())
        return compute_all(*given, kept=kept, **options)

    monkeypatch.setattr(compute_module, "compute_all", noting)
    found = compute(world.lake, world.loaded(), silent)
    reached = [MADE[e] for e in edits]
    made = None if None in reached else ALWAYS.union(*(r for r in reached if r is not None))
    assert stood == (set() if made is None else set(tables(world.loaded())) - made)
    growth.check(world, found)


@pytest.mark.parametrize("edit", ["price", "price from a day on", "measure", "fee", "alias"])
@pytest.mark.ordinary(2)
def test_rows_that_move_are_the_same_where_they_stand_and_side_by_side(
    edit: str, computed: growth.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = edited(computed, tmp_path / "edited", [edit])
    before = compute(computed.lake, computed.loaded(), silent)
    after = compute(world.lake, world.loaded(), silent)
    was, now = (State(c.rows, {p.rank: p.raw.name for p in c.placed}) for c in (before, after))
    here = moved_rows(was, now, None, None, max_rows=1_000_000)
    monkeypatch.setattr(row_changes, "_same_rows", lambda *_: False)
    beside = moved_rows(was, now, None, None, max_rows=1_000_000)
    assert_frame_equal(here, beside)
    assert (here.height > 0) == (edit != "measure")


@pytest.mark.parametrize("table", [FACTS, MATCHES, JOURNEYS, CONTENTS])
@pytest.mark.ordinary(0, deep=2)
def test_a_damaged_table_that_would_stand_is_noticed_and_everything_made_again(
    table: str, computed: growth.World, tmp_path: Path
) -> None:
    world = edited(computed, tmp_path / "edited", ["price"])
    part = load(world.lake).layers(table)[0].file
    path = world.lake.root / part.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(part.modified_ns, part.modified_ns))  # as bits flip on a disk: without a trace
    found = compute(world.lake, world.loaded(), silent)
    assert part.name in found.rebuilt
    growth.check(world, found)


@pytest.mark.deep
def test_nothing_stands_where_the_rules_of_then_are_gone_or_exports_came(
    computed: growth.World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[KeptTables | None]()

    def noting(*given: Any, kept: KeptTables | None, **options: Any) -> Tables:
        asked.append(kept)
        return compute_all(*given, kept=kept, **options)

    monkeypatch.setattr(compute_module, "compute_all", noting)
    gone = edited(computed, tmp_path / "gone", ["price"])
    shutil.rmtree(gone.lake.root / "rules")
    growth.check(gone, compute(gone.lake, gone.loaded(), silent))
    more = edited(computed, tmp_path / "more", ["price"])
    growth.check(more, more.step("leads", [LEAD], 0))
    assert asked[0] is None
    assert asked[2] is None


def test_the_order_of_sources_is_part_of_what_rules_mean(computed: growth.World) -> None:
    rules = computed.loaded()
    other = replace(rules, sources=dict(reversed(list(rules.sources.items()))))
    assert other == replace(rules, sources=other.sources)
    assert not same_meaning(rules, other)
    assert same_meaning(without_prices(rules), without_prices(without_prices(rules)))
    assert not same_meaning(without_own_measures(rules), rules)
