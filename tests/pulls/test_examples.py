"""The shipped pulls against servers with the shape of the real ones: a pulled month equals the month exported by hand."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import rmetrics
from mailserver import Mailbox, message
from rmetrics.rules import load_rules
from support import ROOT, Project, new_project
from vendor import Asked, Reply, serving

RECORDED = Path(__file__).parent / "recorded"
EXAMPLES = sorted((ROOT / "rules" / "examples").glob("pull_*.toml"))
SINCE = "2024-11-01"
ELOCAL = (
    "Unique ID,Time,Duration,Cost,Status,Caller ID\n"
    "50002,2024-11-05 23:50:00 -0500,02:23,38.55,,6175550100\n"
    "50003,2024-11-06 08:00:00 -0500,01:00,41.20,,6175550101\n"
)
ANGI = (
    "Lead Number,Lead Date,Phone,Task,Lead Status,Lead Fee\n"
    "A-1,11/04/2024 9:00 AM,617-555-0101,Dryer Repair,Charged,$35.20\n"
    "A-2,11/05/2024 9:00 AM,617-555-0102,Washer Repair,Charged,$41.05\n"
)
PAYMENTS = (
    "Transaction ID,Job #,Date,Amount\n"
    + "".join(f"P{n},{n},11/{n % 28 + 1:02d}/2024,{n % 97}.{n % 89:02d}\n" for base in (1000, 2000, 3000, 4000) for n in range(base, base + 8))
)  # fmt: skip


def recorded(name: str) -> Any:
    """The rows in the vendor's shape; numbers keep their digits."""
    return json.loads((RECORDED / f"{name}.json").read_text(), parse_float=lambda t: f"@{t}")


def exact(document: Any) -> bytes:
    """The document with its numbers as they were recorded."""
    return re.sub(rb'"@([0-9.]+)"', rb"\1", json.dumps(document).encode())


def sliced(asked: Asked, rows: list[Any], start: int, size: int) -> list[Any]:
    assert asked.headers["user-agent"] == "rmetrics"
    return rows[start : start + size]


def workiz(asked: Asked) -> Reply:
    assert asked.path.startswith("/api.workiz.com/api/v1/canary-WORKIZ_TOKEN/job/all/")
    assert asked.params["start_date"] == SINCE
    start, size = int(asked.params["offset"]), int(asked.params["records"])
    return Reply(exact({"flag": True, "data": sliced(asked, recorded("workiz"), start, size)}))


def counted(name: str, key: str, total: str, size: str) -> Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        assert "canary-" in asked.headers["authorization"]
        rows, records, page = recorded(name), int(asked.params[size]), int(asked.params["page"])
        return Reply(exact({key: sliced(asked, rows, (page - 1) * records, records), total: len(rows)}))

    return answer


def google(asked: Asked) -> Reply:
    if asked.path.endswith("/token"):
        assert b"canary-GOOGLE_REFRESH_TOKEN" in asked.body
        return Reply({"access_token": "canary-bearer-google", "expires_in": 3599})
    assert asked.headers["authorization"] == "Bearer canary-bearer-google"
    assert SINCE in asked.json["query"]
    rows = recorded("google_lsa" if "local_services_lead" in asked.json["query"] else "google_ads")
    start = int(asked.json.get("pageToken", "0"))
    more = {"nextPageToken": str(start + 7)} if start + 7 < len(rows) else {}
    return Reply({"results": rows[start : start + 7], "totalResultsCount": str(len(rows)), **more})


def servicetitan(asked: Asked) -> Reply:
    if asked.path.endswith("/token"):
        return Reply({"access_token": "canary-bearer-titan"})
    assert asked.headers["st-app-key"] == "canary-SERVICETITAN_APP_KEY"
    rows, at = recorded("servicetitan"), asked.params["from"]
    start = 0 if at == SINCE else int(at)
    more = start + 3 < len(rows)
    return Reply(exact({"data": rows[start : start + 3], "hasMore": more, "continueFrom": str(start + 3)}))


_throttled: list[int] = []


def jobber(asked: Asked) -> Reply:
    if asked.path.endswith("/token"):
        return Reply({"access_token": "canary-bearer-jobber"})
    if not _throttled:
        _throttled.append(1)
        return Reply({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]})
    variables = asked.json["variables"]
    assert variables["since"] == f"{SINCE}T00:00:00Z"
    rows, start, size = recorded("jobber"), int(variables.get("after", 0)), variables["first"]
    page = {"hasNextPage": start + size < len(rows), "endCursor": str(start + size)}
    jobs = {"totalCount": len(rows), "pageInfo": page, "nodes": rows[start : start + size]}
    return Reply(exact({"data": {"jobs": jobs}}))


