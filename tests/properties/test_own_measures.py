"""Generated measures and dimensions over generated exports: plain Python, Polars and DuckDB agree on every figure."""

import datetime as dt
import tempfile
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import own_oracle as oracle
from own_oracle import Company, Condition, Dimension, Sum, Version
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.pipeline.months import measure_lines
from rmetrics.pipeline.verify.cross_check import cross_check
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.measures import SHIPPED
from rmetrics.tables import DIMENSION_MONTHLY, MEASURE_DAILY
from shipped_examples import copy_examples, own_measures
from support import ROOT, csv_text

FEEDS = """
[feeds.jobs]
files = ["jobs*"]
key = ["job_id"]
date = "created_at"
[feeds.jobs.columns]
job_id = { type = "text", from = ["Job"], required = true }
type = { type = "text", from = ["Type"], required = true }
source_raw = { type = "text", from = ["Source"] }
created_at = { type = "date", from = ["Created"], formats = ["%Y-%m-%d"], required = true }
technician = { type = "text", from = ["Tech"] }
client = { type = "phone", from = ["Client"], publish = false }
total = { type = "money", from = ["Total"] }
[feeds.payments]
files = ["payments*"]
key = ["payment_id"]
date = "paid_at"
job = { column = "job_ref", match = ["job_id"] }
where = "status IS DISTINCT FROM 'Failed'"
[feeds.payments.columns]
payment_id = { type = "text", from = ["Payment"], required = true }
job_ref = { type = "text", from = ["Of job"] }
paid_at = { type = "timestamp", from = ["Paid on"], formats = ["%Y-%m-%d %H:%M"], required = true }
amount = { type = "money", from = ["Amount"], required = true }
method = { type = "text", from = ["Method"] }
status = { type = "text", from = ["Status"] }
[feeds.parts]
files = ["parts*"]
key = ["part_id"]
date = "used_on"
job = { column = "job_ref", match = ["job_id"] }
[feeds.parts.columns]
part_id = { type = "text", from = ["Part"], required = true }
job_ref = { type = "text", from = ["For job"] }
used_on = { type = "date", from = ["Used on"], formats = ["%Y-%m-%d"], required = true }
price = { type = "money", from = ["Price"] }
pieces = { type = "integer", from = ["Pieces"] }
[feeds.tools]
files = ["tools*"]
key = ["tool_id"]
date = "bought_on"
[feeds.tools.columns]
tool_id = { type = "text", from = ["Tool"], required = true }
bought_on = { type = "date", from = ["Bought on"], formats = ["%Y-%m-%d"], required = true }
kind = { type = "text", from = ["Kind"] }
worth = { type = "money", from = ["Worth"] }
[feeds.calls]
files = ["calls*"]
key = ["call_id"]
date = "started_at"
[feeds.calls.columns]
call_id = { type = "text", from = ["Call"], required = true }
started_at = { type = "timestamp", from = ["Started"], formats = ["%Y-%m-%d %H:%M"], required = true }
flow = { type = "text", from = ["Flow"] }
seconds = { type = "integer", from = ["Seconds"] }
[[calls.sources]]
name = "Google"
where = "flow = 'ads'"
[[calls.sources]]
name = "Radio"
where = "flow IN ('ads', 'fm')"
"""
SOURCES = """
[sources.Google]
segment = "COD"
leads = "jobs"
cost = { per_lead = 12.34 }
[sources.Rely]
leads = "units"
"""
LEADS, FEES = {"Google": "jobs", "Rely": "units"}, {"Google": 1234}
HEADERS = {
    "jobs": {"job_id": "Job", "type": "Type", "source_raw": "Source", "created_at": "Created", "technician": "Tech", "total": "Total", "client": "Client"},
    "payments": {"payment_id": "Payment", "job_ref": "Of job", "day": "Paid on", "amount": "Amount", "method": "Method", "status": "Status"},
    "parts": {"part_id": "Part", "job_ref": "For job", "day": "Used on", "price": "Price", "pieces": "Pieces"},
    "calls": {"call_id": "Call", "day": "Started", "flow": "Flow", "seconds": "Seconds"},
    "tools": {"tool_id": "Tool", "day": "Bought on", "kind": "Kind", "worth": "Worth"},
}  # fmt: skip
MONEY = {"jobs": ("total", "paid"), "payments": ("amount",), "parts": ("price",), "tools": ("worth",), "calls": ()}
WHOLE = {"parts": ("pieces",), "calls": ("seconds",)}
TYPES = ("COD Service", "INS Service", "COD Repair", "INS Repair", "Warranty")
TECHNICIANS = (None, "Ann", "Bo", "Ann, Bo", "Bo,Ann,Cy", "Ann,Ann", " , ", "Zed", "Cy , Bo", "Ann, Bo, Cy, Dee, Eve")
CLIENTS = (None, "6175550101", "6175550101", "6175550102")
METHODS = (None, "cash", "card", "check")
KINDS = (None, "saw", "drill")

