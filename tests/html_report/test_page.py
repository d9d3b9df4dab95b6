"""The report page as text: its figures are those of the lake, its parts are whole, and it asks no network."""

import dataclasses
import datetime as dt
import json
import re
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from published import Published
from rmetrics.cli.app import run
from rmetrics.findings import Finding, Severity
from rmetrics.html_report.charts import charts
from rmetrics.html_report.data import PageData, month_days
from rmetrics.html_report.html import page_html
from rmetrics.html_report.sections import ends
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.month_line import MonthLine
from rmetrics.opening import open_project
from rmetrics.pipeline.forecasts import Estimate
from rmetrics.pipeline.workspace import opened
from rmetrics.usecases.report import page_data, picture
from support import Project


class Tables(HTMLParser):
    """Tables of a page by id: rows of (shown, exact value or None); ids; whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self.ids: list[str] = []
        self.open: list[str] = []
        self._name, self._cell = "", ""
        self._exact: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remembers where it is."""
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag not in {"meta", "link"}:
            self.open.append(tag)
        if tag == "table":
            self._name = str(found["id"])
            self.tables[self._name] = []
        elif tag == "tr" and self._name:
            self.tables[self._name].append([])
        elif tag == "td":
            self._cell, self._exact = "", found.get("data-value")

    def handle_endtag(self, tag: str) -> None:
        """Takes the cell in."""
        assert self.open.pop() == tag
        if tag == "td":
            self.tables[self._name][-1].append((self._cell, self._exact))
        elif tag == "table":
            self._name = ""

    def handle_data(self, data: str) -> None:
        """Collects text."""
        self._cell += data


def body_rows(text: str, table: str) -> list[list[tuple[str, str | None]]]:
    """The rows of a table without its heading."""
    return [r for r in Tables(text).tables[table] if r]


@pytest.fixture(scope="module")
def page(sample: Published) -> PageData:
    """The page's data for December 2024."""
    assert sample.project is not None
    with opened(open_project(sample.project.settings)) as lake:
        return page_data(lake)


@pytest.fixture(scope="module")
def monthly(sample: Published) -> pl.DataFrame:
    """The computed months."""
    assert sample.project is not None
    return load(Lake(sample.project.settings.lake_dir)).scan("monthly_metrics").collect()


@pytest.fixture(scope="module")
def html(page: PageData) -> str:
    """The page without the charting library."""
    return page_html(page, "/* library */")


def test_the_table_of_months_equals_the_metrics(html: str, monthly: pl.DataFrame) -> None:
    """Twelve months, newest first; counts and money exact."""
    rows = body_rows(html, "table-against")
    assert [r[0][0] for r in rows] == [f"2024-{n:02d}" for n in range(12, 0, -1)]
    for row in rows:
        month = monthly.filter(pl.col("month") == dt.date.fromisoformat(row[0][0] + "-01"))
        sums = month.select(pl.col("leads", "units", "repairs", "revenue40", "cost").sum()).row(0)
        exact = [Decimal(row[i][1] or "") for i in (1, 2, 3, 9, 12)]
        assert exact == [Decimal(s) for s in sums]
        assert Decimal(row[15][1] or "") == sums[3] - sums[4]
        assert Decimal(row[13][1] or "") == sums[4] / sums[0]


def test_the_table_of_sources_equals_the_metrics_and_adds_up(html: str, monthly: pl.DataFrame) -> None:
    """Every source of December, and ALL last as their sum."""
    rows = body_rows(html, "table-sources")
    december = monthly.filter(pl.col("month") == dt.date(2024, 12, 1))
    assert {r[0][0] for r in rows} == {*december["source"], "ALL"}
    assert rows[-1][0][0] == "ALL"
    for column, name in ((1, "leads"), (3, "repairs"), (7, "revenue40"), (10, "cost")):
        for row in rows[:-1]:
            assert Decimal(row[column][1] or "") == december.filter(pl.col("source") == row[0][0])[name].sum()
        assert sum(Decimal(r[column][1] or "") for r in rows[:-1]) == Decimal(rows[-1][column][1] or "")


@pytest.mark.parametrize(
    ("currency", "shown"), [("USD", r"-?\$[\d,.]+"), ("EUR", r"-?€[\d,.]+"), ("CHF", r"-?CHF [\d,.]+")]
)
def test_amounts_carry_their_currency(page: PageData, currency: str, shown: str) -> None:
    """In every table and tile; counts and shares have none."""
    text = page_html(dataclasses.replace(page, currency=currency), "")
    columns = {
        "table-against": (9, 10, 12, 13, 14, 15),
        "table-sources": (7, 8, 10, 11, 12, 13),
        "table-channel-0": (7, 8, 9, 10, 11),
    }
    for table, money in columns.items():
        for row in body_rows(text, table):
            for i, (cell, _) in enumerate(row):
                assert (cell == "—" or bool(re.fullmatch(shown, cell))) if i in money else not re.search(shown, cell), (
                    row
                )
    tiles = dict(re.findall(r'<div class="tile"><span>([^<]*)</span><b[^>]*>([^<]*)</b>', text))
    assert all(
        re.fullmatch(shown, tiles[n]) for n in ("Revenue40", "Revenue40 at month end", "Cost per lead", "Profit")
    )
    assert not re.search(shown, tiles["Repairs"])


