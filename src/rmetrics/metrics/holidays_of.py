"""Public holidays of the business's country."""

import datetime as dt
from functools import lru_cache


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


__all__ = ["holidays_of"]
