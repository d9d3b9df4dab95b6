"""pandas: only the columns that are needed, text as Arrow strings, vectorised, money as whole cents.

python benchmarks/peers/pandas_peer.py INBOX OUT
"""

import csv
import sys
import time
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
from common import exports, report
from pyarrow import csv as arrow_csv

ZONE = "America/New_York"
NOT_PAID = ["failed", "voided", "pending", "processing"]
ALIASES = {
    "elocals": "eLocals", "elocal": "eLocals", "elocal.com": "eLocals", "elocals.com": "eLocals",
    "proreferral": "Pro Referral", "pro_referral": "Pro Referral", "proreferral.com": "Pro Referral",
    "google": "Google", "googleads": "Google", "rely": "Rely", "nsa": "NSA", "liberty": "Liberty", "lhg": "Liberty",
    "libertyhomeguard": "Liberty", "retention": "Retention", "unattributed": "Unattributed",
}  # fmt: skip
KEY = ["date", "source", "segment"]
JOBS = ["Job #", "UUID", "Job Type", "Source", "Status", "Created", "Job Date", "Tech", "City", "Zip Code", "Total",
        "Amount Paid", "Primary Phone"]  # fmt: skip


def read(paths: list[Path], columns: list[str] | None = None) -> pd.DataFrame:
    """All rows as text, with the rank of their export."""
    frames = [_text(p, columns) for p in paths]
    return pd.concat([f.assign(export=i) for i, f in enumerate(frames)], ignore_index=True)


