"""Pages of own measures and members: every figure leads to its explanation, which shows the same figure."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from starlette.testclient import TestClient

from serve_sites import client_of
from small_company import jobs, payments
from support import Project, fresh_database, new_project

OWN = """
[measures.callbacks]
of = "jobs"
count = "type = 'Warranty'"
[measures.callback_rate]
title = "Callbacks <per> repair"
ratio = ["callbacks", "repairs"]
format = "percent"
[dimensions.technician]
of = "jobs"
column = "technician"
split = ","
"""
FIGURE = re.compile(r'<td(?: class="[^"]*")? data-value="([^"]*)"><a href="([^"]*)">')


@pytest.fixture(scope="module")
def company(pg_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A month of jobs with technicians, one of them with a name that HTML would take for a tag."""
    with fresh_database(pg_uri) as uri:
        project = new_project(tmp_path_factory.mktemp("own") / "company", uri)
        (project.rules / "own.toml").write_text(OWN)
        project.put(
            "Import-1.csv",
            jobs(
                (1, "Warranty", "Google", "Tue Nov 05 2024", "Ann"),
                (2, "COD Repair", "Google", "Tue Nov 05 2024", "Ann, <b>Bo & Co</b>"),
                (3, "Warranty", "Rely", "Wed Nov 06 2024", ""),
                more=("Tech",),
            ),
        )
        project.put("payments_1.csv", payments((2, "2024-11-06T15:00:00Z", "100.01", "p1"), more=("Transaction ID",)))
        project.sync()
        yield project


@pytest.fixture(scope="module")
def pages(company: Project) -> Iterator[TestClient]:
    """The pages, without rows of exports."""
    with client_of(company.settings) as client:
        yield client


@pytest.mark.deep
def test_every_figure_of_the_page_of_measures_is_explained(pages: TestClient) -> None:
    text = pages.get("/measures?month=2024-11").text
    assert "Callbacks &lt;per&gt; repair" in text
    assert "<b>Bo" not in text
    mine = {(value, unescape(link)) for value, link in FIGURE.findall(text) if "callback" in link or "member" in link}
    assert len(mine) > 15
    for value, link in sorted(mine)[::3]:
        page = pages.get(link)
        assert page.status_code == 200, link
        metric = re.search(r"metric=(\w+)", link)
        assert metric is not None
        shown = re.search(rf'class="figure" data-metric="{metric[1]}" data-value="([^"]*)"', page.text)
        assert shown is not None, link
        assert float(shown[1]) == float(value), link
        assert 'class="verdict match"' in page.text, link


def test_all_members_and_what_there_is_not(pages: TestClient) -> None:
    page = pages.get("/explain?dimension=technician&month=2024-11&metric=callback_rate")
    assert page.status_code == 200
    assert "agree on every member" in page.text
    assert [v for v, link in FIGURE.findall(page.text) if link.endswith("metric=callbacks")] == ["1.000000"] * 2
    for wrong in ("dimension=tech", "dimension=technician&member=Cy", "dimension=technician&metric=callbax"):
        assert pages.get(f"/explain?{wrong}&month=2024-11").status_code == 404


def test_an_own_measure_of_a_source_has_its_days(pages: TestClient) -> None:
    page = pages.get("/explain?source=Google&month=2024-11&metric=callbacks")
    assert 'data-metric="callbacks" data-value="1' in page.text
    assert 'id="table-by-date"' in page.text
