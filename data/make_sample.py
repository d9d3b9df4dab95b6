"""Write `data/sample`: fifteen months of exports of an invented appliance-repair company.

    python data/make_sample.py [FOLDER]

One model of the company (jobs, payments, leads, calls, spend) is drawn from seeded dice; each export is then a view of
that model as it stood when the export was saved, so overlapping files disagree only where something really changed.

The bytes are the same on every run, machine and Python from 3.11 on: only the standard library is used, nothing reads
the clock, and the workbook is put together uncompressed with fixed dates. File times are set to the moment of each
export.

Conventions: datetimes are aware and local (America/New_York); money is Decimal; periods include both ends. The story:
steady growth, a summer peak, a bad September 2024 (two technicians away), and eLocals leads growing dearer until they
pass the ceiling set for them. Everybody is invented: telephones are 555-01xx, mail goes to example.com.

What really happened is written to `truth/`: which lead led to which job, which leads deserve a credit, and which job
follows which (the repair after a visit, a callback, a customer who came back). No export shows it in so many words.
"""

import os
import random
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")
Row = list[str]


def columns(line: str) -> tuple[str, ...]:
    """The names in a header line."""
    return tuple(line.split(","))


SEED = 61
ZONE = ZoneInfo("America/New_York")
LAST = date(2024, 12, 31)
BAD_MONTH = date(2024, 9, 1)
DASH = "\u2014"  # how the newer CRM writes "nothing here"
ZERO = Decimal(0)
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"  # of which a UUID of the CRM is made

# One line per month: jobs, dollars an eLocals lead costs on average, dollars spent on Google.
MONTHS: dict[date, tuple[int, int, int]] = {
    date(2023, 10, 1): (80, 24, 642), date(2023, 11, 1): (84, 24, 705), date(2023, 12, 1): (80, 25, 718),
    date(2024, 1, 1): (86, 25, 781), date(2024, 2, 1): (80, 25, 689), date(2024, 3, 1): (90, 26, 823),
    date(2024, 4, 1): (94, 26, 884), date(2024, 5, 1): (100, 27, 941), date(2024, 6, 1): (110, 27, 1048),
    date(2024, 7, 1): (122, 28, 1183), date(2024, 8, 1): (124, 30, 1240), date(2024, 9, 1): (78, 32, 866),
    date(2024, 10, 1): (116, 34, 1154), date(2024, 11, 1): (124, 36, 1291), date(2024, 12, 1): (128, 38, 1377),
}  # fmt: skip

# Share of the jobs and kind of work by channel; the names are those of the trade's usual partners.
CHANNELS: dict[str, tuple[int, str]] = {
    "eLocals": (31, "COD"), "Rely": (24, "INS"), "Pro Referral": (14, "COD"), "Google": (6, "COD"),
    "Insurance": (5, "INS"), "NSA": (5, "INS"), "Liberty": (4, "INS"), "Retention": (4, "COD"),
    "Puls": (2, "COD"), "Thumbtack": (1, "COD"), "Service Direct": (1, "COD"),
}  # fmt: skip
SPELLINGS: dict[str, dict[str, int]] = {
    "eLocals": {"eLocals": 94, "elocals": 4, "eLocal": 2},
    "Pro Referral": {"Pro Referral": 94, "ProReferral": 6},
    "Google": {"Google": 93, "google": 7},
    "Service Direct": {"Service direct": 3, "Service Direct": 2},
}
TYPES: dict[str, dict[str, int]] = {
    "COD": {"COD Service": 740, "COD Repair": 235, "Service": 12, "Repair": 8, "Service call": 5},
    "INS": {"INS Service": 800, "INS Repair": 200},
}
# How a job comes about: for a customer nobody has met, as the repair after a visit, as a callback, or for a customer
# who is back. Four of ten numbers end up on more than one job, as in real exports.
OCCASIONS = {"new": 57, "repair": 15, "callback": 6, "again": 22}
AREA_CODES = columns(
    "617,857,508,774,781,339,978,351,413,401,603,207,802,203,860,212,646,917,718,347,516,631,914,201,973,908,215,267,"
    "610,202,703,301,410,305,407,312,773,404,214,310,415,206"
)
# The last two digits of 555-01xx that each subject draws from, so that no two strangers share a number. 98 and 99 are
# the company's own lines.
LINES = {"jobs": (0, 49), "elocals": (50, 69), "proref": (70, 79), "phone": (80, 93), "callrail": (94, 97)}
FIRST_NAMES = columns(
    "Adele,Bruno,Carla,Dmitri,Edith,Felix,Greta,Hugo,Irene,Jonas,Kaya,Leopold,Mabel,Nestor,Odette,Percy,Quinn,Rosalind,"
    "Silas,Thea,Ulric,Vera,Winston,Xenia,Yusuf,Zelda"
)
LAST_NAMES = columns(
    "Ashgrove,Birchall,Castellan,Dunmore,Eastlake,Fenwright,Garrowby,Hollister,Inglewick,Jessamy,Kettleby,Larkspur,"
    "Merriwell,Northcote,Oakhurst,Pemberly,Quillfeather,Ravensby,Stanwick,Thornbury,Underhay,Vantry,Westerby,Yarrowton"
)
STREETS = ("Alder St", "Beacon Ct", "Cider Mill Rd", "Dogwood Ln", "Elm St", "Foundry Ave", "Grove St", "Harbor Rd")
TOWNS = (
    ("Boston", "02118"), ("Worcester", "01604"), ("Quincy", "02169"), ("Newton", "02458"), ("Framingham", "01702"),
    ("Lowell", "01852"), ("Brockton", "02301"), ("Waltham", "02453"), ("Medford", "02155"), ("Natick", "01760"),
)  # fmt: skip
TECHS = ("Marlon Tew", "Ivo Sandler", "Dario Pell", "Sam Whitlow", "Jory Nadler")
APPLIANCES = ("Washer, Hearthline", "Dryer, Hearthline", "Fridge, Coldbrook", "Oven, Ember & Co", "Dishwasher, Rill")
ISSUES = (
    "does not drain", "makes a loud noise", "not cooling", "leaks underneath", "will not start", "door does not latch",
    "Customer says \u201cit hums\u201d but won\u2019t start", "no heat, tried resetting\nsecond visit needed",
    "error code E3,\nparts under the sink\ncall before 9", "asked for 22$ off", "\u0421all first, gate is locked",
)  # fmt: skip

JOB_HEADER = columns(
    "Job #,Client,Tags,Job Type,Job Date,Job End,Primary Phone,Email Address,Status,Tech,Address,City,Zip Code,"
    "Service Area,UUID,Sub-Status,Conversion Date,Total,Converted,Invoiced,Created,Payment Due Date,Created By,"
    "Amount Due,Amount Paid,Cost,Profit,Profit Margin,Company,Tax,Credit Card Service Fee,Taxable Amount,Tax Rate,"
    "Hours,Source,First Name,Last Name,State,Payment Methods,Claim ID and Important notes,Appliance type and Brand,"
    "Issue description,Expenses,First time notice"
)
QUIRKS = (
    "44 columns, cells of several lines, curly quotes, float noise in Amount Due and Profit, blank and misspelt Source,"
    " sources and types no rule knows, blank Job Date, no final newline"
)
LATE_JOB_HEADER = columns("Job #,Tags,Job Type,Job End,Status,Tech,Amount Paid,Job Date,Claim ID and Other")
OLD_PAYMENT_HEADER = columns(
    "Date,Amount,Method,Job #,Customer,Job Type,Status,Tags,Source,Tech,Invoice Status,Paid in Full,Transaction ID,"
    "Invoice ID,Job ID"
)
NEW_PAYMENT_HEADER = columns(
    "Job #,Client,Job Type,Status,Payment Methods,Amount Paid,Tags,Date,Source,Tech,Claim ID and Other"
)
PHONE_LOG_HEADER = columns("From,From number,To,To number,Time,Flow,Ad group,Answered,Job,Job ID,Duration")
CALLRAIL_HEADER = columns(
    "Call Status,Company Name,Company ID,Number Name,Tracking Number,Name,Phone Number,Email,First-Time Caller,City,"
    "State,Country,Agent Name,Agent Number,Source,Duration (seconds),Start Time,Device Type,Keywords,Referrer,Medium,"
    "Landing Page,Campaign,Value,Tags,Qualified,Destination Number,Browser,Google Ads gclid,Facebook fbclid,"
    "Keywords Spotted,Call Highlights,Match Type,Ad Group,Ad Position,utm_medium,utm_source,"
    "Customer Talk Time Percent,Agent Talk Time Percent,Active Page,Recording Url,Note"
)
ELOCALS_HEADER = columns(
    "Unique ID,Time,Duration,Cost,Status,Lead Type,Current Status,Forwarding Number,Caller ID,Caller Name,Profile,"
    "Service City,Service State Abbr,Service Zip Code,Recording URL,Profile Name,Dispositions,Dollar Value,Notes,"
    "Contact First Name,Contact Last Name,Contact Phone Number,Contact Extension,Contact Cell Phone Number,"
    "Contact Email,Contact Address,Contact City,Contact State,Contact Zip Code"
)
PROREF_HEADER = columns("Lead ID,Lead Date,Current Status,Customer Name,Phone,Service,City,State,Zip Code")
TARGET_HEADER = columns("Month,Source,Segment,Target Repairs,Target Revenue40,Target Conv L2R,Target CPL Max")
ADS_HEADER = columns("Day,Campaign,Campaign ID,Currency code,Cost,Impr.,Clicks,Conversions")


