"""A month of mornings: pull, sync, brief, with faults strewn in, beside a company whose exports are made by hand.

Every message is compared with the brief of the company fed by hand on the same morning; at the end every published
figure is. The figures of yesterday are counted here once more from the company's own rows.
"""

import datetime as dt
import json
import os
import random
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mailserver import Mailbox
from month.company import TARGETS, ZONE, Company
from month.runs import Site
from month.vendors import LASTING, ONCE, PULLS, Fault, Vendors
from rmetrics.brief.words import MINUS
from services import Service, service
from support import fresh_database, new_project
from vendor import serving

FIRST = dt.date(2024, 10, 21)
CANARIES = {"CRM_TOKEN": "canary-crm", "PAY_KEY": "canary-pay", "ADS_KEY": "canary-ads", "MAIL_USER": "us@example.com",
            "MAIL_PASSWORD": "canary-mail"}  # fmt: skip
CHANNELS = """
[notify.owner]
url  = "NOTIFY_OWNER"
gets = ["brief", "alerts"]

[notify.partner]
url      = "NOTIFY_PARTNER"
gets     = ["brief"]
language = "ru"
form     = "html"
"""
TABLES = {
    "daily_metrics": "date, source, segment, jobs, leads, units, repairs, revenue_gross::text, revenue40::text, cost::text",
    "monthly_metrics": "month, source, segment, jobs, leads, units, repairs, revenue_gross::text, revenue40::text, cost::text",
    "targets": "month, source, segment, target_repairs::text, target_revenue40::text, target_cpl_max::text",
    "jobs": "job_id, job_uuid, type, source, metric_date",
    "payments": "payment_id, job_id, paid_at::text, amount::text, status",
    "elocals_leads": "lead_id, lead_at::text, cost::text",
    "google_spend": "month, campaign, spend::text",
}  # fmt: skip


Figures = dict[str, Decimal]
COUNTED = r"(?P<leads>[\d,]+) leads?, (?P<visits>[\d,]+) visits?, (?P<repairs>[\d,]+) repairs?;.*; cost (?P<cost>[\d,]+\.\d\d)"