days = st.dates(dt.date(2024, 10, 20), dt.date(2024, 12, 10))
cents = st.one_of(st.none(), st.integers(-5_000, 30_000))
refs = st.one_of(st.none(), st.integers(1, 10).map(str))


@st.composite
def exports(draw: st.DrawFn) -> dict[str, list[oracle.Row]]:
    """Rows of five feeds."""
    jobs = [
        {"job_id": str(i), "type": draw(st.sampled_from(TYPES)), "created_at": draw(days), "total": draw(cents),
         "source_raw": draw(st.sampled_from(["Google", "Rely", "Puls", None])),
         "technician": draw(st.sampled_from(TECHNICIANS)), "client": draw(st.sampled_from(CLIENTS))}
        for i in range(1, draw(st.integers(1, 9)))
    ]  # fmt: skip
    payments = [
        {"payment_id": f"p{i}", "job_ref": draw(refs), "day": draw(days), "amount": draw(st.integers(-5_000, 30_000)),
         "method": draw(st.sampled_from(METHODS)), "status": draw(st.sampled_from([None, None, "Failed", "Done"]))}
        for i in range(draw(st.integers(1, 9)))
    ]  # fmt: skip
    parts = [
        {"part_id": f"t{i}", "job_ref": draw(refs), "day": draw(days), "price": draw(cents),
         "pieces": draw(st.one_of(st.none(), st.integers(-3, 40)))}
        for i in range(draw(st.integers(1, 7)))
    ]  # fmt: skip
    tools = [
        {"tool_id": f"w{i}", "day": draw(days), "kind": draw(st.sampled_from(KINDS)), "worth": draw(cents)}
        for i in range(draw(st.integers(1, 5)))
    ]
    calls = [
        {"call_id": f"c{i}", "day": draw(days), "flow": draw(st.sampled_from([None, "ads", "fm", "none"])),
         "seconds": draw(st.one_of(st.none(), st.integers(0, 900)))}
        for i in range(draw(st.integers(1, 6)))
    ]  # fmt: skip
    if not jobs:
        jobs = [{"job_id": "1", "type": "COD Repair", "created_at": dt.date(2024, 11, 5), "total": None, "source_raw": None, "technician": None, "client": None}]  # fmt: skip
    return {"jobs": jobs, "payments": payments, "parts": parts, "tools": tools, "calls": calls}


WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "jobs": {"type": TYPES, "technician": ("Ann", "Bo", "Ann, Bo")},
    "payments": {"method": ("cash", "card"), "status": ("Done",)},
    "parts": {},
    "tools": {"kind": ("saw", "drill")},
    "calls": {"flow": ("ads", "fm", "none")},
}


def _words(of: str) -> dict[str, tuple[str, ...]]:
    """The texts of a feed's rows, each with words to compare with."""
    placed = {"source": ("Google", "Rely", "Puls", "Unattributed"), "segment": ("COD", "INS", "OTHER")}
    return {**placed, **WORDS[of]}


RETURNS = ("since", "until")  # columns that the rules add to jobs
DAYS = {"jobs": "created_at", "payments": "paid_at", "parts": "used_on", "tools": "bought_on", "calls": "started_at"}
signs = st.sampled_from(["=", "<>", "<", ">", "<=", ">="])


