"""Sources, files and rules whose names are HTML, addresses or TOML: shown as they are, linked, and never run."""

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from serve_sites import client_of
from small_company import jobs
from support import fresh_database, new_project

ODD = ['<img src=x onerror="alert(1)">', "</script><script>alert(2)</script>", "A/B?x#y&z=1", "O'Hara \"Tom\"", "..", "a%2Fb", "&lt;b&gt;"]  # fmt: skip
NO_PAGE = {"..", "a%2Fb"}  # no address has the one; the test client unquotes the other twice


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, pg_uri: str) -> Iterator[TestClient]:
    """A company with a job of each odd source, a rejected row in an oddly named file, and an odd rule."""
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("odd") / "project", uri)
        rows = [(i, "COD Repair", name, "11/20/2024") for i, name in enumerate(ODD, 1)]
        project.put('jobs <b onclick="x">.csv', jobs(*rows, (99, "COD Repair", "Google", "<i>never</i>")))
        rule = '[sources."<u>Rule</u>"]\nleads = "jobs"\ncost = { per_lead = 1.00 }\n'
        (project.rules / "odd.toml").write_text(rule, encoding="utf-8")
        project.sync()
        with client_of(project.settings, rows=True) as client:
            yield client


PATHS = ("/", "/month/2024-11", "/explain?source=ALL&month=2024-11", "/rejected", "/health", "/health?feed=jobs", "/rules", "/rules?file=odd.toml",
         "/measures", "/plan", "/runs")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.ordinary(3, deep=40)
def test_nothing_odd_becomes_markup(pages: TestClient, path: str) -> None:
    text = pages.get(path).text
    for tag in re.findall(r"<(img|i|u|b onclick)\b", text):
        assert tag == "b", tag
    assert "<script>" not in text
    assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', text))


@pytest.mark.parametrize("name", ODD)
@pytest.mark.ordinary(3, deep=40)
def test_an_odd_source_has_its_figures_and_its_explanation(pages: TestClient, name: str) -> None:
    text = pages.get("/month/2024-11").text
    hrefs = {unescape(h) for h in re.findall(r'href="(/explain[^"]*)"', text)}
    mine = [h for h in hrefs if parse_qs(urlsplit(h).query).get("source") == [name] and "metric=jobs" not in h]
    assert mine
    answer = pages.get(next(h for h in mine if "metric=repairs" in h))
    assert answer.status_code == 200
    assert 'data-metric="repairs" data-value="1"' in answer.text
    assert name in unescape(answer.text)


@pytest.mark.parametrize("name", [n for n in ODD if n not in NO_PAGE])
def test_an_odd_source_has_its_page(pages: TestClient, name: str) -> None:
    text = pages.get("/").text
    hrefs = {unescape(h) for h in re.findall(r'href="(/source/[^"]*)"', text)}
    assert name in [
        unescape(re.findall(r"<h1>(.*?)</h1>", pages.get(h).text)[0]) for h in hrefs if pages.get(h).status_code == 200
    ]


@pytest.mark.deep
def test_an_odd_rule_can_be_tried(pages: TestClient) -> None:
    answer = pages.get(
        "/plan", params={"key": "sources.<u>Rule</u>.cost.per_lead", "value": "2.50", "from": "2025-01-01"}
    )
    assert '[[sources."<u>Rule</u>".changes]]' in unescape(answer.text)
    assert "<u>" not in answer.text