# The model of the company ---------------------------------------------------------------------------------------------


class Dice:
    """Seeded choices. One set of dice per subject, so that a change to one leaves the others as they were."""

    def __init__(self, subject: str) -> None:
        self._random = random.Random(f"{SEED}:{subject}")
        self._lines = LINES.get(subject)
        self._numbers: list[str] = []

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randrange(low, high + 1)

    def percent(self, chance: int) -> bool:
        """True in `chance` of a hundred throws."""
        return self.between(0, 99) < chance

    def one(self, items: Sequence[T]) -> T:
        """Any of the items, all equally likely."""
        return items[self.between(0, len(items) - 1)]

    def pick(self, weights: Mapping[T, int]) -> T:
        """A key of `weights`, as likely as its weight."""
        throw = self.between(1, sum(weights.values()))
        for item, weight in weights.items():
            throw -= weight
            if throw <= 0:
                return item
        raise AssertionError

    def text(self, alphabet: str, length: int) -> str:
        """A word of `length` letters of the alphabet."""
        return "".join(self.one(alphabet) for _ in range(length))

    def telephone(self) -> str:
        """A number nobody has; 555-0100 to 555-0199 belong to nobody in any area code."""
        if not self._numbers and self._lines is not None:
            first, last = self._lines
            self._numbers = [f"{code}55501{line:02}" for code in AREA_CODES for line in range(first, last + 1)]
        return self._numbers.pop(self.between(0, len(self._numbers) - 1))

    def moment(self, day: date, first_hour: int = 8, last_hour: int = 18) -> datetime:
        """A minute of that day, from the first hour to the end of the last."""
        return datetime.combine(day, time(self.between(first_hour, last_hour), self.between(0, 59)), ZONE)

    def workday(self, month: date) -> date:
        """A day of the month; weekends are rare."""
        while True:
            day = month + timedelta(days=self.between(0, days_in(month) - 1))
            if day.weekday() < 5 or self.percent(35):
                return day


def days_in(month: date) -> int:
    """Calendar days of the month that begins on `month`."""
    return ((month + timedelta(days=31)).replace(day=1) - month).days


def local(text: str) -> datetime:
    """`2024-07-01 10:15` as a moment of the company's zone."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


@dataclass(frozen=True)
class Person:
    """A customer."""

    first: str
    last: str
    phone: str
    street: str
    town: str
    zip_code: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}"

    @property
    def shown_phone(self) -> str:
        """`(617) 555-0123`."""
        return f"({self.phone[:3]}) {self.phone[3:6]}-{self.phone[6:]}"


def new_person(dice: Dice) -> Person:
    """A customer nobody has met."""
    town, zip_code = dice.one(TOWNS)
    street = f"{dice.between(2, 298)} {dice.one(STREETS)}"
    return Person(dice.one(FIRST_NAMES), dice.one(LAST_NAMES), dice.telephone(), street, town, zip_code)


@dataclass
class Payment:
    """Money received, given back, or tried. `entered`: when the office put it on the job; `settled`: Pending before."""

    at: datetime
    amount: Decimal
    method: str
    status: str
    entered: datetime
    settled: datetime
    ref: str = ""

    @property
    def counts(self) -> bool:
        """Whether the money moved."""
        return self.status.lower() not in {"failed", "voided"}


@dataclass
class Job:
    """One job with its whole life; an export shows what was known when it was saved.

    `occasion`: a key of `OCCASIONS`; `after`: the earlier job of the same customer that it follows, None for "new".
    """

    number: int
    uuid: str
    person: Person
    channel: str
    source: str
    source_known: datetime
    created: datetime
    visit: date
    first_type: str
    final_type: str
    changed: datetime
    done: datetime
    tech: str
    canceled: bool
    undated: bool
    appliance: str
    occasion: str
    after: "Job | None"
    payments: list[Payment] = field(default_factory=list)

    def type_at(self, at: datetime) -> str:
        """The job's type at that moment."""
        return self.final_type if at >= self.changed else self.first_type

    def status_at(self, at: datetime) -> str:
        """The job's status at that moment."""
        if self.canceled and at >= self.created + timedelta(days=1):
            return "Canceled"
        if at.date() < self.visit or self.visit > LAST:
            return "Submitted"
        if at < self.done:
            return "done pending approval" if self.number % 9 == 0 else "Pending"
        return "Done"

    def source_at(self, at: datetime) -> str:
        """The source as typed in by then, or blank."""
        return self.source if at >= self.source_known else ""

    def paid_at(self, at: datetime) -> Decimal:
        """The money on the job by then."""
        return sum((p.amount for p in self.payments if p.counts and p.entered <= at), ZERO)

    def pay(self, dice: Dice, day: date, amount: Decimal, method: str = "", status: str = "Completed") -> None:
        """Add a payment, unless the data end before that day."""
        if day > LAST:
            return
        method = method or dice.pick({"credit charge": 60, "cash": 16, "check": 12, "Zelle": 8, "Venmo": 4})
        at = dice.moment(day, 9, 17) if dice.percent(88) else dice.moment(day, 19, 22)
        if method in {"cash", "check"} and dice.percent(60):
            status = DASH if status == "Completed" else status  # the CRM knows a status for cards and transfers only
        slow = day >= LAST - timedelta(days=11 if method == "check" else 4)
        entered = max(at, local("2025-01-02 15:00")) if slow else at
        self.payments.append(Payment(at, amount, method, status, entered, settled=at))


def dollars(dice: Dice, low: int, high: int) -> Decimal:
    """An amount between the two, with cents in one case of three."""
    cents = dice.one((25, 50, 75, 99, dice.between(1, 98))) if dice.percent(33) else 0
    return Decimal(dice.between(low, high)) + Decimal(cents) / 100


