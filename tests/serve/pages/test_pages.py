"""The pages of the sample: every figure is what ``explain`` says, every link answers, nothing private is shown."""

import functools
import hashlib
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from published import Published
from rmetrics.company import Company
from rmetrics.explain.asked import MEASURES
from rmetrics.serve.app import PAGES
from rmetrics.serve.formulas import FORMULAS

PATHS = ("/", "/month/2024-11", "/source/Google?month=2024-11", "/source/Pro%20Referral", "/explain", "/funnel", "/measures",
         "/health", "/health?feed=jobs", "/health?finding=undeclared-source", "/health?finding=payment-without-job", "/runs", "/rejected", "/rules", "/rules?file=sources.toml", "/plan",
         "/explain?source=Google&month=2024-11&metric=leads", "/explain?source=ALL&metric=cpl",
         "/explain?source=ALL&metric=target_repairs", "/explain?source=Google&metric=calls",
         "/explain?source=eLocals&month=2024-11&metric=cost&segment=COD", "/funnel?month=2024-11&source=elocals",
         "/explain?source=eLocals&month=2024-11&metric=booked", "/explain?source=ALL&metric=journeys.roas",
         "/explain?source=ALL&month=2024-11&metric=revenue40&day=2024-11-05")  # fmt: skip


@pytest.fixture(scope="module")
def page(site: TestClient) -> Callable[[str], Response]:
    """The answer to an address, asked for once however many tests look at it."""
    return functools.cache(site.get)


def links(text: str) -> set[str]:
    """Where a page leads to, on this server."""
    return {unescape(h).partition("#")[0] for h in re.findall(r'(?:xlink:)?href="(/[^"]*)"', text)}


def figures(text: str) -> Iterator[tuple[str, Decimal]]:
    """The address and the exact value of every figure on a page that leads to an explanation."""
    for value, href in re.findall(r'data-value="([^"]+)"><a href="(/explain[^"]*)"', text):
        yield unescape(href), Decimal(value)


def explained(text: str) -> dict[str, Decimal]:
    """What the page of an explanation says of each measure."""
    return {m: Decimal(v) for m, v in re.findall(r'data-metric="([\w.]+)" data-value="([^"]+)"', text)}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.ordinary(8, deep=40)
def test_every_page_answers_and_runs_no_script_of_its_own(page: Callable[[str], Response], path: str) -> None:
    answer = page(path)
    assert answer.status_code == 200
    text = answer.text
    assert text.count("<h1>") == 1
    assert "<main" in text
    assert 'lang="en"' in text
    assert re.findall(r"<script[^>]*>[^<]", text) == []
    assert not re.search(r'\sstyle="|<style|\son\w+="|javascript:|https?://(?!www\.w3\.org)', text)
    assert "Traceback" not in text
    assert ">None<" not in text
    assert "nan" not in re.sub(r"<[^>]+>", " ", text).split()


def test_every_page_of_the_contract_has_a_route() -> None:
    assert set(PAGES) | {"/plan"} >= {
        "/",
        "/explain",
        "/funnel",
        "/measures",
        "/health",
        "/runs",
        "/rejected",
        "/rules",
        "/plan",
    }


@pytest.mark.parametrize("path", ["/funnel?month=2024-11", "/", "/month/2024-11", "/source/Google?month=2024-11"])
@pytest.mark.ordinary(1)
def test_a_figure_is_what_its_explanation_says(site: TestClient, page: Callable[[str], Response], path: str) -> None:
    """One figure of each measure on the page, asked where it leads to."""
    found = dict[tuple[str, bool, bool], tuple[str, Decimal]]()
    for href, value in figures(page(path).text):
        asked = parse_qs(urlsplit(href).query)
        found.setdefault((asked["metric"][0], asked.get("segment", [""])[0] != "", "day" in asked), (href, value))
    assert len(found) >= 8
    for (metric, _, _), (href, value) in found.items():
        if metric == "calls":  # steps of its own, no measure
            assert f">{value:,}</b>" in site.get(href).text, href
            continue
        assert explained(site.get(href).text)[metric] == value, href


# Counts of lines of an export, and values of rules beside their place: the page itself is their explanation.
EXPLAINED = {"/health?feed=jobs", "/plan"}


