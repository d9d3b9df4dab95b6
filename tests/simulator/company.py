"""The company whose year is simulated: its jobs, payments, leads and spend, as its CRM and its vendors know them.

Rows are typed values under the names of the feeds' columns. A day passes with ``day``; corrections change rows in place,
so that the next export tells another story than the one before.
"""

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from simulator.truth import Row

ZONE = ZoneInfo("America/New_York")
TYPES = ("COD Service", "COD Service", "INS Service", "COD Repair", "INS Repair", "Warranty", "Service call", None)
DECLARED = ("eLocals", "elocal", "E Locals", "Pro Referral", "pro-referral", "Google", "google ads", "Rely", "RELY",
            "NSA", "Liberty", "LHG", "Retention")  # fmt: skip
UNDECLARED = (None, "", "Puls", "puls", " Puls ", "P uls", "Service direct", "Service Direct", "O'Brien & Söhne",
              "Fixly", "fix-ly", "Yelp")  # fmt: skip
STATUSES = ("Done", "Submitted", "Canceled", "done pending approval")
CITIES = ("Lynn", "Salem, MA", 'The "Neck"', "Łódź", None)


@dataclass
class Company:
    """What there is on the last simulated day. Payments of worlds without ids never change but for their status."""

    rng: random.Random
    bare: bool
    jobs: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    elocals: list[Row] = field(default_factory=list)
    proref: list[Row] = field(default_factory=list)
    fixly: list[Row] = field(default_factory=list)
    ads: list[Row] = field(default_factory=list)
    sheet: dict[tuple[dt.date, str], int | None] = field(default_factory=dict)
    goals: dict[tuple[dt.date, str, str], tuple[int | None, int | None]] = field(default_factory=dict)
    today: dt.date = dt.date.min
    _number: int = 1000

    def day(self, day: dt.date) -> None:
        """What happens on a business day: some jobs, their money, leads, and what Google cost."""
        rng, self.today = self.rng, day
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            self.job(day)
        for _ in range(rng.choice((0, 0, 1, 2))):
            self.payment(day)
        for _ in range(rng.choice((0, 1, 1))):
            self.elocals.append(
                {"lead_id": f"9{len(self.elocals):07}", "lead_at": self._offset(day), "status": None,
                 "cost": rng.choice((2550, 4000, 0, None, 1999))}
            )  # fmt: skip
        for _ in range(rng.choice((0, 1, 1))):
            status = rng.choice((None, "New", "Passed", "Contacted"))
            self.proref.append({"lead_id": f"R{len(self.proref)}", "lead_at": self.at(day), "current_status": status})
        for _ in range(rng.choice((0, 0, 1))):
            state = rng.choice(("won", "open", "refunded", "test", None))
            self.fixly.append({"ref": f"FX-{len(self.fixly)}", "asked_at": self.at(day), "state": state,
                               "fee": rng.choice((1450, 101600, 0, None, 1250))})  # fmt: skip
        for campaign in ("Brand", "Dryers")[: rng.choice((0, 1, 2))]:
            spend = rng.choice((12050, 999, 102050, None))
            self.ads.append({"day": day, "month": day.replace(day=1), "campaign": campaign, "spend": spend})

    def job(self, day: dt.date) -> None:
        """A new job of that day; its visit was that day, or before it was entered, or is not over yet."""
        rng = self.rng
        self._number += rng.choice((1, 1, 1, 2))
        visit = rng.choice((None, day, day - dt.timedelta(days=rng.randrange(4))))
        source = rng.choice(DECLARED) if rng.random() < 0.7 else rng.choice(UNDECLARED)
        self.jobs.append(
            {"job_id": str(self._number), "job_uuid": f"{self._number:05}E", "type": rng.choice(TYPES),
             "source_raw": source, "status": rng.choice(STATUSES), "created_at": day, "job_date": visit,
             "total": rng.choice((0, 9500, 38250, 123456, None)), "city": rng.choice(CITIES)}
        )  # fmt: skip

    def payment(self, day: dt.date) -> None:
        """A payment of a job, named by number or UUID, of a job nobody exports, or of none."""
        rng = self.rng
        job = rng.choice(self.jobs[-30:]) if self.jobs else {"job_id": "1", "job_uuid": "1E"}
        named = rng.random()
        ref = job["job_id"] if named < 0.7 else job["job_uuid"] if named < 0.88 else rng.choice(("77777", None))
        status = rng.choice((None, "Completed", "completed", "Failed", "VOIDED", "Pending", "refunded"))
        amount = rng.choice(
            (10_000, 10_001, 9_999, 5_000, 8_500, 31_010, -2_000, 123_456, 1, -8_505, -rng.randrange(1, 40_000))
        )
        self.payments.append(
            {"payment_id": f"P{len(self.payments)}", "job_ref": ref, "paid_at": self.at(day), "amount": amount,
             "method": rng.choice(("cash", "card", "Zelle")), "status": status}
        )  # fmt: skip

    def at(self, day: dt.date) -> dt.datetime:
        """A minute of a local day, often near its ends, never one that the clock change leaves out or repeats."""
        hour = self.rng.choice((0, 4, 9, 14, 19, 20, 23))
        return dt.datetime(day.year, day.month, day.day, hour, self.rng.randrange(60), tzinfo=ZONE)

    def _offset(self, day: dt.date) -> dt.datetime:
        """The same as a stamp with the vendor's offset, which may be of another zone and another day."""
        zone = self.rng.choice((ZONE, ZoneInfo("America/Los_Angeles"), dt.UTC))
        moment = self.at(day).astimezone(zone)
        return moment.astimezone(dt.timezone(moment.utcoffset() or dt.timedelta()))

    def new_month(self, month: dt.date) -> None:
        """The owner adds a line to the spend sheet and sets targets."""
        rng = self.rng
        self.sheet[month, rng.choice(("(all)", "LSA"))] = rng.choice((31_000, 100_001, 77, 0))
        self.goals[month, rng.choice(("ALL", "Google", "Rely")), "ALL"] = (rng.choice((900, 1200, None)), 500_000)


