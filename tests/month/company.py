"""A company whose month is simulated: what its CRM, its vendors and its mailbox have, day by day.

Every row is kept as plain values. ``served`` gives them as APIs do, ``exported`` as a person saves them: other dates,
other amounts, other headers. Corrections stay within the days that pulls look back.
"""

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import small_company
from mailserver import message
from small_company import targets
from support import csv_text

ZONE = ZoneInfo("America/New_York")
Row = dict[str, Any]
SOURCES = ("Google", "Google", "eLocals", "Rely", "Pro Referral", "NSA", "Retention", "Puls")
TYPES = ("COD Service", "COD Service", "COD Repair", "INS Service", "INS Repair", "Warranty")
HOURS = (0, 7, 9, 12, 15, 18, 23)  # those near midnight count on another day by UTC
LATE = 10  # days after which nothing is edited any more
TARGETS = targets(
    ("2024-11", 60, "ALL", "4500", "30"),
    ("2024-11", 20, "Google", "1500", ""),
    more=("Source", "Target Revenue40", "CPL Max"),
)


@dataclass
class Company:
    """What there is on the last day that passed."""

    rng: random.Random
    jobs: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    leads: list[Row] = field(default_factory=list)
    spend: list[Row] = field(default_factory=list)
    mail: list[bytes] = field(default_factory=list)

    def day(self, day: dt.date) -> None:
        """A business day passes: jobs, money, leads, what ads cost, and corrections of the days before."""
        for _ in range(self.rng.randint(2, 6)):
            self._job(day)
        for name, cents in (("Search", 2000), ("Brand", 300)):
            self.spend.append({"day": day, "campaign": name, "cents": cents + self.rng.randint(0, 999)})
        self._corrections(day)
        self._report(day)

    def _at(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(self.rng.choice(HOURS), self.rng.randint(0, 59)), ZONE)

    def _job(self, day: dt.date) -> None:
        number = 1001 + len(self.jobs)
        job = {"number": number, "uuid": f"U{number}", "type": self.rng.choice(TYPES), "at": self._at(day),
               "source": self.rng.choice(SOURCES)}  # fmt: skip
        self.jobs.append(job)
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            self._payment(day, number, self.rng.choice((8900, 12050, 25033, 9999, 101)))

    def _payment(self, day: dt.date, job: int, cents: int) -> None:
        self.payments.append({"id": f"T{len(self.payments) + 1}", "job": job, "at": self._at(day), "cents": cents,
                              "status": "Succeeded"})  # fmt: skip

    def _corrections(self, day: dt.date) -> None:
        """What was entered wrongly is put right, is paid late, or comes back."""
        recent = [j for j in self.jobs if (day - j["at"].date()).days in range(1, LATE)]
        paid = [p for p in self.payments if (day - p["at"].date()).days in range(1, LATE)]
        if recent and self.rng.random() < 0.5:
            self.rng.choice(recent)["type"] = self.rng.choice(TYPES)
        if recent and self.rng.random() < 0.3:
            self.rng.choice(recent)["source"] = self.rng.choice(SOURCES)
        if recent and self.rng.random() < 0.4:
            self._payment(day, self.rng.choice(recent)["number"], self.rng.choice((4500, -8900)))
        if paid and self.rng.random() < 0.3:
            self.rng.choice(paid)["status"] = "Voided"

    def _report(self, day: dt.date) -> None:
        """The leads of the day come by mail; sometimes with an older one, now credited."""
        sent = [
            {"id": f"L{len(self.leads) + n}", "at": self._at(day), "cents": self.rng.choice((2550, 4000, 1999))}
            for n in range(1, self.rng.randint(2, 4))
        ]
        self.leads += sent
        if len(self.leads) > len(sent) and self.rng.random() < 0.4:
            credited = self.leads[-len(sent) - 1]
            credited["cents"] = 0
            sent = [*sent, credited]
        if sent:
            table = small_company.leads(*map(_lead, sent), more=("Status",))
            morning = f"{day + dt.timedelta(days=1):%a, %d %b %Y}"
            self.mail.append(message("reports@elocal.example", f"Your leads of {day}", morning, leads_csv=table))

    # -- as APIs give it

    def served(self) -> Mapping[str, tuple[list[Row], Callable[[Row], dt.date]]]:
        """By list: its rows in the vendor's own shape, and their day, by which lists are asked."""
        return {
            "jobs": (
                [{"SerialId": j["number"], "UUID": j["uuid"], "JobType": j["type"], "JobSource": j["source"],
                  "CreatedDate": f"{j['at']:%Y-%m-%d %H:%M:%S}"} for j in self.jobs],
                lambda r: dt.date.fromisoformat(r["CreatedDate"][:10]),
            ),
            "payments": (
                [{"id": p["id"], "job": {"number": p["job"]}, "paid": p["at"].astimezone(dt.UTC).isoformat(),
                  "amount_cents": p["cents"], "state": p["status"]} for p in self.payments],
                lambda r: dt.datetime.fromisoformat(r["paid"]).astimezone(ZONE).date(),
            ),
            "spend": (
                [{"segments": {"date": str(s["day"])}, "campaign": {"name": s["campaign"]},
                  "metrics": {"costMicros": str(s["cents"] * 10_000)}} for s in self.spend],
                lambda r: dt.date.fromisoformat(r["segments"]["date"]),
            ),
        }  # fmt: skip

    # -- as a person exports it

    def exported(self) -> Mapping[str, str]:
        """By file name: everything, as the pages of the programs offer it for download."""
        return {
            "Import jobs.csv": small_company.jobs(*((j["number"], j["type"], j["source"], f"{j['at']:%a %b %d %Y %I:%M %p}", j["uuid"]) for j in self.jobs), more=("UUID",)),
            "payments.csv": small_company.payments(*((p["job"], f"{p['at']:%m/%d/%Y %I:%M %p}", _dollars(p["cents"]), p["id"], p["status"])
                  for p in self.payments), more=("Transaction ID", "Status")),
            "leads cost Elocals.csv": small_company.leads(*map(_lead, self.leads), more=("Status",)),
            "google ads.csv": csv_text(
                ("Day", "Campaign", "Cost"),
                *((s["day"], s["campaign"], _dollars(s["cents"])) for s in self.spend),
            ),
            "targets.csv": TARGETS,
        }  # fmt: skip


def _dollars(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def _lead(lead: Row) -> Sequence[object]:
    return lead["id"], f"{lead['at']:%Y-%m-%d %H:%M:%S %z}", f"{lead['cents'] // 100}.{lead['cents'] % 100:02}", ""