@pytest.mark.parametrize(
    "path", [p for p in PATHS if not p.startswith(("/explain", "/rejected")) and p not in EXPLAINED]
)
def test_every_figure_leads_somewhere(page: Callable[[str], Response], path: str) -> None:
    text = page(path).text
    alone = re.findall(r'<(?:td|b)[^>]* data-value="([^"]+)">([^<]*)<(?!a)', text)
    assert [(value, shown) for value, shown in alone if shown and shown != "\u2014"] == []


def test_a_finding_leads_to_the_figures_it_counts(site: TestClient) -> None:
    (jobs,) = re.findall(r'data-value="(\d+)"><a href="/health\?finding=undeclared-source"', site.get("/health").text)
    found = list(figures(site.get("/health?finding=undeclared-source").text))
    assert sum(value for _, value in found) == int(jobs)
    href, value = found[0]
    assert explained(site.get(href).text)["jobs"] == value
    paid = list(figures(site.get("/health?finding=payment-without-job").text))
    assert {parse_qs(urlsplit(href).query)["source"][0] for href, _ in paid} == {"Unattributed"}


@pytest.mark.parametrize("source", ["Google", "eLocals", "ALL", "Unattributed"])
@pytest.mark.ordinary(1, deep=1)
def test_an_explanation_is_the_one_of_the_command(site: TestClient, sample: Published, source: str) -> None:
    assert sample.project is not None
    text = site.get(f"/explain?source={source}&month=2024-11").text
    found = Company(sample.project.settings).explain(source, "2024-11")
    assert explained(text) == {m: found.metrics[m].value for m in MEASURES}
    assert f'class="verdict {found.verdict}"' in text
    assert found.verdict == "match"
    for explained_one in found.metrics.values():
        for part in explained_one.parts:
            assert part.where in unescape(text)
            assert all(n.reason in unescape(text) for n in part.nearly)
            assert f"<span>{part.steps[-1].step}</span><b>{part.steps[-1].rows:,}</b>" in text or part.feed is None


@pytest.mark.deep
def test_a_formula_is_computed_from_the_figures_it_names(site: TestClient) -> None:
    for metric, formula in FORMULAS.items():
        made = explained(site.get(f"/explain?source=ALL&month=2024-11&metric={metric}").text)
        assert set(made) == {metric, *formula.parts}
    made = explained(site.get("/explain?source=ALL&month=2024-11&metric=cpl").text)
    assert made["cpl"] == made["cost"] / made["leads"]
    made = explained(site.get("/explain?source=Google&month=2024-11&metric=profit&segment=COD").text)
    assert made["profit"] == made["revenue40"] - made["cost"]


def test_the_funnel_leads_to_the_figures_it_is_made_of(site: TestClient) -> None:
    made = explained(site.get("/explain?source=eLocals&month=2024-11&metric=journeys.roas").text)
    assert made["journeys.roas"] == made["journeys.revenue_gross"] / made["cost"]
    text = site.get("/explain?source=ALL&month=2024-11&metric=booked").text
    (whole,) = {Decimal(v) for v in re.findall(r'class="figure" data-metric="booked" data-value="([^"]+)"', text)}
    for name in ("by-source", "by-date"):
        parts = text.partition(f'id="table-{name}"')[2].partition("</table>")[0]
        assert sum(map(Decimal, re.findall(r'data-value="([^"]+)"', parts))) == whole
    assert 'id="table-by-segment"' not in text
    recorded = site.get("/explain?source=ALL&month=2024-11&metric=journeys.booked&segment=ALL").text
    assert explained(recorded) == {"booked": whole}


def test_the_parts_of_a_figure_add_up_to_it(site: TestClient) -> None:
    text = site.get("/explain?source=ALL&month=2024-11&metric=cost").text
    for part in ("source", "segment", "date"):
        table = text.partition(f'id="table-by-{part}"')[2].partition("</table>")[0]
        assert sum(value for _, value in figures(table)) == explained(text)["cost"]


@pytest.mark.slow
def test_every_link_of_the_main_pages_answers(site: TestClient) -> None:
    seen: set[str] = set()
    for path in PATHS:
        for href in links(site.get(path).text) - seen:
            kind = (urlsplit(href).path, *sorted(parse_qs(urlsplit(href).query)))
            if kind not in {(urlsplit(s).path, *sorted(parse_qs(urlsplit(s).query))) for s in seen}:
                assert site.get(href).status_code == 200, href
            seen.add(href)
    assert len(seen) > 300


