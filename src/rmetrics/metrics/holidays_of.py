"""Public holidays of the business's country, and which country a time zone is in."""

import datetime as dt
from functools import lru_cache
from importlib import resources

from rmetrics.rules.model import has_holidays


@lru_cache(maxsize=8)
def holidays_of(country: str | None, first: int, last: int) -> frozenset[dt.date]:
    """The public holidays of a country from one year to another; none where no country is named.

    Args:
        country: ISO 3166 code, one that ``is_known``; None where the rules name none.
        first: the first year.
        last: the last year.
    """
    if country is None:
        return frozenset()
    import holidays  # 0.1 s: only where a forecast is made

    return frozenset(holidays.country_holidays(country, years=range(first, last + 1)))


def country_of(zone: str) -> str | None:
    """The country of a time zone, by its ISO 3166 code; None where a zone is of none, or its holidays are not known.

    >>> country_of("America/New_York"), country_of("Europe/Riga"), country_of("UTC")
    ('US', 'LV', None)
    """
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    country = next((code for code, _, name, *_ in lines if name == zone), None)
    return country if country == "US" or (country and has_holidays(country)) else None


__all__ = ["country_of", "holidays_of"]
