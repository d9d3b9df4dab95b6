"""Rows that somebody typed into published tables: a sync takes them out, and says which and where to put them."""

import pytest

from published import run
from small_company import jobs, targets
from support import Project

pytestmark = pytest.mark.one_engine


@pytest.fixture
def published(project: Project) -> Project:
    project.put("Import-1.csv", jobs((1, "COD Repair", "Google", "11/5/2024"), (2, "INS Repair", "Rely", "11/6/2024")))
    project.put("targets.csv", targets(("2024-11", 30)))
    project.sync()
    return project


def told(project: Project) -> list[tuple[str, int]]:
    return [(f.message, f.rows) for f in project.sync().findings if f.code == "rows-by-hand"]


def test_targets_typed_into_the_database_are_named_when_they_go(published: Project) -> None:
    run(
        published.dsn,
        "INSERT INTO targets (month, target_repairs) VALUES ('2026-01-01', 31)",
        "INSERT INTO targets (month, source, target_repairs) VALUES ('2024-11-01', 'Google', 9), ('2026-01-01', 'Rely', 4)",
    )
    ((message, rows),) = told(published)
    assert rows == 3
    assert message.startswith("3 rows of targets came from no export and were removed (first: 2024-11-01, Google, ALL)")
    assert "rmetrics target set" in message
    assert published.rows("SELECT month::text, source FROM targets") == [("2024-11-01", "ALL")]
    assert told(published) == []


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE targets SET target_repairs = 99", "1 row of targets had been changed or deleted in the database and was restored"),
        ("INSERT INTO payments (payment_id, job_ref, amount, counted) VALUES ('9', 'unknown', 5, true)",
         "1 row of payments came from no export and was removed (first: 9)"),
        ("DELETE FROM targets WHERE month = '2024-11-01' AND source = 'x'", ""),
        ("DELETE FROM jobs WHERE job_id = '2'", "1 row of jobs had been changed or deleted in the database and was restored"),
        ("INSERT INTO daily_metrics (date, source, segment, leads) VALUES ('2024-11-09', 'Rely', 'INS', 5)",
         "1 row of daily_metrics came from no export and was removed (first: 2024-11-09, Rely, INS)"),
    ],
)  # fmt: skip
@pytest.mark.ordinary(0, deep=3)
def test_rows_of_any_table_are_named(published: Project, statement: str, expected: str) -> None:
    run(published.dsn, statement)
    messages = told(published)
    assert [m[: len(expected)] for m, _ in messages] == ([expected] if expected else [])
    assert published.rows("SELECT target_repairs FROM targets") == [("30.00",)]
    assert published.rows("SELECT job_id FROM jobs ORDER BY 1") == [("1",), ("2",)]


@pytest.mark.deep
def test_rows_that_a_corrected_export_takes_away_are_no_ones_hand(published: Project) -> None:
    published.put("targets.csv", targets(("2024-12", 40)))
    run(published.dsn, "INSERT INTO targets (month, target_repairs) VALUES ('2026-01-01', 31)")
    ((message, rows),) = told(published)
    assert (rows, "2026-01-01, ALL, ALL" in message) == (1, True)
