"""Formats amounts of money with their currency, so that each sheet of the report is clear on its own."""

from decimal import ROUND_HALF_UP, Decimal

DASH = "—"
# Only signs that are unambiguous where rmetrics is used: a kr or a ¥ could mean several currencies.
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "RUB": "₽", "INR": "₹", "ILS": "₪", "UAH": "₴"}


def amount(value: Decimal | None, currency: str, places: int = 0) -> str:
    """Formats an amount with its currency; a dash for None.

    Args:
        value: the amount, rounded half up for display.
        currency: its ISO code.
        places: the number of decimals.
    >>> amount(Decimal("1234.5"), "USD"), amount(Decimal("-0.126"), "USD", 2), amount(Decimal(7), "CHF")
    ('$1,235', '-$0.13', 'CHF 7')
    """
    if value is None:
        return DASH
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    sign = "-" if rounded < 0 else ""
    return f"{sign}{_SIGNS.get(currency, f'{currency} ')}{abs(rounded):,}"


__all__ = ["DASH", "amount"]