@dataclass
class Month:
    """Both companies, the vendors, and what the channels got."""

    root: Path
    pulled: Site
    handed: Site
    vendors: Vendors
    mailbox: Mailbox
    told: Service
    rng: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    briefs: int = 0
    incomplete: int = 0
    continued: int = 0
    last: tuple[dt.date, Figures] | None = None

    @property
    def company(self) -> Company:
        """The company that both sites show."""
        return self.vendors.company

    def morning(self, day: dt.date, fault: str, *, scheduled: bool) -> None:
        """One day passes, and the next morning comes with its commands."""
        self.company.day(day)
        now = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(8, 30), ZONE).astimezone(dt.UTC)
        self.mailbox.messages[:] = self.company.mail
        self.mailbox.gone = {len(self.company.mail)} if fault == "mail gone" else set()
        for site in (self.pulled, self.handed):
            site.set_clock(now)
        self.vendors.morning(now, self._fault(fault))
        before = len(self.told.got)
        whole = self._pulled(fault, scheduled=scheduled)
        theirs = self._handed(now)
        self._keep(day, fault, self.told.got[before:])
        self._read(day, self.told.got[before:], theirs, whole=whole)
        self.faults[f"{fault}: {'complete' if whole else 'incomplete'}"] += 1
        if fault in ONCE or fault.startswith("lasting "):
            assert self.vendors.hit, fault

    def _fault(self, kind: str) -> Fault | None:
        name = self.rng.choice(("jobs", "payments", "spend"))
        if kind == "pull killed":
            return Fault(name, "none", struck=self.pulled.kill)
        lasting = kind.removeprefix("lasting ")
        return None if kind in {"none", "mail gone"} else Fault(name, lasting, 1, lasting=kind.startswith("lasting "))

    def _pulled(self, fault: str, *, scheduled: bool) -> bool:
        """The commands of the morning; whether every pull was proved complete."""
        site = self.pulled
        if fault == "pull killed":
            site.run("pull", may=(-9,))
            self.vendors.fault = None
        if scheduled:
            site.run("schedule", "run", may=(0, 3))
            ran = json.loads((site.project.root / "data" / "schedule-run.json").read_text())
            assert (ran["sync"], ran["brief"]) in {(0, 0), (3, 0)}, ran
            return bool(ran["sync"] == 0)
        pulls = json.loads(site.run("pull", "--json", may=(0, 3)))["pulls"]
        if fault == "sync killed":
            self._killed("sync", self.rng.uniform(0.6, 1.6))
        site.run("sync", "--quiet")
        if fault == "brief killed":
            self._killed("brief", 0.3)
        if fault == "brief killed while sending":
            self.told.before_answer = self._kill_once
            site.run("brief", "--send", may=(-9,))
            site.run("brief", "--send", "--quiet", may=(3,))  # one channel is in doubt; the other gets it now
        else:
            site.run("brief", "--send", "--quiet")
        return all(p["status"] != "incomplete" for p in pulls)

    def _kill_once(self) -> None:
        self.told.before_answer = lambda: None
        self.pulled.kill()

    def _killed(self, command: str, seconds: float) -> None:
        """Runs a command that is killed after some time, unless it is quicker."""
        site = self.pulled
        timer = threading.Timer(seconds, site.kill_if_running)
        timer.start()
        site.run(command, *(["--send"] if command == "brief" else []), may=(0, -9))
        timer.cancel()

    def _handed(self, now: dt.datetime) -> dict[str, Any]:
        """The other company saves all its exports; the brief of its morning."""
        self._save(now)
        self.handed.run("sync", "--quiet")
        made: dict[str, Any] = json.loads(self.handed.run("brief", "--json"))
        return made

    def _save(self, now: dt.datetime) -> None:
        for name, text in self.company.exported().items():
            path = self.handed.project.inbox / name
            path.write_text(text, encoding="utf-8")
            os.utime(path, (now.timestamp() - 60, now.timestamp() - 60))

    # -- what was sent

    def _keep(self, day: dt.date, fault: str, got: list[dict[str, Any]]) -> None:
        """Leaves the messages of a morning in files, for people to read: ``pytest --basetemp FOLDER``."""
        folder = self.root / "messages"
        folder.mkdir(exist_ok=True)
        for number, m in enumerate(got, 1):
            name = f"{day}-{number}-{m['path'].strip('/')}"
            text = f"{m['title']}\n[{fault}]\n\n{m['message']}"
            (folder / f"{name}.{'html' if '<html' in m['message'] else 'txt'}").write_text(text, encoding="utf-8")

    def _read(self, day: dt.date, got: list[dict[str, Any]], theirs: dict[str, Any], *, whole: bool) -> None:
        """Reads every message of a morning."""
        by_path = Counter(m["path"] for m in got if "orning brief" in m["title"] or "сводка" in m["title"].lower())
        assert by_path == {"/owner": 1, "/partner": 1}, (day, by_path, [m["title"] for m in got])
        self.briefs += 2
        english = next(m for m in got if m["path"] == "/owner" and "orning brief" in m["title"])
        russian = next(m for m in got if m["path"] == "/partner")
        if whole:
            lines = [*_lines(theirs, "yesterday"), *_lines(theirs, "month")]
            assert english["title"] == theirs["subject"]
            self._is_true(day, lines[0])
        else:
            self.incomplete += 1
            lines = []
            assert "is not complete; it was last complete on" in english["message"], (day, english["message"])
            # What ads cost is spread over the month: yesterday is whole without it.
            shown = self.vendors.fault is not None and self.vendors.fault.name == "spend"
            assert bool(re.search("(?m)^Yesterday", english["message"])) == shown, (day, english["message"])
            assert ("Cost may still change: the pull ads" in english["message"]) == shown
            assert ("not up to date" in english["title"]) == (not shown), (day, english)
        for line in lines:
            assert line in english["message"], (day, line, english["message"])
            for number in re.findall(r"\d[\d,]*\.\d\d\b", line):  # the same figures in the other language
                theirs_too = number.replace(",", "\u00a0").replace(".", ",")
                assert theirs_too in russian["message"], (day, number, russian["message"])
        self._continues(english["message"])
        for message in got:
            assert not any(secret in json.dumps(message) for secret in CANARIES.values())

    def _continues(self, text: str) -> None:
        """The month so far is that of the brief before, what was restated, and yesterday: nothing twice, nothing late."""
        found = re.search(rf"(?m)^  Up to \w+ (?P<day>\d+ \w+ \d+): {COUNTED}", text)
        assert found is not None, text
        through, total = dt.datetime.strptime(found["day"], "%d %b %Y").date(), _figures(found)  # noqa: DTZ007 - a day
        added = re.search(rf"(?m)^Yesterday.*\n  {COUNTED}", text)
        if self.last is not None and added is not None and self.last[0] == through - dt.timedelta(days=1):
            restated = dict(re.findall(rf"(?m)^  {through:%B %Y}, (\w+): ([+{MINUS}][\d,.]+) on \d", text))
            for name, before in self.last[1].items():
                change = _number(restated.get(name, "0"))
                assert total[name] == before + _figures(added)[name] + change, (name, self.last, text)
            self.continued += 1
        self.last = through, total

    def _is_true(self, day: dt.date, line: str) -> None:
        """Yesterday, counted from the company's own rows by hand-written rules."""
        jobs = [j for j in self.company.jobs if j["at"].date() == day]
        paid = Counter[int]()
        for p in self.company.payments:
            if p["status"] == "Succeeded":
                paid[p["job"]] += p["cents"]
        cents = sum(paid[j["number"]] for j in jobs)
        units = [j for j in jobs if j["type"] in {"COD Service", "INS Service"}]
        repairs = [
            j for j in jobs if "Repair" in j["type"] or (j["type"] == "COD Service" and paid[j["number"]] > 10_000)
        ]
        bought = [x for x in self.company.leads if x["at"].date() == day and x["cents"] > 0]
        leads = (
            len(bought)
            + sum(j["source"] in {"Google", "Retention"} for j in jobs)
            + sum(j["source"] in {"Rely", "NSA"} for j in units)
        )
        revenue = Decimal(cents) / 100
        assert line.startswith(f"{leads} lead"), (day, line, leads)
        assert f"{len(units)} visit" in line, (day, line)
        assert f"{len(repairs)} repair" in line, (day, line)
        assert f"paid {revenue:,.2f}" in line, (day, line, revenue)
        assert f"revenue40 {revenue * 40 / 100:,.2f}" in line, (day, line)

    def _tables(self, site: Site) -> dict[str, list[tuple[Any, ...]]]:
        return {t: sorted(site.project.rows(f"SELECT {c} FROM {t}"), key=repr) for t, c in TABLES.items()}

    def ended(self) -> None:
        """At the end both companies have the same figures, and nothing was sent twice."""
        ours, theirs = self._tables(self.pulled), self._tables(self.handed)
        for table in TABLES:
            assert ours[table] == theirs[table], table
        assert self.pulled.run("check", may=(0, 3))
        self._ledger()
        self._canaries()

    def _ledger(self) -> None:
        titles = Counter((m["path"], m["title"]) for m in self.told.got if "rief" in m["title"] or "вод" in m["title"])
        assert set(titles.values()) == {1}, titles
        assert len(titles) == self.briefs
        with closing(sqlite3.connect(self.pulled.project.root / "data" / "messages.sqlite")) as ledger:
            kept = Counter(ledger.execute("SELECT kind, channel, state FROM sends").fetchall())
            alarms = ledger.execute("SELECT count(DISTINCT started_at) FROM sends WHERE kind = 'alerts'").fetchone()
        assert kept["brief", "owner", "sent"] + kept["brief", "owner", "sending"] == self.briefs // 2
        assert kept["brief", "partner", "sent"] == self.briefs // 2
        assert not any(state == "failed" for _, _, state in kept)
        assert len(self.told.got) - self.briefs == alarms[0]

    def _canaries(self) -> None:
        """No secret stands in anything that was written or printed."""
        written = [p for p in self.pulled.project.root.rglob("*") if p.is_file() and p.name != ".env"]
        for secret in (s for s in CANARIES.values() if s.startswith("canary")):
            assert not any(secret in said for said in self.pulled.said)
            assert not [p for p in written if secret.encode() in p.read_bytes()]


