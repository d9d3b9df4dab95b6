"""A number or a list from elsewhere: every kind of gap it claims to name is planted, and named."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from rmetrics.errors import SettingsError
from rmetrics.explain.explanation import Question
from rmetrics.explain.gaps import Gap, Reason
from rmetrics.pipeline.asked import MonthRange
from rmetrics.usecases.explain import explain_numbers
from small_company import leads
from support import Project, csv_text

NOVEMBER = dt.date(2024, 11, 1)


def gap(project: Project, source: str, **expect: str) -> Gap:
    question = Question(source, MonthRange(last=NOVEMBER, one=True), expect={n: Decimal(v) for n, v in expect.items()})
    (found,) = explain_numbers(project.settings, question, offline=True)[1]
    return found


def exact(found: Gap) -> list[Reason]:
    return [r for r in found.reasons if r.exact]


def test_no_gap_needs_no_reason(small: Project) -> None:
    found = gap(small, "eLocals", leads="2")
    assert (found.gap, found.reasons) == (Decimal(), ())


def test_rows_excluded_by_the_condition_are_named(small: Project) -> None:
    found = gap(small, "Google", units="4")
    reasons = {r.text: r.keys for r in exact(found)}
    assert {("3", "4")} <= set(reasons.values())
    assert any("Warranty (1)" in text for text in reasons)


def test_rows_that_a_newer_export_credited_are_named_with_the_export(small: Project) -> None:
    found = gap(small, "eLocals", cost="95.50")
    (reason,) = exact(found)
    assert "it was 95.50 before the export leads cost Elocals 2.csv" in reason.text
    assert reason.keys == ("105",)


def test_rows_of_the_month_before_and_after_are_named(small: Project) -> None:
    found = gap(small, "Google", jobs="5")
    texts = {r.text: r.keys for r in found.reasons}
    assert texts["1 count in 2024-10 here, within 3 days of this month"] == ("7",)
    assert texts["1 count in 2024-12 here, within 3 days of this month"] == ("8",)


def test_rows_at_the_edge_of_the_month_that_others_may_put_elsewhere_are_named(small: Project) -> None:
    found = gap(small, "Google", jobs="3")
    (reason,) = exact(found)
    assert "the month after (2024-12)" in reason.text
    assert reason.keys == ("3",)


def test_a_spelling_variant_and_a_blank_source_are_named(small: Project) -> None:
    texts = {r.text: r.keys for r in gap(small, "Google", jobs="5").reasons}
    assert texts["1 job has the source 'Gogle', which no rule declares: add it to the aliases of Google"] == ("5",)
    assert texts["1 job has no source in the CRM (Unattributed)"] == ("6",)


def test_a_row_that_could_not_be_read_is_named_with_its_line(small: Project) -> None:
    rejected = [r for r in gap(small, "Google", jobs="5").reasons if "could not be read" in r.text]
    assert [r.keys for r in rejected] == [("Import-1.csv line 10",)]


def test_a_lead_of_another_month_by_utc_is_named(small: Project) -> None:
    texts = {r.text: r.keys for r in gap(small, "eLocals", leads="3").reasons}
    assert texts["1 not counted here: in 2024-11 by UTC, but in another month by local time"] == ("104",)


def test_duplicates_by_content_are_named(own: Project) -> None:
    own.put(
        "leads cost Elocals 3.csv",
        leads((901, "2024-11-05 10:00:00 -0500", "25.50", "Billed", "6175550201"), more=("Status", "Caller ID")),
    )
    own.sync()
    found = gap(own, "eLocals", leads="2")
    assert {r.keys for r in exact(found)} & {("901",)}
    assert any("repeat another row" in r.text for r in found.reasons)


def test_several_reasons_together_are_marked_when_they_add_up(small: Project) -> None:
    found = gap(small, "Google", jobs="7")
    assert sum(r.rows for r in exact(found)) == 3
    keys = [k for r in exact(found) for k in r.keys]
    assert len(keys) == len(set(keys))


def test_a_gap_that_nothing_explains_stays_unmarked(small: Project) -> None:
    assert exact(gap(small, "eLocals", leads="400")) == []


# -- a list


def listed(
    project: Project, folder: Path, source: str, metric: str, *keys: object
) -> tuple[Gap, Mapping[str, tuple[str, ...]]]:
    path = folder / "list.csv"
    path.write_text(csv_text(("Name", "Job #"), *((f"Customer {i}", k) for i, k in enumerate(keys))))
    question = Question(source, MonthRange(last=NOVEMBER, one=True), metrics=(metric,), against=path, key="Job #")
    (found,) = explain_numbers(project.settings, question, offline=True)[1]
    return found, {r.text: r.keys for r in found.reasons}


def test_a_list_is_compared_row_by_row(small: Project, tmp_path: Path) -> None:
    found, reasons = listed(small, tmp_path, "Google", "units", 1, 1, 3, 7, 8, 5, 10, 9, "#0002", 4711)
    assert "lists 10 rows (9 different), here 2 count: 1 are in both" in found.title
    assert reasons == {
        "1 in the list repeat another of its rows": ("1",),
        "1 only in the list: type IN ('COD Service', 'INS Service') does not hold: type is COD Repair (1), Warranty (1)": ("3",),
        "1 only in the list: count in the month before (2024-10)": ("7",),
        "1 only in the list: count in the month after (2024-12)": ("8",),
        "1 only in the list: have the source 'Gogle': if it is another spelling, add it to the aliases": ("5",),
        "1 only in the list: have the source 'Rely'": ("10",),
        "1 only in the list: could not be read (rmetrics rejected)": ("9",),
        "1 only in the list: are written differently in the exports": ("#0002",),
        "1 only in the list: are in no export": ("4711",),
        "1 count here and are not in the list": ("2",),
    }  # fmt: skip


def test_a_list_names_rows_by_any_column_of_the_feed(small: Project, tmp_path: Path) -> None:
    path = tmp_path / "uuids.csv"
    path.write_text(csv_text(("UUID", "x"), ("u1", 1), (" U2 ", 2)))
    question = Question("Google", MonthRange(last=NOVEMBER, one=True), metrics=("units",), against=path, key="uuid")
    (found,) = explain_numbers(small.settings, question, offline=True)[1]
    assert "2 are in both" in found.title
    assert found.reasons == ()


def test_a_list_without_the_column_says_which_it_has(small: Project, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("Number,Name\n1,A\n")
    with pytest.raises(SettingsError, match="has no column 'Job #'") as error:
        explain_numbers(
            small.settings,
            Question("Google", MonthRange(last=NOVEMBER, one=True), against=path, key="Job #"),
            offline=True,
        )
    assert "Number, Name" in error.value.hint


def test_a_number_of_journeys_from_elsewhere_is_explained_by_what_became_of_the_touches(small: Project) -> None:
    found = gap(small, "eLocals", booked="2")
    reasons = {r.text: (r.keys, r.exact) for r in found.reasons}
    assert (found.metric, found.value) == ("booked", Decimal())
    assert reasons["2 not counted here: without a job: their number has no job"] == (
        ("101", "102"), True,
    )  # fmt: skip
    assert reasons["2 not counted here: cost > 0 does not hold: cost is 0.00 (1), blank (1)"][0] == ("103", "105")


def test_a_ratio_from_elsewhere_is_refused_with_its_parts(small: Project) -> None:
    with pytest.raises(SettingsError, match="'cost_per_booked' is a ratio"):
        gap(small, "eLocals", cost_per_booked="12.50")