def test_health_lists_every_feed_and_finding(html: str, page: PageData) -> None:
    """Seven feeds with their rows; each finding with its message."""
    feeds = {r[0][0]: r for r in body_rows(html, "table-feeds")}
    assert {n: int(r[1][1] or "") for n, r in feeds.items()} == {f.feed: f.rows for f in page.feeds}
    assert len(feeds) == 7
    assert [r[1][0] for r in body_rows(html, "table-findings")] == [f.code for f in page.findings]


def test_charts_hold_the_metrics(page: PageData, monthly: pl.DataFrame) -> None:
    """Bars by source and by segment add up to the months; the line of repairs ends at the month's."""
    drawn = charts(page)
    year = monthly.filter(pl.col("month") >= dt.date(2024, 1, 1))
    by_source = drawn["repairs-by-source"][1]["data"]["values"]
    assert sum(r["value"] for r in by_source) == year["repairs"].sum()
    by_segment = drawn["revenue-by-segment"][1]["data"]["values"]
    assert sum(r["value"] for r in by_segment) == pytest.approx(float(year["revenue40"].sum()))
    so_far = [r["value"] for r in drawn["repairs-to-date"][1]["data"]["values"] if r["name"] == "So far"]
    assert so_far == sorted(so_far)
    assert (len(so_far), so_far[-1]) == (31, 49)


def test_each_chart_has_data_a_place_and_a_button(html: str, page: PageData) -> None:
    """One box and one PNG button for each specification, and rows in each."""
    specs = json.loads(re.findall(r'<script type="application/json" id="charts">(.*?)</script>', html)[0])
    assert set(specs) == {f"chart-{name}" for name in charts(page)}
    assert len(specs) == 12 + 2 * len(page.sources) + len(page.funnel)
    found = Tables(html)
    for name, spec in specs.items():
        assert spec["data"]["values"], name
        assert found.ids.count(name) == 1
        assert html.count(f'data-chart="{name}"') == 1


def test_the_page_is_whole_and_asks_no_network(html: str) -> None:
    """Elements are closed, ids are unique, links lead somewhere; no address of anything to load."""
    found = Tables(html)
    assert found.open == []
    assert len(set(found.ids)) == len(found.ids)
    assert (
        set(re.findall(r'href="#(\w+)"', html)) == {"months", "month", "channels", "health", "funnel"} <= set(found.ids)
    )
    assert re.findall(r'(?:src|href)="(?!#|data:)', html) == []
    assert "@import" not in html
    assert "url(" not in html


def test_words_from_the_data_cannot_become_markup(page: PageData) -> None:
    """A source, a feed and a finding with tags and quotes are shown as they are."""
    evil = "</script><b onclick='x'>\"O'Brien\"</b>"
    line = page.lines[-1]
    lines = (*page.lines, MonthLine(page.month, evil, 1, 1, 1, 1, line.revenue_gross, Decimal(9), Decimal(1)))
    made = PageData(page.month, page.last_day, page.timezone, page.currency, page.version, lines, page.segments, page.days, page.feeds, (Finding(evil, Severity.ERROR, evil, 1),))  # fmt: skip
    text = page_html(made, "")
    assert "<b onclick" not in text
    assert Tables(text).open == []
    assert body_rows(text, "table-findings")[0][1][0] == evil
    assert "1 failed check:" in text
    specs = json.loads(re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)[0])
    assert any(r["name"] == evil for r in specs["chart-repairs-by-source"]["data"]["values"])


