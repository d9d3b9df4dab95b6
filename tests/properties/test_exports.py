"""However the same exports come, the numbers are the same."""

import datetime as dt
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import Rules, load_rules
from rmetrics.tables import DAILY, MONTHLY
from support import MIDNIGHT, ROOT, csv_text

RULES: Rules = load_rules(ROOT / "rules")
JOBS = ("Job #", "Job Type", "Status", "Source", "Created", "Total")
PAYMENTS = ("Job #", "Client", "Payment Methods", "Amount Paid", "Date", "Status")
LEADS = ("Unique ID", "Time", "Cost", "Status")
File = tuple[str, str, int]  # name, text, minutes

TYPES = ("COD Service", "INS Service", "COD Repair", "INS Repair", "Warranty", "")
SOURCES = ("Google", "eLocals", "elocal", "Rely", "Retention", "", "Puls", "puls ", "Service Direct", "service direct")
days = st.dates(dt.date(2024, 10, 25), dt.date(2024, 12, 5))
cents = st.integers(-5_000, 30_000).map(lambda c: f"{c / 100:.2f}" if c % 7 else f"{c // 100}")

jobs = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(TYPES), st.just("Done"), st.sampled_from(SOURCES), days, cents),
    max_size=25,
    unique_by=lambda j: j[0],
).map(lambda rows: [(n, t, s, src, f"{d:%a %b %d %Y}", c) for n, t, s, src, d, c in rows])
payments = st.lists(
    st.tuples(
        st.integers(1, 45), st.sampled_from(["cash", "check"]), cents, days, st.integers(0, 23), st.integers(1, 3)
    ),
    max_size=25,
    unique_by=lambda p: p[:5],
).map(
    lambda rows: [
        [(n, "Client", m, c, f"{d:%b} {d.day}, {d.year}, {h % 12 or 12:02}:00 {'AM' if h < 12 else 'PM'}", "")] * times
        for n, m, c, d, h, times in rows
    ]
)
leads = st.lists(
    st.tuples(st.integers(1, 60), days, st.integers(0, 23), st.sampled_from(["25.50", "$40", "0", ""])),
    max_size=25,
    unique_by=lambda r: r[0],
).map(lambda rows: [(n, f"{d} {h:02}:15:00 -0500", c, "") for n, d, h, c in rows])


def numbers(files: Sequence[File], *, runs: int = 1) -> dict[str, list[tuple[object, ...]]]:
    """What the lake holds after the files were landed, in one run or in several."""
    with tempfile.TemporaryDirectory() as folder:
        inbox, lake = Path(folder, "inbox"), Lake(Path(folder, "lake"))
        inbox.mkdir()
        lake.prepare()
        for run in range(runs):
            for name, text, minutes in files[run::runs]:
                path = inbox / name
                path.write_text(text, newline="")
                at = MIDNIGHT.timestamp() + 60 * minutes
                os.utime(path, (at, at))
            seen = land_inbox(inbox, lake, RULES, silent)
            assert [s for s in seen if s.refused] == []
            compute(lake, RULES, silent)
        computed = last_rows(lake, RULES)
        assert computed is not None
        names = (FACTS, DAILY, MONTHLY, "payments", "elocals_leads")
        frames = {n: computed.scan(n).drop("_file", "_line", "_parts", strict=False).collect() for n in names}
        return {n: sorted(f.rows(), key=str) for n, f in frames.items()}


def exports(
    job_rows: object, payment_rows: object, lead_rows: object, suffix: str = "", minutes: int = 0
) -> list[File]:
    """One export of each feed that has rows."""
    flat = [p for group in payment_rows for p in group]  # type: ignore[attr-defined]
    tables = [("Import", JOBS, job_rows), ("payments", PAYMENTS, flat), ("leads cost Elocals", LEADS, lead_rows)]
    return [(f"{n}{suffix}.csv", csv_text(h, *r), minutes) for n, h, r in tables if r]  # type: ignore[misc]


common = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@common
@given(jobs, payments, leads, st.randoms(use_true_random=False))
@pytest.mark.deep
def test_order_of_rows_and_of_columns_changes_nothing(
    j: list[object], p: list[object], r: list[object], rnd: object
) -> None:
    expected = numbers(exports(j, p, r))
    for rows in (j, p, r):
        rnd.shuffle(rows)  # type: ignore[attr-defined]
    assert numbers(exports(j, p, r)) == expected


@common
@given(jobs, payments, leads, st.integers(0, 25), st.booleans())
@pytest.mark.deep
def test_splitting_an_export_and_landing_it_in_two_runs_changes_nothing(
    j: list[object], p: list[object], r: list[object], at: int, in_two: bool
) -> None:
    split = exports(j[:at], p[:at], r[:at], " (1)") + exports(j[at:], p[at:], r[at:], " (2)")
    assert numbers(split, runs=2 if in_two else 1) == numbers(exports(j, p, r))


@common
@given(jobs, payments, leads, st.integers(0, 25), st.integers(0, 25))
def test_overlapping_and_repeated_exports_change_nothing(
    j: list[object], p: list[object], r: list[object], low: int, high: int
) -> None:
    whole = exports(j, p, r)
    part = exports(j[low:high], p[low:high], r[low:high], " again", minutes=5)
    renamed = [(f"copy of {name}", text, 9) for name, text, _ in whole]
    assert numbers([*whole, *part, *renamed], runs=2) == numbers(whole)


@common
@given(jobs, payments, leads)
@pytest.mark.deep
def test_line_ends_byte_order_mark_and_separator_change_nothing(
    j: list[object], p: list[object], r: list[object]
) -> None:
    whole = exports(j, p, r)
    expected = numbers(whole)
    assert numbers([(n, "\ufeff" + t.replace("\n", "\r\n"), m) for n, t, m in whole]) == expected
    assert numbers([(n, _with_semicolons(t), m) for n, t, m in whole]) == expected


def _with_semicolons(text: str) -> str:
    import csv
    import io

    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";", lineterminator="\n").writerows(csv.reader(io.StringIO(text, newline="")))
    return out.getvalue()


@common
@given(jobs, jobs, payments)
@pytest.mark.deep
def test_a_newer_export_wins_in_any_landing_order(old: list[object], new: list[object], p: list[object]) -> None:
    first, second = exports(old, p, [], " a", 0), exports(new, [], [], " b", 7)
    assert numbers([*second, *first], runs=2) == numbers([*first, *second])


@common
@given(jobs, payments, leads)
def test_months_are_the_sum_of_their_days_and_sources_the_sum_of_the_data(
    j: list[tuple[object, ...]], p: list[list[tuple[object, ...]]], r: list[object]
) -> None:
    result = numbers(exports(j, p, r))
    for i in (4, 5, 6, 7, 8, 9, 10):
        assert sum(d[i] for d in result[DAILY]) == sum(m[i] for m in result[MONTHLY])  # type: ignore[misc]
    assert sum(m[4] for m in result[MONTHLY]) == len(j)  # type: ignore[misc]
    from decimal import Decimal

    paid = sum((Decimal(str(x[3])) for group in p for x in group), Decimal(0))
    assert sum(m[8] for m in result[MONTHLY]) == paid  # type: ignore[misc]
