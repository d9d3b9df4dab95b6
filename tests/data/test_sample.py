"""The sample: the same bytes as its generator writes, and true to the trade."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "data" / "sample"


def rows(name: str) -> list[dict[str, str]]:
    with (SAMPLE / name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, str]]:
    """The newest row of each job in the long form of the CRM's export."""
    files = sorted(p.name for p in SAMPLE.glob("Import-*.csv"))
    return {r["Job #"]: r for name in files for r in rows(name) if r["UUID"]}


def test_the_generator_writes_what_is_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "data" / "make_sample.py", tmp_path], check=True, capture_output=True)
    made, kept = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (tmp_path, SAMPLE)
    )
    assert made == kept


def test_numbers_repeat_as_in_real_exports(jobs: dict[str, dict[str, str]]) -> None:
    """Of real customers' numbers 43 % are on more than one job; strangers never share one."""
    numbers = Counter(r["Primary Phone"] for r in jobs.values() if len(r["Primary Phone"]) == 10)
    assert 0.38 < sum(n > 1 for n in numbers.values()) / len(numbers) < 0.48
    assert len({n[:3] for n in numbers}) >= 40
    owners: dict[str, set[str]] = {}
    for row in jobs.values():
        owners.setdefault(row["Primary Phone"], set()).add(row["Client"].strip())
    assert all(len(names) == 1 for number, names in owners.items() if len(number) == 10)


def test_a_job_that_follows_another_is_of_the_same_customer(jobs: dict[str, dict[str, str]]) -> None:
    follows = rows("truth/jobs.csv")
    assert Counter(r["occasion"] for r in follows).keys() == {"repair", "callback", "again"}
    for row in follows:
        job, before = jobs.get(row["job_id"]), jobs.get(row["after_job_id"])
        if job is None or before is None:  # jobs of the last days are in the short form only, without a customer
            continue
        assert job["Client"].strip() == before["Client"].strip()
        assert int(row["after_job_id"]) < int(row["job_id"])
        if row["occasion"] == "callback":
            assert job["Job Type"] == "Warranty"
            assert job["Appliance type and Brand"] == before["Appliance type and Brand"]


def test_each_lead_of_the_truth_is_in_an_export_and_its_number_is_that_of_the_job(
    jobs: dict[str, dict[str, str]],
) -> None:
    callers: dict[tuple[str, str], str] = {}
    for path in sorted(SAMPLE.glob("leads cost Elocals 20*.csv")):
        callers |= {("elocals_leads", r["Unique ID"]): r["Caller ID"] for r in rows(path.name)}
    for path in sorted(SAMPLE.glob("Pro Referral*.csv")):
        digits = str.maketrans("", "", "()- ")
        callers |= {("proref_leads", r["Lead ID"]): r["Phone"].translate(digits) for r in rows(path.name)}
    truth = rows("truth/leads.csv")
    assert len(truth) > 1_200
    assert {r["fault"] for r in truth} == {"", "duplicate", "customer", "short"}
    for lead in truth:
        assert (lead["feed"], lead["lead_id"]) in callers
        job = jobs.get(lead["job_id"])
        if job and len(job["Primary Phone"]) == 10:
            assert callers[lead["feed"], lead["lead_id"]] == job["Primary Phone"]


def test_technicians_who_work_in_pairs_are_two(jobs: dict[str, dict[str, str]]) -> None:
    pairs = [r["Tech"].split(", ") for r in jobs.values() if ", " in r["Tech"]]
    assert len(pairs) > 20
    assert all(len(set(pair)) == 2 for pair in pairs)
