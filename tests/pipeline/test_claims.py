"""Claims on the sample: every planted bad lead that was charged, and no other; each with its proof."""

import csv
import datetime as dt
import json
import subprocess
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from command_line import rmetrics
from published import Published
from rmetrics.metrics.disputes import claims
from rmetrics.opening import open_project
from rmetrics.pipeline.claims import Claim, ClaimState, lead_claims
from rmetrics.pipeline.workspace import opened
from rmetrics.usecases.check import check
from small_company import jobs
from support import ROOT, Project, csv_text

LEADS = ("Unique ID", "Time", "Duration", "Cost", "Status", "Caller ID", "Service Zip Code")


def project_of(sample: Published) -> Project:
    assert sample.project is not None
    return sample.project


@pytest.fixture(scope="module")
def found(sample: Published) -> list[Claim]:
    with opened(open_project(project_of(sample).settings)) as lake:
        names = {rank: export.name for rank, export in lake.exports.items()}
        return lead_claims(lake.computed.rows, names, dt.datetime(2025, 1, 3, 12, tzinfo=dt.UTC))


@pytest.fixture(scope="module")
def faults() -> dict[str, str]:
    with (ROOT / "data" / "sample" / "truth" / "leads.csv").open(encoding="utf-8") as file:
        return {r["lead_id"]: r["fault"] for r in csv.DictReader(file) if r["feed"] == "elocals_leads"}


def test_every_planted_bad_lead_is_found_and_no_good_one(found: list[Claim], faults: dict[str, str]) -> None:
    assert {c.lead_id for c in found} == {lead for lead, fault in faults.items() if fault}
    assert len(found) == len({c.lead_id for c in found}) == 57
    reasons = {"duplicate": "duplicate", "customer": "present customer", "short": "too short"}
    same = sum(c.reason == reasons[faults[c.lead_id]] for c in found)
    assert same >= 55  # a customer who also called twice is a duplicate first