def _text(path: Path, columns: list[str] | None) -> pd.DataFrame:
    """One export, as text: pandas' own reader infers types first with this engine, and numbers would get decimals."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file))
    options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()),
        include_columns=columns or header,
        null_values=[""],
        strings_can_be_null=True,
    )
    table = arrow_csv.read_csv(path, convert_options=options)
    return table.to_pandas(types_mapper={pa.string(): pd.StringDtype("pyarrow")}.get)


def newest(rows: pd.DataFrame, key: str | list[str]) -> pd.DataFrame:
    """The newest row of each key."""
    return rows.drop_duplicates(key, keep="last")


def cents(text: pd.Series) -> pd.Series:
    """Whole cents; missing where the text is no amount. Two decimals fit a double exactly enough to be rounded."""
    number = pd.to_numeric(text.str.replace("[$,]", "", regex=True), errors="coerce")
    return (number * 100).round().astype("Int64")


def readable(text: pd.Series, values: pd.Series) -> pd.Series:
    """Rows whose cell is blank or was understood."""
    return text.isna() | values.notna()


def days(stamps: pd.Series) -> pd.Series:
    """Local days of stamps with a zone."""
    return stamps.dt.tz_convert(ZONE).dt.tz_localize(None).dt.normalize()


def typed_jobs(paths: list[Path]) -> pd.DataFrame:
    """One row per job."""
    rows = read(paths, JOBS)
    form = "%a %b %d %Y"
    rows["date"] = pd.to_datetime(rows["Created"], format=form, errors="coerce")
    rows["job_date"] = pd.to_datetime(rows["Job Date"], format=form, errors="coerce")
    rows["total"], rows["amount_paid"] = cents(rows["Total"]), cents(rows["Amount Paid"])
    rows["phone"] = rows["Primary Phone"].str.replace("[^0-9]", "", regex=True)
    good = readable(rows["Created"], rows["date"]) & readable(rows["Job Date"], rows["job_date"])
    good &= readable(rows["Total"], rows["total"]) & readable(rows["Amount Paid"], rows["amount_paid"])
    return newest(rows[good].drop(columns=["Created", "Job Date", "Total", "Amount Paid", "Primary Phone"]), "Job #")


def typed_payments(paths: list[Path]) -> pd.DataFrame:
    """One row per payment."""
    rows = read(paths)
    rows["cents"] = cents(rows["Amount"])
    rows["paid_on"] = days(pd.to_datetime(rows["Date"], format="%Y-%m-%dT%H:%M:%S.%fZ", utc=True, errors="coerce"))
    rows = newest(rows[rows["cents"].notna() & rows["paid_on"].notna()], "Transaction ID")
    return rows.assign(counted=~rows["Status"].str.lower().isin(NOT_PAID).fillna(value=False))


def typed_elocals(paths: list[Path]) -> pd.DataFrame:
    """One row per lead."""
    rows = read(paths)
    rows["cents"] = cents(rows["Cost"])
    rows["date"] = days(pd.to_datetime(rows["Time"], format="%Y-%m-%d %H:%M:%S %z", utc=True, errors="coerce"))
    parts = rows["Duration"].str.split(":", expand=True)
    rows["duration_s"] = parts[0].astype("Int64") * 60 + parts[1].astype("Int64")
    rows["phone"] = rows["Caller ID"].str.replace("[^0-9]", "", regex=True)
    return newest(rows[readable(rows["Cost"], rows["cents"]) & rows["date"].notna()], "Unique ID")


def typed_referrals(paths: list[Path]) -> pd.DataFrame:
    """One row per referral."""
    rows = read(paths)
    rows["date"] = pd.to_datetime(rows["Lead Date"], format="%m/%d/%Y %I:%M %p", errors="coerce").dt.normalize()
    return newest(rows[rows["date"].notna()], "Lead ID")


def typed_calls(paths: list[Path]) -> pd.DataFrame:
    """One row per call; equal calls of one export are told apart by their number in it."""
    rows = read(paths)
    rows["started_at"] = pd.to_datetime(rows["Start Time"], format="%Y-%m-%d %H:%M:%S", errors="coerce")
    rows["minute"] = rows["started_at"].dt.floor("min")
    rows["from"] = rows["Phone Number"].str.replace("[^0-9]", "", regex=True)
    rows["to"] = rows["Destination Number"].str.replace("[^0-9]", "", regex=True)
    rows["seconds"] = rows["Duration (seconds)"].astype("Int64")
    identity = ["from", "to", "minute", "seconds"]
    rows["occurrence"] = rows.groupby([*identity, "export"]).cumcount()
    return newest(rows[rows["started_at"].notna()], [*identity, "occurrence"])


def typed_spend(paths: list[Path]) -> pd.DataFrame:
    """One row per month."""
    rows = read(paths)
    rows["month"], rows["cents"] = pd.to_datetime(rows["Month"], format="%Y-%m"), cents(rows["Spend"])
    return newest(rows[rows["cents"].notna()], "month")


def with_sources(jobs: pd.DataFrame) -> pd.DataFrame:
    """Adds the source: the declared name, the first spelling of an undeclared one, or Unattributed."""
    raw = jobs["Source"]
    spelling = raw.drop_duplicates().dropna()
    known = spelling.str.lower().str.replace(r"[\s\-]+", "", regex=True).map(ALIASES)
    known.index = pd.Index(spelling)
    fold = spelling.str.lower().str.replace(r"\s+", "", regex=True)
    fold.index = pd.Index(spelling)
    other = jobs[raw.notna() & raw.map(known).isna()]
    order = pd.DataFrame({
        "fold": other["Source"].map(fold), "raw": other["Source"], "date": other["date"],
        "digits": other["Job #"].str.len(), "job": other["Job #"],
    }).sort_values(["date", "digits", "job"], na_position="last")  # fmt: skip
    own = order.drop_duplicates("fold").set_index("fold")["raw"].str.strip()
    named = raw.map(known).astype("string[pyarrow]")
    named = named.fillna(raw.map(fold).map(own).astype("string[pyarrow]"))
    return jobs.assign(source=named.fillna("Unattributed"))


def facts_of(jobs: pd.DataFrame, linked: pd.DataFrame) -> pd.DataFrame:
    """Jobs with source, segment, unit and repair."""
    paid = linked.dropna(subset="job").groupby("job")["cents"].sum()
    kind = jobs["Job Type"].fillna("")
    cod, ins = kind.str.contains("COD"), kind.str.contains("INS")
    over = jobs["Job #"].map(paid).fillna(0) > 10_000
    segment = pd.Series("OTHER", index=jobs.index, dtype="string[pyarrow]").mask(ins, "INS").mask(cod, "COD")
    return with_sources(jobs).assign(
        segment=segment,
        unit=kind.isin(["COD Service", "INS Service"]),
        repair=kind.isin(["COD Repair", "INS Repair"]) | ((kind == "COD Service") & over),
    )


def linked_payments(payments: pd.DataFrame, jobs: pd.DataFrame) -> pd.DataFrame:
    """Payments that count, with the job they name by number or UUID."""
    counted = payments.loc[payments["counted"], ["Job #", "cents", "paid_on"]]
    by_uuid = jobs.set_index("UUID")["Job #"]
    known = counted["Job #"].where(counted["Job #"].isin(jobs["Job #"]))
    return counted.assign(job=known.fillna(counted["Job #"].map(by_uuid)))


def google_costs(spend: pd.DataFrame, leads: pd.DataFrame, last_day: pd.Timestamp) -> pd.DataFrame:
    """Each month's spend over its days, each day's over the segments of its leads, by largest remainder."""
    days_of = spend["month"].dt.days_in_month.where(spend["month"] != last_day.replace(day=1), last_day.day)
    months = spend.assign(days=days_of)
    each = months.loc[months.index.repeat(months["days"])].reset_index(drop=True)
    each["place"] = each.groupby("month").cumcount()
    each["date"] = each["month"] + pd.to_timedelta(each["place"], unit="D")
    size, days_in = each["cents"].abs(), each["days"]
    each["day_cents"] = size // days_in + (each["place"] < size % days_in)
    each["sign"] = each["cents"].map(lambda c: -1 if c < 0 else 1)
    google = leads.loc[leads["source"] == "Google", ["date", "segment", "leads"]]
    split = each[["date", "day_cents", "sign"]].merge(google, on="date", how="left")
    split = split.assign(segment=split["segment"].fillna("COD"), leads=split["leads"].fillna(1).astype("int64"))
    whole = split.groupby("date")["leads"].transform("sum")
    split["part"] = split["day_cents"] * split["leads"] // whole
    split["rest"] = split["day_cents"] * split["leads"] % whole
    split["left"] = split["day_cents"] - split.groupby("date")["part"].transform("sum")
    split = split.sort_values(["date", "rest", "segment"], ascending=[True, False, True])
    turn = split.groupby("date").cumcount()
    split["cost"] = (split["part"] + (turn < split["left"])) * split["sign"]
    return split.assign(source="Google")[[*KEY, "cost"]]


def counted(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """Leads per day of a lead feed."""
    daily = rows.groupby("date", as_index=False).size().rename(columns={"size": "leads"})
    return daily.assign(source=source, segment="COD")


def daily(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The daily metrics."""
    jobs, payments = tables["jobs"], tables["payments"]
    linked = linked_payments(payments, jobs)
    facts = facts_of(jobs, linked)
    grouped = facts.dropna(subset="date").groupby(KEY, as_index=False)
    per_day = grouped.agg(jobs=("unit", "size"), units=("unit", "sum"), repairs=("repair", "sum"))
    paid = linked.merge(facts[["Job #", *KEY]].rename(columns={"Job #": "job"}), on="job", how="left")
    paid["date"] = paid["date"].fillna(paid["paid_on"])
    paid = paid.assign(source=paid["source"].fillna("Unattributed"), segment=paid["segment"].fillna("OTHER"))
    revenue = paid.groupby(KEY, as_index=False).agg(gross=("cents", "sum"))
    charged = tables["elocals_leads"][(tables["elocals_leads"]["cents"] > 0).fillna(value=False)]
    accepted = tables["proref_leads"][~(tables["proref_leads"]["Current Status"] == "Passed").fillna(value=False)]
    referrals = counted(accepted, "Pro Referral")
    by_jobs = per_day[per_day["source"].isin(["Google", "Retention"])].assign(leads=lambda d: d["jobs"])
    by_units = per_day[per_day["source"].isin(["Rely", "NSA", "Liberty"])].assign(leads=lambda d: d["units"])
    leads = pd.concat([counted(charged, "eLocals"), referrals, *(d[[*KEY, "leads"]] for d in (by_jobs, by_units))])
    reach = [facts["date"], payments.loc[payments["counted"], "paid_on"], tables["elocals_leads"]["date"],
             tables["proref_leads"]["date"], tables["calls"]["started_at"].dt.normalize()]  # fmt: skip
    costs = [
        charged.groupby("date", as_index=False).agg(cost=("cents", "sum")).assign(source="eLocals", segment="COD"),
        referrals.assign(cost=referrals["leads"] * 2000)[[*KEY, "cost"]],
        google_costs(tables["google_spend"], leads, max(d.max() for d in reach)),
    ]
    every = pd.concat([per_day, leads, revenue, *costs])
    names = ["jobs", "leads", "units", "repairs", "gross", "cost"]
    every[names] = every[names].fillna(0).astype("int64")
    summed = every.groupby(KEY, as_index=False)[names].sum()
    return summed[(summed[names] != 0).any(axis=1)]


