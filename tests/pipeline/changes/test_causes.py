"""Why a figure changed: exports that brought rows into its month and source, edits that can move it, or the whole run."""

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from rmetrics.pipeline.changes.causes import ArrivedRows, Causes, as_new, overall_cause
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.edits import Edit
from rmetrics.shipped import shipped
from rmetrics.version import __version__

NOVEMBER, DECEMBER = dt.date(2024, 11, 1), dt.date(2024, 12, 1)
PRICE = Edit("sources.Pro Referral.cost.per_lead", "rules/sources.toml:45", "20.00", "25.00")
SHARE = Edit("revenue.share", "rules/business.toml:9", "0.40", "0.42")


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(shipped("rules"))


def arrived(feed: str, export: str, source: str | None, new: int, changed: int = 0) -> ArrivedRows:
    return ArrivedRows(feed, f"new export {export}", NOVEMBER, source, new, changed)


def test_rows_count_for_their_month_their_source_and_what_their_feed_feeds(rules: Rules) -> None:
    came = (
        arrived("jobs", "jobs.csv", "Google", 2, 1),
        arrived("payments", "paid.csv", "Rely", 1),
        arrived("elocals_leads", "leads.csv", None, 3),
    )
    causes = Causes("rules edited", came, (), rules, rules)
    assert causes.of(NOVEMBER, "Google", "jobs") == "new export jobs.csv: 2 new rows, 1 changed row"
    assert causes.of(NOVEMBER, "Rely", "revenue40") == "new export paid.csv: 1 new row"
    assert causes.of(NOVEMBER, "Rely", "jobs") == "rules edited"
    assert causes.of(NOVEMBER, "eLocals", "cost") == "new export leads.csv: 3 new rows"
    assert causes.of(NOVEMBER, "NSA", "jobs") == "rules edited"
    assert causes.of(DECEMBER, "Google", "jobs") == "rules edited"


def test_rows_of_one_export_are_added_up(rules: Rules) -> None:
    came = (arrived("jobs", "all.csv", "Google", 2), arrived("payments", "all.csv", "Google", 1, 4))
    causes = Causes("", came, (), rules, rules)
    assert causes.of(NOVEMBER, "Google", "repairs") == "new export all.csv: 3 new rows, 4 changed rows"


def test_an_edit_is_a_cause_of_what_it_can_move_and_only_where_the_rules_before_are_known(rules: Rules) -> None:
    causes = Causes("rules edited", (), (PRICE, SHARE), rules, rules)
    assert causes.of(NOVEMBER, "Pro Referral", "cost") == f"rule edit {PRICE}"
    assert causes.of(NOVEMBER, "Google", "revenue40") == f"rule edit {SHARE}"
    assert causes.of(NOVEMBER, "Google", "jobs") == "rules edited"
    unknown = Causes("rules edited", (), (PRICE,), None, rules)
    assert unknown.of(NOVEMBER, "Pro Referral", "cost") == "rules edited"


def test_withdrawn_exports_are_named_where_their_feed_counts_and_only_five_of_many(rules: Rules) -> None:
    withdrawn = tuple(("elocals_leads", f"p{n}.csv") for n in range(7))
    causes = Causes("", (), (), rules, rules, withdrawn)
    told = "withdrawn exports: p0.csv, p1.csv, p2.csv, p3.csv, p4.csv and 2 more"
    assert causes.of(NOVEMBER, "eLocals", "leads") == told
    assert causes.of(NOVEMBER, "Google", "jobs") == ""


def test_a_figure_of_a_member_has_the_causes_of_all_sources_of_its_month(rules: Rules) -> None:
    came = (arrived("jobs", "jobs.csv", "Google", 1), arrived("jobs", "jobs.csv", "Rely", 2))
    causes = Causes("rules edited", came, (SHARE,), rules, rules)
    assert causes.of_member(NOVEMBER, "technician", "jobs") == "new export jobs.csv: 3 new rows"
    assert causes.of_member(DECEMBER, "technician", "revenue40") == f"rule edit {SHARE}"


def test_the_frame_has_every_possible_figure_once(rules: Rules) -> None:
    causes = Causes("published again", (arrived("jobs", "j.csv", "Google", 1),), (), rules, rules)
    frame = causes.frame([NOVEMBER, DECEMBER], ["Google", "Rely"])
    assert frame.height == frame.select("month", "source", "metric").n_unique()
    moved = frame.filter(frame["cause"] != "published again")
    assert set(moved.select("month", "source").rows()) == {(NOVEMBER, "Google")}
    assert {"jobs", "units", "repairs"} <= set(moved["metric"])


def computed(*names: str, restored: bool = False, withdrawn: tuple[str, ...] = ()) -> Any:
    """What ``overall_cause`` reads of a computation: exports are named by one letter, which is their hash too."""
    raw = [SimpleNamespace(name=f"{n}.csv", sha256=n * 64, restored=restored) for n in names]
    return SimpleNamespace(
        placed=[SimpleNamespace(raw=r) for r in raw],
        withdrawn=[SimpleNamespace(name=f"{n}.csv", sha256=n * 64) for n in withdrawn],
        earlier=(),
        snapshot=SimpleNamespace(exports=raw),
    )


@pytest.mark.parametrize(
    ("made", "before", "cause"),
    [
        (computed("a", "b"), "a", "new export: b.csv"),
        (computed("a", "b", "c"), "a", "new exports: b.csv, c.csv"),
        (computed("b", restored=True), "", "restored export: b.csv"),
        (computed("a", withdrawn=("b",)), "ab", "withdrawn export: b.csv"),
        (computed("a"), "abc", "2 exports removed"),
        (computed("a"), "a", "published again: the database differed from the lake"),
    ],
)
def test_the_cause_of_a_run_names_what_came_and_what_went(rules: Rules, made: Any, before: str, cause: str) -> None:
    known = frozenset(letter * 16 for letter in before)
    assert overall_cause(known, rules.digest, __version__, made, rules) == cause


def test_the_cause_of_a_run_names_edited_rules_another_version_and_another_order(rules: Rules) -> None:
    known = frozenset({"a" * 16})
    assert overall_cause(known, "other rules", "0.0.1", computed("a"), rules) == (
        f"rules edited; rmetrics 0.0.1 -> {__version__}"
    )
    made = computed("a", "b")
    made.earlier = [SimpleNamespace(sha256=n * 64) for n in "ba"]
    assert overall_cause(frozenset({"a" * 16, "b" * 16}), rules.digest, __version__, made, rules) == (
        "an export was delivered again and now counts as the newest"
    )


def test_an_export_is_new_or_restored() -> None:
    raw: Any = SimpleNamespace(name="jobs.csv", restored=False)
    assert as_new(raw) == "new export jobs.csv"
    raw.restored = True
    assert as_new(raw) == "restored export jobs.csv"
