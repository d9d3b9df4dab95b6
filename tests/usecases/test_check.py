"""``rmetrics check`` and what a sync tells of it."""

import json
import os

import pytest

import small_company
from rmetrics.cli import run
from rmetrics.usecases.check import check
from small_company import leads, referrals
from support import Project, csv_text

JOBS = ("Job #", "Job Type", "Status", "Source", "Created")
OWN = '\n[[checks]]\nname = "no_warranty"\nsql = "SELECT job_id FROM job_facts WHERE type = \'Warranty\'"\nseverity = "error"\nmessage = "no warranty jobs here"\n'


@pytest.fixture
def warranty(project: Project) -> Project:
    rules = project.rules / "business.toml"
    rules.write_text(rules.read_text() + OWN)
    project.put(
        "Import-1.csv", small_company.jobs((1, "Warranty", "Google", "Tue Nov 05 2024", "Done"), more=("Status",))
    )
    return project


@pytest.mark.deep
def test_a_sync_tells_what_the_checks_find_also_when_nothing_changed(warranty: Project) -> None:
    for status in ("published", "unchanged"):
        result = warranty.sync()
        assert result.status == status
        found = [f for f in result.findings if f.code == "no_warranty"]
        assert [(f.severity, f.rows) for f in found] == [("error", 1)]
        assert "no warranty jobs here" in found[0].message


def test_the_command_tells_examples_and_exits_by_severity(
    warranty: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warranty.sync()
    for name, value in warranty.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(warranty.root)
    assert run(["check", "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["cross_check"]) == (False, 0)
    assert not any(said["published"].values())
    (found,) = (f for f in said["findings"] if f["code"] == "no_warranty")
    assert (found["severity"], found["rows"], found["examples"]) == ("error", 1, [{"job_id": "1"}])
    rules = warranty.rules / "business.toml"
    rules.write_text(rules.read_text().replace('severity = "error"', 'severity = "warning"'))
    warranty.sync()
    assert run(["check"]) == 0
    assert "no warranty jobs here" in capsys.readouterr().out
    assert run(["check", "--strict", "--quiet"]) == 3


@pytest.mark.deep
def test_a_file_of_the_inbox_that_was_not_synced_is_named(warranty: Project) -> None:
    warranty.sync()
    warranty.put(
        "Import-2.csv", small_company.jobs((2, "COD Service", "Google", "Wed Nov 06 2024", "Done"), more=("Status",))
    )
    (found,) = (f for f in check(warranty.settings, offline=True).findings if f.code == "inbox-not-synced")
    assert found.examples == ({"file": "Import-2.csv"},)


@pytest.mark.deep
def test_a_file_whose_name_is_no_text_is_known_once_it_was_read(project: Project) -> None:
    jobs = small_company.jobs((1, "COD Repair", "Google", "Tue Nov 05 2024", "Done"), more=("Status",))
    name = os.fsencode(project.inbox) + b"/Import-\xff.csv"
    with open(name, "wb") as file:  # noqa: PTH123 - a Path holds no such bytes
        file.write(jobs.encode())
    assert project.sync().files[0].accepted == 1
    assert "inbox-not-synced" not in {f.code for f in check(project.settings).findings}


@pytest.mark.deep
def test_a_window_that_adds_jobs_which_the_crm_hardly_confirms_is_named(project: Project) -> None:
    """Two days later five customers of each source have a job; of eLocals' the CRM says that Google brought them."""
    path = project.rules / "journeys.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("window = 0\n", "window = 3\n", 1), encoding="utf-8")
    phones = [f"61755591{n}" for n in range(30, 40)]
    sources = ["Google"] * 4 + ["eLocals"] + ["Pro Referral"] * 5
    project.put(
        "Import-1.csv",
        csv_text(
            (*JOBS, "Primary Phone"),
            *((n, "COD Service", "Done", sources[n], "Thu Nov 07 2024", phones[n]) for n in range(10)),
        ),
    )
    project.put(
        "leads cost Elocals.csv",
        leads(*((f"e{n}", "2024-11-05 09:00:00 -0500", "20.00", phones[n]) for n in range(5)), more=("Caller ID",)),
    )
    project.put(
        "proref.csv",
        referrals(*((f"p{n}", "11/05/2024 09:00 AM", "Booked", phones[n]) for n in range(5, 10)), more=("Phone",)),
    )
    (found,) = [f for f in project.sync().findings if f.code == "window-hardly-confirmed"]
    assert (found.severity, found.rows) == ("warning", 1)
    assert "source eLocals, added 5, confirmed 1, share 20" in found.message
