"""Data links of the dashboards: each names a page that exists, with the source and month of its figure."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from rmetrics.explain.asked import MEASURES
from rmetrics.grafana.kit import dashboards
from rmetrics.grafana.model import Installation, Json
from rmetrics.rules import load_rules
from rmetrics.serve.formulas import FORMULAS, TARGETS
from rmetrics.usecases.grafana import kit_files
from support import ROOT

BASE = "http://127.0.0.1:8787"


def linked() -> list[tuple[Json, Json, str, str]]:
    """Dashboard, panel, column and address of every data link."""
    return [
        (d, p, o["matcher"]["options"], link["url"])
        for d in dashboards(Installation("UTC", "USD", BASE))
        for p in d["panels"]
        for o in p["fieldConfig"]["overrides"]
        for q in o["properties"]
        if q["id"] == "links"
        for link in q["value"]
    ]


def test_every_link_asks_serve_for_a_figure_it_knows() -> None:
    assert len(linked()) > 50
    for _, panel, column, url in linked():
        assert url.startswith(f"{BASE}/explain?")
        query = parse_qs(urlsplit(url).query)
        assert query["metric"][0] in {*MEASURES, *FORMULAS, *TARGETS, "calls"}
        assert f'AS "{column}"' in "\n".join(t["rawSql"] for t in panel["targets"])
        assert set(query) <= {"source", "month", "metric", "segment", "day"}


def test_a_link_fills_in_only_columns_and_variables_that_its_panel_has() -> None:
    for dashboard, panel, _, url in linked():
        sql = "\n".join(t["rawSql"] for t in panel["targets"])
        variables = {v["name"]: v for v in dashboard["templating"]["list"]}
        for field in re.findall(r"\$\{__data\.fields\.(\w+):percentencode\}", url):
            assert f'AS "{field}"' in sql
        for name in re.findall(r"\$\{(\w+):percentencode\}", url):
            assert not variables[name]["multi"]


def test_sums_over_months_or_sources_and_running_figures_have_no_link() -> None:
    titles = {p["title"] for _, p, _, _ in linked()}
    assert not titles & {"By source and segment", "Conversions", "CPL and conversion so far"}
    months = next(d for d in dashboards(Installation("UTC", "USD", BASE)) if d["uid"] == "rmetrics-months")
    assert {p["title"] for d, p, _, _ in linked() if d["uid"] == months["uid"]} == {
        "Against target: ${scope}",
        "CPL against its ceiling: ${scope}",
    }


def test_the_rest_of_a_dashboard_is_the_same_with_and_without_links() -> None:
    for with_links, without in zip(
        dashboards(Installation("UTC", "USD", BASE)), dashboards(Installation("UTC", "USD")), strict=True
    ):
        for a, b in zip(with_links["panels"], without["panels"], strict=True):
            assert {**a, "fieldConfig": 0} == {**b, "fieldConfig": 0}
            own = {o["matcher"]["options"]: o["properties"] for o in b["fieldConfig"]["overrides"]}
            for o in a["fieldConfig"]["overrides"]:
                others = [q for q in o["properties"] if q["id"] != "links"]
                assert others == own.get(o["matcher"]["options"], [])


@pytest.mark.parametrize("serve", [None, BASE])
def test_the_kit_has_links_only_where_an_address_is_set(serve: str | None) -> None:
    text = "".join(kit_files(load_rules(ROOT / "rules"), "public", serve).values())
    assert ("/explain?source=" in text) is (serve is not None)