def make_jobs() -> list[Job]:
    """All jobs in the order of their numbers, with their payments and the planted edge cases."""
    dice = Dice("jobs")
    jobs: list[Job] = []
    uuids = {"1E2345"}  # a number to anything that guesses types
    number = 611
    for index, (month, (count, _, _)) in enumerate(MONTHS.items()):
        shares = {name: share + (index // 4 if name == "Google" else 0) for name, (share, _) in CHANNELS.items()}
        for created in sorted(dice.moment(dice.workday(month)) for _ in range(count)):
            number += dice.pick({1: 80, 2: 14, 3: 6})
            uuid = "1E2345" if len(jobs) == 140 else ""
            while not uuid or (uuid in uuids and uuid != "1E2345"):
                uuid = dice.text(LETTERS, 6)
            uuids.add(uuid)
            channel = dice.pick(shares)
            occasion, after = occasion_of(dice, jobs, channel, created)
            jobs.append(new_job(dice, (number, uuid), channel, created, occasion, after))
    for job in jobs:
        if not job.canceled and job.visit <= LAST:
            pay_for(dice, job)
    plant_payment_cases(jobs)
    return jobs


def occasion_of(dice: Dice, jobs: Sequence[Job], channel: str, created: datetime) -> tuple[str, Job | None]:
    """How the next job comes about, and the job it follows."""
    occasion = "again" if channel == "Retention" else dice.pick(OCCASIONS)
    month_ago = created - timedelta(days=30)
    recent = [j for j in jobs if j.created > month_ago and j.visit < created.date() and not j.canceled]
    followed = {id(j.after) for j in jobs if j.created > month_ago and j.after is not None}
    candidates: Sequence[Job] = {
        "new": [],
        "repair": [j for j in recent if j.final_type in {"COD Service", "INS Service"} and id(j) not in followed],
        "callback": [j for j in recent if j.final_type.endswith(" Repair") and id(j) not in followed],
        "again": [j for j in jobs if j.created < month_ago and j.occasion == "new"],
    }[occasion]
    return (occasion, dice.one(candidates)) if candidates else ("new", None)


def new_job(dice: Dice, ids: tuple[int, str], channel: str, created: datetime, occasion: str, after: Job | None) -> Job:
    """A job (number and UUID given) with its life drawn in advance, not yet paid.

    The repair after a visit and a callback belong to the channel, the source and the appliance of the job they follow.
    """
    number, uuid = ids
    same = after if occasion in {"repair", "callback"} else None
    channel = same.channel if same else channel
    kind = CHANNELS[channel][1]
    bad = created.date().replace(day=1) == BAD_MONTH
    canceled = dice.percent(23 if bad else 9)
    wait = dice.pick({0: 20, 1: 34, 2: 20, 3: 10, 4: 6, dice.between(5, 14): 7, dice.between(20, 45): 3})
    visit = created.date() + timedelta(days=wait)
    final = f"{kind} Service" if canceled else dice.pick(TYPES[kind])
    final = {"repair": f"{kind} Repair", "callback": "Warranty"}.get(occasion, final)
    if bad and final.endswith(" Repair") and occasion != "repair" and dice.percent(45):
        final = f"{kind} Service"
    first, changed = final, created
    if final in {"COD Repair", "INS Repair"} and occasion != "repair" and dice.percent(55):
        first, changed = f"{kind} Service", dice.moment(visit + timedelta(days=dice.between(1, 30)), 14, 17)
        if visit <= LAST < changed.date() and dice.percent(60):
            changed = local("2025-01-02 15:30")  # after one January export and before the other
        if changed >= local("2025-01-03 00:00"):
            final, changed = first, created
    done = max(changed, dice.moment(visit, 17, 19)) + timedelta(days=dice.pick({0: 94, 3: 4, 20: 2}))
    if visit > LAST - timedelta(days=12) and dice.percent(40):
        done = max(done, local("2025-01-02 16:00"))
    known = dice.pick({"at once": 89, "later": 6, "never": 5})
    delay = {"at once": 0, "later": dice.between(15, 75), "never": 9999}[known]
    source = same.source if same else dice.pick(SPELLINGS.get(channel, {channel: 1}))
    return Job(
        number, uuid, after.person if after else new_person(dice), channel, source, created + timedelta(days=delay),
        created, visit, first, final, changed, done, technicians(dice, same), canceled, dice.percent(6),
        same.appliance if same else dice.one(APPLIANCES), occasion, after,
    )  # fmt: skip


def technicians(dice: Dice, same: Job | None) -> str:
    """Who does the job: mostly whoever did the one it follows; one in forty needs two, one in fifty is unassigned."""
    first = same.tech.partition(", ")[0] if same and same.tech and dice.percent(80) else dice.one(TECHS)
    second = TECHS[(TECHS.index(first) + dice.between(1, len(TECHS) - 1)) % len(TECHS)]
    pair = dice.percent(3)
    return "" if dice.percent(2) else f"{first}, {second}" if pair else first


def pay_for(dice: Dice, job: Job) -> None:
    """Draw the payments of a job that took place."""
    fee = Decimal(dice.one((85, 95)))
    finished = job.done.date()
    match job.final_type:
        case "INS Service" | "INS Repair":
            if dice.percent(93):
                low, high = (120, 165) if job.final_type == "INS Service" else (180, 300)
                waited = finished + timedelta(days=dice.between(12, 40))
                job.pay(dice, waited, dollars(dice, low, high), dice.one(("check", "ACH")))
        case "COD Repair":
            pay_for_repair(dice, job, fee)
        case "Warranty":
            if dice.percent(8):
                job.pay(dice, finished, fee)
        case _:
            kind = dice.pick({"fee": 68, "part": 18, "fee and part": 9, "nothing": 5})
            if kind.startswith("fee"):
                job.pay(dice, job.visit, fee)
            if kind.endswith("part"):
                job.pay(dice, job.visit + timedelta(days=5 * (kind != "part")), dollars(dice, 105, 290))
    if job.payments and dice.percent(3):  # a card that was refused before it was taken
        job.pay(dice, job.visit, job.payments[0].amount, "credit charge", dice.one(("Failed", "Voided", "failed")))


def pay_for_repair(dice: Dice, job: Job, fee: Decimal) -> None:
    """Draw the payments of a COD Repair: at once, or the fee or a deposit first; a few give something back."""
    finished = job.done.date()
    total = dollars(dice, 250, 700)
    deposit = fee if job.first_type != job.final_type else (total / 2).quantize(Decimal(1))
    if deposit == fee or dice.percent(45):
        job.pay(dice, job.visit, deposit)
        job.pay(dice, finished, total - deposit)
    else:
        job.pay(dice, finished, total)
    if dice.percent(4):
        job.pay(dice, finished + timedelta(days=9), -Decimal(dice.between(20, 80)), "credit charge", "Refunded")


def plant_payment_cases(jobs: Sequence[Job]) -> None:
    """Give some COD Service jobs the payments on which the 100 dollar rule turns, in both halves of the period.

    A case is a list of (days after the visit, dollars, method, status); each replaces the fee of one job.
    """
    dice = Dice("cases")
    cases: tuple[tuple[tuple[int, str, str, str], ...], ...] = (
        ((0, "100.00", "cash", "Completed"),),
        ((0, "100.01", "credit charge", "Completed"),),
        ((0, "85.00", "cash", "Completed"), (2, "15.00", "Zelle", "Completed")),
        ((0, "60.00", "check", "Completed"), (1, "40.01", "cash", "Completed")),
        ((0, "95.00", "credit charge", "Completed"), (32, "55.00", "credit charge", "Completed")),
        ((0, "150.00", "credit charge", "Completed"), (6, "-60.00", "credit charge", "Refunded")),
        ((0, "85.00", "cash", "Completed"), (0, "120.00", "credit charge", "Failed")),
        ((0, "95.00", "credit charge", "Completed"), (1, "95.00", "credit charge", "Voided")),
    )
    single = [j for j in jobs if j.final_type == "COD Service" and len(j.payments) == 1 and j.payments[0].amount < 100]
    for first, last in (("2023-10-10", "2024-05-20"), ("2024-07-02", "2024-11-20")):
        span = [j for j in single if date.fromisoformat(first) <= j.visit <= date.fromisoformat(last)]
        for index, case in enumerate(cases):
            job = span[index * len(span) // len(cases)]
            job.payments.clear()
            for days, amount, method, status in case:
                job.pay(dice, job.visit + timedelta(days=days), Decimal(amount), method, status)

    def fee_job(first: str, last: str) -> Job:
        days = (date.fromisoformat(first), date.fromisoformat(last))
        unplanted = [j for j in single if len(j.payments) == 1 and j.payments[0].amount in {85, 95}]
        return next(j for j in unplanted if days[0] <= j.visit <= days[1])

    for first, last, each in (("2024-02-05", "2024-02-25", 50), ("2024-09-18", "2024-10-05", 60)):
        twin = fee_job(first, last)  # two equal payments in one minute, both real
        twin.payments = [Payment(t, Decimal(each), "cash", DASH, t, t) for t in [dice.moment(twin.visit)] * 2]
    pending = fee_job("2024-10-08", "2024-10-14").payments[0]
    pending.amount, pending.method, pending.status = Decimal("131.25"), "ACH", "Completed"
    pending.settled = pending.at + timedelta(days=9)
    for stamp in ("2024-02-29 19:45", "2024-03-01 19:30", "2024-06-30 21:10"):  # the next day in UTC, or the next month
        job = next(j for j in jobs if j.visit == local(stamp).date() or j.created.date() == local(stamp).date())
        at = local(stamp)
        job.payments.append(Payment(at, Decimal(85), "credit charge", "Completed", at, at))


# Exports --------------------------------------------------------------------------------------------------------------


@dataclass
class Export:
    """A text export: what it holds and how it is written. `bad`: (index it stands before, row, reason)."""

    name: str
    saved: str
    about: str
    header: Sequence[str]
    rows: Sequence[Row]
    bad: Sequence[tuple[int, Row, str]] = ()
    preamble: Sequence[str] = ()
    encoding: str = "utf-8"
    separator: str = ","
    final_newline: bool = True
    totals: int = 0

    def records(self) -> list[tuple[Row, str]]:
        """Rows in file order, each with the reason why it is bad, or nothing."""
        records = [(row, "") for row in self.rows]
        for index, row, reason in sorted(self.bad, key=lambda item: -item[0]):
            records.insert(index, (row, reason))
        return records

    def line(self, cells: Iterable[str]) -> str:
        """One record, quoted where it must be."""
        special = (self.separator, '"', "\n")
        return self.separator.join(
            '"' + cell.replace('"', '""') + '"' if any(s in cell for s in special) else cell for cell in cells
        )

    def payload(self) -> bytes:
        """The bytes of the file."""
        lines = [*(self.line([p]) for p in self.preamble), self.line(self.header)]
        lines += [self.line(row) for row, _ in self.records()]
        bom = "\ufeff" * (self.encoding == "utf-16-le")
        return (bom + "\n".join(lines) + "\n" * self.final_newline).encode(self.encoding)

    def bad_lines(self) -> list[tuple[int, str]]:
        """Line (counted from 1; where the record begins) and reason of each bad row."""
        line, found = len(self.preamble) + 2, []
        for row, reason in self.records():
            if reason:
                found.append((line, reason))
            line += self.line(row).count("\n") + 1
        return found


def plain(amount: Decimal) -> str:
    """As Workiz writes numbers: `382.5`, `95`, `0`."""
    return f"{amount.normalize():f}" if amount else "0"


def noisy(amount: Decimal, number: int) -> str:
    """The same, now and then with the noise of binary arithmetic, as the export has it."""
    if number % 23 == 0:
        return "-1.1368683772162002e-13" if not amount else f"{amount:.2f}000000000003"
    return plain(amount)


def job_export(jobs: Sequence[Job], first: date, saved: str, bad: Callable[[Row], tuple[Row, str]] | None) -> Export:
    """The 44-column jobs export of the jobs created since `first`; `bad` turns a copied row into a bad one."""
    at = local(saved)
    shown = [job for job in reversed(jobs) if first <= job.created.date() and job.created < at]
    rows = [job_row(job, at) for job in shown]
    name = f"Import-{at:%Y-%m-%dT%H_%M_%S}.csv"
    about = f"jobs created {first} to {shown[0].created:%Y-%m-%d}, as they stood when exported; {QUIRKS}"
    faults = []
    if bad:
        free = next(n for n in range(shown[40].number, 0, -1) if n not in {job.number for job in jobs})
        row = [str(free), *rows[40]][: len(JOB_HEADER) + 1]
        del row[1]
        row[JOB_HEADER.index("UUID")] = f"ZZ{free}"
        faults = [(40, *bad(row))]
    return Export(name, saved, about, JOB_HEADER, rows, faults, final_newline=False)


def job_row(job: Job, at: datetime) -> Row:
    """One row of the 44-column export."""
    dice = Dice(f"row {job.number}")
    day = "%a %b %d %Y"
    person, paid, job_type = job.person, job.paid_at(at), job.type_at(at)
    dated = "" if job.undated or job.visit > LAST else f"{job.visit:{day}}"
    total = ZERO if dice.percent(14) else max(paid, Decimal(0 if job.canceled else dice.one((0, 85, 95))))
    parts = Decimal(dice.between(20, 140))  # drawn in any case, or the draws below would depend on the money paid
    cost = parts if paid > 200 else ZERO
    if dice.percent(12):
        total += Decimal(dice.between(500, 19000)) / 100
    methods = [p.method if p.amount > 0 else "refund" for p in job.payments if p.counts and p.entered <= at]
    ins = CHANNELS[job.channel][1] == "INS"
    cells = {
        "Job #": str(job.number),
        "Client": f" {person.name} " if dice.percent(4) else person.name,
        "Tags": "repeat, VIP" if job.channel == "Retention" else "",
        "Job Type": job_type,
        "Job Date": dated,
        "Job End": dated,
        "Primary Phone": person.phone if dice.percent(99) else person.phone[2:],
        "Email Address": f"{person.first}.{person.last}@example.com".lower() if dice.percent(25) else "",
        "Status": job.status_at(at),
        "Tech": job.tech,
        "Address": f"{person.street}, Apt {dice.between(1, 9)}" if dice.percent(10) else person.street,
        "City": person.town,
        "Zip Code": person.zip_code,
        "UUID": job.uuid,
        "Conversion Date": f"{job.created:{day}}",
        "Total": plain(total),
        "Converted": "0",
        "Invoiced": str(int(paid > 0)),
        "Created": f"{job.created:{day}}",
        "Payment Due Date": f"{job.created:{day}}" if dice.percent(98) else "",
        "Created By": "Dispatch",
        "Amount Due": noisy(total - paid, job.number),
        "Amount Paid": plain(paid),
        "Cost": plain(cost),
        "Profit": noisy(paid - cost, job.number + 7),
        "Tax": "0",
        "Taxable Amount": "0",
        "Tax Rate": "6.25" if dice.percent(12) else "0",
        "Hours": "1" if dated else "0",
        "Source": job.source_at(at),
        "First Name": person.first,
        "Last Name": person.last,
        "State": dice.pick({"MA": 80, "Massachusetts": 14, "Mass": 4, person.town: 2}),
        "Payment Methods": ", ".join(methods),
        "Claim ID and Important notes": f"Claim 88-{dice.between(1000, 9999)}" if ins else "",
        "Appliance type and Brand": job.appliance,
        "Issue description": dice.one(ISSUES) if dice.percent(45) else "",
    }
    return [cells.get(name, "") for name in JOB_HEADER]


def late_job_export(jobs: Sequence[Job], first: date, saved: str) -> Export:
    """The short form of the newer CRM: no Source, no Created, no UUID."""
    at = local(saved)
    rows = []
    for job in reversed(jobs):
        if job.created.date() >= first:
            day = DASH if job.undated or job.visit > LAST else f"{job.visit:%m/%d/%y}"
            paid = job.paid_at(at)
            amount = f"{paid:.2f}" if paid else ""
            status, tech = job.status_at(at), job.tech or DASH
            rows.append([str(job.number), DASH, job.type_at(at), day, status, tech, amount, day, DASH])
    paid = sum((job.paid_at(at) for job in jobs if job.created.date() >= first), ZERO)
    rows.append([str(len(rows)), *[""] * 5, f"{paid:.2f}", "", ""])
    about = f"jobs created since {first} in the short form of a newer CRM: "
    about += "BOM, `MM/DD/YY`, a dash for nothing, no Source, Created or UUID; below the jobs their number and sum"
    return Export("jobs_export_2025-01-03.csv", saved, about, LATE_JOB_HEADER, rows, encoding="utf-8-sig", totals=1)


def job_exports(jobs: Sequence[Job]) -> list[Export]:
    """The four jobs files, oldest first."""

    def cut(row: Row) -> tuple[Row, str]:
        return row[:20], f"short row: 20 of {len(JOB_HEADER)} cells"

    def undatable(row: Row) -> tuple[Row, str]:
        row[JOB_HEADER.index("Created")] = "Sat Nov 31 2024"
        return row, "unreadable date in Created: `Sat Nov 31 2024`"

    return [
        job_export(jobs, date(2023, 10, 1), "2024-07-01 10:15", cut),
        job_export(jobs, date(2024, 5, 15), "2024-10-01 10:15", None),
        job_export(jobs, date(2024, 8, 1), "2025-01-02 10:15", undatable),
        late_job_export(jobs, date(2024, 12, 9), "2025-01-03 09:00"),
    ]


def payment_exports(jobs: Sequence[Job]) -> list[Export]:
    """The older form with ids up to June 2024, then two overlapping files of the newer form without."""
    dice = Dice("orphans")
    ledger: list[tuple[Payment, Job | None]] = [(payment, job) for job in jobs for payment in job.payments]
    for index, month in enumerate(MONTHS):  # no such job, or an invoice that stands alone
        if index % 2 == 0:
            at, amount = dice.moment(dice.workday(month)), dollars(dice, 40, 180)
            orphan = Payment(at, amount, "credit charge", "Completed", at, at, dice.one((DASH, str(9040 + index))))
            ledger.append((orphan, None))
    ledger.sort(key=lambda item: (item[0].at, item[1].number if item[1] else 0))
    for payment, job in ledger:
        payment.ref = payment.ref or (str(job.number) if job else DASH)
    for payment, job in ledger[200:600:190]:
        payment.ref = job.uuid if job else payment.ref

    def span(first: str, last: str) -> list[tuple[int, Payment, Job | None]]:
        days = (date.fromisoformat(first), date.fromisoformat(last))
        return [(i, p, j) for i, (p, j) in enumerate(ledger) if days[0] <= p.at.date() <= days[1]][::-1]

    old = [old_payment_row(*item) for item in span("2023-10-01", "2024-06-30")]
    third = [*old[90]]
    third[1], third[12], third[13] = "12.345", "TX-30999", "INV-5999"
    summer = [new_payment_row(p, j, local("2024-10-16 09:00")) for _, p, j in span("2024-07-01", "2024-10-15")]
    autumn = [new_payment_row(p, j, local("2025-01-03 09:30")) for _, p, j in span("2024-09-15", "2024-12-31")]
    undated = [*summer[150]]
    undated[7] = "Aug 32, 2024, 02:10 PM"
    return [
        Export(
            "payments_2023-10-01_2024-06-30.csv", "2024-07-01 11:00",
            "payments with Transaction ID; UTC stamps (evenings show the next day); refunds, failed, orphans",
            OLD_PAYMENT_HEADER, old,
            [(90, third, "amount with a third decimal: `12.345`")],
        ),
        Export(
            "payments_2024-07-01_2024-10-15.csv", "2024-10-16 09:00",
            "payments in the newer form without any id; local stamps; one is still Pending", NEW_PAYMENT_HEADER, summer,
            [(150, undated, "unreadable date: `Aug 32, 2024, 02:10 PM`")],
        ),
        armoured(
            Export(
                "payments_2024-07-01_2024-10-15 (Excel).csv", "2024-10-16 09:20",
                'the same rows, saved once more by Excel with its armour around the job (`="1234"`): nothing may count '
                "twice",
                NEW_PAYMENT_HEADER, summer,
            ),
            "Job #",
        ),
        Export(
            "payments_2024-09-15_2024-12-31.csv", "2025-01-03 09:30",
            "the same form; repeats 15 September to 15 October; the Pending one is Completed",
            NEW_PAYMENT_HEADER, autumn,
            [(120, autumn[120][:5], f"short row: 5 of {len(NEW_PAYMENT_HEADER)} cells")],
        ),
    ]  # fmt: skip


def armoured(export: Export, *columns: str) -> Export:
    """The export with some columns written so that a spreadsheet keeps their digits: `="1234"`."""
    places = {export.header.index(name) for name in columns}
    rows = [[f'="{c}"' if i in places and c != DASH else c for i, c in enumerate(row)] for row in export.rows]
    return replace(export, rows=rows)


def old_payment_row(index: int, payment: Payment, job: Job | None) -> Row:
    """One row of the older payments form."""
    stamp = f"{payment.at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    row = [stamp, f"{payment.amount:.2f}", payment.method, payment.ref, *about_job(job, payment.status)]
    paid = ["Paid", "Yes"] if payment.counts else ["Open", "No"]
    return [*row, *paid, f"TX-{30000 + index}", f"INV-{5000 + index}", job.uuid if job else DASH]


def new_payment_row(payment: Payment, job: Job | None, at: datetime) -> Row:
    """One row of the newer payments form as exported at `at`."""
    status = payment.status if at >= payment.settled else "Pending"
    client, job_type, status, tags, source, tech = about_job(job, status)
    stamp = f"{payment.at:%b} {payment.at.day}, {payment.at:%Y, %I:%M %p}"
    return [
        payment.ref, client, job_type, status, payment.method, f"{payment.amount:.2f}", tags, stamp, source, tech, DASH,
    ]  # fmt: skip


def about_job(job: Job | None, status: str) -> Row:
    """Customer, type, payment status, tags, source and technician as a payment shows them."""
    if job is None:
        return [DASH, DASH, status, DASH, DASH, DASH]
    source = job.source_at(local("2025-01-03 00:00"))
    return [job.person.name, job.final_type, status, DASH, source or DASH, job.tech or DASH]


# Lead vendors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lead:
    """A call or form sold by eLocals. `credited`: when its price became zero; a price of None is shown blank.

    `fault`: why the vendor owes a credit: "duplicate" of an earlier lead, "customer" already, "short" call; or "".
    """

    lead_id: str
    at: datetime
    seconds: int
    price: Decimal | None
    credited: datetime | None
    disputed: bool
    person: Person
    job: Job | None
    fault: str

    def row(self, at: datetime, *, dollar_sign: bool) -> dict[str, str]:
        """The lead as shown at that moment."""
        credited = self.credited is not None and at >= self.credited
        price = ZERO if credited else self.price
        status = "Credit Unavailable" if self.disputed else "Request Credit" if self.credited else ""
        return {
            "Unique ID": self.lead_id,
            "Time": f"{self.at:%Y-%m-%d %H:%M:%S %z}",
            "Duration": f"{self.seconds // 60:02}:{self.seconds % 60:02}",
            "Cost": "" if price is None else f"{'$' * dollar_sign}{price:.2f}",
            "Status": "Call Credited (No Charge)" if credited else status,
            "Lead Type": "Call",
            "Current Status": "Booked" if self.job else "",
            "Forwarding Number": "6175550199",
            "Caller ID": self.person.phone,
            "Caller Name": self.person.name.upper(),
            "Profile": "4410",
            "Service City": self.person.town,
            "Service State Abbr": "MA",
            "Service Zip Code": self.person.zip_code,
            "Profile Name": "Appliance Repair",
        }


def make_leads(jobs: Sequence[Job]) -> list[Lead]:
    """The eLocals leads in order of time: one for each of its jobs but callbacks and repairs, more that led nowhere."""
    dice = Dice("elocals")
    wanted: list[tuple[datetime, Job | None]] = []
    for job in jobs:
        if job.channel == "eLocals" and job.occasion not in {"repair", "callback"}:
            wanted.append((job.created - timedelta(minutes=dice.between(3, 6), seconds=dice.between(0, 59)), job))
            if dice.percent(97):
                day = dice.workday(job.created.date().replace(day=1))
                wanted.append((dice.moment(day, 7, 20) + timedelta(seconds=dice.between(0, 59)), None))
            if dice.percent(28):
                wanted.append((dice.moment(dice.workday(job.created.date().replace(day=1)), 7, 20), None))
    edges = (
        "2023-10-31 23:58:41", "2024-02-29 23:51:09", "2024-04-30 23:47:55", "2024-05-01 00:02:12",
        "2024-06-30 23:59:30", "2024-07-31 23:55:12", "2024-11-03 01:15:00", "2024-11-30 23:56:20",
        "2024-12-31 23:31:07",
    )  # fmt: skip
    wanted += [(local(stamp), None) for stamp in edges]
    wanted.append((local("2024-11-03 01:15:00").replace(fold=1), None))  # the hour that came twice
    leads: list[Lead] = []
    for index, (at, sold) in enumerate(sorted(wanted, key=lambda item: item[0].astimezone(UTC))):
        middle = MONTHS[at.date().replace(day=1)][1]
        price = Decimal(min(90, max(36, 2 * middle + dice.between(-13, 13)))) / 2
        fate = dice.pick({"charged": 85, "disputed": 3, "credited": 7, "unpriced": 5}) if sold is None else "charged"
        late = at.date().replace(day=1) == date(2024, 7, 1) and sold is None and index % 4 == 0
        credited = at + timedelta(days=dice.between(1, 5)) if fate == "credited" else None
        if late and fate == "charged":
            fate, credited = "credited", local("2024-08-12 12:00")
        person, fault = (sold.person, "") if sold else stranger(dice, at, fate, leads, jobs)
        seconds = dice.between(4, 19) if fault == "short" else dice.between(35, 420)
        leads.append(
            Lead(
                str(71204411 + 37 * index), at, 0 if fate == "unpriced" else seconds,
                None if fate == "unpriced" and dice.percent(60) else ZERO if fate == "unpriced" else price,
                credited, fate == "disputed", person, sold, fault,
            )
        )  # fmt: skip
    return leads


def stranger(dice: Dice, at: datetime, fate: str, leads: Sequence[Lead], jobs: Sequence[Job]) -> tuple[Person, str]:
    """Who calls and buys nothing, and what is wrong with the lead.

    Every credited lead has a fault, and a few that were charged: those are worth a claim.
    """
    fault = dice.pick({"": 0 if fate == "credited" else 94, "duplicate": 3, "customer": 2, "short": 1})
    callers = {
        "duplicate": [lead.person for lead in leads[-12:] if lead.fault == ""],
        "customer": [job.person for job in jobs if timedelta(3) < at - job.created < timedelta(60)],
    }.get(fault, [])
    if callers:
        return dice.one(callers), fault
    return new_person(dice), "short" if fault else ""


def elocals_exports(leads: Sequence[Lead]) -> list[Export]:
    """Two overlapping exports of eLocals; July 2024 is in both."""

    def cells(first: str, last: str, saved: str, header: Sequence[str], *, dollar_sign: bool) -> list[Row]:
        days = (date.fromisoformat(first), date.fromisoformat(last))
        shown = [lead for lead in leads if days[0] <= lead.at.date() <= days[1]]
        rows = [lead.row(local(saved), dollar_sign=dollar_sign) for lead in reversed(shown)]
        return [[row.get(name, "") for name in header] for row in rows]

    short_header = [name for name in ELOCALS_HEADER if name not in {"Lead Type", "Current Status"}]
    older = cells("2023-10-01", "2024-07-31", "2024-08-02 08:30", short_header, dollar_sign=False)
    newer = cells("2024-07-01", "2024-12-31", "2025-01-03 08:30", ELOCALS_HEADER, dollar_sign=True)
    undated, unpriced = [*older[200]], [*newer[60]]
    undated[0], undated[1] = "71000017", "2024-02-30 10:14:00 -0500"
    unpriced[0], unpriced[3] = "71000054", "see invoice"
    return [
        Export(
            "leads cost Elocals 2023-10-01 to 2024-07-31.csv", "2024-08-02 08:30",
            "leads without Lead Type and Current Status; some Cost blank or 0.00, some leads minutes before midnight",
            short_header, older, [(200, undated, "unreadable date: `2024-02-30 10:14:00 -0500`")],
        ),
        Export(
            "leads cost Elocals 2024-07-01 to 2024-12-31.csv", "2025-01-03 08:30",
            "all 29 columns, Cost as `$25.50`; July again, where credits have made some Cost 0",
            ELOCALS_HEADER, newer, [(60, unpriced, "text in a money column: Cost `see invoice`")],
        ),
    ]  # fmt: skip


# Moment, status in the older file, status in the newer, who, and the job it led to.
Referral = tuple[datetime, str, str, Person, Job | None]


def make_referrals(jobs: Sequence[Job]) -> list[Referral]:
    """The referrals of Pro Referral in order of time: one for each of its new jobs, others that led nowhere."""
    dice = Dice("proref")
    leads: list[Referral] = []
    for job in jobs:
        if job.channel != "Pro Referral":
            continue
        if job.occasion in {"new", "again"}:
            leads.append((job.created - timedelta(minutes=30), "Scheduled", "Completed", job.person, job))
        for _ in range(dice.pick({0: 30, 1: 40, 2: 30})):
            at = dice.moment(dice.workday(job.created.date().replace(day=1)), 7, 20)
            status = dice.pick({"Passed": 40, "Contacted": 30, "Accepted": 22, "": 8})
            moved = at.month in {6, 7} and status != "Passed" and dice.percent(40)
            leads.append((at, status, "Passed" if moved else status, new_person(dice), None))
    leads.sort(key=lambda lead: lead[0])
    odd = next(i for i, lead in enumerate(leads) if lead[0] > local("2024-11-05 00:00") and lead[2] == "Passed")
    leads[odd] = (leads[odd][0], "passed", "passed", *leads[odd][3:])
    return leads


def referral_id(index: int) -> str:
    """The id of the referral that is the index-th in order of time."""
    return f"PR{50210 + 3 * index}"


def proref_exports(leads: Sequence[Referral]) -> list[Export]:
    """Two overlapping exports of Pro Referral; June and July 2024 are in both, some passed on in between."""

    def rows(first: str, last: str, *, newer: bool) -> list[Row]:
        shown = [(i, lead) for i, lead in enumerate(leads) if local(first) <= lead[0] <= local(f"{last} 23:59")]
        return [
            [referral_id(i), f"{at:%m/%d/%Y %I:%M %p}", after if newer else before, who.name, who.shown_phone,
             "Appliance repair", who.town, "MA", who.zip_code]
            for i, (at, before, after, who, _) in reversed(shown)
        ]  # fmt: skip

    older, newer = rows("2023-10-01", "2024-07-31", newer=False), rows("2024-06-01", "2024-12-31", newer=True)
    undated = ["PR49001", "soon", *newer[30][2:]]
    return [
        Export(
            "Pro Referral leads 2024-08-01.csv", "2024-08-01 12:00",
            "leads to July 2024; some Current Status blank", PROREF_HEADER, older,
        ),
        Export(
            "Pro Referral leads 2025-01-02.csv", "2025-01-02 12:00",
            "leads from June 2024: some have moved to Passed since the older file, one says `passed`",
            PROREF_HEADER, newer, [(30, undated, "unreadable date: `soon`")],
        ),
    ]  # fmt: skip


# Calls ----------------------------------------------------------------------------------------------------------------


def call_exports(jobs: Sequence[Job], leads: Sequence[Lead]) -> list[Export]:
    """CallRail for the summer of 2024, then the phone log of the CRM for the last three months."""
    calls = phone_log(jobs, leads)
    rows = [row for _, row in sorted(calls, key=lambda call: call[0], reverse=True)]
    for index in (600, 411, 230, 57):  # the log repeats a call now and then, cell for cell
        rows.insert(index, [*rows[index]])
    tracked = callrail_rows(jobs)
    undated = [*tracked[70]]
    undated[CALLRAIL_HEADER.index("Start Time")] = "not available"
    return [
        Export(
            "callrail_calls_2024-07_2024-09.csv", "2024-10-01 09:00",
            "CallRail: BOM, ISO times with offset, Keywords in brackets or quotes", CALLRAIL_HEADER, tracked,
            [(70, undated, "unreadable date in Start Time: `not available`")], encoding="utf-8-sig",
        ),
        Export(
            "export_export (2).csv", "2025-01-02 17:00",
            "phone log, October to December 2024: times without a year, four rows twice, UUIDs of jobs and of leads",
            PHONE_LOG_HEADER, rows, final_newline=False,
        ),
    ]  # fmt: skip


def phone_log(jobs: Sequence[Job], leads: Sequence[Lead]) -> list[tuple[datetime, Row]]:
    """Calls of the last three months of 2024, with the moment of each."""
    dice = Dice("phone")
    start = local("2024-10-01 00:00")
    calls: list[tuple[datetime, Person, tuple[str, str], Job | None]] = [
        (lead.at.replace(second=0), lead.person, ("eLocals", ""), lead.job)
        for lead in leads
        if lead.at >= start and dice.percent(60)
    ]
    for job in jobs:
        if job.created >= start and job.channel == "Google" and job.occasion in {"new", "again"}:
            calls.append((job.created - timedelta(minutes=4), job.person, ("GoogleAds", ""), job))
        if job.created >= start and job.visit <= LAST and dice.percent(30):
            calls.append((dice.moment(job.visit, 8, 10), job.person, ("", ""), job))
    for month in [month for month in MONTHS if month >= start.date()]:
        for _ in range(80):
            group = "Google" if dice.percent(92) else ""
            flow = ("Forward to Dispatch", group)
            calls.append((dice.moment(dice.workday(month), 8, 19), new_person(dice), flow, None))
            calls.append((dice.moment(dice.workday(month), 8, 19), new_person(dice), ("", ""), None))
    return [(at, phone_row(dice, at, who, flow, job)) for at, who, flow, job in calls]


def phone_row(dice: Dice, at: datetime, who: Person, flow: tuple[str, str], job: Job | None) -> Row:
    """One row of the phone log; `flow` is the pair of Flow and Ad group, both blank in calls made by the office."""
    seconds = dice.pick({0: 8, dice.between(4, 59): 30, dice.between(60, 610): 62})
    length = f"{seconds // 60} Min {seconds % 60} Sec" if seconds > 59 else f"{seconds} Sec"
    suffix = "th" if 11 <= at.day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(at.day % 10, "th")
    stamp = f"{at:%a %b} {at.day}{suffix}, {at:%I:%M%p}"
    linked = [job.uuid, str(job.number)] if job else ["", ""]
    if job is None and dice.percent(3):  # a lead of the CRM: its serials collide with the jobs' numbers
        linked = [dice.text(LETTERS, 6), str(dice.between(600, 808))]
    caller = [who.name if job else who.shown_phone, who.shown_phone]
    if dice.percent(2):
        caller[0] = f" {caller[0]} "
    office = ["Main line", "(617) 555-0199"]
    inbound = flow != ("", "")
    answered = dice.one(("Nadia", "Oskar")) if inbound and dice.percent(91) else ""
    ends = caller + office if inbound else office + caller
    return [*ends, stamp, *flow, answered, *linked, length]


def callrail_rows(jobs: Sequence[Job]) -> list[Row]:
    """Tracked calls of July to September 2024, newest first: of those who booked through Google, and of others."""
    dice = Dice("callrail")
    booked = [j for j in jobs if j.channel == "Google" and date(2024, 7, 1) <= j.created.date() < date(2024, 10, 1)]
    calls = [(j.created - timedelta(minutes=4), j.person) for j in booked if j.occasion in {"new", "again"}]
    days = [dice.workday(date(2024, month, 1)) for month in (7, 8, 9) for _ in range(40)]
    calls += [(dice.moment(day, 8, 19), new_person(dice)) for day in days]
    bookers = {person.phone for _, person in calls[: len(calls) - len(days)]}
    rows = []
    for at, who in sorted(calls, key=lambda call: call[0], reverse=True):
        answered = who.phone in bookers or dice.percent(86)
        words = dice.one(("", "[dishwasher repair near me]", '"fridge repair"', "[washer repair]"))
        cells = {
            "Call Status": "Answered Call" if answered else dice.one(("Missed Call", "Voicemail", "Abandoned Call")),
            "Company Name": "Sample Appliance Repair",
            "Tracking Number": "(617) 555-0198",
            "Name": who.name.upper(),
            "Phone Number": who.shown_phone,
            "First-Time Caller": "true" if dice.percent(80) else "false",
            "City": who.town,
            "State": "MA",
            "Country": "US",
            "Source": "Google Ads"
            if who.phone in bookers
            else dice.pick({"Google Ads": 60, "Google Organic": 25, "Direct": 15}),
            "Duration (seconds)": str(dice.between(20, 480) if answered else dice.between(0, 25)),
            "Start Time": (at + timedelta(seconds=dice.between(0, 59))).isoformat(),
            "Keywords": words,
            "Qualified": dice.one(("Good Lead", "Not Qualified", "Converted", "")) if answered else "",
        }
        rows.append([cells.get(name, "") for name in CALLRAIL_HEADER])
    return rows


# Spend, targets and files that are no data ----------------------------------------------------------------------------


def ads_export(number: int, first: date, last: date, *, title: str = "Campaign report", tabs: bool = False) -> Export:
    """A Google Ads report by day and campaign for the days given, with its preamble and totals."""
    rows: list[Row] = []
    total = 0
    for day, cents in spend_by_day().items():
        if first <= day <= last:
            total += cents
            second = 0 if day.weekday() == 6 else cents * 3 // 10
            for name, code, part in (("Appliance Repair Search", 1, cents - second), ("Fridge Calls", 2, second)):
                cost = f"{Decimal(part) / 100:.2f}" if part else " --"
                clicks = part // 900
                rows.append([f"{day}", name, f"2000000000{code}", "USD", cost, str(clicks * 31), str(clicks), "0.00"])
    removed = 1594 if number == 2 else 0  # a removed campaign is in the account's total and in no row
    for label, cents in (("Account", total + removed), ("Campaigns", total), ("Search", total)):
        rows.append([f"Total: {label}", "--", "--", "USD", f"{Decimal(cents) / 100:,.2f}", "--", "--", "--"])
    about = (
        f"Google Ads report, {first} to {last}, by day and campaign; two lines above the header, three `Total:` rows"
    )
    about += "; UTF-16LE with BOM, tabs" * tabs + ", of which `Total: Account` exceeds the rows" * bool(removed)
    return Export(
        f"Campaign report ({number}).csv", f"{last + timedelta(days=1)} 18:00", about, ADS_HEADER, rows,
        preamble=(title, f"{spelt(first)} - {spelt(last)}"), encoding="utf-16-le" if tabs else "utf-8",
        separator="\t" if tabs else ",", totals=3,
    )  # fmt: skip


def spend_by_day() -> dict[date, int]:
    """Cents spent on Google each day; the days of a month add up to its amount."""
    spent: dict[date, int] = {}
    for month, (_, _, spend) in MONTHS.items():
        dice = Dice(f"ads {month}")
        weights = [dice.between(70, 130) for _ in range(days_in(month))]
        shares = [spend * 100 * weight // sum(weights) for weight in weights]
        shares[-1] += spend * 100 - sum(shares)
        spent |= {month + timedelta(days=index): cents for index, cents in enumerate(shares)}
    return spent


def spelt(day: date) -> str:
    """`September 1, 2024`."""
    return f"{day:%B} {day.day}, {day.year}"


def ads_exports() -> list[Export]:
    """Google Ads from August 2024; the first file is UTF-16LE with tabs, November is in two halves."""
    return [
        ads_export(1, date(2024, 8, 1), date(2024, 9, 30), tabs=True),
        ads_export(2, date(2024, 10, 1), date(2024, 10, 31)),
        ads_export(3, date(2024, 11, 1), date(2024, 11, 15)),
        ads_export(4, date(2024, 11, 16), date(2024, 11, 30)),
        ads_export(5, date(2024, 12, 1), LAST, title="Untitled report"),
    ]


def target_export() -> Export:
    """Targets of 2024: the whole company, its two segments, and four sources."""
    rows: list[Row] = []
    for index, month in enumerate(m for m in MONTHS if m.year == 2024):
        growth = 100 + 4 * index
        for source, segment, repairs, revenue, conversion, ceiling in (
            ("", "", 30, 6200, "0.31", "30"),
            ("", "COD", 22, 4500, "", ""),
            ("", "INS", 8, 1700, "", ""),
            ("eLocals", "", 11, 2200, "0.20", "32"),
            ("Pro Referral", "", 5, 950, "0.27", "$20.00"),
            ("Google", "", 3, 520, "0.45", "150"),
            ("Rely", "", 7, 1150, "0.45", ""),
        ):  # fmt: skip
            amount = f"{revenue * growth // 100}"
            amount = f"${int(amount):,}" if not source and not segment else amount
            rows.append([f"{month:%Y-%m}", source, segment, f"{repairs * growth // 100}", amount, conversion, ceiling])
    about = "targets of 2024; a blank source or segment means all; some cells blank; `$6,200` quoted"
    return Export("targets 2024.csv", "2024-01-02 09:00", about, TARGET_HEADER, rows)


NOTES = "Item,Shelf,Remark\nDrain pump,B2,order two\nDoor gasket,A1,\u201ctry the blue one\u201d\n"
LOGIN_PAGE = """<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><form action="/login" method="post"><p>Your session has ended. Please sign in again.</p>
<input name="email"><input name="password" type="password"><button>Sign in</button></form></body></html>
"""
XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
OFFICE = "http://schemas.openxmlformats.org"
SPREADSHEET = f'xmlns="{OFFICE}/spreadsheetml/2006/main"'


def spend_sheet() -> Export:
    """The hand-kept sheet as it was in May 2024: fewer months, and April typed in before the bill came."""
    months = [month for month in MONTHS if month < date(2024, 5, 1)]
    rows = [[f"{month:%Y-%m}", f"{MONTHS[month][2] - 24 * (month == months[-1])}.00"] for month in months]
    about = (
        "the hand-kept sheet of Google spend as it was in May 2024; the workbook has the same months and April's bill"
    )
    return Export("Ads spend 2023-2024.csv", "2024-05-01 09:00", about, ("Month", "Spend"), rows)


def spend_workbook() -> tuple[bytes, int]:
    """The hand-kept sheet of Google spend to July 2024, and its number of rows.

    Months are date cells, or text where somebody typed them; spend is a number or text with a dollar sign.
    """
    months = [month for month in MONTHS if month < date(2024, 8, 1)]
    written = {months[3]: "Jan 2024", months[4]: "February 2024", months[7]: "2024-05"}
    lines = [(text_cell("Month"), text_cell("Spend"))]
    for index, month in enumerate(months):
        spend = MONTHS[month][2]
        serial = f'<c s="1"><v>{(month - date(1899, 12, 30)).days}</v></c>'
        amount = text_cell(f"${spend:,}.00") if index % 3 == 0 else f"<c><v>{spend}</v></c>"
        lines.append((text_cell(written[month]) if month in written else serial, amount))
    total = sum(MONTHS[month][2] for month in months)
    lines.append((text_cell("Total"), text_cell(f"${total:,}.00")))
    rows = "".join(f"<row>{month}{spend}</row>" for month, spend in lines)
    return workbook(f"<worksheet {SPREADSHEET}><sheetData>{rows}</sheetData></worksheet>"), len(lines) - 1


def text_cell(text: str) -> str:
    """A cell with its text in place."""
    return f'<c t="inlineStr"><is><t>{text}</t></is></c>'


def workbook(sheet: str) -> bytes:
    """An .xlsx of one sheet, the same bytes whatever machine and library version write it."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    relation = f"{OFFICE}/officeDocument/2006/relationships"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{OFFICE}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{OFFICE}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{relation}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {SPREADSHEET} xmlns:r="{relation}"><sheets>'
        '<sheet name="Google spend" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{OFFICE}/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{relation}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{relation}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {SPREADSHEET}><fonts count="1"><font/></fonts>'
        '<fills count="1"><fill><patternFill/></fill></fills>'
        '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs>'
        '<cellXfs count="2"><xf/><xf numFmtId="17" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": sheet,
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, (2024, 8, 1, 9, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, XML + text)
    return buffer.getvalue()


def truth(jobs: Sequence[Job], leads: Sequence[Lead], referrals: Sequence[Referral]) -> dict[str, list[Row]]:
    """What really happened, as tables: every lead with the job it led to, and every job that follows another.

    Nothing is owed for a lead that cost nothing, so such a lead has no fault.
    """
    sold = [["elocals_leads", lead.lead_id, str(lead.job.number if lead.job else ""), lead.fault if lead.price else ""]
            for lead in leads]  # fmt: skip
    sold += [["proref_leads", referral_id(i), str(job.number if job else ""), ""]
             for i, (*_, job) in enumerate(referrals)]  # fmt: skip
    follows = [[str(job.number), str(job.after.number), job.occasion] for job in jobs if job.after]
    return {
        "leads.csv": [["feed", "lead_id", "job_id", "fault"], *sold],
        "jobs.csv": [["job_id", "after_job_id", "occasion"], *follows],
    }


def write_readme(exports: Sequence[Export], spend_rows: int) -> str:
    """The description of the folder: a table of the files and one of the bad rows."""
    table = [
        (e.name, len(e.records()), len(e.bad), e.about + (f" ({e.totals} of the rows are totals)" if e.totals else ""))
        for e in exports
    ]
    about = "hand-kept Google spend by month: date cells and text, numbers and `$` text, a Total row (1 of the rows)"
    table.append(("Ads spend 2023-2024.xlsx", spend_rows, 0, about))
    table.append(("leads cost Elocals expired.csv", 0, 0, "no data: an HTML login page saved under an export's name"))
    table.append(("notes.csv", 2, 0, "a list of parts: no feed recognises it"))
    bad = [(e.name, line, reason) for e in exports for line, reason in e.bad_lines()]
    lines = [
        "# The sample",
        "",
        "Exports of an invented appliance-repair company, October 2023 to December 2024. Written by",
        "`python data/make_sample.py`, which also writes this page: change the script, never the files.",
        "",
        "Within a feed the names sort by age, and the script sets each file's time to the moment of its export, for",
        "the newest export wins where two hold the same row. After a copy or a checkout, which reset the times, run",
        "the script again. Rows are records below the header, bad ones and totals included.",
        "",
        "| file | rows | bad | what it is |",
        "|---|---:|---:|---|",
        *(f"| `{name}` | {rows} | {faults} | {what} |" for name, rows, faults, what in sorted(table)),
        "",
        "`truth/` holds what no export tells: `leads.csv`, which job each lead led to and what is wrong with a lead",
        "that deserves a credit (duplicate, customer, short); `jobs.csv`, which earlier job a job follows, as the",
        "repair after a visit, a callback, or another job of a customer who came back. It is no export: tests compare",
        "with it what rmetrics finds.",
        "",
        f"The {len(bad)} bad rows. The line is the one on which the record begins, counted from 1.",
        "",
        "| file | line | why |",
        "|---|---:|---|",
        *(f"| `{name}` | {line} | {reason} |" for name, line, reason in sorted(bad)),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Write everything into the folder named on the command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    jobs = make_jobs()
    leads, referrals = make_leads(jobs), make_referrals(jobs)
    exports = [
        *job_exports(jobs), *payment_exports(jobs), *call_exports(jobs, leads), *elocals_exports(leads),
        *proref_exports(referrals), spend_sheet(), *ads_exports(), target_export(),
    ]  # fmt: skip
    spend, spend_rows = spend_workbook()
    files = {export.name: (export.payload(), export.saved) for export in exports}
    files["Ads spend 2023-2024.xlsx"] = (spend, "2024-08-01 09:00")
    files["leads cost Elocals expired.csv"] = (LOGIN_PAGE.encode(), "2025-01-03 08:40")
    files["notes.csv"] = (NOTES.encode(), "2024-11-20 09:00")
    files["README.md"] = (write_readme(exports, spend_rows).encode(), "2025-01-03 12:00")
    for name, rows in truth(jobs, leads, referrals).items():
        files[f"truth/{name}"] = ("\n".join(",".join(row) for row in rows).encode() + b"\n", "2025-01-03 12:00")
    for name, (payload, saved) in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(payload)
        moment = local(saved).timestamp()
        os.utime(path, (moment, moment))
    print(f"{len(files)} files, {sum(len(payload) for payload, _ in files.values()):,} bytes, in {folder}")


if __name__ == "__main__":
    main()
