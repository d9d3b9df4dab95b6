"""Edits as dated changes: what may change at a date is offered so, and what is offered loads."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from random_edits import written
from rmetrics.rules import load_rules
from rmetrics.rules.edits import rule_edits
from rmetrics.rules.files import read_tree
from rmetrics.rules.proposals import dated_instead
from support import ROOT

START = dt.date(2024, 12, 1)
OWN = '[measures.callbacks]\nof = "jobs"\ncount = "type = \'Warranty\'"\ntitle = "Callbacks"\n'


@pytest.mark.parametrize(
    ("file", "old", "new", "table", "key"),
    [
        ("own.toml", "type = 'Warranty'", "type = 'COD Repair'", "measures.callbacks", "count"),
        ("business.toml", "share = 0.40", "share = 0.41", "revenue", "share"),
        (
            "sources.toml",
            "cost    = { per_lead = 20.00 }",
            "cost    = { per_lead = 25.00 }",
            'sources."Pro Referral"',
            "cost",
        ),
        ("business.toml", "flow = 'GoogleAds'", "flow = 'Google Ads'", "calls", "sources"),
    ],
)
def test_an_edit_is_offered_as_a_change_from_a_day_on(
    file: str, old: str, new: str, table: str, key: str, tmp_path: Path
) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", folder)
    (folder / "own.toml").write_text(OWN)
    before, text = load_rules(folder), (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    edited = load_rules(folder)
    (offered,) = dated_instead(rule_edits(before, edited), edited, START)
    assert offered.startswith(f"[[{table}.changes]]\nfrom = 2024-12-01\n{key} = ")
    (folder / file).write_text(f"{text}\n{offered}\n")
    dated = load_rules(folder)
    assert dated.digest != before.digest


@pytest.mark.parametrize("group", ["calls", "journeys", "dimensions"])
def test_a_table_that_is_deleted_offers_nothing(group: str, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    tables = read_tree(ROOT / "rules").tables | {"dimensions": {"city": {"of": "jobs", "column": "city"}}}
    written(tables, folder)
    before = load_rules(folder)
    written({name: table for name, table in tables.items() if name != group}, folder)
    edited = load_rules(folder)
    assert dated_instead(rule_edits(before, edited), edited, START) == ()


def test_what_holds_for_all_of_history_is_not_offered(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", folder)
    (folder / "own.toml").write_text(OWN)
    before = load_rules(folder)
    (folder / "own.toml").write_text(OWN.replace('"Callbacks"', '"Warranty jobs"'))
    edited = load_rules(folder)
    assert dated_instead(rule_edits(before, edited), edited, START) == ()
