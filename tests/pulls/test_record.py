"""What is known of pulls: when each was tried and complete, and how fresh their feeds are."""

import datetime as dt
import json
from pathlib import Path

from command_line import rmetrics
from pulls.declared import TABLE, Declared
from rmetrics.pulls.covered import covered_feeds
from rmetrics.pulls.manifest import SUFFIX, Manifest
from rmetrics.pulls.record import OVERDUE, PullRecord, note_pull, pull_records
from rmetrics.rules import load_rules
from rmetrics.rules.pulls import FolderPull, Pull
from vendor import Reply, jobs, offsets, serving

NOW = dt.datetime(2026, 11, 10, 12, 30, tzinfo=dt.UTC)
ZONE = "America/New_York"


def test_a_try_that_fails_keeps_when_it_was_complete(tmp_path: Path) -> None:
    assert pull_records(tmp_path, ["crm"])[0].trouble(NOW) == "it has never run"
    note_pull(tmp_path, "crm", NOW, "")
    note_pull(tmp_path, "mail", NOW, "no login")
    later = NOW + dt.timedelta(hours=20)
    note_pull(tmp_path, "crm", later, "2 rows missing")
    assert pull_records(tmp_path, ["crm", "mail"]) == (
        PullRecord("crm", later, NOW, "2 rows missing"),
        PullRecord("mail", NOW, None, "no login"),
    )
    assert pull_records(tmp_path, ["crm"])[0].trouble(later) == (
        "not complete on 2026-11-11 08:30 UTC (last complete 2026-11-10 12:30 UTC): 2 rows missing"
    )


def test_one_that_is_complete_becomes_overdue() -> None:
    record = PullRecord("crm", NOW, NOW)
    assert record.trouble(NOW + OVERDUE) == ""
    assert record.trouble(NOW + OVERDUE + dt.timedelta(seconds=1)) == "overdue: last complete 2026-11-10 12:30 UTC"


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"crm": 1}', '{"crm": {"tried_at": "x", "complete_at": null, "why": ""}}'):
        (tmp_path / "pulls.json").write_text(text)
        assert pull_records(tmp_path, ["crm"]) == (PullRecord("crm"),)


def manifest(folder: Path, name: str, at: str, day: str, *, file: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = Manifest("crm", "http", "jobs", name if file else None, at, day, None, 1, 1, None, f"sha of {name}", 1)
    (folder / f"{name}{SUFFIX}").write_bytes(made.document())


def lists(declared: Declared, *names: str) -> dict[str, Pull]:
    """So many lists of the feed of jobs."""
    declared.rules("\n".join(TABLE.format(url="http://127.0.0.1:1").replace("crm]", f"{n}]") for n in names))
    return dict(load_rules(declared.project.rules).pulls)


def test_a_list_is_as_fresh_as_its_last_good_pull(declared: Declared) -> None:
    pulls, folder = lists(declared, "crm"), declared.folder
    inbox = declared.project.inbox
    assert covered_feeds(pulls, inbox, ZONE)["jobs"].at is None
    manifest(folder, "a.csv", "2026-11-08T12:00:00+00:00", "2026-11-08")
    manifest(folder, "nothing", "2026-11-09T12:00:00+00:00", "2026-11-09", file=False)
    found = covered_feeds(pulls, inbox, ZONE)["jobs"]
    assert (found.at, found.exports) == (dt.datetime(2026, 11, 9, 12, tzinfo=dt.UTC), frozenset({"sha of a.csv"}))


def test_days_that_were_left_out_are_not_covered(declared: Declared) -> None:
    """Asked on the 9th from the 9th on, the last good pull being of the 5th: nothing is known from that request on."""
    pulls, inbox = lists(declared, "crm"), declared.project.inbox
    manifest(declared.folder, "b.csv", "2026-11-09T12:00:00+00:00", "2026-11-05")
    assert covered_feeds(pulls, inbox, ZONE)["jobs"].at == dt.datetime(2026, 11, 5, 5, tzinfo=dt.UTC)
    manifest(declared.folder, "a.csv", "2026-11-05T16:00:00+00:00", "2026-11-05")
    assert covered_feeds(pulls, inbox, ZONE)["jobs"].at == dt.datetime(2026, 11, 5, 16, tzinfo=dt.UTC)
    manifest(declared.folder, "c.csv", "2026-11-10T12:00:00+00:00", "2026-11-10")  # from the 5th on: the gap is closed
    assert covered_feeds(pulls, inbox, ZONE)["jobs"].at == dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)


def test_a_feed_of_two_lists_is_as_fresh_as_the_older(declared: Declared) -> None:
    pulls, inbox = lists(declared, "crm", "other"), declared.project.inbox
    manifest(declared.folder, "a.csv", "2026-11-08T12:00:00+00:00", "2026-11-08")
    assert covered_feeds(pulls, inbox, ZONE)["jobs"].at is None
    manifest(inbox / "pulls" / "other", "b.csv", "2026-11-07T12:00:00+00:00", "2026-11-07")
    found = covered_feeds(pulls, inbox, ZONE)["jobs"]
    assert (found.at, found.lists) == (dt.datetime(2026, 11, 7, 12, tzinfo=dt.UTC), 2)


def test_a_folder_without_news_proves_nothing(declared: Declared) -> None:
    pulls = lists(declared, "crm")
    pulls["drive"] = FolderPull(feed="jobs", kind="folder", url="~/x", files=("*.csv",))
    assert covered_feeds(pulls, declared.project.inbox, ZONE) == {}


def test_status_and_doctor_name_a_pull_that_is_not_complete(declared: Declared) -> None:
    with serving(offsets(jobs(9))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert declared.pull().status == "complete"
        vendor.fault = lambda _asked, reply: Reply(reply.body | {"data": reply.body["data"][:-1]})
        assert declared.pull().status == "incomplete"
    told = json.loads(rmetrics(declared.project, "status", "--json").stdout)["pulls"]
    assert [p["name"] for p in told] == ["crm"]
    assert told[0]["complete_at"] < told[0]["tried_at"]
    assert "rows missing" in told[0]["trouble"]
    shown = rmetrics(declared.project, "status").stdout
    assert "Pull crm: not complete on" in shown
    checks = json.loads(rmetrics(declared.project, "doctor", "--json").stdout)["checks"]
    found = next(c for c in checks if c["name"] == "pulls")
    assert (found["severity"], found["advice"]) == ("warning", "Run: rmetrics pull crm")
