"""``rmetrics calls`` as a user runs it: whom to call back, and numbers on a terminal alone."""

import json
import os
import pty
import subprocess
import sys

import pytest

import small_company
from command_line import Line, in_process
from small_company import calls
from support import Project, csv_text

pytestmark = pytest.mark.one_engine

JOBS = ("Job #", "UUID", "Job Type", "Source", "Created", "Primary Phone")
LINE = "(617) 555-0199"
NUMBERS = {"lost": "(617) 555-9131", "back": "(617) 555-9132", "booked": "(617) 555-9133", "old": "(617) 555-9134"}


@pytest.fixture
def company(project: Project) -> Project:
    """Four missed callers of one Monday, an answered one, and one of the week before; and leads of two of them."""
    day = "11/04/2024"
    rows = [
        ("A", f"{day} 9:00 AM", "GoogleAds", NUMBERS["lost"], LINE, "", "", ""),
        ("B", f"{day} 9:10 AM", "GoogleAds", NUMBERS["back"], LINE, "", "", ""),
        ("C", f"{day} 9:40 AM", "", LINE, NUMBERS["back"], "", "", ""),
        ("D", f"{day} 9:50 AM", "eLocals", NUMBERS["booked"], LINE, "", "", ""),
        ("E", f"{day} 9:55 AM", "GoogleAds", NUMBERS["old"], LINE, "", "", ""),
        ("F", f"{day} 10:00 AM", "GoogleAds", "(617) 555-9135", LINE, "Nadia", "", ""),
        ("G", f"{day} 11:00 AM", "GoogleAds", "0000000000", LINE, "", "", ""),
        ("H", "10/21/2024 11:00 AM", "GoogleAds", "(617) 555-9136", LINE, "", "", ""),
    ]
    jobs = [
        (1, "U1", "COD Service", "eLocals", day, NUMBERS["booked"]),
        (2, "U2", "COD Service", "Google", "10/28/2024", NUMBERS["old"]),
    ]
    project.put("export_export.csv", calls(*rows, more=("Duration",)))
    project.put("Import-1.csv", csv_text(JOBS, *jobs))
    leads = [
        ("e1", "2024-11-04 09:05:00 -0500", "20.00", NUMBERS["back"]),  # called at 9:40
        ("e2", "2024-11-04 10:00:00 -0500", "20.00", NUMBERS["lost"]),
        ("e3", "2024-11-05 10:00:00 -0500", "20.00", NUMBERS["lost"]),  # after the last call of the phone log
    ]
    project.put("leads cost Elocals.csv", small_company.leads(*leads, more=("Caller ID",)))
    project.sync()
    return project


@pytest.fixture
def said(company: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    return in_process(company, monkeypatch, capsys)


def test_whom_to_call_back(said: Line) -> None:
    document = json.loads(said("calls", "--json").stdout)
    assert [(w["about"], w["source"], w["calls"], w["last"]) for w in document["waiting"]] == [
        ("missed and lost", "Google", 1, "2024-11-04T09:00:00-05:00"),
        ("existing job", "Google", 1, "2024-11-04T09:55:00-05:00"),
    ]
    assert document["without_number"] == 1
    assert document["waiting_since"] == "2024-10-29"  # the week in which a call back still counts
    (every, *_) = document["classes"]
    assert every == {
        "source": "ALL", "calls": 7, "answered": 1, "missed and called back": 1, "missed but booked anyway": 1,
        "missed and lost": 3, "existing job": 1, "not a customer": 0, "own number": 0,
    }  # fmt: skip
    (speed, *_) = document["speed_to_lead"]
    assert speed == {"source": "ALL", "calls": 6, "reached": 2, "median_s": 0, "p90_s": 1800}
    assert document["speed_of_leads"] == [
        {"source": name, "leads": 2, "reached": 1, "median_s": 2100, "p90_s": 2100} for name in ("ALL", "eLocals")
    ]
    assert document["lost_callers"][0]["refused"].startswith("2 callers were reached")
    earlier = json.loads(said("calls", "--day", "2024-10-21", "--json").stdout)
    assert [w["last"][:10] for w in earlier["waiting"]] == ["2024-10-21"]


@pytest.mark.deep
def test_the_published_classes_are_the_same(company: Project) -> None:
    rows = company.rows("SELECT call_id, class, answered_within_s FROM calls ORDER BY 1")
    assert rows == [
        ("A", "missed and lost", None), ("B", "missed and called back", 1800), ("C", None, None),
        ("D", "missed but booked anyway", None), ("E", "existing job", None), ("F", "answered", 0),
        ("G", "missed and lost", None), ("H", "missed and lost", None),
    ]  # fmt: skip


@pytest.mark.deep
def test_numbers_are_shown_on_a_terminal_and_nowhere_else(company: Project, said: Line) -> None:
    for form in ((), ("--json",), ("--format", "csv"), ("--format", "markdown")):
        done = said("calls", *form)
        assert done.returncode == 0
        assert "555" not in done.stdout + done.stderr, form
    own, theirs = pty.openpty()
    command = [sys.executable, "-m", "rmetrics", "calls"]
    with subprocess.Popen(command, cwd=company.root, env=company.environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = bytearray()
        while True:
            try:
                block = os.read(own, 65_536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            shown += block
        assert process.wait(60) == 0
    os.close(own)
    text = shown.decode()
    assert NUMBERS["lost"] in text
    assert NUMBERS["old"] in text
    assert NUMBERS["back"] not in text
    where = "SELECT count(*) FROM calls WHERE calls::text LIKE '%5559131%' OR calls::text LIKE '%555-9131%'"
    assert company.rows(where) == [(0,)]


def test_without_inbound_calls_nothing_is_shown(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.put(
        "Import-1.csv",
        small_company.jobs((1, "COD Service", "eLocals", "11/04/2024", "U1", ""), more=("UUID", "Primary Phone")),
    )
    project.sync()
    done = in_process(project, monkeypatch, capsys)("calls")
    assert done.returncode == 2
    assert in_process(project, monkeypatch, capsys)("calls", "--day", "4 Nov").returncode == 2
    assert "no inbound call has landed" in done.stderr
