"""Rows in quarantine: listed, shown, and taken in once a rule or the file is mended."""

import json
from collections.abc import Callable
from dataclasses import astuple

import pytest

from rmetrics.cli import run
from rmetrics.errors import LakeError, SettingsError
from rmetrics.pipeline.rejected import MASK, rejected_rows, rejected_text
from rmetrics.pipeline.retry import retry_rejected
from support import Project, csv_text

JOBS = ("Job #", "Job Type", "Source", "Created", "Client", "Primary Phone")
GOOD = (1, "COD Service", "Google", "Tue Nov 05 2024", "Ada", "6175550101")
ODD = (2, "COD Service", "Google", "05.11.2024", "Bob", "6175550102")


@pytest.fixture
def spoiled(project: Project) -> Project:
    project.put("Import-1.csv", csv_text(JOBS, GOOD, ODD))
    project.sync()
    return project


def test_a_rejected_row_has_file_line_column_value_and_reason(spoiled: Project) -> None:
    (row,) = rejected_rows(spoiled.settings)
    assert (row.file, row.feed, row.line, row.column, row.value) == ("Import-1.csv", "jobs", 3, "Created", "05.11.2024")
    assert "is in no form that the rules declare" in row.reason
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
    project.put("Import-2.csv", csv_text(JOBS, (3, *GOOD[1:])))
    project.sync()
    assert [r.value for r in rejected_rows(project.settings)] == [MASK]
    assert [r.value for r in rejected_rows(project.settings, reveal=True)] == ["twelve"]


def test_a_row_that_cannot_be_cut_into_cells_is_masked_as_a_whole(project: Project) -> None:
    project.put("Import-1.csv", csv_text(JOBS, GOOD) + "2,COD Service\n")
    project.sync()
    (row,) = rejected_rows(project.settings)
    assert rejected_text(project.settings, row.id).text == MASK
    assert "COD Service" in (rejected_text(project.settings, row.id, reveal=True).text or "")


def test_an_added_format_takes_the_row_in_and_says_so(spoiled: Project) -> None:
    feeds = spoiled.rules / "feeds.toml"
    feeds.write_text(
        feeds.read_text().replace('"Date Created"], formats = [', '"Date Created"], formats = ["%d.%m.%Y", ', 1)
    )
    assert [r.waiting for r in rejected_rows(spoiled.settings)] == [True]
    result = retry_rejected(spoiled.settings)
    assert [(r.file, r.line) for r in result.taken] == [("Import-1.csv", 3)]
    assert result.still == ()
    assert result.sync.status == "published"
    assert spoiled.rows("SELECT job_id FROM jobs ORDER BY 1") == [("1",), ("2",)]


def test_a_mended_file_takes_the_row_in_and_the_sync_says_so(spoiled: Project) -> None:
    spoiled.put("Import-1.csv", csv_text(JOBS, GOOD, (*ODD[:3], "Tue Nov 05 2024", *ODD[4:])))
    result = spoiled.sync()
    told = [f.message for f in result.findings if f.code == "rejected-rows-taken-in"]
    assert len(told) == 1
    assert "Import-1.csv line 3" in told[0]
    assert not [f for f in result.findings if f.code == "rejected-rows"]
    assert rejected_rows(spoiled.settings) == ()
    assert not [f for f in spoiled.sync().findings if f.code == "rejected-rows-taken-in"]  # told once


def test_a_retry_without_a_mend_leaves_the_row(spoiled: Project) -> None:
    before = rejected_rows(spoiled.settings)
    result = retry_rejected(spoiled.settings)
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
