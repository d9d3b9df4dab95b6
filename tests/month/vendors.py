"""The company's vendors on this machine: lists by offset, cursor and page, with the fault of the day in one of them."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime

from month.company import Company, Row
from month.runs import EPOCH
from vendor import Asked, Reply

ONCE = ("429 in seconds", "429 by date", "500", "cut off", "login page", "total changes", "row altered", "clock jumps")
LASTING = ("page dropped", "rows dropped", "expired token", "login page", "500", "total changes", "cut off")
PULLS = """\
[pulls.crm_jobs]
feed    = "jobs"
kind    = "http"
url     = "{url}/v1/{{token}}/jobs"
secrets = {{ token = "CRM_TOKEN" }}
params  = {{ start_date = "{{since}}", records = "{{size}}", offset = "{{offset}}" }}
paging  = {{ kind = "offset", size = 10 }}
rows    = "data"
total   = "total"
unique  = ["UUID"]
overlap = "14 days"
zone    = "America/New_York"
stamps  = ["Created"]
[pulls.crm_jobs.columns]
"Job #"    = "SerialId"
UUID       = "UUID"
"Job Type" = "JobType"
Source     = "JobSource"
Created    = "CreatedDate"

[pulls.processor]
feed    = "payments"
kind    = "http"
method  = "POST"
url     = "{url}/payments/search"
secrets = {{ key = "PAY_KEY" }}
headers = {{ Authorization = "Bearer {{key}}" }}
paging  = {{ kind = "cursor", next = "next" }}
rows    = "data"
total   = "total"
unique  = ["Transaction ID"]
overlap = "14 days"
scale   = {{ Amount = 2 }}
[pulls.processor.body]
from  = "{{since}}"
after = "{{cursor}}"
[pulls.processor.columns]
"Transaction ID" = "id"
"Job #"          = "job.number"
Date             = "paid"
Amount           = "amount_cents"
Status           = "state"

[pulls.ads]
feed    = "google_spend"
kind    = "http"
url     = "{url}/ads"
secrets = {{ key = "ADS_KEY" }}
headers = {{ Authorization = "Bearer {{key}}" }}
params  = {{ from = "{{since}}", page = "{{page}}", per_page = "{{size}}" }}
paging  = {{ kind = "page", size = 20 }}
rows    = "data"
total   = "total"
unique  = ["Day", "Campaign"]
overlap = "30 days"
scale   = {{ Cost = 6 }}
[pulls.ads.columns]
Day      = "segments.date"
Campaign = "campaign.name"
Cost     = "metrics.costMicros"

[pulls.elocal_mail]
feed     = "elocals_leads"
kind     = "imap"
url      = "{mailbox}"
secrets  = {{ user = "MAIL_USER", password = "MAIL_PASSWORD" }}
user     = "{{user}}"
password = "{{password}}"
from     = "@elocal.example"
subject  = "leads"
files    = ["*.csv"]
overlap  = "14 days"

[pulls.drive]
feed  = "targets"
kind  = "folder"
url   = "{folder}"
files = ["*.csv"]
"""


@dataclass
class Fault:
    """What goes wrong in one list on one morning.

    Attributes:
        at: which request of the list, from 1.
        lasting: on that page each time it is asked for; otherwise once.
        struck: called instead, where the fault is that the pull is killed.
    """

    name: str
    kind: str
    at: int = 1
    lasting: bool = False
    struck: Callable[[], None] | None = None


@dataclass
class Vendors:
    """Answers the pulls of a company."""

    company: Company
    now: dt.datetime = EPOCH
    fault: Fault | None = None
    asked: int = 0
    hit: int = field(default=0)

    def morning(self, now: dt.datetime, fault: Fault | None) -> None:
        """Another day: its clock, and what will go wrong."""
        self.now, self.fault, self.asked, self.hit = now, fault, 0, 0

    def answer(self, asked: Asked) -> Reply:
        """The reply to one request."""
        name, start, size = self._place(asked)
        rows, day = self.company.served()[name]
        since = dt.date.fromisoformat(asked.params.get("start_date") or asked.params.get("from") or asked.json["from"])
        rows = [r for r in rows if day(r) >= since]
        body = {"data": rows[start : start + size], "total": len(rows)}
        if name == "payments":
            body["next"] = f"c{start + size}" if start + size < len(rows) else None
        reply = Reply(body, headers={"Date": format_datetime(self.now, usegmt=True)})
        return self._faulty(name, start // size + 1, reply)

    def _place(self, asked: Asked) -> tuple[str, int, int]:
        if "/jobs" in asked.path:
            assert asked.path == "/v1/canary-crm/jobs"
            return "jobs", int(asked.params["offset"]), int(asked.params["records"])
        if asked.path == "/ads":
            assert asked.headers["authorization"] == "Bearer canary-ads"
            size = int(asked.params["per_page"])
            return "spend", (int(asked.params["page"]) - 1) * size, size
        assert asked.headers["authorization"] == "Bearer canary-pay"
        return "payments", int(asked.json.get("after", "c0")[1:]), 15

    def _faulty(self, name: str, page: int, reply: Reply) -> Reply:
        fault = self.fault
        if fault is None or fault.name != name:
            return reply
        self.asked += 1
        if not (page == fault.at if fault.lasting else self.asked == fault.at):
            return reply
        self.hit += 1
        if fault.struck is not None:
            fault.struck()
        return self._spoiled(fault.kind, reply)

    def _spoiled(self, kind: str, reply: Reply) -> Reply:  # noqa: C901, PLR0911 - a line for each fault
        rows: list[Row] = reply.body["data"]
        clock = reply.headers
        match kind:
            case "page dropped":
                return Reply(reply.body | {"data": []}, headers=clock)
            case "rows dropped":
                return Reply(reply.body | {"data": rows[:-1]}, headers=clock)
            case "row altered":
                return Reply(reply.body | {"data": [{**r, "changed": 1} for r in rows[::-1]]}, headers=clock)
            case "cut off":
                return Reply(reply.body, headers=clock, cut=len(reply.bytes) // 2)
            case "429 in seconds":
                return Reply({}, 429, {**clock, "Retry-After": "0"})
            case "429 by date":
                return Reply({}, 429, {**clock, "Retry-After": clock["Date"]})
            case "500":
                return Reply(b"oops", 500, clock)
            case "login page":
                return Reply(b"<!DOCTYPE html><form>Sign in</form>", headers={**clock, "Content-Type": "text/html"})
            case "expired token":
                return Reply({"error": "expired"}, 401, clock)
            case "total changes":
                return Reply(reply.body | {"total": reply.body["total"] + 1}, headers=clock)
            case "clock jumps":
                return Reply(
                    reply.body, headers={"Date": format_datetime(self.now - dt.timedelta(days=2), usegmt=True)}
                )
            case _:
                return reply
