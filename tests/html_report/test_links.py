"""Figures of the report that lead to ``rmetrics serve``."""

import datetime as dt

import pytest

from published import Published
from rmetrics.errors import SettingsError
from rmetrics.html_report import cells
from rmetrics.html_report.cells import NO_LINKS, Links
from rmetrics.settings import Settings, load_settings
from rmetrics.usecases.report import write_page

MONTH = dt.date(2024, 11, 1)


def test_an_address_is_quoted_part_by_part() -> None:
    to = Links("http://127.0.0.1:8787")
    assert (
        to.figure("cost", "A&B / C's", MONTH, "COD")
        == "http://127.0.0.1:8787/explain?source=A%26B%20%2F%20C%27s&month=2024-11&metric=cost&segment=COD"
    )
    assert to.source("A/B?x#y", MONTH) == "http://127.0.0.1:8787/source/A/B%3Fx%23y?month=2024-11"
    assert Links("").source("..", MONTH) == "/explain?source=..&month=2024-11"
    assert Links("").month(MONTH) == "/month/2024-11"
    assert NO_LINKS.figure("cost", "A", MONTH) is None


def test_a_cell_escapes_both_its_text_and_its_address() -> None:
    made = cells.cell('<b>"', href='/x?a="><script>')
    assert made == '<td><a href="/x?a=&quot;&gt;&lt;script&gt;">&lt;b&gt;&quot;</a></td>'
    assert cells.cell(cells.DASH, href="/x") == f"<td>{cells.DASH}</td>"


def test_a_title_stands_as_its_cells_do() -> None:
    text = cells.table(
        ("Name", "Rows", "Why"), [[cells.cell("a", text=True), cells.count(1), '<td class="fold">b</td>']], "t"
    )
    assert (
        '<th scope="col" class="text">Name</th><th scope="col">Rows</th><th scope="col" class="text">Why</th>' in text
    )


@pytest.mark.parametrize("base", [None, "http://127.0.0.1:8787"])
@pytest.mark.ordinary(1, deep=1)
def test_the_report_links_only_where_an_address_is_set(
    sample: Published, tmp_path_factory: pytest.TempPathFactory, base: str | None
) -> None:
    assert sample.project is not None
    settings = sample.project.settings.model_copy(update={"serve_url": base})
    text = write_page(settings, output=tmp_path_factory.mktemp("page") / "report.html").page.read_text(encoding="utf-8")
    found = text.count('<a href="http://127.0.0.1:8787/explain?source=')
    assert (found > 300) if base else (found == 0)


@pytest.mark.parametrize(
    ("value", "right"),
    [("http://127.0.0.1:8787", True), ("http://127.0.0.1:8787/", True), ("https://figures.example/rmetrics", True), ("", True),
     ("http://[::1]:8787", True), ("javascript:alert(1)", False), ("127.0.0.1:8787", False), ("http://a b", False),
     ("http://a/?x=1", False), ('http://a"onclick=', False)],
)  # fmt: skip
def test_only_an_address_is_taken_for_one(monkeypatch: pytest.MonkeyPatch, value: str, *, right: bool) -> None:
    monkeypatch.setenv("RMETRICS_SERVE_URL", value)
    monkeypatch.setenv("RMETRICS_RULES_DIR", "rules")
    if right:
        assert load_settings().links_to == (value.rstrip("/") or None)
    else:
        with pytest.raises(SettingsError, match="RMETRICS_SERVE_URL"):
            load_settings()
    assert Settings(_env_file=None, serve_url=None).links_to is None
