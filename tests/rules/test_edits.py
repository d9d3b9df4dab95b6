"""Two versions of the rules: what was edited, where, and which figures that can move."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rmetrics.rules import Rules, load_rules
from rmetrics.rules.edits import can_move, rule_edits

ROOT = Path(__file__).parents[2]
MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")
Edited = Callable[..., Rules]


@pytest.fixture
def old() -> Rules:
    return load_rules(ROOT / "rules")


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """The shipped rules after some text was replaced, or a file added."""

    def load(*pairs: tuple[str, str], extra: str = "") -> Rules:
        folder = tmp_path / "rules"
        shutil.copytree(ROOT / "rules", folder)
        for before, after in pairs:
            (path,) = [p for p in folder.glob("*.toml") if before in p.read_text(encoding="utf-8")]
            path.write_text(path.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
        if extra:
            (folder / "extra.toml").write_text(extra, encoding="utf-8")
        return load_rules(folder)

    return load


def line_of(text: str, file: str) -> int:
    lines = (ROOT / "rules" / file).read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if text in line and not line.startswith("#"))


def test_comments_and_layout_are_no_edit(old: Rules, edited: Edited) -> None:
    new = edited(("per_lead = 20.00 }", "per_lead =   20.00 }  # raised next year"))
    assert rule_edits(old, new) == ()
    assert old.digest == new.digest


def test_a_price_names_its_line_and_both_values(old: Rules, edited: Edited) -> None:
    (edit,) = rule_edits(old, edited(("per_lead = 20.00 }", "per_lead = 25.00 }")))
    place = f"rules/sources.toml:{line_of('per_lead = 20.00', 'sources.toml')}"
    assert str(edit) == f"{place} sources.Pro Referral.cost.per_lead: 20.00 -> 25.00"


def test_new_and_gone_tables_and_keys(old: Rules, edited: Edited) -> None:
    new = edited(('\n[sources.Retention]\nleads   = "jobs"', ""), extra='[sources.Acme]\nleads = "jobs"\n')
    assert {str(e).split(":")[0] + " " + str(e).split(" ", 1)[1] for e in rule_edits(old, new)} == {
        "rules/sources.toml sources.Retention removed",
        "rules/extra.toml sources.Acme added",
    }


@pytest.mark.parametrize(
    ("pair", "source", "moved"),
    [
        (("share = 0.40", "share = 0.41"), "Rely", {"revenue40"}),
        (('date  = "job" ', 'date  = "payment" '), "Rely", {"revenue_gross", "revenue40"}),
        (("'COD Service', 'INS Service')\"", "'COD Service')\""), "Rely", {"units", "leads", "cost"}),
        (("per_lead = 20.00 }", "per_lead = 25.00 }"), "Pro Referral", {"cost"}),
        (("per_lead = 20.00 }", "per_lead = 25.00 }"), "Google", set()),
        (('aliases = ["GoogleAds",', 'aliases = ["Puls", "GoogleAds",'), "Puls", set(MEASURES)),
        (('aliases = ["GoogleAds",', 'aliases = ["Puls", "GoogleAds",'), "Rely", set()),
        (("where = \"flow = 'eLocals'\"", "where = \"flow = 'eLoc'\""), "eLocals", set()),
        (('from = ["Service Zip Code", "Zip Code", "Zip"]', 'from = ["Zip"]'), "eLocals", {"leads", "cost"}),
        (('from = ["Service Zip Code", "Zip Code", "Zip"]', 'from = ["Zip"]'), "Google", set()),
        (('currency = "USD"', 'currency = "CAD"'), "Rely", set()),
    ],
)
def test_an_edit_explains_only_what_it_can_move(
    old: Rules, edited: Edited, pair: tuple[str, str], source: str, moved: set[str]
) -> None:
    new = edited(pair)
    edits = rule_edits(old, new)
    assert edits
    assert {m for m in MEASURES for e in edits if can_move(e, source, m, old, new)} == moved
