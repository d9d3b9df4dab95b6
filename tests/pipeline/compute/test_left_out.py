"""Rules that leave something out: they are refused with file, line and key, or both engines compute and agree."""

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmetrics.checks.compare import cross_check
from rmetrics.errors import RulesError
from rmetrics.lake import Lake
from rmetrics.pipeline.compute.compute import compute
from rmetrics.pipeline.compute.typed_inputs import typed_inputs
from rmetrics.pipeline.landing import land, typed_rows
from rmetrics.pipeline.landing.inbox import land_inbox
from rmetrics.progress import silent
from rmetrics.rules import Rules
from rmetrics.rules import load as loading
from rmetrics.rules.files import read_tree
from support import ROOT

TREE = read_tree(ROOT / "rules")
EXPORTS = ROOT / "tests" / "handworked" / "exports"
NO_FIGURES = ("brief", "notify", "alerts", "pulls")

Key = tuple[str | int, ...]

# What validation takes for valid, and an engine once could not compute.
FOUND: list[Key] = [("feeds", "payments", "job"), ("feeds", "google_spend", "key")]


def keys(tables: Any, above: Key = ()) -> Iterator[Key]:
    """Every key of the tables, those of lists and of tables within tables, too."""
    for key, value in tables.items() if isinstance(tables, dict) else enumerate(tables):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from keys(value, (*above, key))


def rules_without(key: Key, monkeypatch: pytest.MonkeyPatch) -> Rules:
    """The shipped rules without a key, which may be a whole table."""
    tables: Any = copy.deepcopy(TREE.tables)
    *above, last = key
    within = tables
    for name in above:
        within = within[name]
    del within[last]
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
    made = compute(lake, rules, silent)
    metrics = made.snapshot.path("daily_metrics"), made.snapshot.path("monthly_metrics")
    assert cross_check(typed_inputs(lake, made.typed), *metrics, rules, temp=folder / "temp").mismatches == ()


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