Correction = Callable[[Company], str]


def job_changes(company: Company) -> str:
    """A job gets another type, source or status, or another day for its visit."""
    job = company.rng.choice(company.jobs)
    column = company.rng.choice(("type", "source_raw", "status", "job_date"))
    visit = min(company.today, job["created_at"] + dt.timedelta(days=company.rng.randrange(40)))
    values = {"type": TYPES, "source_raw": DECLARED + UNDECLARED, "status": STATUSES, "job_date": (None, visit)}
    job[column] = company.rng.choice(values[column])
    return f"job {job['job_id']}: {column} is now {job[column]!r}"


def lead_is_credited(company: Company) -> str:
    """The vendor takes the charge for a lead back."""
    lead = company.rng.choice(company.elocals)
    lead["cost"], lead["status"] = 0, "Call Credited (No Charge)"
    return f"lead {lead['lead_id']} was credited"


def referral_is_passed(company: Company) -> str:
    """A referral is given back, or taken after all."""
    lead = company.rng.choice(company.proref)
    lead["current_status"] = None if lead["current_status"] == "Passed" else "Passed"
    return f"referral {lead['lead_id']}: {lead['current_status']}"


def payment_changes(company: Company) -> str:
    """A payment is voided, clears, is refunded, or its amount is corrected."""
    payment = company.rng.choice(company.payments)
    payment["status"] = company.rng.choice(("Voided", "Completed", "failed", None, "refunded"))
    if not company.bare and company.rng.random() < 0.5:
        payment["amount"] = company.rng.choice((-payment["amount"], 10_000, 10_001))
    return f"payment {payment['payment_id']}: {payment['status']} {payment['amount']}"


def refund(company: Company) -> str:
    """Money goes back as a payment of its own, on the newest day."""
    payment = company.rng.choice(company.payments)
    newest = max(p["paid_at"] for p in company.payments)
    number = f"P{len(company.payments)}"
    company.payments.append({**payment, "payment_id": number, "amount": -abs(payment["amount"]), "paid_at": newest})
    return f"refund {number} of {payment['payment_id']}"


def booking_changes(company: Company) -> str:
    """A booking of the added channel is refunded or won."""
    booking = company.rng.choice(company.fixly)
    booking["state"] = company.rng.choice(("refunded", "won", None))
    return f"booking {booking['ref']}: {booking['state']}"


def spend_is_retyped(company: Company) -> str:
    """The owner retypes an amount in the sheet."""
    key = company.rng.choice(sorted(company.sheet))
    company.sheet[key] = company.rng.choice((12_345, 1, 0))
    return f"spend {key}: {company.sheet[key]}"


CORRECTIONS: tuple[Correction, ...] = (
    job_changes, job_changes, lead_is_credited, referral_is_passed, payment_changes, refund, booking_changes,
    spend_is_retyped,
)  # fmt: skip