@st.composite
def _simple(draw: st.DrawFn, of: str, *, returns: bool = True) -> Condition:
    """A condition on one column of a feed."""
    words, sign = _words(of), draw(signs)
    column = draw(st.sampled_from(sorted(words)))
    value, several = draw(st.sampled_from(words[column])), draw(st.lists(st.sampled_from(words[column]), min_size=1))
    amount, day = draw(st.integers(-2_000, 20_000)), draw(days)
    choices = [
        oracle.among(column, several[:3]),
        oracle.blank(column),
        oracle.distinct(column, value),
        oracle.compare(column, "=" if sign < "<>" else "<>", value, f"'{value}'"),
        oracle.compare(DAYS[of], sign, day, f"DATE '{day}'"),
        *(oracle.compare(money, sign, amount, f"{Decimal(amount).scaleb(-2)}") for money in MONEY[of]),
        *(oracle.compare(whole, sign, 10, "10") for whole in WHOLE.get(of, ())),
        *([oracle.marked("is_unit"), oracle.marked("is_repair")] if of == "jobs" else []),
        *([oracle.compare(n, sign, 7, "7") for n in RETURNS] if of == "jobs" and returns else []),
        *([oracle.blank(n) for n in RETURNS] if of == "jobs" and returns else []),
    ]
    return draw(st.sampled_from(choices))


def conditions(of: str) -> st.SearchStrategy[Condition]:
    """A condition over the rows of a feed."""
    return st.recursive(
        _simple(of),
        lambda inner: st.one_of(
            inner.map(oracle.negated),
            st.tuples(st.sampled_from(["AND", "OR"]), inner, inner).map(lambda x: oracle.joined(*x)),
        ),
        max_leaves=4,
    )


@st.composite
def measures(draw: st.DrawFn, name: str) -> Sum:
    """A count, a sum of money or of whole numbers, with or without dated changes."""
    of = draw(st.sampled_from([*HEADERS]))
    what = draw(st.sampled_from(["count", *(["money"] if MONEY[of] else []), *(["whole"] if of in WHOLE else [])]))

    def version(start: dt.date | None) -> Version:
        columns = WHOLE[of] if what == "whole" else MONEY[of]
        signed = st.tuples(st.sampled_from([1, -1]), st.sampled_from(columns))
        terms = [] if what == "count" else draw(st.lists(signed, min_size=1, max_size=3))
        first = [(1, terms[0][1]), *terms[1:]] if terms else []
        where = draw(st.one_of(st.none(), conditions(of)))
        return Version(start, tuple(first), where)

    starts = sorted(set(draw(st.lists(days, max_size=2))))
    return Sum(name, of, (version(None), *(version(start) for start in starts)), what == "money")


@st.composite
def dimensions(draw: st.DrawFn, name: str) -> Dimension:
    """A column with or without parts, or an expression."""
    most = draw(st.one_of(st.none(), st.integers(1, 3)))
    match draw(st.integers(0, 4)):
        case 4:
            return Dimension(
                name, "jobs", "since", lambda r: None if r["since"] is None else str(r["since"]), most=most
            )
        case 0:
            each = draw(st.booleans())
            return Dimension(name, "jobs", "technician", lambda r: r["technician"], ",", each, most)
        case 1:
            return Dimension(name, "payments", "method", lambda r: r["method"], most=most)
        case 2:
            return Dimension(name, "tools", "kind", lambda r: r["kind"], most=most)
        case _:
            sql = "CASE WHEN total > 100 THEN 'large' WHEN total < 20 THEN type ELSE NULL END"

            def text(row: oracle.Row) -> str | None:
                total = row["total"]
                if total is None or 2_000 <= total <= 10_000:
                    return None
                return "large" if total > 10_000 else str(row["type"])

            return Dimension(name, "jobs", sql, text, most=most)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """A company with two or three measures and one or two dimensions."""
    sums = [draw(measures(f"own{i}")) for i in range(draw(st.integers(2, 3)))]
    found = [draw(dimensions(f"by{i}")) for i in range(draw(st.integers(1, 2)))]
    sought = st.one_of(st.none(), _simple("jobs", returns=False))
    returns = [oracle.Return(n, draw(sought), back=n == "since") for n in RETURNS]
    return Company(draw(exports()), sums, found, LEADS, FEES, returns)


def rules_of(company: Company, folder: Path) -> Rules:
    """The rules with what is declared, and the ratio of the first two measures."""
    folder.mkdir()
    for name in ("business.toml", "measures.toml"):
        text = (ROOT / "rules" / name).read_text()
        (folder / name).write_text(text[: text.index("[[calls.sources]]")] if name == "business.toml" else text)
    ratio = '[measures.quotient]\nratio = ["own0", "own1"]\n'
    declared = [ratio, *(s.toml for s in company.sums), *(d.toml for d in company.dimensions)]
    declared += [r.toml for r in company.returns]
    (folder / "own.toml").write_text("\n".join([FEEDS, SOURCES, *declared]))
    return load_rules(folder)


