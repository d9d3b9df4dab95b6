"""Writes large exports in the real header forms: seeded, streaming, fast.

    python benchmarks/generate.py --jobs 500000 OUT            the history: ten years
    python benchmarks/generate.py --jobs 500000 --day 1 OUT    one more day of exports, the first after the history

The history holds jobs and payments (a file per year each), a second jobs export of the last year that overlaps and
changes some rows, eLocals and Pro Referral leads, calls in CallRail's form, Google spend and targets. There are 1.2
payments, 0.5 eLocals leads, 0.2 referrals and 0.5 calls for each job; every declared source, undeclared ones in
several spellings, refunds, payments without a job or with a job's UUID, void payments, and a few cells nobody can read.
Two in five leads and calls have the number of a customer whose job is created on that day or a few days from it; one in
five of these customers was there before.

A day holds what that day brought, and rows that change older months: updates of jobs, late payments, refunds, voided
payments, credited leads and referrals that were passed on.

Rows come in chunks, each from a generator of its own, so the same arguments give the same bytes, any row can be made
again without those before it, and memory does not grow with the number of jobs. Modification times say which export
is newer.
"""

import argparse
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

CHUNK = 100_000
NOBODY = 100_000_000  # customers from this one on have no job
START, YEARS = dt.date(2015, 1, 1), 10
DAYS = (dt.date(START.year + YEARS, 1, 1) - START).days
SECOND_EXPORT = 200  # days before the end from which the second jobs export has the jobs
EXPORTED = dt.datetime(START.year + YEARS, 1, 3, 12, tzinfo=dt.UTC)

TYPES = {"COD Service": 38, "INS Service": 27, "COD Repair": 18, "INS Repair": 10, "Warranty": 5, "Service": 2}
SOURCES = {
    "eLocals": 28, "elocal": 2, "Rely": 26, "Pro Referral": 12, "pro_referral": 1, "": 5, "NSA": 6, "Liberty": 3,
    "LHG": 1, "Google": 5, "Retention": 3, "Insurance": 5, "Puls": 1, "PULS": 1, "Service Direct": 0.6,
    "Service direct": 0.4,
}  # fmt: skip
CITIES = {"Boston": 5, "Worcester": 4, "Quincy": 3, "Lynn": 2, "Newton": 1, "Salem": 1}
METHODS = {"cash": 3, "check": 2, "credit charge": 5, "Zelle": 1, "bank transfer": 1}
# What the CRM's long form has beside the columns the rules read; users can hide columns.
WIDE = (
    "Tags", "Job End", "Email Address", "Address", "Service Area", "Sub-Status", "Conversion Date", "Converted",
    "Invoiced", "Payment Due Date", "Created By", "Cost", "Profit", "Profit Margin", "Company", "Tax",
    "Credit Card Service Fee", "Taxable Amount", "Tax Rate", "Hours", "First Name", "Last Name", "State",
    "Payment Methods",
)  # fmt: skip

