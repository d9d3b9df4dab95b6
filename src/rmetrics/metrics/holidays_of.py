"""Public holidays of the business's country, and the country of a time zone."""

import datetime as dt
import sys
import threading
from functools import lru_cache
from importlib import resources
from types import ModuleType

from rmetrics.rules.model import has_holidays

_COUNTRIES = "holidays.countries"
_LOADING = threading.Lock()


@lru_cache(maxsize=8)
def holidays_of(country: str | None, first: int, last: int) -> frozenset[dt.date]:
    """Returns the public holidays of a country for a range of years; none without a country.

    Args:
        country: ISO 3166 code accepted by ``has_holidays``; None if the rules name none.
        first: the first year.
        last: the last year, included.
    """
    if country is None:
        return frozenset()
    import holidays  # takes 0.1 s to import: only for a forecast

    with _LOADING:
        loaded = sys.modules.get(_COUNTRIES)
        if loaded is None:
            # The package imports every country that it knows, which takes as long as a small computation. A stand-in
            # lets one country be imported alone; other importers get the real package.
            sys.modules[_COUNTRIES] = stand_in = ModuleType(_COUNTRIES)
            stand_in.__path__ = [f"{folder}/countries" for folder in holidays.__path__]
        try:
            return frozenset(holidays.country_holidays(country, years=range(first, last + 1)))
        finally:
            if loaded is None:
                del sys.modules[_COUNTRIES]


def country_of(zone: str) -> str | None:
    """Returns the ISO 3166 code of a time zone's country; None if it has no country, or one without known holidays.

    >>> country_of("America/New_York"), country_of("Europe/Riga"), country_of("UTC")
    ('US', 'LV', None)
    """
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    lines = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    country = next((code for code, _, name, *_ in lines if name == zone), None)
    return country if country == "US" or (country and has_holidays(country)) else None


__all__ = ["country_of", "holidays_of"]
