"""The catalogue: both languages say the same things, and numbers, days and nouns are written right."""

import datetime as dt
import string
from decimal import Decimal

import pytest

from rmetrics.brief.words import ENGLISH, LANGUAGES, MINUS, RUSSIAN, SPACE, phrase, plural_form

ZONE = "America/New_York"


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_both_languages_have_the_same_codes_nouns_and_values() -> None:
    assert set(ENGLISH.templates) == set(RUSSIAN.templates)
    assert set(ENGLISH.nouns) == set(RUSSIAN.nouns)
    for code, template in ENGLISH.templates.items():
        assert fields(template) == fields(RUSSIAN.templates[code]), code
    assert {len(forms) for forms in ENGLISH.nouns.values()} == {2}
    assert {len(forms) for forms in RUSSIAN.nouns.values()} == {3}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_noun_that_a_template_asks_for_is_there(language: str) -> None:
    words = LANGUAGES[language]
    asked = {f[1:] for t in words.templates.values() for _, _, f, _ in string.Formatter().parse(t) if f and f[0] == "#"}
    assert asked <= set(words.nouns)
    assert set(words.nouns) <= asked


# The examples of CLDR for Russian: one, few, many.
@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        (0, (1, 21, 31, 101, 1001, 1_000_001)),
        (1, (2, 3, 4, 22, 24, 102, 1003)),
        (2, (0, 5, 11, 12, 13, 14, 19, 20, 25, 111, 112, 114, 211, 1000, 1011)),
    ],
)
def test_russian_nouns_take_the_form_of_their_number(form: int, numbers: tuple[int, ...]) -> None:
    assert {plural_form("ru", n) for n in numbers} == {form}


def test_a_line_in_both_languages() -> None:
    values = {
        "source": "ALL", "jobs": 0, "leads": 1234, "units": 21, "repairs": 1, "revenue_gross": Decimal("-1234.5"),
        "revenue40": Decimal("0.005"), "cost": Decimal(0), "cpl": None,
    }  # fmt: skip
    assert phrase("en", "yesterday.all", values, ZONE) == (
        f"1,234 leads, 21 visits, 1 repair; paid {MINUS}1,234.50, revenue40 0.01; cost 0.00"
    )
    assert phrase("ru", "yesterday.all", values, ZONE) == (
        f"1{SPACE}234 лида, 21 выезд, 1 ремонт; оплачено {MINUS}1{SPACE}234,50, revenue40 0,01; расход 0,00"
    )
    assert phrase("en", "yesterday.all", {**values, "cpl": Decimal("9.50")}, ZONE).endswith("cost 0.00, 9.50 per lead")


def test_amounts_beyond_any_float_stay_exact() -> None:
    values = {"month": dt.date(2026, 11, 1), "metric": "cost", "change": Decimal("9007199254740993.07"), "why": "rules"}
    assert phrase("en", "restated.month.amount", values, ZONE) == (
        "November 2026, cost: +9,007,199,254,740,993.07 (the rules were edited)"
    )


def test_a_moment_is_written_by_the_clocks_of_the_business() -> None:
    at = {"at": dt.datetime(2026, 11, 30, 3, 5, tzinfo=dt.UTC), "feed": "jobs"}
    assert phrase("en", "stale.feed", at, ZONE) == (
        "jobs: the newest export is of Sun 29 Nov 2026 22:05, before the end of yesterday."
    )
    assert "вс 29.11.2026 22:05" in phrase("ru", "stale.feed", at, ZONE)
