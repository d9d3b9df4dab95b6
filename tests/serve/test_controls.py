"""The numbers of the rules, and copies of the files with one of them edited."""

import datetime as dt
import shutil
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from rmetrics.errors import SettingsError
from rmetrics.rules import load_rules
from rmetrics.serve.controls import Edited, controls, edited
from support import ROOT

MORE = """
[sources."Tom \\"T.\\" O'Hara"]
leads = "jobs"
cost = [{ per_lead = 5.00 }, { monthly = 300 }]   # two costs

[[sources."Tom \\"T.\\" O'Hara".changes]]
from = 2025-06-01
cost = { per_repair = 9.50 }

[[sources."Tom \\"T.\\" O'Hara".changes]]
from = 2026-01-01
leads = "units"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped rules, and a source with everything odd."""
    made = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", made)
    (made / "more.toml").write_text(MORE, encoding="utf-8")
    return made


def tried(folder: Path, key: str, value: str, start: dt.date | None = None) -> Edited:
    knob = next(k for k in controls(load_rules(folder)) if k.key == key)
    return edited(knob, value, start)


TOM = 'sources.Tom "T." O\'Hara'


def test_every_price_share_and_fee_is_found_with_its_place(folder: Path) -> None:
    found = {k.key: (k.value, k.where.rpartition("/")[2], k.since) for k in controls(load_rules(folder))}
    assert found.pop("revenue.share")[0] == Decimal("0.40")
    assert found == {
        "journeys.window": (Decimal(0), "journeys.toml:8", None),
        **{
            f"journeys.sources.{n}.window": (Decimal(0), "journeys.toml:8", None)
            for n in ("eLocals", "Pro Referral", "Google")
        },
        "sources.Pro Referral.cost.per_lead": (Decimal("20.00"), "sources.toml:45", None),
        f"{TOM}.cost.0.per_lead": (Decimal("5.00"), "more.toml:4", None),
        f"{TOM}.cost.1.monthly": (Decimal(300), "more.toml:4", None),
        f"{TOM}.changes.0.cost.per_repair": (Decimal("9.50"), "more.toml:8", dt.date(2025, 6, 1)),
    }


def test_without_a_day_the_number_is_replaced_and_nothing_else(folder: Path) -> None:
    made = tried(folder, "sources.Pro Referral.cost.per_lead", "25.50")
    before = (folder / "sources.toml").read_text(encoding="utf-8")
    assert made.text == before.replace("per_lead = 20.00 }\n\n", "per_lead = 25.50 }\n\n", 1)
    assert made.snippet == '[sources."Pro Referral"]\ncost = { per_lead = 25.50 }'
    assert [line for line in made.diff.splitlines() if line[:1] in "+-"][2:] == [
        "-cost    = { per_lead = 20.00 }",
        "+cost    = { per_lead = 25.50 }",
    ]


def test_with_a_day_history_stays_as_it_is(folder: Path) -> None:
    made = tried(folder, "revenue.share", "0.42", dt.date(2026, 1, 1))
    assert made.snippet == "[[revenue.changes]]\nfrom = 2026-01-01\nshare = 0.42"
    after = tomllib.loads(made.text, parse_float=Decimal)["revenue"]
    assert after["share"] == Decimal("0.40")
    assert after["changes"] == [{"from": dt.date(2026, 1, 1), "share": Decimal("0.42")}]


@pytest.mark.parametrize("start", [dt.date(2025, 1, 1), dt.date(2025, 8, 1), dt.date(2027, 1, 1)])
def test_a_new_change_stands_among_the_others_by_its_day_and_keeps_the_other_cost(folder: Path, start: dt.date) -> None:
    made = tried(folder, f"{TOM}.cost.0.per_lead", "6.25", start)
    (folder / "more.toml").write_text(made.text, encoding="utf-8")
    rules = load_rules(folder)  # it loads: the changes are in order
    source = rules.sources['Tom "T." O\'Hara'].at(start)
    assert [(c.per_lead, c.monthly) for c in source.cost] == [(Decimal("6.25"), None), (None, Decimal(300))]
    assert "# two costs" in made.text
    assert tomllib.loads(made.snippet)


