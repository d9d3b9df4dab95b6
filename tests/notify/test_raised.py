"""Rows of a view to occurrences: exact comparisons, NULL is not true, one per identity, shell-safe commands."""

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from rmetrics.notify.raised import Occurrence, raised_by, readable
from rmetrics.notify.second_engine import second_engine
from rmetrics.rules.notifications import Alert
from rmetrics.rules.published_views import VIEWS

MONTH = dt.date(2026, 11, 1)


def row(over: str, **values: Any) -> dict[str, Any]:
    """A row of a view, blank where nothing is said."""
    return {**dict.fromkeys(VIEWS[over].columns), **values}


def raised(alert: Alert, rows: Sequence[Mapping[str, Any]], zone: str) -> tuple[Occurrence, ...]:
    """By both engines."""
    with second_engine() as second:
        return raised_by(alert, rows, zone, second)


def alert(over: str, where: str, **more: Any) -> Alert:
    return Alert(name="own", title="Own", over=over, where=where, **more)


@pytest.mark.parametrize(("cpl", "hit"), [("30.000000", False), ("30.000001", True), (None, False), ("0.1", False)])
def test_comparisons_are_exact_and_null_is_not_true(cpl: str | None, hit: bool) -> None:
    rows = [row("monthly_vs_target", month=MONTH, source="A", segment="ALL", cpl=cpl, target_cpl_max="30.00")]
    assert bool(raised(alert("monthly_vs_target", "cpl > target_cpl_max"), rows, "UTC")) == hit


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (("5.333333", "12.00"), ["5.33", "12.00"]),
        (("0.323077", None), ["0.3231", ""]),
        (("30.000001", "30.00"), ["30.000001", "30.00"]),  # or the alert would seem to be raised for nothing
        (("0.000004", "7.50"), ["0.000004", "7.50"]),
        (("-31.0250", "0.5"), ["-31.02", "0.50"]),
    ],
)
def test_values_are_as_short_as_they_can_be_told_apart(values: tuple[str | None, ...], shown: list[str]) -> None:
    assert readable([None if v is None else Decimal(v) for v in values]) == shown


def test_one_occurrence_per_identity_and_the_last_row_tells_it() -> None:
    days = [dt.date(2026, 11, n) for n in (8, 9)]
    rows = [
        row("daily_cumulative", month=MONTH, date=d, source="Rely", repairs_to_date=n, repairs_of_pace="0.5")
        for n, d in enumerate(days)
    ]
    (found,) = raised(alert("daily_cumulative", "repairs_of_pace < 0.9", days=2), rows, "UTC")
    assert (found.key, found.of, found.cause) == ("2026-11-01/Rely", "Rely, 2026-11", "repairs_of_pace 0.50")
    (shown,) = raised(alert("daily_cumulative", "repairs_of_pace < 0.9", show=["repairs_to_date"]), rows, "UTC")
    assert shown.cause == "repairs_to_date 1"


def test_a_segment_is_told_where_it_is_one() -> None:
    rows = [row("monthly_vs_target", month=MONTH, source="A", segment=s, leads=1) for s in ("ALL", "COD")]
    assert [o.of for o in raised(alert("monthly_vs_target", "leads > 0"), rows, "UTC")] == [
        "A, 2026-11",
        "A, COD, 2026-11",
    ]


@pytest.mark.parametrize("source", ["O'Brien & Co", "$(rm -rf /)", "a b", "{month}", "-x"])
def test_a_command_is_safe_to_paste(source: str) -> None:
    rows = [row("call_funnel", month=MONTH, source=source, missed=3)]
    (found,) = raised(
        alert("call_funnel", "missed > 2", explain="rmetrics explain --source {source} --month {month}"), rows, "UTC"
    )
    assert shlex.split(found.command) == ["rmetrics", "explain", "--source", source, "--month", "2026-11"]


def test_a_view_of_one_row() -> None:
    (found,) = raised(alert("publication", "hours > 26 OR hours IS NULL"), [row("publication", errors=0)], "UTC")
    assert (found.key, found.of, found.cause) == ("", "", "hours none")


@pytest.mark.parametrize("hit", [False, True])
def test_a_row_on_which_the_engines_disagree_is_told(hit: bool) -> None:
    where = "rows > 0" if hit else "rows > 9"
    rows = [row("data_freshness", feed="jobs", rows=1)]
    (found,) = raised_by(alert("data_freshness", where), rows, "UTC", lambda frame, _, __: [not hit] * frame.height)
    assert found.cause == "the two engines disagree on the condition; please report this bug; rows 1"


def test_every_type_of_column_reaches_the_second_engine() -> None:
    """Each row is found by its own condition, and by no other."""
    at = dt.datetime(2026, 11, 10, 4, 30, tzinfo=dt.UTC)  # the 9th in New York
    cases: dict[str, dict[str, Any]] = {
        "feed = 'jobs'": {"feed": "jobs"}, "rows = 7": {"rows": 7}, "last_date = DATE '2026-11-09'": {"last_date": at.date() - dt.timedelta(days=1)},
        "last_export_at < DATE '2026-11-10'": {"last_export_at": at},
    }  # fmt: skip
    for where, values in cases.items():
        rows = [row("data_freshness", **{"feed": "other", **v}) for v in cases.values()]
        found = raised(alert("data_freshness", where, explain="rmetrics status"), rows, "America/New_York")
        assert len(found) == 1, where
        assert found[0].key == values.get("feed", "other")