def _number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(MINUS, "-"))


def _figures(found: re.Match[str]) -> Figures:
    return {name: _number(found[name]) for name in ("leads", "visits", "repairs", "cost")}


def _lines(brief: dict[str, Any], section: str) -> list[str]:
    return [x["text"] for s in brief["sections"] if s["section"] == section for x in s["lines"]]


@contextmanager
def month(root: Path, pg_uri: str, seed: int) -> Iterator[Month]:
    """A company that begins some days before its first morning."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    company = Company(rng)
    for n in range(11):
        company.day(FIRST + dt.timedelta(days=n))
    vendors = Vendors(company)
    drive = root / "drive"
    drive.mkdir()
    (drive / "targets.csv").write_text(TARGETS)
    with (
        fresh_database(pg_uri) as one, fresh_database(pg_uri) as other, service() as told,
        serving(vendors.answer) as server,
        Mailbox(user=CANARIES["MAIL_USER"], password=CANARIES["MAIL_PASSWORD"]) as mailbox,
    ):  # fmt: skip
        secrets = {"NOTIFY_OWNER": told.url("owner"), "NOTIFY_PARTNER": told.url("partner")}
        pulled = Site(new_project(root / "pulled", one), secrets)
        handed = Site(new_project(root / "handed", other))
        (pulled.project.root / ".env").write_text("".join(f"{k}={v}\n" for k, v in CANARIES.items()))
        (pulled.project.rules / "pulls.toml").write_text(
            PULLS.format(url=server.url, mailbox=mailbox.url, folder=drive)
        )
        with (pulled.project.rules / "messages.toml").open("a") as file:
            file.write(CHANNELS)
        yield Month(root, pulled, handed, vendors, mailbox, told, rng)


def lived(made: Month, start: dt.date, faults: list[str]) -> None:
    """Mornings, one after another; every second one is the scheduler's."""
    for number, fault in enumerate(faults):
        by_hand = fault.endswith(("killed", "sending"))
        made.morning(start + dt.timedelta(days=number), fault, scheduled=number % 2 == 1 and not by_hand)
    made.ended()
    told = {"mornings": len(faults), "faults": made.faults, "messages": len(made.told.got), "briefs": made.briefs,
            "mornings that go on from the one before": made.continued}  # fmt: skip
    (made.root / "messages" / "month.json").write_text(json.dumps(told, indent=1))


@pytest.mark.slow
def test_some_days(tmp_path: Path, pg_uri: str) -> None:
    with month(tmp_path, pg_uri, seed=1) as made:
        lived(made, dt.date(2024, 11, 1), ["none", "lasting rows dropped", "429 in seconds"])
        assert (made.briefs, made.incomplete) == (6, 1)


@pytest.mark.slow
def test_a_month(tmp_path: Path, pg_uri: str) -> None:
    kinds = [*ONCE, *(f"lasting {k}" for k in LASTING), "mail gone", "pull killed", "sync killed", "brief killed",
             "brief killed while sending"]  # fmt: skip
    with month(tmp_path, pg_uri, seed=2) as made:
        rest = [made.rng.choice(kinds) for _ in range(29 - len(kinds))]
        faults = [*kinds, *rest]
        made.rng.shuffle(faults)
        lived(made, dt.date(2024, 11, 1), [*faults, "none"])
        assert made.briefs == 60
        assert made.incomplete >= 8
        assert made.continued >= 8
