"""Rows in quarantine: listed, shown, and taken in once a rule or the file is mended."""

import json
from collections.abc import Callable, Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from rmetrics.cli import run
from rmetrics.errors import LakeError, SettingsError
from rmetrics.pipeline.landing import quarantine as rejected
from rmetrics.pipeline.landing import settled
from rmetrics.pipeline.landing.quarantine import MASK
from rmetrics.usecases.exports import restore, withdraw
from rmetrics.usecases.rejected import rejected_rows, rejected_text, retry_rejected
from small_company import jobs, spend
from support import Project, csv_text
from templates import Templates

pytestmark = pytest.mark.one_engine

JOBS = ("Job #", "Job Type", "Source", "Created", "Client", "Primary Phone")
GOOD = (1, "COD Service", "Google", "Tue Nov 05 2024", "Ada", "6175550101")
ODD = (2, "COD Service", "Google", "05.11.2024", "Bob", "6175550102")


def with_one_odd_row(project: Project) -> None:
    """Publishes two jobs, one of which goes into quarantine."""
    project.put("Import-1.csv", jobs(GOOD, ODD, more=("Client", "Primary Phone")))
    project.sync()


@pytest.fixture
def spoiled(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """A project with one row in quarantine, for a test to change."""
    with templates.of(with_one_odd_row).copy(tmp_path) as project:
        yield project


def test_a_rejected_row_has_file_line_column_value_and_reason(spoiled: Project) -> None:
    (row,) = rejected_rows(spoiled.settings)
    assert (row.file, row.feed, row.line, row.column, row.value) == ("Import-1.csv", "jobs", 3, "Created", "05.11.2024")
    assert "has none of the declared formats" in row.reason
    assert row.id.endswith("-3")


def test_the_row_is_shown_without_customers_data_unless_asked(spoiled: Project) -> None:
    (row,) = rejected_rows(spoiled.settings)
    shown = rejected_text(spoiled.settings, row.id)
    assert shown.cells == {
        "Job #": "2", "Job Type": "COD Service", "Source": "Google", "Created": "05.11.2024", "Client": MASK, "Primary Phone": MASK,
    }  # fmt: skip
    assert shown.masked
    assert rejected_text(spoiled.settings, row.id, reveal=True).cells["Client"] == "Bob"


def test_a_private_value_at_fault_is_masked_unless_asked(project: Project) -> None:
    feeds = project.rules / "feeds.toml"
    feeds.write_text(feeds.read_text().replace('amount_paid  = { type = "money", from = ["Amount Paid"],', 'amount_paid  = { type = "money", publish = false, from = ["Amount Paid"],'))  # fmt: skip
    project.put("Import-1.csv", csv_text((*JOBS, "Amount Paid"), (*GOOD, "twelve")))
    project.put("Import-2.csv", jobs((3, *GOOD[1:]), more=("Client", "Primary Phone")))
    project.sync()
    assert [r.value for r in rejected_rows(project.settings)] == [MASK]
    assert [r.value for r in rejected_rows(project.settings, reveal=True)] == ["twelve"]


@pytest.mark.deep
def test_a_row_that_cannot_be_cut_into_cells_is_masked_as_a_whole(project: Project) -> None:
    project.put("Import-1.csv", jobs(GOOD, more=("Client", "Primary Phone")) + "2,COD Service\n")
    project.sync()
    (row,) = rejected_rows(project.settings)
    assert rejected_text(project.settings, row.id).text == MASK
    assert "COD Service" in (rejected_text(project.settings, row.id, reveal=True).text or "")


@pytest.mark.deep
def test_an_added_format_takes_the_row_in_and_says_so(spoiled: Project) -> None:
    feeds = spoiled.rules / "feeds.toml"
    feeds.write_text(
        feeds.read_text().replace('"Date Created"], formats = [', '"Date Created"], formats = ["%d.%m.%Y", ', 1)
    )
    assert [r.waiting for r in rejected_rows(spoiled.settings)] == [True]
    result = retry_rejected(spoiled.settings, spoiled.sync)
    assert [(r.file, r.line) for r in result.taken] == [("Import-1.csv", 3)]
    assert result.still == ()
    assert result.sync.status == "published"
    assert spoiled.rows("SELECT job_id FROM jobs ORDER BY 1") == [("1",), ("2",)]


def test_a_mended_file_takes_the_row_in_and_the_sync_says_so(spoiled: Project) -> None:
    spoiled.put("Import-1.csv", jobs(GOOD, (*ODD[:3], "Tue Nov 05 2024", *ODD[4:]), more=("Client", "Primary Phone")))
    result = spoiled.sync()
    told = [f.message for f in result.findings if f.code == "rejected-rows-taken-in"]
    assert len(told) == 1
    assert "Import-1.csv line 3" in told[0]
    assert not [f for f in result.findings if f.code == "rejected-rows"]
    assert rejected_rows(spoiled.settings) == ()
    assert not [f for f in spoiled.sync().findings if f.code == "rejected-rows-taken-in"]  # told once


@pytest.mark.parametrize("header", ["*", "^.*$", "^Created$"])
def test_a_header_is_never_taken_for_a_pattern(project: Project, header: str) -> None:
    feeds = project.rules / "feeds.toml"
    text = feeds.read_text(encoding="utf-8")
    was = 'from = ["Job Type", "Type"]'
    assert text.count(was) == 1
    feeds.write_text(text.replace(was, f"from = ['{header}']"), encoding="utf-8")
    bob = ("Job #", header, "Source", "Created", "Client")
    rows = [(1, "COD Repair", "Google", "Tue Nov 05 2024", "Ada"), (2, "COD Repair", "Google", "05.11.2024", "Bob")]
    project.put("Import-1.csv", csv_text(bob, *rows, ("Total", "", "", "", "")))
    project.sync()
    (row,) = rejected_rows(project.settings)
    assert (row.line, row.column, row.value) == (3, "Created", "05.11.2024")
    assert rejected_text(project.settings, row.id, reveal=True).cells[header] == "COD Repair"
    # The next export spells a header in another way, and has the row in order.
    renamed = ("Job #", header, "^Source.*$", "Created", "Client")
    project.put("Import-2.csv", csv_text(renamed, (2, "COD Repair", "Google", "Tue Nov 05 2024", "Bob")))
    lost = [f.message for f in project.sync().findings if f.code == "export-column-lost"]
    assert any("^Source.*$" in message for message in lost)
    assert project.rows("SELECT type, count(*) FROM jobs GROUP BY 1") == [("COD Repair", 2)]


def test_a_retry_without_a_mend_leaves_the_row(spoiled: Project) -> None:
    before = rejected_rows(spoiled.settings)
    result = retry_rejected(spoiled.settings, spoiled.sync)
    assert (result.taken, result.still, result.sync.status) == ((), before, "unchanged")


def test_an_unknown_id_is_explained(spoiled: Project) -> None:
    with pytest.raises(SettingsError, match="no rejected row has the id 'x-1'"):
        rejected_text(spoiled.settings, "x-1")


def test_before_the_first_sync_the_lake_says_what_to_do(project: Project) -> None:
    with pytest.raises(LakeError, match="no export has landed"):
        rejected_rows(project.settings)


@pytest.fixture
def command(spoiled: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    for name, value in spoiled.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(spoiled.root)
    return lambda *arguments: run(list(arguments))


def test_the_commands(command: Callable[..., int], spoiled: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("rejected", "--json") == 0
    said = json.loads(capsys.readouterr().out)["rejected"]
    (row,) = rejected_rows(spoiled.settings)
    assert [tuple(r.values()) for r in said] == [astuple(row)]
    assert {"id", "file", "feed", "line", "column", "value", "reason"} <= said[0].keys()
    assert command("rejected") == 0
    assert row.id in capsys.readouterr().out
    assert command("rejected", "show", row.id) == 0
    out = capsys.readouterr().out
    assert "Import-1.csv, line 3 (jobs)" in out
    assert "Bob" not in out
    assert command("rejected", "show", row.id, "--reveal") == 0
    assert "Bob" in capsys.readouterr().out
    assert command("rejected", "show", "nope") == 2
    assert command("rejected", "retry") == 0
    assert "still rejected: Import-1.csv, line 3" in capsys.readouterr().out


def put(project: Project, name: str, *rows: tuple[object, ...]) -> None:
    project.put(name, jobs(*rows, more=("Client", "Primary Phone")))
    project.sync()


def listed(project: Project) -> list[tuple[str, int]]:
    return [(r.file, r.line) for r in rejected_rows(project.settings)]


def dated(number: int, created: str = "Tue Nov 05 2024") -> tuple[object, ...]:
    return (number, "COD Service", "Google", created, f"Client {number}", "6175550101")


@pytest.mark.slow
def test_the_next_days_rows_under_the_same_name_do_not_hide_a_rejected_row(project: Project) -> None:
    put(project, "Import.csv", dated(1), dated(2, "05.11.2024"), dated(3))
    put(project, "Import.csv", dated(4), dated(5))
    put(project, "Import.csv", dated(6), dated(7, "06.11.2024"))
    (first, second) = rejected_rows(project.settings)
    assert (first.line, first.value) == (3, "05.11.2024")
    assert (second.line, second.value) == (3, "06.11.2024")
    assert rejected_text(project.settings, first.id).cells["Job #"] == "2"
    assert rejected_text(project.settings, second.id).cells["Job #"] == "7"
    put(project, "Import.csv", dated(2), dated(8))  # yesterday's, corrected at last
    assert [r.id for r in rejected_rows(project.settings)] == [second.id]


@pytest.mark.deep
def test_a_corrected_file_under_its_name_settles_its_rows(project: Project) -> None:
    put(project, "Import.csv", dated(1), dated(2, "05.11.2024"), dated(3))
    put(project, "Import.csv", dated(1), dated(2), dated(3))
    assert listed(project) == []
    put(project, "Import b.csv", dated(11), dated(12, "05.11.2024"), dated(13))
    put(project, "Import b.csv", dated(11), dated(13))  # the row was taken out on purpose
    assert listed(project) == []


@pytest.mark.deep
def test_a_row_that_is_rejected_again_is_listed_once(project: Project) -> None:
    put(project, "Import.csv", dated(1), dated(2, "05.11.2024"))
    put(project, "Import.csv", dated(2, "05.11.24?"), dated(4))
    assert listed(project) == [("Import.csv", 2)]


@pytest.mark.slow
def test_a_row_without_a_key_is_recognised_by_its_other_cells(project: Project) -> None:
    project.put(
        "google spend.csv", spend(("2024-10", "31x", "Brand"), ("2024-09", "10.00", "Brand"), more=("Campaign",))
    )
    project.sync()
    project.put("google spend.csv", spend(("2024-11", "5.00", "Brand"), more=("Campaign",)))
    project.sync()
    assert [r.value for r in rejected_rows(project.settings)] == ["31x"]
    project.put(
        "google spend.csv", spend(("2024-10", "31.00", "Brand"), ("2024-12", "5.00", "Brand"), more=("Campaign",))
    )
    project.sync()
    assert rejected_rows(project.settings) == ()


@pytest.mark.deep
def test_rows_of_a_withdrawn_export_are_neither_rejected_nor_taken_in(spoiled: Project) -> None:
    spoiled.put("Import-2.csv", jobs((3, *GOOD[1:]), more=("Client", "Primary Phone")))
    spoiled.sync()
    withdraw(spoiled.settings, "Import-1.csv")
    assert rejected_rows(spoiled.settings) == ()
    assert not any("rejected" in f.code or "taken" in f.code for f in spoiled.sync().findings)
    restore(spoiled.settings, "Import-1.csv")
    spoiled.sync()
    assert listed(spoiled) == [("Import-1.csv", 3)]


@pytest.mark.slow
def test_what_later_exports_correct_is_looked_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is overwritten every day costs one comparison a day, however many days there were."""
    compared: list[int] = []
    real = settled.still_missing

    def counted(*args: Any) -> set[int]:
        compared.append(len(args[-1]))
        return real(*args)

    monkeypatch.setattr(rejected, "still_missing", counted)
    for day in range(1, 7):
        bad = (f"{day}00", "COD Repair", "Google", "soon")
        project.put("Import.csv", jobs((day, "COD Repair", "Google", f"2024-11-0{day}"), bad))
        project.sync()
    assert sum(compared) == 5 * 6 / 2  # each of the earlier five, once for each later one
    assert len(rejected_rows(project.settings)) == 6
    assert sum(compared) == 5 * 6 / 2
