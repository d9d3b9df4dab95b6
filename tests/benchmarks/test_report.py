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


def test_a_goal_is_met_at_its_limit_and_missed_beyond_it() -> None:
    assert told("hand-written DuckDB", size(100)) == Goal(
        "exports to metrics: at most 1.2 times the hand-written DuckDB SQL", "1.00 times at 100 jobs", met=True
    )
    slower = figure(3.3, typed=2.0)
    assert told("hand-written DuckDB", size(100, **{"peer/DuckDB SQL": slower})).met is False


def test_four_times_faster_is_taken_from_the_peers_own_clock_where_it_has_one() -> None:
    goal = told("faster than Postgres", size(100))
    assert (goal.measured, goal.met) == ("4.50 times at 100 jobs", True)


def test_a_figure_that_is_missing_is_not_measured_and_not_met() -> None:
    bare = size(100)
    del bare["figures"]["rmetrics/first sync"]["parts"]
    assert told("hand-written DuckDB", bare) == Goal(
        "exports to metrics: at most 1.2 times the hand-written DuckDB SQL", "not measured", None
    )


def test_a_day_is_compared_with_the_full_rebuild_and_with_a_history_four_times_as_long() -> None:
    small, large = size(100), size(400, **{"rmetrics/one more day": figure(1.0, publish=0.2)})
    assert told("8 %", small, large).measured == "10.0% at 400 jobs"
    assert told("8 %", small, large).met is False
    assert told("4 times as long", small, large).measured == "1.67 times at 400 jobs"
    assert told("4 times as long", small, large).met is False


def test_publishing_is_compared_by_rate() -> None:
    assert told("bare ADBC", size(100)).measured == "100% at 100 jobs"
    fewer = figure(2.5, rows=2000, seconds=2.0)
    assert told("bare ADBC", size(100, **{"publish/bare ADBC": fewer})).met is False


def test_memory_is_the_highest_of_any_command() -> None:
    large = size(100, **{"rmetrics/status": figure(0.5, rss=5 * 2**30)})
    assert told("4 GiB", large) == Goal(
        "peak memory under 4 GiB (the goal is for 20 million jobs)", "5.00 GiB at 100 jobs", met=False
    )


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