def days(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """``daily_metrics`` of (date, source, leads, repairs, revenue40, cost)."""
    made = [{"date": d, "source": s, "segment": "COD", "leads": n, "units": 0, "repairs": r, "revenue40": Decimal(v), "cost": Decimal(c)} for d, s, n, r, v, c in rows]  # fmt: skip
    types: dict[str, Any] = {"date": pl.Date, "revenue40": pl.Decimal(18, 6), "cost": pl.Decimal(18, 2)}
    return pl.DataFrame(made, schema_overrides=types)


def test_days_add_up_and_end_with_the_data() -> None:
    """February of a leap year: two days with rows, a day between them, nothing after the last day, pace to the 29th."""
    frame = days([
        (dt.date(2024, 1, 31), "A", 9, 9, "9", "9"),
        (dt.date(2024, 2, 1), "A", 2, 1, "40.5", "10"),
        (dt.date(2024, 2, 3), "A", 1, 1, "1", "5"),
        (dt.date(2024, 2, 3), "B", 1, 1, "2", "0"),
    ])  # fmt: skip
    made = month_days(frame, dt.date(2024, 2, 1), dt.date(2024, 2, 3), (Decimal(58), None))
    assert [(d.date.day, d.repairs, d.repairs_to_date, d.revenue40_to_date, d.leads_to_date, d.cost_to_date) for d in made[:4]] == [
        (1, 1, 1, Decimal("40.5"), 2, Decimal(10)),
        (2, 0, 1, Decimal("40.5"), 2, Decimal(10)),
        (3, 2, 3, Decimal("43.5"), 4, Decimal(15)),
        (4, None, None, None, None, None),
    ]  # fmt: skip
    assert [d.repairs_pace for d in made] == [2 * n for n in range(1, 30)]
    assert {d.revenue40_pace for d in made} == {None}


def test_the_forecast_is_drawn_only_while_the_month_runs(page: PageData) -> None:
    """From the last whole day to the end, and to either end of its range. A complete month has none."""
    frame = days([(dt.date(2024, 12, 1), "A", 1, 5, "1", "1"), (dt.date(2024, 12, 10), "A", 1, 5, "1", "1")])
    running = month_days(frame, dt.date(2024, 12, 1), dt.date(2024, 12, 10), (Decimal(62), None))
    ahead = Estimate(
        dt.date(2024, 12, 1), "ALL", "repairs", dt.date(2024, 12, 10), Decimal(10),
        tuple((dt.date(2024, 12, d), Decimal(d)) for d in range(11, 32)), Decimal(31), Decimal(28), Decimal(34), 12,
    )  # fmt: skip
    made = PageData(
        dt.date(2024, 12, 1), dt.date(2024, 12, 10), "UTC", "EUR", "0", page.lines, page.segments, running, page.feeds, (),
        (ahead,),
    )  # fmt: skip
    values = charts(made)["repairs-to-date"][1]["data"]["values"]
    drawn = {r["day"]: r["value"] for r in values if r["name"] == "Forecast"}
    assert (min(drawn), max(drawn)) == (10, 31)
    assert (drawn[10], drawn[31]) == (10, 31)
    assert [r["value"] for r in values if r["name"].startswith("4 of 5") and r["day"] == 31] == [28, 34]
    assert ends(made, "repairs", Decimal(62)) == "target 62; an estimate, 4 of 5 months end between 28 and 34"
    assert ends(replace(made, estimates=()), "repairs", None).endswith("no forecast: fewer than eight weeks of data")
    assert not [r for r in charts(page)["repairs-to-date"][1]["data"]["values"] if r["name"] == "Forecast"]
    assert "No findings." in page_html(replace(made, month=page.month), "")


def test_a_month_that_is_over_ends_at_its_figure(page: PageData) -> None:
    line = page.whole[page.month]
    assert page.month_end(line, "repairs") == line.repairs
    assert page.month_end(line, "revenue40") == line.revenue40


def test_a_chart_becomes_a_picture(page: PageData) -> None:
    """A PNG of a sensible size, drawn without a browser."""
    image = picture(charts(page)["cpl"][1])
    assert image.startswith(b"\x89PNG")
    assert len(image) > 5_000


# -- the command


@pytest.fixture
def inside(sample: Published, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Project:
    """The sample project as the settings, in an empty working folder."""
    assert sample.project is not None
    for name, value in sample.project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rmetrics.usecases.report.library", lambda: "/* library */")
    return sample.project


def test_the_command_writes_the_newest_month(
    inside: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Into the working folder under the month's name; JSON says where; the lake is left alone."""
    before = {p: p.stat().st_mtime_ns for p in inside.settings.lake_dir.rglob("*.parquet")}
    assert run(["report", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["month"], told["page"]) == ("2024-12-01", "report-2024-12.html")
    text = (tmp_path / "report-2024-12.html").read_text(encoding="utf-8")
    assert told["size"] == len(text.encode())
    assert "<title>Metrics for December 2024</title>" in text
    assert {p: p.stat().st_mtime_ns for p in inside.settings.lake_dir.rglob("*.parquet")} == before


def test_another_month_another_file(inside: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--month takes the earlier month in depth, with no later one on the page; quiet says nothing."""
    assert inside
    assert run(["report", "--month", "2024-03", "-o", "march.html", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    rows = body_rows((tmp_path / "march.html").read_text(encoding="utf-8"), "table-against")
    assert (rows[0][0][0], rows[-1][0][0]) == ("2024-03", "2023-10")


@pytest.mark.parametrize(
    ("month", "hint"),
    [("2030-01", "from 2023-10 to 2024-12"), ("March", "Use the form YYYY-MM"), ("2024-13", "Use the form YYYY-MM")],
)
def test_a_month_without_data_is_refused(
    inside: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], month: str, hint: str
) -> None:
    """Exit 2, the months there are or how one is written, and no file."""
    assert inside
    assert run(["report", "--month", month]) == 2
    error = capsys.readouterr().err
    assert month in error
    assert hint in error
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error_of_the_user(
    inside: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder does not exist."""
    assert inside
    assert run(["report", "-o", "nowhere/page.html"]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_before_the_first_sync_there_is_nothing_to_report(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 4, and what to do."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    assert run(["report"]) == 4
    assert "rmetrics sync" in capsys.readouterr().err
