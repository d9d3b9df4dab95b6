"""The rules in plain words: what is in force on a day, since when, and where it stands."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from rmetrics.rules import Rules, load_rules
from rmetrics.rules.condition_words import condition_in_words
from rmetrics.rules.describe import RuleText, next_changes, rules_in_words

ROOT = Path(__file__).parents[2]
CHANGES = """
[sources.Acme]
aliases = ["acme.com"]
segment = "INS"
leads = "repairs"
cost = [{ per_lead = 5.00 }, { monthly = 300.00 }]
[[sources.Acme.changes]]
from = 2026-01-01
cost = { per_unit = 7.50 }
[[sources.Acme.changes]]
from = 2026-03-01
leads = "jobs"
"""


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "rules" / "acme.toml").write_text(CHANGES, encoding="utf-8")
    return load_rules(tmp_path / "rules")


def said(rules: Rules, topic: str, day: dt.date) -> dict[str, RuleText]:
    return {s.rule: s for s in rules_in_words(rules, day) if s.topic == topic}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("type = 'COD'", "type is COD"),
        ("type IN ('A', 'B', 'C')", "type is A, B or C"),
        ("type NOT IN ('A')", "type is filled and is none of A"),
        ("type <> 'A'", "type is filled and is not A"),
        ("type IS DISTINCT FROM 'A'", "type is not A"),
        ("type IS NULL OR cost > 100.50", "type is blank, or cost is more than 100.50"),
        ("(a = 1 OR b = 2) AND c >= 3", "(a is 1, or b is 2) and c is at least 3"),
        ("type LIKE '%COD%'", "type contains COD"),
        ("type LIKE 'COD%'", "type begins with COD"),
        ("type LIKE '%COD'", "type ends with COD"),
        ("type LIKE 'C_D'", "type is like C_D"),
        ("type NOT LIKE '%COD%'", "type is filled and not: contains COD"),
        ("day >= DATE '2026-01-01'", "day is at least 2026-01-01"),
        ("n BETWEEN 1 AND 9", "n is from 1 to 9"),
        ("starts_with(lower(type), 'cod')", "type (in lower case) begins with cod"),
        ("flag", "flag"),
        ("NOT flag", "not flag"),
        ("length(a || b)   > 3", "length(a || b) > 3"),
    ],
)
def test_condition_reads_as_a_sentence_or_as_it_stands(condition: str, words: str) -> None:
    assert condition_in_words(condition) == words


def test_words_follow_the_day(rules: Rules) -> None:
    old, mid, new = (said(rules, "Acme", dt.date(2026, m, 1)) for m in (1, 2, 3))
    before = said(rules, "Acme", dt.date(2025, 12, 31))
    assert before["cost"].words == "costs 5.00 per lead plus 300.00 a month, spread over its days"
    assert (before["cost"].since, before["cost"].until) == (None, dt.date(2026, 1, 1))
    assert before["leads"].words == "every job of the source that is a repair is a lead"
    assert [s["cost"].words for s in (old, mid, new)] == ["costs 7.50 per unit"] * 3
    assert (old["cost"].since, old["cost"].until) == (dt.date(2026, 1, 1), None)
    assert (mid["leads"].until, new["leads"].since) == (dt.date(2026, 3, 1), dt.date(2026, 3, 1))
    assert new["leads"].words == "every job of the source is a lead"


def test_each_rule_names_its_line(rules: Rules) -> None:
    text = CHANGES.splitlines()
    for rule, day, line in (
        ("leads", dt.date(2026, 1, 1), 'leads = "repairs"'),
        ("leads", dt.date(2026, 3, 1), 'leads = "jobs"'),
    ):
        place = said(rules, "Acme", day)[rule].where
        assert place.endswith(f"acme.toml:{text.index(line) + 1}")


def test_later_changes_are_announced(rules: Rules) -> None:
    assert [(s.topic, s.rule, s.since) for s in next_changes(rules, dt.date(2025, 1, 1))] == [
        ("Acme", "cost", dt.date(2026, 1, 1)),
        ("Acme", "leads", dt.date(2026, 3, 1)),
    ]
    assert next_changes(rules, dt.date(2026, 3, 1)) == ()


def test_every_shipped_source_is_told(rules: Rules) -> None:
    topics = {s.topic for s in rules_in_words(rules, dt.date(2026, 1, 1))}
    assert topics == {"jobs", "revenue", "calls", "journeys", "measures", "payments", "google_spend", *rules.sources}