def written(feed: str, name: str, value: Any) -> object:
    """A cell of an export."""
    if name == "day" and feed in {"payments", "calls"}:
        return f"{value} 15:00"
    money = name in {"total", "amount", "price", "worth"}
    return f"{Decimal(value).scaleb(-2)}" if money and value is not None else value


def differ(ours: Mapping[Any, Decimal], theirs: Mapping[Any, Decimal]) -> None:
    """Fails where an engine and the oracle differ; says where."""
    wrong = {k: (ours.get(k), theirs.get(k)) for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}
    assert not wrong, f"engine and oracle: {wrong}"


def compare_with_both_engines(company: Company) -> None:
    """Lands the exports, computes with both engines, and holds each figure beside the oracle's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rules, lake = rules_of(company, folder / "rules"), Lake(folder / "lake")
        (folder / "inbox").mkdir()
        for feed, headers in HEADERS.items():
            lines = [[written(feed, c, row[c]) for c in headers] for row in company.rows[feed]]
            (folder / "inbox" / f"{feed}_1.csv").write_text(csv_text(list(headers.values()), *lines))
        land_inbox(folder / "inbox", lake, rules, silent)
        computed = compute(lake, rules, silent)
        again, _ = cross_check(lake, rules, computed)
        assert again.count == 0, again.mismatches
        daily = computed.snapshot.scan(MEASURE_DAILY).collect()
        key = ["date", "source", "segment", "measure", "value"]
        differ({(d, s, g, m): v for d, s, g, m, v in daily.select(key).iter_rows()}, company.daily())
        members = computed.snapshot.scan(DIMENSION_MONTHLY).collect()
        key = ["month", "dimension", "member", "measure", "value"]
        differ({(t, d, n, m): v for t, d, n, m, v in members.select(key).iter_rows()}, company.members())
        quotients = {x.month: x.value for x in measure_lines(computed.rows) if x.measure == "quotient"}
    for month, value in quotients.items():
        sums = [sum((v for k, v in company.daily().items() if k[3] == n and k[0].replace(day=1) == month), Decimal(0))
                for n in ("own0", "own1")]  # fmt: skip
        assert value == ((sums[0] / sums[1]).quantize(Decimal("0.000001"), ROUND_HALF_UP) if sums[1] else None)


@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(companies())
def test_declarations_mean_what_plain_python_makes_of_them(company: Company) -> None:
    compare_with_both_engines(company)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(companies())
def test_many_declarations_mean_what_plain_python_makes_of_them(company: Company) -> None:
    compare_with_both_engines(company)


def with_examples(folder: Path) -> Rules:
    """The shipped rules and all of these examples: an owner may want every one."""
    folder.mkdir()
    for path in (ROOT / "rules").glob("*.toml"):
        (folder / path.name).write_bytes(path.read_bytes())
    copy_examples(own_measures(), folder)
    return load_rules(folder)


def test_all_examples_stand_beside_each_other(tmp_path: Path) -> None:
    rules = with_examples(tmp_path / "rules")
    assert len(own_measures()) >= 8
    assert {"technician", "zip", "weekday"} <= set(rules.dimensions)
    assert not rules.warnings


@pytest.mark.slow
def test_all_examples_have_figures_on_the_sample_and_both_engines_agree(tmp_path: Path) -> None:
    rules, lake = with_examples(tmp_path / "rules"), Lake(tmp_path / "lake")
    land_inbox(ROOT / "data" / "sample", lake, rules, silent)
    computed = compute(lake, rules, silent)
    again, _ = cross_check(lake, rules, computed)
    assert again.count == 0, again.mismatches
    daily = computed.snapshot.scan(MEASURE_DAILY).collect()
    without = {"parts_cost"}  # the sample has no sheet of parts
    declared = {n for n, m in rules.measures.items() if m.latest.ratio is None and n not in SHIPPED}
    assert set(daily["measure"]) == declared - without
    members = computed.snapshot.scan(DIMENSION_MONTHLY).collect()
    assert set(members["dimension"]) == set(rules.dimensions)
