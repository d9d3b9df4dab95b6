"""Variants of a feed: what they may say, which file is read as which, and that edits read old exports anew."""

import datetime as dt
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rmetrics.errors import RulesError
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import load_rules
from rmetrics.rules.describe import rules_in_words
from rmetrics.usecases.rejected import rejected_rows
from support import Project, computed_rows, new_project

ROOT = Path(__file__).parents[2]
FEED = """
[feeds.acme_leads]
files = ["acme*"]
key   = ["lead_id"]
date  = "lead_at"
[feeds.acme_leads.columns]
lead_id = { type = "text", from = ["Ref"], required = true }
lead_at = { type = "timestamp", from = ["When"], required = true }
fee     = { type = "money", from = ["Fee"] }
state   = { type = "text", from = ["State"] }
dear    = { type = "boolean", sql = "fee > 50" }
"""
PORTAL = """
[[feeds.acme_leads.variants]]
name = "Acme portal"
when = ["Lead No"]
zone = "UTC"
[feeds.acme_leads.variants.columns]
lead_id = { from = ["Lead No"] }
lead_at = { join = ["Day", "Hour"], formats = ["%m/%d/%Y %H:%M"] }
fee     = { from = ["Cents"], scale = 100 }
state   = { from = ["Code"], values = { W = "won", l = "lost" } }
"""
PORTAL_FILE = (
    "Lead No,Day,Hour,Cents,Code\n7,11/05/2024,03:30,1250,w\n8,11/05/2024,12:00,-99,L\n9,11/05/2024,13:00,0,x\n"
)
OWN_FILE = "Ref,When,Fee,State\n1,2024-11-04 22:30,12.50,won\n"


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that never publishes."""
    return new_project(tmp_path / "project", "postgresql://nowhere.invalid/none")


def problems(tmp_path: Path, text: str) -> list[str]:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "rules" / "acme.toml").write_text(FEED + text, encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path / "rules")
    return [f"{p.path.name}:{p.line}: {p.key}: {p.message}" for p in caught.value.problems]


def leads(project: Project, rules: str) -> list[tuple[Any, ...]]:
    (project.rules / "acme.toml").write_text(rules, encoding="utf-8")
    lake, loaded = Lake(project.settings.lake_dir), load_rules(project.rules)
    lake.prepare()
    land_inbox(project.inbox, lake, loaded, silent)
    compute(lake, loaded, silent)
    columns = ["lead_id", "lead_date", "fee", "state", "dear"]
    return sorted(computed_rows(project).scan("acme_leads").select(columns).collect().rows())


VARIANT = "\n[[feeds.acme_leads.variants]]\n"
COLUMNS = "[feeds.acme_leads.variants.columns]\n"
WRONG = [
    ('when = ["A"]\nzoen = "UTC"\n', "acme.toml:15: feeds.acme_leads.variants.0.zoen: unknown key; did you mean 'zone'?"),
    ('when = { header = ["A"] }\n', "acme.toml:14: feeds.acme_leads.variants.0.when.header: unknown key; did you mean 'headers'?"),
    ("when = {}\n", "acme.toml:14: feeds.acme_leads.variants.0.when: must select files"),
    ('name = "x"\n', "acme.toml:13: feeds.acme_leads.variants.0.when: is missing"),
    ('when = ["A"]\nzone = "EST5"\n', "unknown time zone"),
    ('when = ["A"]\nscale = 12\n', "acme.toml:15: feeds.acme_leads.variants.0.scale: must be a power of ten"),
    ('when = ["A"]\njoin = ["Day"]\n', "acme.toml:15: feeds.acme_leads.variants.0.join: names one header"),
    ('when = ["A"]\n' + COLUMNS + 'fees = ["B"]\n', "acme.toml:16: feeds.acme_leads.variants.0.columns.fees: the feed has no column 'fees'; did you mean 'fee'?"),
    ('when = ["A"]\n' + COLUMNS + 'dear = ["B"]\n', "acme.toml:16: feeds.acme_leads.variants.0.columns.dear: is computed by sql"),
    ('when = ["A"]\n' + COLUMNS + "state = { scale = 100 }\n", "acme.toml:16: feeds.acme_leads.variants.0.columns.state.scale: requires a money column; this one is text"),
    ('when = ["A"]\n' + COLUMNS + 'fee = { constant = "1" }\n', "columns.fee.constant: requires a text column; this one is money"),
    ('when = ["A"]\n' + COLUMNS + 'fee = { values = { a = "b" } }\n', "columns.fee.values: requires a text column"),
    ('when = ["A"]\n' + COLUMNS + 'fee = { from = ["B"], join = ["C", "D"] }\n', "a value has one origin"),
    ('when = ["A"]\n' + COLUMNS + 'fee = { form = ["B"] }\n', "columns.fee.form: unknown key; did you mean 'from'?"),
    ('when = ["A"]\n' + COLUMNS + "lead_id = { required = false }\n", "columns.lead_id: is part of the key"),
    ('when = ["A"]\n' + COLUMNS + "lead_at = { required = false }\n", "columns.lead_at: gives the day of a row"),
    ('when = ["A"]\nidentity = ["fee"]\n', "variants.0.identity: the feed has a key and no identity"),
    ('when = ["A"]\none_of = ["fees"]\n', "variants.0.one_of: names no mapped column: 'fees'; did you mean 'fee'?"),
    ('when = ["A"]\n' + VARIANT + 'when = ["a "]\n', "variants.1.when: every file of it would also be a file of 'variant 1'"),
    ('when = ["A"]\n' + VARIANT + 'name = "two"\nwhen = ["A", "B"]\n', "variants.1.when: every file of it would also be a file of 'variant 1'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), WRONG, ids=range(len(WRONG)))
def test_what_a_variant_must_not_say(tmp_path: Path, text: str, told: str) -> None:
    found = problems(tmp_path, VARIANT + text)
    assert len(found) == 1
    assert told in found[0]


def test_a_zone_that_does_not_exist_is_refused_in_a_column_too(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    wrong = FEED.replace('from = ["When"]', 'from = ["When"], zone = "Mars/Base"')
    (tmp_path / "rules" / "acme.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(RulesError, match=r"columns.lead_at.zone: unknown time zone"):
        load_rules(tmp_path / "rules")


def test_two_forms_share_one_table(offline: Project) -> None:
    offline.put("acme 1.csv", OWN_FILE)
    offline.put("acme 2.csv", PORTAL_FILE)
    assert leads(offline, FEED + PORTAL) == [
        ("1", dt.date(2024, 11, 4), Decimal("12.50"), "won", False),
        ("7", dt.date(2024, 11, 4), Decimal("12.50"), "won", False),  # 3:30 in UTC is the evening before
        ("8", dt.date(2024, 11, 5), Decimal("-0.99"), "lost", False),
        ("9", dt.date(2024, 11, 5), Decimal("0.00"), "x", False),
    ]


def test_the_newest_export_wins_across_variants(offline: Project) -> None:
    offline.put("acme 1.csv", PORTAL_FILE)
    offline.put("acme 2.csv", "Ref,When,Fee,State\n8,2024-11-05 07:00,70,kept\n")
    assert ("8", dt.date(2024, 11, 5), Decimal("70.00"), "kept", True) in leads(offline, FEED + PORTAL)


@pytest.mark.deep
def test_an_edited_variant_reads_old_exports_anew(offline: Project) -> None:
    offline.put("acme 2.csv", PORTAL_FILE)
    before = leads(offline, FEED + PORTAL)
    after = leads(
        offline, FEED + PORTAL.replace('zone = "UTC"', 'zone = "America/Chicago"').replace("scale = 100", "scale = 10")
    )
    assert before[0][:3] == ("7", dt.date(2024, 11, 4), Decimal("12.50"))
    assert after[0][:3] == ("7", dt.date(2024, 11, 5), Decimal("125.00"))
    assert leads(offline, FEED + PORTAL) == before
    shutil.rmtree(offline.inbox)  # what has landed is read by the rules as they are now
    offline.inbox.mkdir()
    assert leads(offline, FEED + PORTAL) == before
    assert leads(offline, FEED) == []


@pytest.mark.parametrize("when", ['"portal*"', '{ files = ["portal*"] }', '{ files = ["portal*"], headers = ["Ref"] }'])
def test_a_glob_alone_tells_files_apart(offline: Project, when: str) -> None:
    offline.put("portal 1.csv", "Ref,When,Fee,State\n5,2024-11-05 03:30,1.250,won\n")
    offline.put("acme 1.csv", OWN_FILE)
    variant = f'{VARIANT}when = {when}\nzone = "UTC"\ndecimal = ","\n'
    found = leads(offline, FEED + variant)
    assert [row[:3] for row in found] == [
        ("1", dt.date(2024, 11, 4), Decimal("12.50")),
        ("5", dt.date(2024, 11, 4), Decimal("1250.00")),
    ]


def test_a_file_of_two_variants_is_refused_and_both_are_named(offline: Project) -> None:
    offline.put("acme 2.csv", PORTAL_FILE)
    other = f'{VARIANT}name = "Acme app"\nwhen = ["Cents"]\n'
    assert leads(offline, FEED + PORTAL + other) == []
    (file,) = offline.sync(dry_run=True).files
    assert file.status == "refused"
    assert "'Acme portal' and 'Acme app'" in (file.reason or "")


def test_a_join_with_a_header_missing_names_both(offline: Project) -> None:
    offline.put("acme 2.csv", "Lead No,Day,Cents\n7,11/05/2024,1250\n")
    assert leads(offline, FEED + PORTAL) == []
    (file,) = offline.sync(dry_run=True).files
    assert "looks like acme_leads (Acme portal), but has no header for lead_at (Day and Hour)" in (file.reason or "")


def test_cells_that_cannot_be_read_are_rejected_by_header(offline: Project) -> None:
    bad = "Lead No,Day,Hour,Cents,Code\n1,11/05/2024,99:99,1,w\n2,11/05/2024,10:00,12.5,w\n3,11/05/2024,10:00,$5,w\n"
    offline.put("acme 2.csv", bad + "4,11/05/2024,10:00,7.0,w\n")
    assert [row[:3] for row in leads(offline, FEED + PORTAL)] == [("4", dt.date(2024, 11, 5), Decimal("0.07"))]
    found = rejected_rows(offline.settings, reveal=True)
    assert [(r.line, r.column) for r in found] == [(2, "Day"), (3, "Cents"), (4, "Cents")]
    assert "Day and Hour" in found[0].reason
    assert "scale = 100" in found[1].reason


@pytest.mark.parametrize(
    ("cells", "fee"),
    [("10,3", "7.00"), ("10,", "10.00"), ("10,10", "0.00"), ("10,-2.50", "12.50"), ("-10,0", "-10.00")],
)
@pytest.mark.ordinary(2)
def test_what_is_subtracted(offline: Project, cells: str, fee: str) -> None:
    offline.put("acme 1.csv", f"Ref,When,Fee,Back\n1,2024-11-04 10:00,{cells}\n")
    rules = FEED.replace('from = ["Fee"]', 'from = ["Fee"], minus = ["Refund", "Back"]')
    assert leads(offline, rules)[0][2] == Decimal(fee)


def test_an_amount_to_subtract_that_cannot_be_read_rejects_the_row(offline: Project) -> None:
    offline.put("acme 1.csv", "Ref,When,Fee,Back\n1,2024-11-04 10:00,10,some\n")
    rules = FEED.replace('from = ["Fee"]', 'from = ["Fee"], minus = ["Back"]')
    assert leads(offline, rules) == []
    assert [r.column for r in rejected_rows(offline.settings)] == ["Back"]


def test_constants_and_any_other_word(offline: Project) -> None:
    offline.put("acme 1.csv", "Ref,When,State\n1,2024-11-04 10:00,Won\n2,2024-11-04 10:00,\n3,2024-11-04 10:00,zzz\n")
    words = FEED.replace('from = ["State"]', 'from = ["State"], values = { won = "yes", "*" = "no" }')
    assert [row[3] for row in leads(offline, words)] == ["yes", None, "no"]
    constant = FEED + VARIANT + 'when = "acme*"\n' + COLUMNS + 'state = { constant = "card" }\n'
    assert [row[3] for row in leads(offline, constant)] == ["card", "card", "card"]


def test_variants_stand_in_the_rules_in_words(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "rules" / "acme.toml").write_text(FEED + PORTAL, encoding="utf-8")
    said = [s for s in rules_in_words(load_rules(tmp_path / "rules"), dt.date(2024, 11, 1)) if s.topic == "acme_leads"]
    words = "times are in UTC; lead_at joins Day and Hour; fee is divided by 100"
    assert [(s.rule, s.words) for s in said] == [("variant", f"Acme portal, files with the header Lead No: {words}")]
    assert said[0].where.endswith("acme.toml:13")