@pytest.mark.parametrize("start", [dt.date(2025, 1, 1), dt.date(2025, 8, 1), dt.date(2027, 1, 1)])
def test_changes_that_are_written_in_one_line_stay_in_it(folder: Path, start: dt.date) -> None:
    (folder / "line.toml").write_text(
        '[sources.Inline]\nleads = "jobs"\ncost = { per_lead = 5.00 }\nchanges = [{ from = 2025-03-01, '
        "cost = { per_lead = 6.00 } }, { from = 2026-01-01, cost = { per_lead = 7.00 } }]  # agreed\n",
        encoding="utf-8",
    )
    made = tried(folder, "sources.Inline.cost.per_lead", "8.50", start)
    (folder / "line.toml").write_text(made.text, encoding="utf-8")
    source = load_rules(folder).sources["Inline"]  # it loads: the changes are in order
    assert [c.per_lead for c in source.at(start).cost] == [Decimal("8.50")]
    assert len(source.versions) == 4
    assert "# agreed" in made.text
    assert tomllib.loads(made.snippet)


def test_a_change_of_a_source_s_own_window_stands_with_the_source(folder: Path) -> None:
    path = folder / "journeys.toml"
    path.write_text(path.read_text(encoding="utf-8") + "\n[journeys.sources.eLocals]\nwindow = 3\n", encoding="utf-8")
    made = tried(folder, "journeys.sources.eLocals.window", "1", dt.date(2026, 1, 1))
    assert made.snippet == "[[journeys.sources.eLocals.changes]]\nfrom = 2026-01-01\nwindow = 1"
    path.write_text(made.text, encoding="utf-8")
    windows = load_rules(folder).journeys.windows("eLocals")
    assert (windows.at(dt.date(2025, 12, 31)), windows.at(dt.date(2026, 1, 1))) == (3, 1)


@pytest.mark.parametrize("start", [None, dt.date(2026, 1, 1)])
def test_a_source_without_a_window_of_its_own_is_given_one(folder: Path, start: dt.date | None) -> None:
    made = tried(folder, "journeys.sources.Pro Referral.window", "7", start)
    shown = '[journeys.sources."Pro Referral"]\n' if start is None else '[[journeys.sources."Pro Referral".changes]]\n'
    assert made.snippet == shown + ("window = 7" if start is None else "from = 2026-01-01\nwindow = 7")
    (folder / "journeys.toml").write_text(made.text, encoding="utf-8")
    journeys = load_rules(folder).journeys
    before, after = dt.date(2025, 12, 31), dt.date(2026, 1, 1)
    assert [journeys.windows("Pro Referral").at(day) for day in (before, after)] == [7 if start is None else 0, 7]
    assert journeys.windows("eLocals").latest == 0


def test_what_is_shown_to_copy_is_the_edit(folder: Path) -> None:
    """Written in place of the table's key, or added to the file, it makes the same rules as the edited copy."""
    made = tried(folder, "sources.Pro Referral.cost.per_lead", "25.00", dt.date(2026, 1, 1))
    path = folder / "sources.toml"
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{made.snippet}\n", encoding="utf-8")
    by_hand = load_rules(folder).digest
    path.write_text(made.text, encoding="utf-8")
    assert load_rules(folder).digest == by_hand


@pytest.mark.parametrize(
    "value", ["", "abc", "-5", "1e9", "25,00", "0x10", "1_000", " 5", "5\nleads = 1", "inf", "9" * 40]
)
def test_what_is_no_plain_number_is_refused(folder: Path, value: str) -> None:
    with pytest.raises(SettingsError, match="not a valid number"):
        tried(folder, "revenue.share", value)


def test_a_change_takes_no_second_day(folder: Path) -> None:
    with pytest.raises(SettingsError, match="2025-06-01"):
        tried(folder, f"{TOM}.changes.0.cost.per_repair", "10", dt.date(2026, 1, 1))
    made = tried(folder, f"{TOM}.changes.0.cost.per_repair", "10.75")
    assert "per_repair = 10.75" in made.snippet
    assert made.snippet.startswith("[[sources.")