VENDORS = {
    "api.workiz.com": workiz,
    "api.callrail.com": counted("callrail", "calls", "total_records", "per_page"),
    "googleads.googleapis.com": google,
    "oauth2.googleapis.com": google,
    "api.servicetitan.io": servicetitan,
    "auth.servicetitan.io": servicetitan,
    "api.housecallpro.com": counted("housecall_pro", "jobs", "total_items", "page_size"),
    "api.getjobber.com": jobber,
}
HAND = {
    "workiz": "Import-workiz.csv",
    "callrail": "callrail calls 2024-11.csv",
    "google_ads": "google ads 2024-11.csv",
    "google_lsa": "lsa leads.csv",
    "servicetitan": "servicetitan jobs.csv",
    "housecall_pro": "housecall jobs.csv",
    "jobber": "jobber jobs.csv",
}


def prepared(root: Path, dsn: str) -> Project:
    """A project with what both have: payments by hand, the feeds of lead vendors."""
    project = new_project(root, dsn)
    for name in ("lsa_leads.toml", "angi_leads.toml"):
        shutil.copy(ROOT / "rules" / "examples" / name, project.rules / name)
    project.put("payments.csv", PAYMENTS)
    return project


FIGURES = "SELECT {day}, source, segment, jobs, leads, units, repairs, revenue_gross, revenue40, cost FROM {table} ORDER BY 1, 2, 3"


def figures(project: Project) -> list[tuple[Any, ...]]:
    """Everything that is published of months and days, and of calls."""
    return [
        *project.rows(FIGURES.format(day="month", table="monthly_metrics")),
        *project.rows(FIGURES.format(day="date", table="daily_metrics")),
        *project.rows("SELECT call_id, started_at, direction, answered, duration_s FROM calls ORDER BY 1"),
        *project.rows("SELECT job_id, job_uuid, type, metric_date, total, city, zip, technician FROM jobs ORDER BY 1"),
    ]


@pytest.mark.deep
def test_a_pulled_month_equals_the_month_exported_by_hand(tmp_path: Path, pg_uri: str) -> None:
    from support import fresh_database

    with fresh_database(pg_uri) as first, fresh_database(pg_uri) as second:
        by_hand, pulled = prepared(tmp_path / "hand", first), prepared(tmp_path / "pulled", second)
        for name, file in HAND.items():
            by_hand.put(file, (RECORDED / f"{name}.csv").read_bytes())
        by_hand.put("leads cost Elocals 2024-11.csv", ELOCAL)
        by_hand.put("angi 2024-11.csv", ANGI)
        assert {f.status for f in by_hand.sync().files} == {"landed"}
        _pull_all(pulled)
        result = pulled.sync()
        assert [f.reason for f in result.files if f.status != "landed"] == []
        assert [f.rejected for f in result.files] == [0] * 10
        want = figures(by_hand)
        assert len(want) > 60
        assert figures(pulled) == want


def _pull_all(project: Project) -> None:
    mails = (
        message("Leads <leads@elocal.com>", "Your leads", "Thu, 7 Nov 2024", leads_csv=ELOCAL),
        message("Angi <reports@angi.com>", "Your leads", "Fri, 8 Nov 2024", angi_csv=ANGI),
        message("Else <leads@elocal.com.example.org>", "Your leads", "Fri, 8 Nov 2024", leads_csv="forged"),
    )
    password = "canary-MAIL_PASSWORD"  # noqa: S105 - of the mailbox above
    with serving(lambda asked: VENDORS[asked.path.split("/")[1]](asked)) as vendor, \
            Mailbox(*mails, user="canary-MAIL_USER", password=password) as mailbox:  # fmt: skip
        names = set()
        for path in EXAMPLES:
            text = path.read_text().replace("https://", f"{vendor.url}/")
            text = re.sub(r"imaps://[^\"]*", mailbox.url, re.sub(r"\bsize = \d+", "size = 3", text))
            text = text.replace("120 per minute", "120 per second")
            (project.rules / path.name).write_text(text)
            names |= set(re.findall(r'= "([A-Z][A-Z_]+)"', text))
        (project.root / ".env").write_text("".join(f"{n}=canary-{n}\n" for n in sorted(names)))
        run = rmetrics(project, "pull", "--since", SINCE, "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    found = {p["name"]: p["status"] for p in json.loads(run.stdout)["pulls"]}
    assert set(found.values()) == {"complete"}, found
    assert len(found) == 9
    written = [p for p in project.root.rglob("*") if p.is_file() and p.name != ".env"]
    assert [p for p in written if b"canary-" in p.read_bytes()] == []
    assert "canary-" not in run.stdout + run.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_example_loads_and_says_what_it_needs(path: Path, tmp_path: Path) -> None:
    project = prepared(tmp_path / "project", "")
    shutil.copy(path, project.rules / path.name)
    pulls = load_rules(project.rules).pulls
    assert pulls
    text = path.read_text()
    assert "To use it" in text
    for pull in pulls.values():
        assert pull.looks_back.days >= 7
        assert all(text.count(setting) >= 1 for setting in pull.secrets.values())


def test_nothing_is_pulled_unless_it_is_declared(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project", "")
    run = rmetrics(project, "pull")
    assert (run.returncode, run.stdout.startswith("No pull is declared, so nothing was fetched.")) == (0, True)
    assert list(project.inbox.iterdir()) == []