def test_rows_are_shown_only_where_they_were_asked_for(site: TestClient, site_with_rows: TestClient) -> None:
    path = "/explain?source=eLocals&month=2024-11&metric=leads"
    without, with_rows = site.get(path).text, site_with_rows.get(path).text
    assert 'id="table-rows-leads"' not in without
    assert "rmetrics serve --rows" in without
    assert with_rows.count("<tr>") > without.count("<tr>") + 50
    assert not re.search(r"\b7123\d{4}\b", without)
    assert re.search(r"\b7123\d{4}\b", with_rows)
    assert 'scope="col">Value' not in site.get("/rejected").text


def test_no_page_shows_a_private_cell_even_with_rows(site_with_rows: TestClient, sample: Published) -> None:
    """Phones of the exports, as they are written there."""
    assert sample.project is not None
    phones = set()
    for export in sample.project.inbox.glob("*.csv"):
        phones |= set(
            re.findall(r"\(\d{3}\) \d{3}-\d{4}|\+1\d{10}", export.read_text(encoding="utf-8-sig", errors="replace"))
        )
    assert len(phones) > 100
    for path in ("/explain?source=eLocals&month=2024-11", "/rejected", "/explain?source=ALL&month=2024-12&metric=jobs"):
        text = site_with_rows.get(path).text
        assert not [p for p in phones if p in text]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/explain?source=Gogle", "Google"),
        ("/explain?month=2031-01", "2024-12"),
        ("/explain?month=nope", "YYYY-MM"),
        ("/explain?metric=lead", "leads"),
        ("/explain?segment=XX", "COD"),
        ("/explain?metric=booked&segment=COD", "a touch has none"),
        ("/funnel?source=Gogle", "Google"),
        ("/explain?month=2024-11&day=2024-12-01", "2024-12-01 is not in 2024-11"),
        ("/explain?day=yesterday", "YYYY-MM-DD"),
        ("/month/2031-01", "2024-12"),
        ("/source/Nobody", "no such source"),
        ("/health?feed=nope", "jobs"),
        ("/health?finding=nope", "undeclared-source"),
        ("/rejected?feed=nope", "jobs"),
        ("/runs?run=nope", "unknown run"),
        ("/rules?day=nope", "YYYY-MM-DD"),
        ("/nothing", "this page does not exist"),
        ("/static/nothing.css", "this page does not exist"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(site: TestClient, path: str, told: str) -> None:
    answer = site.get(path)
    assert answer.status_code == 404
    assert told in unescape(answer.text)


@pytest.mark.parametrize(
    "name", ["../business.toml", "/etc/passwd", "..%2F..%2Fetc%2Fpasswd", "sources.toml/../../.env", ".env", ""]
)
def test_only_rules_files_are_read(site: TestClient, name: str) -> None:
    answer = site.get("/rules", params={"file": name})
    assert "root:" not in answer.text
    assert answer.status_code == (404 if name else 200)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../guard.py",
        "/static/..%2fguard.py",
        "/static/%2e%2e/guard.py",
        "/static/style.css/..",
        "/../../etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_static_files(site: TestClient, path: str) -> None:
    answer = site.get(f"http://127.0.0.1:8787{path}")
    assert answer.status_code == 404
    assert "import" not in answer.text


@pytest.mark.deep
def test_html_in_what_was_asked_is_text(site: TestClient) -> None:
    evil = '"><script>alert(1)</script>'
    for path in ("/explain", "/rules", "/health", "/rejected", "/runs", "/plan", "/funnel", "/measures"):
        for name in ("source", "month", "metric", "segment", "day", "file", "feed", "run", "key", "value", "from"):
            assert "<script>alert" not in site.get(path, params={name: evil}).text
    assert "<script>alert" not in site.get(f"/source/{evil}").text


@pytest.mark.deep
def test_reading_writes_nothing_into_the_project(site: TestClient, sample: Published) -> None:
    assert sample.project is not None

    def state(root: Path) -> dict[str, tuple[int, str]]:
        return {
            str(p.relative_to(root)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in root.rglob("*")
            if p.is_file()
        }

    before = state(sample.project.root)
    folders = {p for p in sample.project.root.rglob("*") if p.is_dir()}
    for path in PATHS:
        site.get(path)
    assert state(sample.project.root) == before
    assert {p for p in sample.project.root.rglob("*") if p.is_dir()} == folders


def test_the_second_time_a_page_is_quick(site: TestClient) -> None:
    import time

    site.get("/")
    begin = time.monotonic()
    site.get("/")
    assert time.monotonic() - begin < 0.5
