"""Rows whose role differs between two computations: exactly those for which an export or a rule changes the outcome."""

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest

from rmetrics.lake import Lake
from rmetrics.pipeline.changes.row_changes import State, moved_rows, roles
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.rules.names import JOBS
from rmetrics.shipped import shipped
from small_company import jobs, payments, referrals

NOVEMBER, DECEMBER = dt.date(2024, 11, 1), dt.date(2024, 12, 1)
MANY = 1_000_000


class Company:
    """Exports, rules and a lake; no database."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, 0
        shutil.copytree(Path(shipped("rules")), folder / "rules")
        (folder / "inbox").mkdir()

    def put(self, name: str, text: str) -> None:
        """Writes an export, newer than those before."""
        path = self.folder / "inbox" / name
        path.write_text(text, encoding="utf-8")
        self.files += 1
        os.utime(path, (1_730_000_000 + self.files,) * 2)

    def edit(self, before: str, after: str) -> None:
        """Replaces text of the rules once."""
        path = self.folder / "rules" / "sources.toml"
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    def computed(self, lake: str) -> State:
        """A computation of all that there is, in a lake of its own."""
        place, rules = Lake(self.folder / lake), load_rules(self.folder / "rules")
        place.prepare()
        land_inbox(self.folder / "inbox", place, rules, silent)
        made = compute(place, rules, silent)
        return State(made.rows, {p.rank: p.raw.name for p in made.placed})


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Company:
    made = Company(tmp_path_factory.mktemp("company"))
    made.put("Import-1.csv", jobs((1, "COD Repair", "Google", "11/05/2024"), (2, "INS Repair", "Rely", "11/06/2024")))
    made.put("paid.csv", payments((1, "2024-11-07T15:00:00Z", "150.00", "p1"), more=("Transaction ID",)))
    made.put("pro.csv", referrals(("a", "11/10/2024 09:00 AM", "Booked")))
    return made


@pytest.fixture(scope="module")
def first(company: Company) -> State:
    return company.computed("first")


def test_the_first_time_every_row_is_new(first: State) -> None:
    moved = moved_rows(None, first, None, None, max_rows=MANY)
    assert moved["from"].null_count() == moved.height == 4
    assert sorted(moved.select("feed", "key").rows()) == [
        ("jobs", "1"), ("jobs", "2"), ("payments", "p1"), ("proref_leads", "a"),
    ]  # fmt: skip
    assert moved_rows(first, first, None, None, max_rows=MANY).height == 0


def test_a_role_is_everything_that_the_rules_derive_from_a_row(first: State) -> None:
    told = {(feed, key): role for feed in ("jobs", "payments", "proref_leads") for key, role in _roles(first, feed)}
    assert told == {
        ("jobs", "1"): "Google, COD, 2024-11-05, repair, lead",
        ("jobs", "2"): "Rely, INS, 2024-11-06, repair",
        ("payments", "p1"): "150.00 paid, revenue40 60.000000, Google, COD, 2024-11-05",  # the day of its job
        ("proref_leads", "a"): "lead of Pro Referral (COD) at 20.00, 2024-11-10",
    }


def _roles(state: State, feed: str) -> list[tuple[str, str]]:
    return roles(state, feed).select("key", "role").collect().rows()


def test_an_edited_price_moves_the_rows_it_prices_and_no_other(company: Company, first: State) -> None:
    company.edit("cost    = { per_lead = 20.00 }\n\n", "cost    = { per_lead = 25.50 }\n\n")
    (row,) = moved_rows(first, company.computed("priced"), None, None, max_rows=MANY).iter_rows(named=True)
    company.edit("cost    = { per_lead = 25.50 }\n\n", "cost    = { per_lead = 20.00 }\n\n")
    assert (row["feed"], row["key"], row["month_to"], row["source_to"]) == (
        "proref_leads",
        "a",
        NOVEMBER,
        "Pro Referral",
    )
    assert row["from"] == "lead of Pro Referral (COD) at 20.00, 2024-11-10"
    assert row["to"] == "lead of Pro Referral (COD) at 25.50, 2024-11-10"


@pytest.mark.parametrize("max_rows", [MANY, 1])
@pytest.mark.ordinary(1, deep=1)
def test_a_newer_export_moves_rows_between_months_and_sources(company: Company, first: State, max_rows: int) -> None:
    company.put(
        "Import-2.csv", jobs((2, "INS Repair", "Google", "12/02/2024"), (3, "COD Repair", "Rely", "12/03/2024"))
    )
    after = company.computed(f"second-{max_rows}")

    def moved(month: dt.date | None = None, source: str | None = None) -> set[str]:
        found = moved_rows(first, after, month, source, max_rows=max_rows)
        assert set(found["feed"]) <= {JOBS}
        assert {after.exports[rank] for rank in found["file"]} <= {"Import-2.csv"}
        return set(found["key"])

    assert moved() == {"2", "3"}
    assert moved(NOVEMBER) == {"2"}
    assert moved(DECEMBER) == {"2", "3"}
    assert moved(source="Google") == {"2"}
    assert moved(source="Rely") == {"2", "3"}
