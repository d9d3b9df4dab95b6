"""What is around a cell's value is taken off: hand-worked cells, and random armour around random values."""

import doctest
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest.reading import EXPORTED
from rmetrics.ingest import cells, currencies
from rmetrics.ingest.amounts import read_money
from rmetrics.ingest.cells import clean, whole_ids
from rmetrics.ingest.parse import parse_column, reason
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.rules.feeds import Column

ARMOUR = ('="{}"', "'{}", "\t{}", "\ufeff{}", "{}\u200b", "\u00a0{} ", '="\'{}"', '="{}"\u200e')


def column(kind: str, **more: object) -> Column:
    return Column.model_validate({"type": kind, "from": ["x"], **more})


def of(currency: str) -> ParseContext:
    return ParseContext("America/New_York", EXPORTED, currency)


def values(kind: str, texts: list[str], currency: str = "USD", **more: object) -> list[object]:
    return parse_column(clean(pl.Series("x", texts)), column(kind, **more), of(currency)).to_list()


@pytest.mark.parametrize("module", [cells, currencies])
def test_examples_in_the_documentation(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@given(
    value=st.from_regex(r"\A[A-Z0-9][A-Z0-9-]{0,12}\Z", fullmatch=True),
    armour=st.lists(st.sampled_from(ARMOUR), max_size=2, unique=True),
)
def test_an_id_is_the_same_in_whatever_armour(value: str, armour: list[str]) -> None:
    assume(sum("'" in one for one in armour) < 2)  # two apostrophes are quotation marks
    text = value
    for one in armour:
        text = one.format(text.replace('"', '""') if '"' in one else text)
    assert clean(pl.Series([text, "plain"])).to_list() == [value, "plain"]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("'til Monday", "'til Monday"),
        ("'quoted'", "'quoted'"),
        ("O'Neil", "O'Neil"),
        ("= see note", "= see note"),
        ("=SUM(A1:A9)", "=SUM(A1:A9)"),
        ('5" pipe', '5" pipe'),
        ('="say ""yes"""', 'say "yes"'),
        ('=""', None),
        ("'", "'"),
        ("=-12.50", "-12.50"),
        ("caf\u00e9", "caf\u00e9"),
        ("\u200bcaf\u00e9\u200b", "caf\u00e9"),
        ("\u0441\u200b\u0442", "\u0441\u200b\u0442"),
    ],
)
def test_text_that_only_looks_like_armour_stays(cell: str, value: str | None) -> None:
    assert clean(pl.Series([cell])).to_list() == [value]


def test_ids_that_a_spreadsheet_took_for_numbers() -> None:
    assert whole_ids(pl.Series(["1001.0", "0042.0", "1001.50", "v1.0", "1.0.0", None])).to_list() == [
        "1001", "0042", "1001.50", "v1.0", "1.0.0", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "amount"),
    [
        ("'-85.00", "-85.00"),
        (" $(20.00)", "-20.00"),
        ("$ (5.00)", "-5.00"),
        ("($5.00)", "-5.00"),
        ("(5.00 USD)", "-5.00"),
        ("\u22125.00", "-5.00"),
        ("-$5.00", "-5.00"),
        ("$-5.00", "-5.00"),
        ("$\u22121,234.50", "-1234.50"),
        ("5.00-", "-5.00"),
        (" $-   ", "0.00"),
        ("$ -", "0.00"),
        ("$--", "0.00"),
        ("+5.00", "5.00"),
        ("+$5.00", "5.00"),
        ("USD 12", "12.00"),
        ("US$ 12.50", "12.50"),
        ('="1,234.50"', "1234.50"),
        ("0", "0.00"),
    ],
)
def test_every_spelling_of_an_amount(cell: str, amount: str) -> None:
    assert values("money", [cell, "1"]) == [Decimal(amount), Decimal("1.00")]


@pytest.mark.parametrize("cell", ["-", "--5", "(-5)", "$5$", "1$2", "5 5", "$", "-(5)-", "USD", "$ USD 5", "5 XYZ"])
def test_what_is_no_amount_is_none(cell: str) -> None:
    assert read_money(cell) is None


@pytest.mark.parametrize(
    ("cell", "currency", "amount"),
    [
        ("$12", "CAD", "12.00"),
        ("CA$12", "CAD", "12.00"),
        ("12 CAD", "CAD", "12.00"),
        ("\u20ac12", "EUR", "12.00"),
        ("12\u00a0\u20ac", "EUR", "12.00"),
        ("CHF 12", "CHF", "12.00"),
        ("$12", "EUR", None),
        ("12 USD", "EUR", None),
        ("USD 12", "CAD", None),
        ("CA$12", "USD", None),
        ("\u20ac12", "USD", None),
        ("\u00a312", "USD", None),
        ("(\u20ac12)", "USD", None),
        ("R$12", "USD", None),
        ("12", "EUR", "12.00"),
    ],
)
def test_an_amount_is_of_the_company_s_currency(cell: str, currency: str, amount: str | None) -> None:
    assert values("money", [cell, "1"], currency) == [amount and Decimal(amount), Decimal("1.00")]
    if amount is None:
        assert f"but [business] currency is {currency}" in reason(cell, column("money"), of(currency))


def test_a_column_of_currencies_holds_the_company_s() -> None:
    assert values("currency", ["usd", "USD", "$", "CAD", "EUR", "dollars", ""]) == ["USD"] * 3 + [None] * 4
    assert "is not USD" in reason("CAD", column("currency"), of("USD"))


def test_shares_are_from_nothing_to_all() -> None:
    assert values("share", ["0", "1", "0.35", "35%", "100%", "35", "1.5", "-5%", "101%", "-0.1"]) == [
        Decimal(0), Decimal(1), Decimal("0.35"), Decimal("0.35"), Decimal(1), *[None] * 5,
    ]  # fmt: skip


def test_whole_numbers_in_a_spreadsheet_s_spelling() -> None:
    assert values("integer", ["1,265", "1265.0", "-3", "12,65", "1.5", "1,265.00"]) == [
        1265,
        1265,
        -3,
        None,
        None,
        1265,
    ]


@pytest.mark.parametrize(("cell", "most", "ok"), [
    ("1000000", None, True), ("1000000.01", None, False), ("-1000000.01", None, False), ("6175550111", None, False),
    ("6175550111", "9999999999", True), ("250", "200", False), ("-200", "200", True),
])  # fmt: skip
def test_amounts_far_out_of_line_are_not_believed(cell: str, most: str | None, ok: bool) -> None:
    more: dict[str, Any] = {} if most is None else {"most": Decimal(most)}
    assert (values("money", [cell, "1"], **more)[0] is not None) == ok
    if not ok:
        assert "raise `most`" in reason(cell, column("money", **more), of("USD"))


@given(amount=st.decimals(-999_999, 999_999, places=2), mark=st.sampled_from(["", "$", "US$", "USD "]), data=st.data())
def test_a_random_amount_in_a_random_spelling_reads_back(amount: Decimal, mark: str, data: st.DataObject) -> None:
    plain = data.draw(st.sampled_from([f"{abs(amount):.2f}", f"{abs(amount):,.2f}"]))
    negative = ("-{m}{p}", "{m}-{p}", "({m}{p})", "{m}({p})", "{m}{p}-", "\u2212{m}{p}", " {m} ({p}) ", "'-{m}{p}")
    form = data.draw(st.sampled_from(negative if amount < 0 else ("{m}{p}", "{m} {p}", " {m}{p} ")))
    assert values("money", [form.format(m=mark, p=plain)]) == [amount + 0]
