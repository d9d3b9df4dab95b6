"""Writes large exports in the real header forms: seeded, streaming, fast.

    python benchmarks/generate.py --jobs 500000 OUT

Makes jobs (a file per year), payments with ids, eLocals and Pro Referral leads, calls, Google spend and targets for a
company with that many jobs; payments are 1.2 times the jobs. The same arguments give the same bytes.
"""

import argparse
import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

CHUNK = 250_000
START, DAYS = dt.date(2015, 1, 1), 3650
EXPORTED = dt.datetime(2025, 1, 2, 12, tzinfo=dt.UTC).timestamp()
TYPES = ["COD Service", "INS Service", "COD Repair", "INS Repair", "Warranty", "Service"]
SOURCES = ["eLocals", "Rely", "Pro Referral", "", "Insurance", "NSA", "Liberty", "Google", "Retention", "Puls"]
CITIES = ["Boston", "Worcester", "Quincy", "Lynn", "Newton", "Salem"]
METHODS = ["cash", "check", "credit charge", "Zelle", "bank transfer"]


def pick(rng: np.random.Generator, values: list[str], size: int, weights: list[float]) -> pl.Series:
    """A column of values drawn by weight."""
    share = np.array(weights) / sum(weights)
    return pl.Series(values).gather(rng.choice(len(values), size, p=share))


