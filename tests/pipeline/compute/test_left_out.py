"""Rules that leave something out, or give a column another type: refused with file, line and key, or both engines agree."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest

from rmetrics.errors import RulesError
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.landing import land, typed_rows
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import Rules
from rmetrics.rules import load as loading
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.files import read_tree
from rmetrics.settings import Settings
from rmetrics.usecases.check import check
from rule_tables import Key, keys, leave_out
from support import ROOT

TREE = read_tree(ROOT / "rules")
EXPORTS = ROOT / "tests" / "handworked" / "exports"
NO_FIGURES = ("brief", "notify", "alerts", "pulls")

# What validation takes for valid, and an engine once could not compute.
FOUND: list[Key] = [("feeds", "payments", "job"), ("feeds", "google_spend", "key")]


def rules_without(key: Key, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """The shipped rules without a key, which may be a whole table."""
    tables: Any = copy.deepcopy(TREE.tables)
    leave_out(tables, key)
    return loaded(tables, monkeypatch)


def loaded(tables: Any, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """The rules with other tables, from now on for whoever loads them."""
    monkeypatch.setattr(loading, "read_tree", lambda _: type(TREE)(tables, dict(TREE.places), []))
    return loading.load_rules(ROOT / "rules")


def agree(rules: Rules, folder: Path, monkeypatch: pytest.MonkeyPatch, *, small: int) -> None:
    """Lands exports, those above a size each by itself, and computes by both engines."""
    monkeypatch.setattr(land, "SMALL", small)
    monkeypatch.setattr(typed_rows, "SMALL", small)
    lake, inbox = Lake(folder / "lake"), folder / "inbox"
    lake.prepare()
    shutil.copytree(EXPORTS, inbox)
    land_inbox(inbox, lake, rules, silent)
    compute(lake, rules, silent)
    settings = Settings(_env_file=None, data_dir=folder, inbox_dir=inbox, rules_dir=ROOT / "rules")
    assert check(settings, offline=True).engines == 0


@pytest.mark.parametrize("small", [0, 2**20])
@pytest.mark.parametrize("key", FOUND, ids=lambda key: ".".join(map(str, key)))
def test_what_may_be_left_out_is_computed(
    key: Key, small: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(rules_without(key, monkeypatch), tmp_path, monkeypatch, small=small)


ALL = [
    key for key in keys(TREE.tables) if key[0] not in NO_FIGURES and not ("columns" in key and isinstance(key[-1], int))
]


@pytest.mark.ordinary(4, deep=16)
@pytest.mark.parametrize("key", ALL, ids=lambda key: ".".join(map(str, key)))
def test_any_key_left_out_is_refused_or_computed(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        rules = rules_without(key, monkeypatch)
    except RulesError:
        return
    agree(rules, tmp_path, monkeypatch, small=2**20 * (len(str(key)) % 2))


TYPED = [
    (feed, column, kind.value)
    for feed, of in TREE.tables["feeds"].items()
    for column, spec in of["columns"].items()
    for kind in ColumnType
    if kind.value != spec["type"]
]


@pytest.mark.ordinary(2, deep=8)
@pytest.mark.parametrize(("feed", "column", "kind"), TYPED)
def test_any_other_type_of_a_column_is_refused_or_computed(
    feed: str, column: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables: Any = copy.deepcopy(TREE.tables)
    tables["feeds"][feed]["columns"][column]["type"] = kind
    try:
        rules = loaded(tables, monkeypatch)
    except RulesError:
        return
    agree(rules, tmp_path, monkeypatch, small=2**20 * (len(column) % 2))


def test_a_postal_code_that_is_a_number_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: Any = copy.deepcopy(TREE.tables)
    tables["business"]["zips"] = ["019"]
    for feed in ("jobs", "elocals_leads", "proref_leads"):
        tables["feeds"][feed]["columns"]["zip"]["type"] = "integer"
    agree(loaded(tables, monkeypatch), tmp_path, monkeypatch, small=2**20)