def test_the_states_add_up_and_answers_are_those_of_the_export(found: list[Claim]) -> None:
    counts = Counter(c.state for c in found)
    assert sum(counts.values()) == len(found)
    statuses: dict[str, str] = {}
    for path in sorted((ROOT / "data" / "sample").glob("leads cost Elocals 20*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as file:
            statuses |= {r["Unique ID"]: r["Status"] for r in csv.DictReader(file)}
    for claim in found:
        answered = {"Call Credited (No Charge)": ClaimState.GRANTED, "Credit Unavailable": ClaimState.REFUSED}
        state = answered.get(statuses[claim.lead_id])
        late = claim.lead_at + dt.timedelta(hours=96) <= dt.datetime(2025, 1, 3, 12, tzinfo=dt.UTC)
        assert claim.state is (state or (ClaimState.EXPIRED if late else ClaimState.OPEN))
        assert (claim.hours_left(dt.datetime(2025, 1, 3, 12, tzinfo=dt.UTC)) is None) == (
            claim.state is not ClaimState.OPEN
        )


def test_each_claim_has_its_rows(found: list[Claim]) -> None:
    for claim in found:
        kinds = [p.what for p in claim.proofs]
        assert kinds[0] == "lead"
        assert ("earlier lead" in kinds) == (claim.reason == "duplicate")
        assert ("job" in kinds) == (claim.reason == "present customer")
        for proof in claim.proofs:
            name, _, line = proof.place.rpartition(":")
            text = (ROOT / "data" / "sample" / name).read_text(encoding="utf-8-sig").split("\n")[int(line) - 1]
            assert proof.key in text


def short(project: Project, name: str, **more: str) -> None:
    """A lead of an hour ago that lasted five seconds."""
    at = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S +0000")
    row = {"Unique ID": "L1", "Time": at, "Duration": "00:05", "Cost": "30.00", "Status": "", "Caller ID": "617 555 9137",
           "Service Zip Code": "02118"}  # fmt: skip
    project.put(name, csv_text(LEADS, [(row | more)[h] for h in LEADS]))


def said(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = rmetrics(project, *arguments)
    assert done.returncode == 0, done.stderr
    assert "5559137" not in done.stdout + done.stderr
    assert "555-9137" not in done.stdout + done.stderr
    return done


def test_from_the_lead_to_the_vendor_s_answer(project: Project) -> None:
    project.put("Import-1.csv", jobs((1, "COD Service", "Google", "11/04/2024", "6175550101"), more=("Primary Phone",)))
    short(project, "leads cost Elocals 1.csv")
    project.sync()
    document = json.loads(said(project, "disputes", "--json").stdout)
    (claim,) = document["disputes"]
    assert (claim["lead_id"], claim["reason"], claim["state"], claim["price"]) == ("L1", "too short", "open", "30.00")
    assert claim["hours_left"] in {94, 95}
    assert claim["evidence"][0]["place"] == "leads cost Elocals 1.csv:2"
    text = said(project, "disputes").stdout
    assert "eLocals L1" in text
    assert "left, until" in text
    file = project.root / "vendor.csv"
    said(project, "disputes", "--source", "elocals", "--csv", str(file))
    content = file.read_text(encoding="utf-8-sig")
    assert content.splitlines()[0] == "Lead ID,Lead time,Reason,Clause,Evidence,Ask before"
    assert "L1," in content
    assert "9137" not in content
    assert file.stat().st_mode & 0o077 == 0
    short(project, "leads cost Elocals 2.csv", Cost="0.00")  # the credit shows in the price alone
    project.sync()
    document = json.loads(said(project, "disputes", "--json").stdout)
    assert [(c["state"], c["price"]) for c in document["disputes"]] == [("granted", "30.00")]
    assert document["totals"] == [
        {"source": "eLocals", "claimed": 1, "granted": 1, "refused": 0, "expired": 0, "open": 0,
         "amounts": {"open": "0", "granted": "30.00", "refused": "0", "expired": "0"}}
    ]  # fmt: skip


@pytest.mark.deep
def test_leads_identified_by_their_time_too_have_claims(project: Project) -> None:
    feeds = project.rules / "feeds.toml"
    text, old = feeds.read_text(encoding="utf-8"), 'files   = ["leads cost Elocals*"]\nkey     = ["lead_id"]'
    assert text.count(old) == 1
    feeds.write_text(text.replace(old, old.replace('"lead_id"]', '"lead_id", "lead_at"]')), encoding="utf-8")
    project.put("Import-1.csv", jobs((1, "COD Service", "Google", "11/04/2024", "6175550101"), more=("Primary Phone",)))
    short(project, "leads cost Elocals 1.csv")
    project.sync()
    (claim,) = json.loads(said(project, "disputes", "--json").stdout)["disputes"]
    assert claim["evidence"][0]["place"] == "leads cost Elocals 1.csv:2"


@pytest.mark.deep
def test_a_source_without_terms_says_what_is_missing(project: Project) -> None:
    project.put("Import-1.csv", jobs((1, "COD Service", "Google", "11/04/2024", "6175550101"), more=("Primary Phone",)))
    project.sync()
    done = rmetrics(project, "disputes", "--source", "Google")
    assert done.returncode == 2
    assert "[[sources.NAME.disputes]]" in done.stderr


def test_amounts_are_exact(found: list[Claim]) -> None:
    assert all(isinstance(c.price, Decimal) for c in found if c.price is not None)
    assert Path(found[0].rule.rpartition(":")[0]).name == "sources.toml"


@pytest.mark.deep
def test_a_claim_that_only_one_engine_makes_is_found_by_check(
    sample: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rmetrics.pipeline.verify.leads.claims", lambda *given: claims(*given).slice(1))
    found = check(project_of(sample).settings, offline=True)
    (engines,) = [f for f in found.findings if f.code == "engines-disagree"]
    assert [(e["table"], e["source"], e["computed"], e["recomputed"]) for e in engines.examples] == [
        ("leads to dispute", "eLocals", 0, 1)
    ]
