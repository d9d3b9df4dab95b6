"""A channel nobody has described, from a file to its numbers, with the command line alone.

The invented Fixly writes a line above its header, semicolons, days first, 14,50 for 14.50, and no id of a job.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rmetrics.cli import run
from small_company import jobs
from support import Project
from templates import Templates

FIRST = """\
Fixly Partner Portal
Booking Ref;Requested On;Trade;Contact Name;Contact Phone;Booking Fee;State;Talk Time
FX-1001;04.11.2024 09:12;Washer;Ann Oakley;617-555-0101;"14,50 ";won;03:20
FX-1002;05.11.2024 17:45;Fridge;Bob Stone;617-555-0102;14,50;refunded;00:40
FX-1003;18.11.2024 08:00;Dryer;Cy Young;617-555-0103;16,00;open;12:01
FX-1004;30.11.2024 23:59;Oven;Di Ash;617-555-0104;1.016,00;;00:10
"""
SECOND = """\
Booking Ref;Requested On;Trade;Contact Name;Contact Phone;Booking Fee;State;Talk Time
FX-1003;18.11.2024 08:00;Dryer;Cy Young;617-555-0103;0,00;refunded;12:01
FX-1005;01.12.2024 00:10;Range;Ed Poe;617-555-0105;20,00;won;01:00
"""
JOBS = jobs((1, "COD Service", "fixly", "11/04/2024"))
MONTHS = "SELECT month::text, segment, jobs, leads, cost FROM monthly_metrics WHERE source = 'Fixly' ORDER BY month"

Line = Callable[..., tuple[int, str]]


@pytest.fixture
def line(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """A command line in the project folder: exit code and stdout."""
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)

    def say(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run(list(arguments))
        return code, capsys.readouterr().out

    return say


def said(line: Line, *arguments: str) -> Any:
    code, text = line(*arguments, "--json")
    assert code == 0, text
    return json.loads(text)


def edited(path: Path, **lines: str) -> None:
    """The owner reads the draft through and changes some lines."""
    text = path.read_text(encoding="utf-8").splitlines()
    for start, new in lines.items():
        (index,) = [i for i, old in enumerate(text) if old.removeprefix("# ").startswith(start)]
        text[index] = new
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


@pytest.mark.deep
def test_a_channel_from_its_file_to_its_story(project: Project, line: Line) -> None:
    project.put("Import-1.csv", JOBS)
    export = project.put("Fixly bookings 2024-11.csv", FIRST)
    assert line("sync", "--quiet") == (0, "")
    told = said(line, "rules", "check")["warnings"]
    (unknown,) = [w["message"] for w in told if "fixly" in w["message"]]
    assert unknown.startswith("'fixly' is the source of 1 job, but no rule declares it")

    draft = said(line, "rules", "new", "Fixly", "--from", str(export))
    assert (draft["key"], draft["date"], draft["problems"]) == ("booking_ref", "requested_at", [])
    assert {c["header"]: c["type"] for c in draft["columns"]} == {
        "Booking Ref": "text", "Requested On": "timestamp", "Trade": "text", "Contact Name": "text",
        "Contact Phone": "phone", "Booking Fee": "money", "State": "text", "Talk Time": "duration",
    }  # fmt: skip
    edited(
        project.rules / "fixly.toml",
        segment='segment = "COD"',
        leads='leads = { feed = "fixly_leads", where = "state IS DISTINCT FROM \'refunded\'" }',
    )
    assert said(line, "rules", "check")["ok"]

    plan = said(line, "plan")
    assert plan["exports"] == ["Fixly bookings 2024-11.csv (fixly_leads): 4 new and 0 changed rows"]
    assert [(c["month"], c["source"], c["segment"], c["metric"], c["before"], c["after"]) for c in plan["changes"]] == [
        ("2024-11-01", "Fixly", "COD", "jobs", None, "1"),
        ("2024-11-01", "Fixly", "COD", "leads", None, "3"),
        ("2024-11-01", "Fixly", "COD", "units", None, "1"),
        ("2024-11-01", "Fixly", "COD", "cost", None, "1061.00"),
        ("2024-11-01", "fixly", "COD", "jobs", "1", None),
        ("2024-11-01", "fixly", "COD", "units", "1", None),
    ]

    assert line("sync", "--quiet") == (0, "")
    assert project.rows(MONTHS) == [("2024-11-01", "COD", 1, 3, "1061.00")]  # 14.50 + 14.50 + 16.00 + 1016.00
    project.put("Fixly bookings 2024-12.csv", SECOND)
    assert line("sync", "--quiet") == (0, "")
    assert project.rows(MONTHS) == [
        ("2024-11-01", "COD", 1, 2, "1045.00"),  # FX-1003 was refunded
        ("2024-12-01", "COD", 0, 1, "20.00"),
    ]
    story = said(line, "history", "--month", "2024-11", "--source", "Fixly")["changes"]
    joined = sorted((c["metric"], c["after"]) for c in story if c["before"] is None)  # as the plan showed
    assert joined == [("cost", "1061.00"), ("jobs", "1"), ("leads", "3"), ("units", "1")]
    assert [(c["metric"], c["before"], c["after"], c["cause"]) for c in story if c["before"]] == [
        ("cost", "1061.00", "1045.00", "new export Fixly bookings 2024-12.csv: 1 changed row"),
        ("leads", "3", "2", "new export Fixly bookings 2024-12.csv: 1 changed row"),
    ]
    words = {r["rule"]: r["words"] for r in said(line, "rules", "--source", "Fixly")["rules"]}
    assert words["leads"] == "a row of fixly_leads is a lead when state is not refunded"
    assert {f["feed"] for f in said(line, "status")["feeds"]} >= {"fixly_leads"}


FIXLY = """\
[feeds.fixly_leads]
files = ["Fixly*"]
key = ["booking_ref"]
date = "requested_at"
job = { column = "trade", match = ["job_id"] }
[feeds.fixly_leads.columns]
booking_ref = { type = "text", from = ["Booking Ref"], required = true }
requested_at = { type = "timestamp", from = ["Requested On"], formats = ["%d.%m.%Y %H:%M"], required = true, comment = "When it was asked for" }
contact_phone = { type = "phone", from = ["Contact Phone"], publish = false }
fee = { type = "money", from = ["Booking Fee"], decimal = "," }
state = { type = "text", from = ["State"] }
trade = { type = "text", from = ["Trade"] }
long = { type = "boolean", sql = "fee > 15" }
[sources.Fixly]
segment = "COD"
leads = { feed = "fixly_leads" }
cost = { feed = "fixly_leads", sum = "fee" }
"""


def with_channel(project: Project) -> None:
    """Puts an export, declares its channel and publishes both."""
    project.put("Import-1.csv", JOBS)
    project.put("Fixly bookings 2024-11.csv", FIRST)
    (project.rules / "fixly.toml").write_text(FIXLY, encoding="utf-8")
    project.sync()


@pytest.fixture
def fixly(templates: Templates, tmp_path: Path) -> Iterator[Project]:
    """A project with the channel, published, for a test to change."""
    with templates.of(with_channel).copy(tmp_path) as project:
        yield project


def columns(project: Project, table: str) -> dict[str, tuple[str, str]]:
    return {
        name: (kind, comment)
        for name, kind, comment in project.rows(
            "SELECT attname::text, format_type(atttypid, atttypmod), col_description(attrelid, attnum) "
            f"FROM pg_attribute WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped"
        )
    }


def test_its_table_is_in_the_style_of_the_schema(fixly: Project) -> None:
    assert columns(fixly, "fixly_leads") == {
        "booking_ref": ("character varying", "As exported under Booking Ref"),
        "requested_at": ("timestamp with time zone", "When it was asked for"),
        "fee": ("numeric(12,2)", "As exported under Booking Fee"),
        "state": ("character varying", "As exported under State"),
        "trade": ("character varying", "As exported under Trade"),
        "long": ("boolean", "Computed from other columns"),
        "requested_date": ("date", "Business day of the row"),
        "job_id": ("character varying", "The job it belongs to; NULL when the job is unknown"),
    }
    assert fixly.rows("SELECT indexname::text FROM pg_indexes WHERE tablename = 'fixly_leads' ORDER BY 1") == [
        ("fixly_leads_job_id_idx",), ("fixly_leads_pkey",), ("fixly_leads_requested_date_idx",)
    ]  # fmt: skip
    (comment,) = fixly.rows("SELECT obj_description('fixly_leads'::regclass)")[0]
    assert comment == "Rows of the feed fixly_leads, one per booking_ref."
    assert fixly.rows("SELECT fee, long, requested_date::text FROM fixly_leads WHERE booking_ref = 'FX-1004'") == [
        ("1016.00", True, "2024-11-30")
    ]


@pytest.mark.deep
def test_a_column_that_is_withheld_later_leaves_the_database(fixly: Project) -> None:
    path = fixly.rules / "fixly.toml"
    text = path.read_text(encoding="utf-8").replace('from = ["State"]', 'from = ["State"], publish = false')
    path.write_text(text, encoding="utf-8")
    fixly.sync()
    assert fixly.rows("SELECT count(state), count(fee) FROM fixly_leads") == [(0, 4)]


@pytest.mark.deep
def test_a_renamed_feed_reads_its_old_exports_once(fixly: Project) -> None:
    before = fixly.rows(MONTHS)
    path = fixly.rules / "fixly.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("fixly_leads", "fixly_bookings"), encoding="utf-8")
    result = fixly.sync()
    assert [(f.feed, f.status, f.accepted, f.superseded) for f in result.files if "Fixly" in f.file] == [
        ("fixly_bookings", "unchanged", 4, 0)
    ]
    assert fixly.rows(MONTHS) == before
    assert fixly.rows("SELECT (SELECT count(*) FROM fixly_bookings), (SELECT count(*) FROM fixly_leads)") == [(4, 0)]
    assert fixly.rows("SELECT count(*) FROM metric_changes") == [(0,)]


@pytest.mark.deep
def test_a_removed_channel_comes_back_as_it_was(fixly: Project) -> None:
    before = fixly.rows(MONTHS)
    path = fixly.rules / "fixly.toml"
    path.unlink()
    result = fixly.sync()
    (finding,) = [f for f in result.findings if f.code == "undeclared-feed"]
    assert (finding.severity, finding.rows) == ("warning", 4)
    assert fixly.rows("SELECT count(*) FROM fixly_leads") == [(0,)]
    assert fixly.rows(MONTHS) == []
    assert fixly.sync().status == "unchanged"
    (fixly.root / "data" / "inbox" / "Fixly bookings 2024-11.csv").unlink()  # the lake has it
    path.write_text(FIXLY, encoding="utf-8")
    fixly.sync()
    assert fixly.rows(MONTHS) == before
    assert fixly.rows("SELECT count(*) FROM fixly_leads") == [(4,)]


@pytest.mark.slow
def test_a_job_can_go_although_a_removed_feed_named_it(fixly: Project) -> None:
    path = fixly.rules / "fixly.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('job_id"]', 'type"]'), encoding="utf-8")
    fixly.put("Fixly bookings 2024-12.csv", FIRST.replace("Washer", "COD Service"))
    fixly.sync()
    assert fixly.rows("SELECT count(job_id) FROM fixly_leads") == [(1,)]
    path.unlink()
    feeds = fixly.rules / "feeds.toml"
    text = feeds.read_text(encoding="utf-8").replace(
        'without = ["Lead #"]\n', 'without = ["Lead #"]\nwhere = "type IS NULL"\n', 1
    )
    feeds.write_text(text, encoding="utf-8")
    fixly.sync()
    assert fixly.rows("SELECT count(*) FROM jobs") == [(0,)]
