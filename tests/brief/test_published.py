"""Which runs a brief looks at: those since the brief before, each told once."""

import datetime as dt
from zoneinfo import ZoneInfo

from rmetrics.brief.published import span_of

ZONE = "America/New_York"
DAY = dt.date(2026, 11, 10)


def at(day: int, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(2026, 11, day, hour, minute, tzinfo=ZoneInfo(ZONE))


def test_a_brief_goes_on_where_the_one_before_ended_however_early_it_comes() -> None:
    before = (dt.date(2026, 11, 9), at(9, 7, 35))  # a long sync; the next morning's is shorter
    assert span_of(DAY, ZONE, at(10, 7, 31), before) == (at(9, 7, 35), at(10, 7, 31))
    assert span_of(DAY, ZONE, at(10, 9), (dt.date(2026, 11, 6), at(6, 8))) == (at(6, 8), at(10, 9))


def test_a_brief_that_was_sent_after_its_day_told_of_its_day_only() -> None:
    assert span_of(DAY, ZONE, at(10, 9), (dt.date(2026, 11, 8), at(10, 8)))[0] == at(9, 0)


def test_without_one_before_a_day_and_never_more_than_a_month() -> None:
    assert span_of(DAY, ZONE, at(10, 9), None)[0] == at(9, 9)
    assert span_of(DAY, ZONE, at(10, 9), (dt.date(2026, 1, 1), at(1, 8).replace(month=1)))[0] == (
        at(10, 9) - dt.timedelta(days=31)
    )


def test_another_day_has_its_own_hours() -> None:
    assert span_of(dt.date(2026, 11, 1), ZONE, at(10, 9), None) == (at(1, 0), at(2, 0))  # 25 hours
