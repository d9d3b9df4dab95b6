"""The plan over buckets comes out as one machine does, however many buckets there are and whoever moves the rows."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from in_process import InProcess
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import Snapshot
from rmetrics.pipeline.compute.compute import Computed, compute
from rmetrics.pipeline.compute.local import Tables
from rmetrics.pipeline.compute.names import CONTENTS
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.postgres.publish.digests import digests
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.spark import steps
from rmetrics.spark.plan import compute_on
from rmetrics.tables import published_tables
from support import ROOT, Project, csv_text, new_project


@dataclass(frozen=True)
class Landed:
    """A lake that one machine has computed."""

    lake: Lake
    rules: Rules
    computed: Computed
    day: dt.date | None


def landed(inbox: Path, rules_dir: Path, root: Path) -> Landed:
    lake, rules = Lake(root), load_rules(rules_dir)
    lake.prepare()
    land_inbox(inbox, lake, rules, silent)
    computed = compute(lake, rules, silent)
    return Landed(lake, rules, computed, newest_day((p.raw for p in computed.placed), rules))


@pytest.fixture(scope="module")
def sample_lake(tmp_path_factory: pytest.TempPathFactory) -> Landed:
    return landed(ROOT / "data" / "sample", ROOT / "rules", tmp_path_factory.mktemp("plan") / "lake")


def same(made: Tables, lake: Landed) -> None:
    """Every table in every row and column; of the contents, which are sums, what is made of them."""
    got, want = Snapshot(lake.lake.store, tables=made), lake.computed.snapshot
    assert set(made) == set(want.tables)
    for name in made:
        a, b = got.scan(name).collect(), want.scan(name).collect()
        if name == CONTENTS:
            for table in published_tables(lake.rules):
                ours, theirs = digests(a, table), digests(b, table)
                assert ours == theirs, table.name
                assert {m: d.totals for m, d in ours.items()} == {m: d.totals for m, d in theirs.items()}
            continue
        assert a.schema == b.schema, name
        assert a.sort(a.columns).equals(b.sort(b.columns)), name


@pytest.mark.deep
@pytest.mark.parametrize(
    "buckets", [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow), 7]
)
def test_the_sample_comes_out_equal_in_every_table(sample_lake: Landed, buckets: int) -> None:
    engine = InProcess()
    made = compute_on(
        engine,
        sample_lake.lake,
        sample_lake.rules,
        sample_lake.computed.typed,
        silent,
        buckets=buckets,
        newest_day=sample_lake.day,
    )
    assert engine.moved > 1000
    same(made, sample_lake)


JOBS = ("Job #", "UUID", "Type", "Source", "Created", "Status", "Total", "Amount paid")
PAYMENTS = ("Payment ID", "Job", "Date", "Amount", "Status")


@pytest.fixture
def awkward(tmp_path: Path) -> Project:
    """Rows that meet across buckets: a name two jobs share, one name in two spellings, a payment of no job."""
    project = new_project(tmp_path, "postgresql://nowhere")
    old = ("11", "u-1", "COD Service", "Word of  Mouth", "01/05/2024 9:00 am", "Done", "90", "90")
    first = csv_text(
        JOBS,
        old,
        ("7", "u-1", "COD Service", "word of mouth", "01/05/2024 9:00 am", "Done", "120", "120"),
        ("8", "", "INS Repair", "", "01/06/2024 9:00 am", "Done", "0", "0"),
        ("9", "u-9", "COD Service", "Google", "", "Done", "0", "0"),
    )
    project.put("jobs_1.csv", first)
    project.put("jobs_2.csv", csv_text(JOBS[:4] + JOBS[5:], (*old[:4], "Cancelled", "95", "95")))  # no column Created
    paid = [
        (f"p{i}", ref, "01/07/2024", amount, "")
        for i, (ref, amount) in enumerate(
            [("u-1", "150.25"), ("7", "-3.10"), ("8", "10"), ("nobody", "77"), ("", "5"), ("u-9", "1")]
        )
    ]
    project.put("payments_1.csv", csv_text(PAYMENTS, *paid))
    return project


@pytest.mark.parametrize("buckets", [1, 2, 7])
@pytest.mark.ordinary(1, deep=2)
def test_rows_meet_across_buckets(awkward: Project, tmp_path: Path, buckets: int) -> None:
    lake = landed(awkward.inbox, awkward.rules, tmp_path / "lake")
    assert {f for f, files in lake.computed.typed.items() if files} >= {"jobs", "payments"}
    made = compute_on(
        InProcess(), lake.lake, lake.rules, lake.computed.typed, silent, buckets=buckets, newest_day=lake.day
    )
    same(made, lake)
    facts = Snapshot(lake.lake.store, tables=made).scan("job_facts").collect()
    assert dict(facts.select("job_id", pl.col("paid").cast(pl.String)).iter_rows())["11"] == "150.25"


@pytest.mark.deep
def test_own_measures_and_members_come_out_as_on_one_machine(awkward: Project, tmp_path: Path) -> None:
    own = (
        '[measures.big]\nof = "payments"\nsum = "amount"\nwhere = "amount > 5"\ntitle = "Large payments"\n'
        '[dimensions.kind]\nof = "jobs"\ncolumn = "type"\n'
        '[returns.since]\nsame = ["client_phone"]\n[measures.again]\nof = "jobs"\ncount = "since < 9"\n'
    )
    header = ("Job #", "Type", "Created", "Phone", "Status", "Total", "Amount paid")
    jobs = [(n, "COD Service", f"01/{n}/2024 9:00 am", "6175550101", "Done", "9", "9") for n in (20, 22, 31)]
    awkward.put("jobs_3.csv", csv_text(header, *jobs))
    (awkward.rules / "own.toml").write_text(own, encoding="utf-8")
    lake = landed(awkward.inbox, awkward.rules, tmp_path / "lake")
    made = compute_on(InProcess(), lake.lake, lake.rules, lake.computed.typed, silent, buckets=3, newest_day=lake.day)
    same(made, lake)
    snapshot = Snapshot(lake.lake.store, tables=made)
    amounts = snapshot.scan("tally_measures").group_by("measure").agg(pl.col("amount").sum()).collect()
    assert dict(amounts.iter_rows()) == {"big": 15025 + 1000 + 7700, "again": 1}
    assert snapshot.scan("tally_members").collect().height > 0


def test_a_lake_without_exports_has_every_table(tmp_path: Path) -> None:
    lake = landed_nothing(tmp_path)
    made = compute_on(InProcess(), lake.lake, lake.rules, lake.computed.typed, silent, buckets=3)
    same(made, lake)


def landed_nothing(root: Path) -> Landed:
    (root / "inbox").mkdir()
    return landed(root / "inbox", ROOT / "rules", root / "lake")


def test_a_large_file_is_read_in_pieces_and_a_pack_as_one(sample_lake: Landed) -> None:
    files = sample_lake.computed.typed["jobs"]
    cut = steps.pieces("jobs", files, 100)
    alone = [f for f, _ in files if not f.packed]
    assert sum(p.height or 0 for p in cut) == sum(f.rows for f in alone)
    assert all((p.height or 0) <= 100 for p in cut)
    assert len([p for p in cut if p.height is None]) == len({f.name for f, _ in files if f.packed})
