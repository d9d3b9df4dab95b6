"""Figures of own measures and of members: what differs, by how much, and redeclared ratios whose sums stay."""

import datetime as dt
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from rmetrics.pipeline.changes.causes import ArrivedRows, Causes
from rmetrics.pipeline.changes.figure_changes import own_changes, ratio_changes
from rmetrics.pipeline.changes.own_figures import OwnFigures, member_changes, month_sums
from rmetrics.rules import ALL, Rules, load_rules
from rmetrics.shipped import shipped

NOVEMBER, DECEMBER = dt.date(2024, 11, 1), dt.date(2024, 12, 1)
DAY = dt.date(2024, 11, 5)
OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[measures.rate]
ratio = ["callbacks", "{below}"]
[dimensions.technician]
of = "jobs"
column = "technician"
"""
D = Decimal


@pytest.fixture(scope="module")
def with_rate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Rules]:
    """Rules with callbacks, and their share of a measure."""

    def load(below: str) -> Rules:
        folder = tmp_path_factory.mktemp("rules") / "rules"
        shutil.copytree(Path(shipped("rules")), folder)
        (folder / "own.toml").write_text(OWN.format(below=below), encoding="utf-8")
        return load_rules(folder)

    return load


def test_days_are_added_up_to_months_and_sources_to_the_company() -> None:
    own = OwnFigures(
        {
            (DAY, "Google", "COD", "callbacks"): D(2),
            (dt.date(2024, 11, 30), "Google", "COD", "callbacks"): D(1),
            (dt.date(2024, 12, 1), "Rely", "INS", "callbacks"): D(5),
        }
    )
    assert own.monthly == {
        (NOVEMBER, "Google", "COD", "callbacks"): D(3),
        (DECEMBER, "Rely", "INS", "callbacks"): D(5),
    }
    shipped_figures = {(NOVEMBER, "Google", "COD"): (D(4), D("1.10")), (NOVEMBER, "Rely", "INS"): (D(1), D("0.20"))}
    assert month_sums(shipped_figures, ("jobs", "cost"), own) == {
        (NOVEMBER, "jobs"): D(5), (NOVEMBER, "cost"): D("1.30"), (NOVEMBER, "callbacks"): D(3), (DECEMBER, "callbacks"): D(5),
    }  # fmt: skip


def test_a_day_differs_by_its_value_and_zero_is_no_row() -> None:
    one = OwnFigures({(DAY, "Google", "COD", "a"): D(1), (DAY, "Rely", "INS", "a"): D(0)})
    other = OwnFigures({(DAY, "Google", "COD", "a"): D(2)})
    assert set(one.differing(other)) == set(other.differing(one)) == {(DAY, "Google")}


def test_changes_of_measures_and_members_are_exact_ordered_and_have_their_cause(
    with_rate: Callable[[str], Rules],
) -> None:
    rules = with_rate("jobs")
    came = (ArrivedRows("jobs", "new export j.csv", NOVEMBER, "Google", 1, 0),)
    causes = Causes("rules edited", came, (), rules, rules)
    before = {
        (NOVEMBER, "Google", "COD", "callbacks"): D(1),
        (NOVEMBER, "Rely", "INS", "callbacks"): D(0),
        (DECEMBER, "Google", "COD", "callbacks"): D(7),
    }
    after = {(NOVEMBER, "Google", "COD", "callbacks"): D(2), (DECEMBER, "Google", "COD", "callbacks"): D(7)}
    (change,) = own_changes(before, after, causes)
    assert (change.month, change.source, change.before, change.after, change.cause) == (
        NOVEMBER, "Google", D(1), D(2), "new export j.csv: 1 new row",
    )  # fmt: skip
    was = {(NOVEMBER, "technician", "Bo", "jobs"): D(3), (NOVEMBER, "technician", "Cy", "jobs"): D(1)}
    now = {(NOVEMBER, "technician", "Ann", "jobs"): D(1), (NOVEMBER, "technician", "Bo", "jobs"): D(2)}
    members = member_changes(was, {**now, (DECEMBER, "technician", "Ann", "jobs"): D(0)}, causes)
    assert [(m.member, m.before, m.after) for m in members] == [
        ("Ann", None, D(1)), ("Bo", D(3), D(2)), ("Cy", D(1), None),
    ]  # fmt: skip
    assert {m.cause for m in members} == {"new export j.csv: 1 new row"}


def test_a_redeclared_ratio_changes_although_its_sums_do_not(with_rate: Callable[[str], Rules]) -> None:
    old, new = with_rate("jobs"), with_rate("repairs")
    # jobs, leads, units, repairs, revenue_gross, revenue40, cost
    figures = {(NOVEMBER, "Google", "COD"): (D(8), D(0), D(0), D(4), D(0), D(0), D(0))}
    own = OwnFigures({(DAY, "Google", "COD", "callbacks"): D(1)})
    (change,) = ratio_changes((figures, own), (figures, own), Causes("rules edited", (), (), old, new))
    assert (change.source, change.metric, change.before, change.after) == (ALL, "rate", D("0.125"), D("0.25"))
    same = Causes("", (), (), old, old)
    assert list(ratio_changes((figures, own), (figures, own), same)) == []
    assert list(ratio_changes((figures, own), (figures, own), Causes("", (), (), None, new))) == []