def write(metrics: pd.DataFrame, path: Path) -> None:
    """Writes them as Parquet, cents as decimals."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    def scaled(name: str, factor: str) -> pa.Array:
        whole = pa.array(metrics[name]).cast(pa.decimal128(25, 0))
        return pc.multiply(whole, pa.scalar(Decimal(factor), pa.decimal128(5, 4)))

    table = pa.Table.from_pandas(metrics[[*KEY, "jobs", "leads", "units", "repairs"]], preserve_index=False)
    for name, column, factor in (
        ("revenue_gross", "gross", "0.0100"),
        ("revenue40", "gross", "0.0040"),
        ("cost", "cost", "0.0100"),
    ):
        table = table.append_column(name, scaled(column, factor))
    pq.write_table(table, path)


def run(inbox: Path, out: Path) -> None:
    """Makes ``out/daily_metrics.parquet``; the typed tables stay in memory."""
    files = exports(inbox)
    started = time.perf_counter()
    tables = {
        "jobs": typed_jobs(files["jobs"]),
        "payments": typed_payments(files["payments"]),
        "elocals_leads": typed_elocals(files["elocals_leads"]),
        "proref_leads": typed_referrals(files["proref_leads"]),
        "calls": typed_calls(files["calls"]),
        "google_spend": typed_spend(files["google_spend"]),
    }
    typed = time.perf_counter()
    write(daily(tables), out / "daily_metrics.parquet")
    rows = {name: len(table) for name, table in tables.items()}
    report(out, rows, typed=typed - started, metrics=time.perf_counter() - typed)


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