Chunk = Callable[[np.random.Generator, int, int], pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Company:
    """A company's history.

    Attributes:
        jobs: how many it had in the ten years.
        wide: whether exports have all columns.
        chunk: how many rows are made at a time; other chunks are other rows.
    """

    jobs: int
    seed: int = 7
    wide: bool = False
    chunk: int = CHUNK

    @property
    def per_day(self) -> int:
        """New jobs of one day after the history; at least a few, so that a day of a small history has some of all."""
        return max(self.jobs // DAYS, 20)

    def rows(self, kind: int, chunk: Chunk, low: int, high: int) -> Iterator[pl.DataFrame]:
        """The rows ``low`` to ``high`` of a kind of export, in chunks."""
        for number in range(low // self.chunk, -(-high // self.chunk)):
            first = number * self.chunk
            frame = chunk(np.random.default_rng([self.seed, kind, number]), first, self.chunk)
            yield frame.slice(max(low - first, 0), min(high, first + self.chunk) - max(low, first))

    def picked(self, kind: int, chunk: Chunk, numbers: np.ndarray) -> pl.DataFrame:
        """Single rows of a kind of export, by number, as they were exported."""
        frames: list[pl.DataFrame] = []
        for number in np.unique(numbers // self.chunk):
            first = int(number) * self.chunk
            frame = chunk(np.random.default_rng([self.seed, kind, int(number)]), first, self.chunk)
            frames.append(frame[(numbers[numbers // self.chunk == number] - first).tolist()])
        return pl.concat(frames)

    # -- the kinds of export

    def job_rows(self, rng: np.random.Generator, first: int, count: int) -> pl.DataFrame:
        """Jobs in the CRM's form."""
        created = self.days(rng, first, count, self.jobs)
        number = pl.Series(np.arange(first + 1, first + count + 1))
        frame = pl.DataFrame({
            "Job #": number.cast(pl.String),
            "Client": "Customer " + number.cast(pl.String),
            "Job Type": pick(rng, TYPES, count),
            "Primary Phone": phones(customers(np.arange(first + 1, first + count + 1))),
            "Status": pick(rng, {"Done": 87, "Canceled": 9, "Pending": 4}, count),
            "Tech": pick(rng, {"Alex B.": 4, "Chris D.": 3, "Sam F.": 2, "Alex B., Sam F.": 0.1, "": 0.2}, count),
            "City": pick(rng, CITIES, count),
            "Zip Code": "0" + pl.Series(rng.integers(1000, 2799, count)).cast(pl.String),
            "UUID": uuids(number),
            "Source": pick(rng, SOURCES, count),
            "_cents": rng.integers(0, 60_000, count),
            "_visit": created + rng.integers(0, 20, count),
            "_created": created,
            "_faulty": rng.random(count) < 0.00002,
        })  # fmt: skip
        paid = (pl.col("_cents") - pl.col("_cents") % 50).alias("_cents")
        form = "%a %b %d %Y"
        frame = frame.with_columns(
            date("_visit").dt.strftime(form).alias("Job Date"),
            pl.when("_faulty").then(pl.lit("soon")).otherwise(date("_created").dt.strftime(form)).alias("Created"),
            (pl.col("_cents") // 100).cast(pl.String).alias("Total"),
            pl.lit("0").alias("Amount Due"),
            money(paid).alias("Amount Paid"),
        )
        return self._widened(frame).select(pl.exclude("^_.*$"))

    def _widened(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self.wide:
            return frame
        values = {
            "Job End": pl.col("Job Date"), "Conversion Date": pl.col("Created"), "Payment Due Date": pl.col("Created"),
            "Email Address": pl.format("customer{}@example.com", "Job #"), "State": pl.lit("MA"),
            "Address": pl.format("{} Grove St", "Zip Code"), "Created By": pl.lit("Dispatch"),
            "Profit": pl.format("{}.59000000000003", "Total"), "First Name": pl.lit("Customer"),
            "Last Name": pl.col("Job #"), "Payment Methods": pl.lit("charge,refund"), "Tags": pl.lit("dryer, gas"),
            "Hours": pl.lit("1"), "Converted": pl.lit("0"), "Invoiced": pl.lit("1"), "Cost": pl.lit("0"),
        }  # fmt: skip
        return frame.with_columns(values.get(name, pl.lit("")).alias(name) for name in WIDE)

    def payment_rows(self, rng: np.random.Generator, first: int, count: int) -> pl.DataFrame:
        """Payments with ids and UTC stamps, up to 40 days after their job."""
        index = np.arange(first, first + count)
        newest = index * 5 // 6
        job = (newest - rng.integers(0, max(self.jobs * 40 // DAYS, 1), count)).clip(0, self.jobs - 1) + 1
        at = (newest * DAYS // max(self.jobs, 1)).clip(0, DAYS - 1)
        frame = pl.DataFrame({
            "_job": job, "_at": at, "_cents": rng.integers(2_000, 25_000, count),
            "_second": rng.integers(0, 86_400, count),
            "_refund": rng.random(count) < 0.01, "_faulty": rng.random(count) < 0.00002,
            "_link": pick(rng, {"number": 97, "uuid": 2, "none": 0.6, "unknown": 0.4}, count),
            "Method": pick(rng, METHODS, count),
            "Status": pick(rng, {"Completed": 90, "": 6, "Failed": 3, "Voided": 1}, count),
            "Transaction ID": "T" + pl.Series(index + 1).cast(pl.String),
        }).with_columns(uuids(pl.Series(job)).alias("_uuid"))  # fmt: skip
        return self._payments(frame)

    @staticmethod
    def _payments(frame: pl.DataFrame) -> pl.DataFrame:
        link, number = pl.col("_link"), pl.col("_job").cast(pl.String)
        return frame.select(
            stamp().dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias("Date"),
            pl.when("_faulty")
            .then(pl.lit("n/a"))
            .otherwise(pl.when("_refund").then(pl.lit("-")).otherwise(pl.lit("")) + money(pl.col("_cents")))
            .alias("Amount"),
            "Method",
            pl.when(link == "number").then(number)
            .when(link == "uuid").then(pl.col("_uuid"))
            .when(link == "unknown").then("9" + number.str.zfill(9))
            .otherwise(pl.lit("")).alias("Job #"),
            "Status",
            "Transaction ID",
        )  # fmt: skip

    def elocals_rows(self, rng: np.random.Generator, first: int, count: int) -> pl.DataFrame:
        """Leads of eLocals: offsets without a colon, a few credits."""
        at = self.days(rng, first, count, self.jobs // 2)
        frame = pl.DataFrame({
            "Unique ID": pl.Series(np.arange(10_000_000 + first, 10_000_000 + first + count)).cast(pl.String),
            "_at": at,
            "_second": rng.integers(0, 86_400, count),
            "Duration": pick(rng, {"02:23": 1, "00:41": 1, "11:05": 1}, count),
            "Cost": pick(rng, {"25.50": 5, "$31.00": 4, "40.00": 3, "0.00": 1, "": 0.2, "call us": 0.0003}, count),
            "Status": pick(rng, {"": 9, "Credit Unavailable": 1, "Call Credited (No Charge)": 1}, count),
            "Caller ID": self.callers(rng, at),
            "Service Zip Code": "0" + pl.Series(rng.integers(1000, 2799, count)).cast(pl.String),
        })  # fmt: skip
        time = stamp().dt.strftime("%Y-%m-%d %H:%M:%S -0500").alias("Time")
        return frame.select("Unique ID", time, pl.exclude("^_.*$", "Unique ID"))

    def referral_rows(self, rng: np.random.Generator, first: int, count: int) -> pl.DataFrame:
        """Pro Referral leads."""
        at = self.days(rng, first, count, self.jobs // 5)
        frame = pl.DataFrame({
            "Lead ID": "R" + pl.Series(np.arange(first, first + count)).cast(pl.String),
            "_at": at,
            "Current Status": pick(rng, {"Scheduled": 4, "Completed": 4, "Passed": 2, "": 1}, count),
            "Zip": "0" + pl.Series(rng.integers(1000, 2799, count)).cast(pl.String),
            "Phone": self.callers(rng, at),
        })  # fmt: skip
        time = date("_at").dt.strftime("%m/%d/%Y 10:30 AM").alias("Lead Date")
        return frame.select("Lead ID", time, "Current Status", "Zip", "Phone")

    def call_rows(self, rng: np.random.Generator, first: int, count: int) -> pl.DataFrame:
        """Calls in CallRail's form, which has no id."""
        at = self.days(rng, first, count, self.jobs // 2)
        frame = pl.DataFrame({
            "_at": at,
            "_second": rng.integers(0, 86_400, count),
            "Call Status": pick(rng, {"Answered Call": 8, "Missed Call": 2, "Voicemail": 1}, count),
            "Tracking Number": pick(rng, {"(617) 555-0100": 3, "(617) 555-0101": 2}, count),
            "Phone Number": self.callers(rng, at),
            "Agent Name": pick(rng, {"Alex B.": 4, "Chris D.": 3, "": 2}, count),
            "Source": pick(rng, {"Google Ads": 4, "Google Organic": 3, "Direct": 2}, count),
            "Duration (seconds)": pl.Series(rng.integers(0, 900, count)).cast(pl.String),
        })  # fmt: skip
        time = stamp().dt.strftime("%Y-%m-%d %H:%M:%S").alias("Start Time")
        return frame.with_columns(time, pl.lit("(617) 555-0100").alias("Destination Number")).select(
            pl.exclude("^_.*$")
        )

    def callers(self, rng: np.random.Generator, at: np.ndarray) -> pl.Series:
        """Who leads and calls of these days are from: customers of jobs of those days, and people without a job."""
        count, of_a_day = len(at), max(self.jobs // DAYS, 1)
        job = (at - rng.integers(-2, 3, count)) * self.jobs // DAYS + rng.integers(0, of_a_day, count) + 1
        nobody = NOBODY + rng.integers(0, max(self.jobs, 1), count)
        return phones(np.where(rng.random(count) < 0.4, customers(job.clip(1, self.jobs)), nobody))

    @staticmethod
    def days(rng: np.random.Generator, first: int, count: int, total: int) -> np.ndarray:
        """Days since START of consecutive numbers, so that numbers grow with time."""
        return (np.arange(first, first + count) * DAYS // max(total, 1) + rng.integers(0, 3, count)).clip(0, DAYS - 1)


def pick(rng: np.random.Generator, weights: Mapping[str, float], count: int) -> pl.Series:
    """A column of values drawn by weight."""
    share = np.fromiter(weights.values(), float)
    return pl.Series(list(weights)).gather(rng.choice(len(share), count, p=share / share.sum()))


def customers(job: np.ndarray) -> np.ndarray:
    """The customer of each job: its own, or, of every fifth, that of an earlier job."""
    earlier = job - 1 - job * 31 % 4_999
    return np.where((job % 5 == 0) & (earlier > 0), earlier, job)


def phones(customer: np.ndarray) -> pl.Series:
    """A number for each customer, in the form of the country; of 24 million customers some share one."""
    area = pl.Series([617, 508, 781]).gather(customer % 3)
    return area.cast(pl.String) + pl.Series(2_000_000 + customer * 7_919 % 7_999_993).cast(pl.String)


def uuids(job: pl.Series) -> pl.Series:
    """The permanent names of jobs."""
    return "U" + (job * 7919).cast(pl.String)


def date(days: str) -> pl.Expr:
    """A date column of days since START."""
    return pl.lit(START) + pl.duration(days=pl.col(days))


def stamp() -> pl.Expr:
    """A moment of day ``_at``."""
    return date("_at").cast(pl.Datetime("ms")) + pl.duration(seconds=pl.col("_second"))


def money(cents: pl.Expr) -> pl.Expr:
    """Cents as an export writes them."""
    return pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))


def write(path: Path, frames: Iterator[pl.DataFrame], exported: dt.datetime) -> None:
    """Writes an export that was made at ``exported``."""
    with path.open("wb") as file:
        for i, frame in enumerate(frames):
            blank = frame.with_columns(pl.col(pl.String).replace("", None))  # blanks are not quoted in real exports
            blank.write_csv(file, include_header=i == 0)
    os.utime(path, (exported.timestamp(), exported.timestamp()))


# -- the history

JOBS, PAYMENTS, ELOCALS, REFERRALS, CALLS, CHANGED, DAY = range(7)


def generate(folder: Path, company: Company) -> None:
    """Writes the history's exports."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = company.jobs
    for year in range(YEARS):
        name, exported = START.year + year, EXPORTED.replace(year=START.year + year + 1)
        low, high = jobs * year // YEARS, jobs * (year + 1) // YEARS
        write(folder / f"Import-{name}.csv", company.rows(JOBS, company.job_rows, low, high), exported)
        rows = company.rows(PAYMENTS, company.payment_rows, low * 6 // 5, high * 6 // 5)
        write(folder / f"payments_{name}-01-01_{name}-12-31.csv", rows, exported)
    last = jobs - jobs * SECOND_EXPORT // DAYS
    again = company.rows(JOBS, company.job_rows, last, jobs)
    later = EXPORTED + dt.timedelta(hours=1)
    write(folder / "Import-second.csv", (changed(f, company.seed, i) for i, f in enumerate(again)), later)
    for file, kind, chunk, count in (
        ("leads cost Elocals.csv", ELOCALS, company.elocals_rows, jobs // 2),
        ("Pro Referral leads.csv", REFERRALS, company.referral_rows, jobs // 5),
        ("callrail calls.csv", CALLS, company.call_rows, jobs // 2),
    ):
        write(folder / file, company.rows(kind, chunk, 0, count), EXPORTED)
    months = [f"{START.year + m // 12}-{m % 12 + 1:02}" for m in range(12 * YEARS + 1)]
    rng = np.random.default_rng([company.seed, DAY])
    spend = pl.DataFrame({"Month": months, "Spend": pl.Series(rng.integers(60_000, 140_000, len(months)))})
    write(folder / "google spend.csv", iter([spend.with_columns(money(pl.col("Spend")).alias("Spend"))]), EXPORTED)
    targets = pl.DataFrame({"Month": months, "Source": "", "Segment": "", "Target Repairs": str(jobs // 200)})
    write(folder / "targets.csv", iter([targets]), EXPORTED)


def changed(rows: pl.DataFrame, seed: int, number: int) -> pl.DataFrame:
    """The same jobs exported again: one in ten has changed."""
    rng = np.random.default_rng([seed, CHANGED, number])
    other = pl.Series(rng.random(rows.height) < 0.1)
    return rows.with_columns(
        pl.when(other).then(pl.lit("Done")).otherwise("Status").alias("Status"),
        pl.when(other & (pl.col("Job Type") == "COD Service"))
        .then(pl.lit("COD Repair")).otherwise("Job Type").alias("Job Type"),
    )  # fmt: skip


# -- one more day


def generate_day(folder: Path, company: Company, day: int) -> list[Path]:
    """Writes the exports of the ``day``-th day after the history; returns their paths.

    Changes rows of the last two months and, a few of each kind, of months spread over the whole history.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([company.seed, DAY, day])
    exported = EXPORTED + dt.timedelta(days=day, hours=2)
    at = DAYS + day - 1
    label = START + dt.timedelta(days=at)
    made = []
    for name, frame in {
        f"Import-{label}.csv": _day_jobs(company, rng, at),
        f"payments_{label}_{label}.csv": _day_payments(company, rng, at),
        f"leads cost Elocals {label}.csv": _day_elocals(company, rng, at),
        f"Pro Referral leads {label}.csv": _day_referrals(company, rng, at),
        f"callrail calls {label}.csv": _new(company.call_rows, rng, company.jobs // 2, company.per_day // 2, at),
    }.items():
        write(folder / name, iter([frame]), exported)
        made.append(folder / name)
    return made


def _new(chunk: Chunk, rng: np.random.Generator, before: int, count: int, at: int) -> pl.DataFrame:
    """New rows of one kind on day ``at``; their numbers follow those of the history and of the days before."""
    rows = chunk(rng, before + count * (at - DAYS), max(count, 1))
    days = {
        "Created": "%a %b %d %Y",
        "Job Date": "%a %b %d %Y",
        "Lead Date": "%m/%d/%Y 10:30 AM",
        "Time": f"%Y-%m-%d {10 + at % 10}:15:00 -0500",
        "Start Time": "%Y-%m-%d 15:30:00",
    }
    day = START + dt.timedelta(days=at)
    return rows.with_columns(pl.lit(day.strftime(form)).alias(n) for n, form in days.items() if n in rows.columns)


def _some(rng: np.random.Generator, total: int, recent: int, spread: int) -> np.ndarray:
    """Row numbers: ``recent`` of the last two months, ``spread`` of the whole history."""
    window = max(total * 60 // DAYS, 1)
    return np.unique(np.concatenate([total - 1 - rng.integers(0, window, recent), rng.integers(0, total, spread)]))


def _day_jobs(company: Company, rng: np.random.Generator, at: int) -> pl.DataFrame:
    new = _new(company.job_rows, rng, company.jobs, company.per_day, at)
    old = company.picked(JOBS, company.job_rows, _some(rng, company.jobs, 40, 4))
    update = old.with_columns(pl.lit("Done").alias("Status"), pl.lit("COD Repair").alias("Job Type"))
    return pl.concat([new, update])


def _day_payments(company: Company, rng: np.random.Generator, at: int) -> pl.DataFrame:
    """Payments of the day, mostly for jobs of the last weeks; refunds and voided payments of older ones."""
    count = company.per_day * 6 // 5
    first = company.jobs * 6 // 5 + count * (at - DAYS)
    recent = company.jobs - rng.integers(0, max(company.jobs * 40 // DAYS, 1), count - 6)
    job = np.concatenate([recent, rng.integers(1, company.jobs + 1, 6)])
    frame = pl.DataFrame({
        "_job": job, "_at": np.full(count, at), "_cents": rng.integers(2_000, 25_000, count),
        "_second": rng.integers(0, 86_400, count), "_refund": np.arange(count) >= count - 4, "_faulty": False,
        "_link": "number", "_uuid": "", "Method": "check", "Status": "Completed",
        "Transaction ID": "T" + pl.Series(np.arange(first + 1, first + count + 1)).cast(pl.String),
    })  # fmt: skip
    new = company._payments(frame)  # noqa: SLF001 - one form for all payments
    void = company.picked(PAYMENTS, company.payment_rows, _some(rng, company.jobs * 6 // 5, 6, 2))
    return pl.concat([new, void.with_columns(pl.lit("Voided").alias("Status"))])


def _day_elocals(company: Company, rng: np.random.Generator, at: int) -> pl.DataFrame:
    new = _new(company.elocals_rows, rng, company.jobs // 2, max(company.per_day // 2, 10), at)
    credit = company.picked(ELOCALS, company.elocals_rows, _some(rng, company.jobs // 2, 15, 2))
    return pl.concat([new, credit.with_columns(pl.lit("0.00").alias("Cost"))])


def _day_referrals(company: Company, rng: np.random.Generator, at: int) -> pl.DataFrame:
    new = _new(company.referral_rows, rng, company.jobs // 5, max(company.per_day // 5, 4), at)
    passed = company.picked(REFERRALS, company.referral_rows, _some(rng, company.jobs // 5, 8, 1))
    return pl.concat([new, passed.with_columns(pl.lit("Passed").alias("Current Status"))])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--wide", action="store_true", help="jobs with every column of the CRM's long form")
    parser.add_argument("--day", type=int, help="only the exports of this day after the history")
    options = parser.parse_args()
    of = Company(options.jobs, options.seed, options.wide)
    if options.day:
        generate_day(options.folder, of, options.day)
    else:
        generate(options.folder, of)
