"""One country's holidays are those of the whole package, which stays importable."""

import subprocess
import sys

SAME = """
import sys
from rmetrics.metrics.holidays_of import holidays_of
alone = {country: holidays_of(country, 2015, 2027) for country in ("US", "GG", "LV")}  # Guernsey's class builds on others
assert "holidays.countries" not in sys.modules
import holidays, holidays.countries
assert holidays.countries.Latvia
for country, days in alone.items():
    assert days == frozenset(holidays.country_holidays(country, years=range(2015, 2028))), country
"""


def test_one_country_s_holidays_are_those_of_the_whole_package() -> None:
    subprocess.run([sys.executable, "-c", SAME], check=True)
