"""What is noted of members whose figures change: the largest by name, the others together, and never a flood."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl

from reliability.versions import prepared
from rmetrics.postgres.connection import connect
from rmetrics.postgres.publish.metric_changes import FinerCauses, note_member_changes, store_causes
from support import rows

OCT = dt.date(2024, 10, 1)
Figures = Mapping[tuple[dt.date, str, str], int]  # of technicians, by month, member and measure
_COLUMNS = "month, dimension, member, measure, time, value, additive"


def noted(database: str, was: Figures, now: Figures, dimension: str = "technician") -> list[tuple[Any, ...]]:
    """What a publish notes where these figures become those."""
    server = prepared(database)
    key = {"month": pl.Date, "dimension": pl.String, "metric": pl.String, "cause": pl.String}
    finer = pl.DataFrame([(OCT, "technician", "jobs", "finer")], schema=key, orient="row")
    with connect(server) as session, session.transaction():
        session.execute("INSERT INTO sync_runs (run_id, started_at, status) VALUES ('r', now(), 'failed')")
        session.execute("CREATE TEMPORARY TABLE staged (LIKE dimension_monthly) ON COMMIT DROP")
        for table, figures, of in (("dimension_monthly", was, "technician"), ("pg_temp.staged", now, dimension)):
            for (month, member, measure), value in figures.items():
                session.execute(
                    f"INSERT INTO {table} ({_COLUMNS}) VALUES ($1::text::date, $2, $3, $4, now(), $5::text::numeric, true)",
                    [month.isoformat(), of, member, measure, str(value)],
                )
        store_causes(session, FinerCauses(pl.DataFrame(), finer))
        note_member_changes(session, "staged", "true", "r", "the run's")
    return rows(
        database,
        "SELECT month, dimension, member, members, metric, old_value::int, new_value::int, cause FROM member_changes ORDER BY change_id",
    )


def test_the_largest_changes_have_a_row_each_and_the_others_one_together(database: str) -> None:
    was = {(OCT, f"t{n:02}", "jobs"): 10 for n in range(14)}
    now = {(OCT, f"t{n:02}", "jobs"): 10 + n for n in range(13)}  # t00 stays, t13 goes, the others grow by their number
    found = noted(database, was, now)
    assert [r[2] for r in found[:10]] == [f"t{n:02}" for n in (12, 11, 10, 13, 9, 8, 7, 6, 5, 4)]
    assert found[3] == (OCT, "technician", "t13", 1, "jobs", 10, None, "finer")
    assert found[10:] == [(OCT, "technician", None, 3, "jobs", 30, 36, "finer")]


def test_the_first_figures_of_a_measure_in_a_month_are_no_change(database: str) -> None:
    was = {(OCT, "Ann", "jobs"): 1}
    now = {(OCT, "Ann", "jobs"): 1, (OCT, "Ann", "callbacks"): 2, (dt.date(2024, 11, 1), "Ann", "jobs"): 3}
    assert noted(database, was, now) == []


def test_a_dimension_that_the_rules_no_longer_have_is_no_change(database: str) -> None:
    assert noted(database, {(OCT, "Bo", "jobs"): 1}, {(OCT, "Bo", "jobs"): 5}, dimension="zip") == []


def test_an_edit_that_changes_thousands_of_members_is_told_by_measure_and_month(database: str) -> None:
    months = [dt.date(2020 + n // 12, n % 12 + 1, 1) for n in range(26)]
    was = {(m, f"t{n}", measure): 1 for m in months for n in range(12) for measure in ("jobs", "repairs")}
    found = noted(database, was, dict.fromkeys(was, 2))
    assert {r[2] for r in found} == {None}
    assert sorted(r[:7] for r in found) == sorted(
        (m, "technician", None, 12, measure, 12, 24) for m in months for measure in ("jobs", "repairs")
    )