def days(rng: np.random.Generator, first: int, count: int, jobs: int) -> np.ndarray:
    """Days since START of consecutive job numbers, so that numbers grow with time."""
    return (np.arange(first, first + count) * DAYS // max(jobs, 1) + rng.integers(0, 3, count)).clip(0, DAYS - 1)


def dates(offsets: np.ndarray) -> pl.Expr:
    """A date column of days since START."""
    return pl.lit(START) + pl.duration(days=pl.Series(offsets.astype("int64")))


def jobs_chunk(rng: np.random.Generator, first: int, count: int, jobs: int) -> pl.DataFrame:
    """Jobs in the CRM's long form, without the account's custom fields."""
    created = days(rng, first, count, jobs)
    number = pl.Series(np.arange(first + 1, first + count + 1))
    total = pl.Series(rng.integers(0, 60_000, count))
    frame = pl.DataFrame({
        "Job #": number,
        "Client": "Customer " + number.cast(pl.String),
        "Job Type": pick(rng, TYPES, count, [38, 27, 18, 10, 5, 2]),
        "Status": pick(rng, ["Done", "Canceled", "Pending"], count, [87, 9, 4]),
        "Tech": pick(rng, ["Alex B.", "Chris D.", "Sam F.", "Alex B., Sam F."], count, [4, 3, 2, 0.1]),
        "City": pick(rng, CITIES, count, [5, 4, 3, 2, 1, 1]),
        "Zip Code": "0" + pl.Series(rng.integers(1000, 2799, count)).cast(pl.String),
        "UUID": "U" + (number * 7919).cast(pl.String),
        "Source": pick(rng, SOURCES, count, [30, 27, 13, 5, 6, 5, 4, 5, 3, 2]),
        "cents": total,
    })  # fmt: skip
    dated = frame.with_columns(
        dates(created).dt.strftime("%a %b %d %Y").alias("Created"),
        dates(created + rng.integers(0, 20, count)).dt.strftime("%a %b %d %Y").alias("Job Date"),
        (pl.col("cents") // 100).cast(pl.String).alias("Total"),
        pl.lit("0").alias("Amount Due"),
        pl.format("{}.{}", pl.col("cents") // 100, pl.col("cents") % 90 + 10).alias("Amount Paid"),
    )
    return dated.drop("cents")


def payments_chunk(rng: np.random.Generator, first: int, count: int, jobs: int) -> pl.DataFrame:
    """Payments with ids and UTC stamps."""
    job = rng.integers(1, jobs + 1, count)
    at = (job - 1) * DAYS // max(jobs, 1) + rng.integers(0, 40, count)
    cents = pl.Series(rng.integers(2_000, 70_000, count))
    refund = pl.Series(rng.random(count) < 0.01)
    frame = pl.DataFrame({
        "Job #": job,
        "Method": pick(rng, METHODS, count, [3, 2, 5, 1, 1]),
        "Status": pick(rng, ["Completed", "", "Failed", "Voided"], count, [90, 6, 3, 1]),
        "Transaction ID": "T" + pl.Series(np.arange(first + 1, first + count + 1)).cast(pl.String),
        "cents": cents,
        "refund": refund,
        "second": rng.integers(0, 86_400, count),
    })  # fmt: skip
    stamp = dates(at).cast(pl.Datetime("ms")) + pl.duration(seconds=pl.col("second"))
    return frame.select(
        stamp.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").alias("Date"),
        pl.format(
            "{}{}.{}",
            pl.when("refund").then(pl.lit("-")).otherwise(pl.lit("")),
            pl.col("cents") // 100,
            (pl.col("cents") % 100).cast(pl.String).str.zfill(2),
        ).alias("Amount"),
        "Method",
        "Job #",
        "Status",
        "Transaction ID",
    )


def elocals_chunk(rng: np.random.Generator, first: int, count: int, total: int) -> pl.DataFrame:
    """Leads of eLocals: offsets without a colon, a few credits."""
    at = days(rng, first, count, total)
    frame = pl.DataFrame({
        "Unique ID": np.arange(10_000_000 + first, 10_000_000 + first + count),
        "second": rng.integers(0, 86_400, count),
        "Cost": pick(rng, ["25.50", "31.00", "40.00", "0.00", ""], count, [5, 4, 3, 1, 0.2]),
        "Status": pick(rng, ["", "Credit Unavailable", "Call Credited (No Charge)"], count, [9, 1, 1]),
        "Duration": pick(rng, ["02:23", "00:41", "11:05"], count, [1, 1, 1]),
    })  # fmt: skip
    stamp = dates(at).cast(pl.Datetime("ms")) + pl.duration(seconds=pl.col("second"))
    return frame.select(
        "Unique ID", stamp.dt.strftime("%Y-%m-%d %H:%M:%S -0500").alias("Time"), "Duration", "Cost", "Status"
    )


def referrals_chunk(rng: np.random.Generator, first: int, count: int, total: int) -> pl.DataFrame:
    """Pro Referral leads."""
    at = days(rng, first, count, total)
    return pl.DataFrame({
        "Lead ID": "R" + pl.Series(np.arange(first, first + count)).cast(pl.String),
        "Current Status": pick(rng, ["Scheduled", "Completed", "Passed", ""], count, [4, 4, 2, 1]),
    }).with_columns(dates(at).dt.strftime("%m/%d/%Y 10:30 AM").alias("Lead Date"))  # fmt: skip


def write(path: Path, rows: int, chunk: Callable[[int, int], pl.DataFrame], *, first: int = 0) -> None:
    """Writes ``rows`` rows in chunks."""
    with path.open("wb") as file:
        for at in range(0, rows, CHUNK):
            chunk(first + at, min(CHUNK, rows - at)).write_csv(file, include_header=at == 0)
    os.utime(path, (EXPORTED, EXPORTED))


def generate(folder: Path, jobs: int, *, seed: int = 7) -> None:
    """Writes all exports of a company with ``jobs`` jobs."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    years = 10
    for year in range(years):
        low, high = jobs * year // years, jobs * (year + 1) // years
        write(folder / f"Import-{2015 + year}.csv", high - low, lambda f, n: jobs_chunk(rng, f, n, jobs), first=low)
    payments = jobs * 6 // 5
    write(folder / "payments.csv", payments, lambda f, n: payments_chunk(rng, f, n, jobs))
    leads = jobs // 2
    write(folder / "leads cost Elocals.csv", leads, lambda f, n: elocals_chunk(rng, f, n, leads))
    referrals = jobs // 5
    write(folder / "Pro Referral leads.csv", referrals, lambda f, n: referrals_chunk(rng, f, n, referrals))
    months = [dt.date(2015 + m // 12, m % 12 + 1, 1) for m in range(120)]
    spend = pl.DataFrame({"Month": [f"{m:%Y-%m}" for m in months], "Spend": rng.integers(600, 1400, 120)})
    spend.write_csv(folder / "google spend.csv")
    os.utime(folder / "google spend.csv", (EXPORTED, EXPORTED))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    generate(options.folder, options.jobs, seed=options.seed)
