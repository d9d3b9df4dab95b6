"""Returning customers worked out by hand."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from metrics.test_measures import rules_with
from rmetrics.errors import RulesError
from rmetrics.metrics.returns import nearest, settled
from rmetrics.positions import POSITION
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.describe import rules_in_words
from support import ROOT

SINCE = '[returns.since]\nsame = ["client_phone", "appliance"]\nwhere = "is_repair"\n'
UNTIL = '[returns.until]\nsame = ["client_phone"]\nlook = "ahead"\n'
ANN, BO = "6175550101", "6175550102"


def job(
    place: int, day: int | None, phone: str | None = ANN, *, repair: bool = True, appliance: str | None = "Oven"
) -> dict[str, object]:
    on = None if day is None else dt.date(2024, 11, day)
    at = None if on is None else dt.datetime(on.year, on.month, on.day, 15, tzinfo=dt.UTC)
    return {
        POSITION: place, "metric_date": on, "created_at": at, "client_phone": phone, "appliance": appliance,
        "is_repair": repair, "is_unit": False, "type": "COD Repair", "source": "Google", "segment": "COD",
        "paid": Decimal("0.00"), "total": None,
    }  # fmt: skip


def days(rules: Rules, name: str, *jobs: dict[str, object]) -> dict[int, int]:
    """By position; in one cut of the numbers, and in two."""
    kinds = {"client_phone": pl.String(), "appliance": pl.String(), "metric_date": pl.Date()}
    rows = pl.DataFrame(list(jobs), schema_overrides=kinds | {"created_at": pl.Datetime("us", "UTC")}).lazy()
    found = settled([nearest(rows, rules)], rules).sort(POSITION).collect()
    cuts = [nearest(rows, rules, pl.col("phone_key").str.ends_with(end)) for end in ("1", "2")]
    assert settled(cuts, rules).sort(POSITION).collect().equals(found)
    return dict(found.select(POSITION, name).drop_nulls().iter_rows())


def test_days_since_the_nearest_earlier_repair_of_the_same_appliance(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, SINCE)
    jobs = [job(1, 3), job(2, 8), job(3, 20, repair=False), job(4, 21, repair=False), job(5, 25, appliance="Washer")]
    assert days(rules, "since", *jobs) == {2: 5, 3: 12, 4: 13}
    assert days(rules, "since", *jobs[::-1]) == {2: 5, 3: 12, 4: 13}


def test_days_until_the_nearest_later_job_of_any_kind(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, UNTIL)
    jobs = [job(1, 3), job(2, 8, repair=False), job(3, 8), job(4, 9, BO), job(5, 30, appliance=None)]
    assert days(rules, "until", *jobs) == {1: 5, 2: 22, 3: 22}


def test_jobs_of_the_same_day_do_not_see_each_other(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, SINCE + UNTIL)
    jobs = [job(1, 3), job(2, 3)]
    assert (days(rules, "since", *jobs), days(rules, "until", *jobs)) == ({}, {})


def test_a_blank_is_nobodys_and_a_job_without_a_day_counts_nowhere(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, SINCE)
    jobs = [job(1, 3, appliance=None), job(2, 8, appliance=None), job(3, 9, None), job(4, 10, "call the office")]
    assert days(rules, "since", *jobs, job(5, 12, "call the office"), job(6, None), job(7, 14, None)) == {}


def test_each_number_of_a_cell_is_followed_and_the_nearest_job_counts(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, SINCE)
    jobs = [job(1, 3, ANN), job(2, 8, f"{ANN};{BO}"), job(3, 10, BO), job(4, 11, f"{ANN}x7")]
    assert days(rules, "since", *jobs) == {2: 5, 3: 2}


def test_own_and_shared_numbers_are_nobodys_by_the_day_a_job_was_entered(tmp_path: Path) -> None:
    for path in (ROOT / "rules").glob("*.toml"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "own.toml").write_text(SINCE)
    said = f'[journeys]\nown_numbers = ["{BO}"]\n[[journeys.changes]]\nfrom = 2024-11-10\nshared_numbers = ["{ANN}"]\n'
    (tmp_path / "journeys.toml").write_text(said)
    rules = load_rules(tmp_path)
    jobs = [job(n, n, ANN) for n in (1, 4, 9, 10, 12)] + [job(20 + n, n, BO) for n in (2, 3)]
    assert days(rules, "since", *jobs) == {4: 3, 9: 5}
    (tmp_path / "journeys.toml").write_text("[journeys]\nshared_when = 4\n")
    rules = load_rules(tmp_path)
    assert days(rules, "since", *jobs) == {23: 1}  # five jobs of one number within a year
    assert days(rules, "since", *jobs[1:]) == {9: 5, 10: 1, 12: 2, 23: 1}


@pytest.mark.parametrize(
    ("toml", "line", "message"),
    [
        ('[returns.since]\nsame = ["appliance"]\n', 2, "must name one phone number, which identifies the customer (client_phone), found 0"),
        ('[returns.since]\nsame = ["client_phone", "apliance"]\n', 2, "names no column of jobs: 'apliance'; did you mean 'appliance'?"),
        ('[returns.since]\nsame = ["client_phone", "total"]\n', 2, "'total' is money: columns that identify customers and their appliances must be text"),
        ('[returns.since]\nsame = ["client_phone", "client_phone"]\n', 2, "names a column twice"),
        ('[returns.since]\nsame = ["client_phone"]\nwhere = "since > 3"\n', 3, "since"),
        ('[returns.paid]\nsame = ["client_phone"]\n', 1, "jobs already have a column 'paid'; choose another name"),
        ('[returns.repairs]\nsame = ["client_phone"]\n', 1, "'repairs' is a measure"),
        ('[returns.since]\nsame = ["client_phone"]\nlook = "up"\n', 3, "must be 'back' or 'ahead'"),
        ('[returns.since]\nsame = ["client_phone"]\n[[returns.since.changes]]\nfrom = 2024-01-01\nlook = "ahead"\n', 5, "cannot change by date"),
        ('[returns.since]\nsame = ["client_phone"]\nwithin = 30\n', 3, "unknown key"),
    ],
)  # fmt: skip
def test_what_is_refused_with_file_and_line(toml: str, line: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(RulesError) as refused:
        rules_with(tmp_path, toml)
    told = [(p.path.name, p.line, p.message) for p in refused.value.problems]
    assert [t for t in told if t[:2] == ("own.toml", line) and message in t[2]], told


def test_what_reads_a_return_that_did_not_load_is_not_told_of(tmp_path: Path) -> None:
    reading = '[measures.soon]\nof = "jobs"\ncount = "since < 9"\n[dimensions.days]\nof = "jobs"\ncolumn = "since"\n'
    with pytest.raises(RulesError) as refused:
        rules_with(tmp_path, '[returns.since]\nsame = ["client_phone"]\nlook = "up"\n' + reading)
    assert [p.line for p in refused.value.problems] == [3]


def test_rules_say_it_in_words(tmp_path: Path) -> None:
    rules = rules_with(tmp_path, SINCE + UNTIL)
    said = {s.rule: s for s in rules_in_words(rules, dt.date(2024, 11, 1)) if s.topic == "returns"}
    assert said["since"].words == (
        "days since the nearest earlier job of the same client_phone and appliance when is_repair"
    )
    assert said["until"].words == "days until the nearest later job of the same client_phone"
    assert said["since"].where.endswith("own.toml:1")
