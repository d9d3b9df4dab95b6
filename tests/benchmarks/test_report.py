"""The benchmark's document: goals, tables and charts say what the figures say."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from charts import bars, lines
from goals import Goal, goals
from report import DOCS, HERE, RESULTS, document, write

from made_figures import figure, results, size


def told(words: str, *sizes: dict) -> Goal:  # type: ignore[type-arg]
    (found,) = [g for g in goals(results(*sizes)) if words in g.words]
    return found


DUCKDB = "exports to metrics, 100 jobs: at most 0.9 times hand-written DuckDB"


def test_a_goal_is_met_at_its_limit_and_missed_beyond_it() -> None:
    at_the_limit = size(100, **{"peer/DuckDB SQL": figure(4.0 / 0.9)})
    assert told("hand-written DuckDB", at_the_limit) == Goal(DUCKDB, "0.90 times at 100 jobs", met=True)
    assert told("hand-written DuckDB", size(100)) == Goal(DUCKDB, "1.00 times at 100 jobs", met=False)


def test_four_times_faster_is_taken_from_the_peers_own_clock_where_it_has_one() -> None:
    goal = told("faster than Postgres", size(100))
    assert (goal.measured, goal.met) == ("4.50 times at 100 jobs", True)


def test_a_figure_that_is_missing_is_not_measured_and_not_met() -> None:
    bare = size(100)
    del bare["figures"]["rmetrics/first sync"]["parts"]
    assert told("hand-written DuckDB", bare) == Goal(DUCKDB, "not measured", None)


def test_every_size_with_peers_has_its_goal_against_duckdb_and_the_largest_those_against_the_others() -> None:
    words = [g.words for g in goals(results(size(400), size(100))) if "DuckDB" in g.words or "pandas" in g.words]
    assert [w.partition(",")[2].partition(":")[0].strip() for w in words[:2]] == ["100 jobs", "400 jobs"]
    assert sum("pandas" in w for w in words) == 1


def test_publishing_is_compared_with_a_copy_into_bare_tables() -> None:
    bare = {"publish/COPY into bare tables": figure(1.1, rows=1000, seconds=1.0)}
    assert told("bare tables", size(100, **bare)) == Goal(
        "publishing: at most 2.0 times a COPY of the same rows into bare tables", "2.00 times at 100 jobs", met=True
    )
    assert told("bare tables", size(100)).met is None


def test_journeys_may_take_a_quarter_of_what_is_left_without_them() -> None:
    quarter = size(100, **{"journeys/rmetrics": figure(2.0, rows=70, seconds=0.8)})
    assert (told("leads to jobs", quarter).measured, told("leads to jobs", quarter).met) == (
        "25% longer at 100 jobs",
        True,
    )
    more = size(100, **{"journeys/rmetrics": figure(2.0, rows=70, seconds=1.0)})
    assert (told("leads to jobs", more).measured, told("leads to jobs", more).met) == ("33% longer at 100 jobs", False)


def test_a_day_may_take_longer_where_it_has_four_times_the_rows() -> None:
    day = {"rmetrics/one more day": figure(3.0, publish=0.2)}
    assert told("one more day", size(5_000_000, **day)).met is False
    assert told("one more day", size(20_000_000, **day)).met is True


def test_each_goal_is_judged_at_the_size_it_is_set_for() -> None:
    sizes = size(5_000_000), size(20_000_000)
    assert [g.words[-3:] for g in goals(results(*sizes)) if "one more day" in g.words] == ["2 s", "5 s"]
    assert told("`explain`", *sizes).measured.endswith("at 5,000,000 jobs")
    assert told("2.5 GiB", *sizes).measured.endswith("at 20,000,000 jobs")
    assert told("nothing new, the server", *sizes).measured.endswith("at 20,000,000 jobs")


def test_memory_is_the_highest_of_any_command() -> None:
    large = size(100, **{"rmetrics/status": figure(0.5, rss=5 * 2**30)})
    assert told("2.5 GiB", large) == Goal(
        "peak memory of every command: under 2.5 GiB (the goal is for 20 million jobs)",
        "5.00 GiB at 100 jobs", met=False,
    )  # fmt: skip


def test_other_shapes_are_told_where_they_were_measured() -> None:
    run = results(size(100))
    assert {g.met for g in goals(run) if "cron box" in g.words} == {None}
    run["shapes"] = {
        f"cron box/{what}": figure(seconds, rows=3_650)
        for what, seconds in (("first sync", 15.5), ("nothing new", 0.5), ("one more export", 1.0))
    } | {"cron box/files in the lake": {**figure(), "rows": 3_900}}
    found = {g.words: (g.measured, g.met) for g in goals(run)}
    assert found["a cron box after five years (3,650 exports), first sync under 15 s"] == ("15.50 s", False)
    assert found["the same, nothing new, under 0.6 s"] == ("0.50 s", True)
    assert found["the same: at most one file per export and a few hundred beside them"] == ("3,900 files", True)
    assert "| cron box | 3,650 | 15.5 s |" in document(run, "")


def test_the_document_has_every_peer_and_the_notes(tmp_path: Path) -> None:
    write(results(size(100), size(400)), "## Findings\n\nA note.\n", tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    for words in (
        "pandas",
        "dbt-duckdb",
        "Postgres COPY and SQL",
        "landing",
        "| 400 |",
        "A note.",
        "`abc`",
        "polars 2.1",
    ):
        assert words in text
    linked = {line.split("](")[1].rstrip(")\n") for line in text.splitlines() if line.startswith("![")}
    assert {p.name for p in tmp_path.glob("*.svg")} == linked
    for chart in tmp_path.glob("*.svg"):
        ET.fromstring(chart.read_text())  # noqa: S314 - our own file


def test_a_run_of_rmetrics_alone_without_stages_makes_a_document_too() -> None:
    alone = size(100)
    alone["figures"] = {n: f for n, f in alone["figures"].items() if n.startswith("rmetrics/")}
    del alone["figures"]["rmetrics/first sync"]["parts"]
    assert "did not record the stages" in document(results(alone), "")


def test_bars_are_as_long_as_their_values() -> None:
    svg = bars("t", {"rmetrics": 1.0, "<other>": 4.0}, str)
    widths = [float(r.get("width", "0")) for r in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}rect")][1:]  # noqa: S314
    assert widths[1] == 4 * widths[0]
    assert "&lt;other&gt;" in svg


def test_a_power_law_is_a_straight_line() -> None:
    svg = lines("t", {"a": [(10, 1), (100, 10), (1000, 100)]}, str, str)
    line = next(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}polyline"))  # noqa: S314
    (x0, y0), (x1, y1), (x2, y2) = (map(float, p.split(",")) for p in str(line.get("points")).split())
    assert abs((x1 - x0) - (x2 - x1)) < 0.2
    assert abs((y1 - y0) - (y2 - y1)) < 0.2


def test_the_document_says_what_the_results_say() -> None:
    path = DOCS / "benchmarks.md"
    if not path.exists():
        pytest.skip("nothing has been measured yet")
    text = path.read_text()
    named = re.search(r"from benchmarks/results/(\w+)\.json", text)
    assert named
    run = json.loads((RESULTS / f"{named[1]}.json").read_text())
    assert document(run, (HERE / "notes.md").read_text()) == text


def test_sizes_of_other_revisions_are_told_apart() -> None:
    later = {**size(400), "revision": "later", "at": "2026-02-02"}
    text = document(results(size(100), later), "")
    assert ": 100 jobs. Revision `later`, 2026-02-02: 400 jobs." in text
