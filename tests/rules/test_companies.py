"""Companies of a group: what each has of its own, and its exceptions to the rules of all."""

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from rmetrics.errors import RulesError, SettingsError
from rmetrics.rules import load_rules
from support import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "rules", tmp_path / "rules"))


def declare(folder: Path, text: str, name: str = "companies.toml") -> None:
    (folder / name).write_text(text)


def problems(folder: Path, company: str | None = None) -> list[str]:
    with pytest.raises(RulesError) as raised:
        load_rules(folder, company)
    return [str(p).removeprefix(str(folder) + "/") for p in raised.value.problems]


def test_a_company_has_the_rules_of_all_but_for_its_exceptions(folder: Path) -> None:
    declare(
        folder,
        """
[companies.boston]
[companies.toronto]
timezone = "America/Toronto"
currency = "CAD"
[companies.toronto.rules.revenue]
share = 0.35
[companies.toronto.rules.sources."Pro Referral"]
cost = { per_lead = 22.50 }
[companies.toronto.rules.sources.Kijiji]
leads = "jobs"
[companies.toronto.rules.feeds.payments.columns.amount]
from = ["Montant"]
""",
    )
    every, boston, toronto = (load_rules(folder, c) for c in (None, "boston", "toronto"))
    assert list(every.companies) == ["boston", "toronto"]
    assert (boston.company, boston.digest) == ("boston", every.digest)
    assert toronto.digest != every.digest
    assert (toronto.business.timezone, toronto.business.currency) == ("America/Toronto", "CAD")
    assert toronto.revenue.latest.share == Decimal("0.35")
    referral = toronto.sources["Pro Referral"].latest
    assert [c.per_lead for c in referral.cost] == [Decimal("22.50")]
    assert referral.leads == every.sources["Pro Referral"].latest.leads, "keys that are not given stay"
    assert [s for s in toronto.sources if s not in every.sources] == ["Kijiji"]
    amount, before = toronto.feeds["payments"].columns["amount"], every.feeds["payments"].columns["amount"]
    assert (amount.from_, amount.type) == (("Montant",), before.type)
    assert set(toronto.feeds["payments"].columns) == set(every.feeds["payments"].columns)


def test_without_companies_nothing_is_different(folder: Path) -> None:
    before = load_rules(folder).digest
    declare(folder, "[companies.boston]\n")
    assert load_rules(folder).digest == before


def test_a_company_may_stand_in_a_file_of_its_own_and_only_once(folder: Path) -> None:
    declare(folder, "[companies.boston]\n", "boston.toml")
    declare(folder, "[companies.toronto]\n", "toronto.toml")
    assert list(load_rules(folder).companies) == ["boston", "toronto"]
    declare(folder, "[companies.boston]\n", "again.toml")
    assert any("companies.boston" in p for p in problems(folder))


def test_a_dated_change_of_all_may_not_overtake_an_exception_silently(folder: Path) -> None:
    declare(folder, '[companies.toronto.rules.sources."Pro Referral"]\ncost = { per_lead = 22.50 }\n')
    sources = folder / "sources.toml"
    change = '[[sources."Pro Referral".changes]]\nfrom = 2026-01-01\ncost = { per_lead = 25.00 }\n'
    sources.write_text(sources.read_text() + change)
    (told,) = problems(folder, "toronto")
    assert told.startswith("companies.toml:2: companies.toronto.rules.sources.Pro Referral.cost: ")
    assert "change cost from 2026-01-01 on (sources.toml:" in told
    declare(folder, '[companies.toronto.rules.sources."Pro Referral"]\ncost = { per_lead = 22.50 }\nchanges = []\n')
    assert len(load_rules(folder, "toronto").sources["Pro Referral"].versions) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[companies.Boston]", "companies.Boston: 'Boston' is not a valid name in PostgreSQL"),
        ("[companies.public]", "companies.public: 'public' is not"),
        ("[companies.boston]\ninbx = 'x'", "companies.boston.inbx: unknown key; did you mean"),
        ("[companies.boston]\ninbox = '../x'", "companies.boston.inbox: "),
        ("[companies.boston]\ncurrency = 'dollars'", "companies.boston.currency: "),
        ("[companies.boston]\ntimezone = 'Boston'", "companies.boston.timezone: "),
        ("[companies.boston]\npublish = 'no'", "companies.boston.publish: "),
    ],
)
def test_what_a_company_may_not_say_is_named_with_its_place(folder: Path, text: str, told: str) -> None:
    declare(folder, text + "\n")
    assert any(told in p and p.startswith("companies.toml:") for p in problems(folder))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[companies.boston.rules.pulls.x]\nkind = 'http'",
            "companies.boston.rules.pulls: is not a table that allows exceptions",
        ),
        ("[companies.boston.rules.jobs]\nunit = 'type ='", "companies.toml:2: jobs.unit: "),
    ],
)
def test_an_exception_that_does_not_load_is_named_with_its_place(folder: Path, text: str, told: str) -> None:
    declare(folder, text + "\n")
    load_rules(folder)
    assert any(told in p for p in problems(folder, "boston"))


def test_an_unknown_company_is_named(folder: Path) -> None:
    declare(folder, "[companies.boston]\n")
    with pytest.raises(SettingsError, match="no company 'bostn' is declared in the rules; did you mean 'boston'"):
        load_rules(folder, "bostn")
