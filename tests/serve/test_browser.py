"""The pages in a real browser: links clicked, figures equal to ``explain``, nothing refused by the policy, live."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from browser import BROWSER, Tab
from published import Published
from rmetrics.company import Company
from serve_sites import Serving, serving
from support import Project

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BROWSER is None, reason="no Chromium here: the pages were not looked at (apt-get install chromium)"
    ),
]

# What a person would see: whether anything is wider than the window, and whether every chart was drawn.
SIZES = """JSON.stringify([document.documentElement.scrollWidth, innerWidth,
  [...document.querySelectorAll(".chart")].every((c) => c.querySelector("svg path, svg rect"))])"""
PATHS = ("/", "/month/2024-11", "/source/Google?month=2024-11", "/explain?source=Google&month=2024-11", "/funnel", "/measures",
         "/health", "/runs", "/rejected", "/rules", "/rules?file=sources.toml", "/plan")  # fmt: skip


@pytest.fixture(scope="module")
def server(sample: Published) -> Iterator[Serving]:
    assert sample.project is not None
    with serving(sample.project, "--rows") as found:
        yield found


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    with Tab(tmp_path / "profile") as made:
        yield made


def test_a_person_clicks_from_the_overview_to_the_proof(server: Serving, sample: Published, tab: Tab) -> None:
    assert sample.project is not None
    company = Company(sample.project.settings)
    tab.open(server.url)
    assert tab.evaluate("location.search") == ""  # the token is gone from the address bar
    for measure in ("leads", "repairs", "revenue40", "cost"):
        tab.open(f"{server.base}/")
        selector = f'#table-sources td a[href*="source=Google"][href*="metric={measure}"]'
        exact = tab.evaluate(f"document.querySelector({selector!r}).parentElement.dataset.value")
        tab.click(selector)
        asked = parse_qs(urlsplit(tab.evaluate("location.href")).query)
        shown = tab.evaluate("document.querySelector('p.figure').dataset.value")
        found = company.explain("Google", asked["month"][0]).metrics[measure].value
        assert str(found) == shown == exact
        assert tab.evaluate("document.querySelector('.verdict').className") == "verdict match"
        tab.click("a.place")  # to the line of the rule
        assert tab.evaluate("document.querySelector(':target') !== null")
    assert tab.problems == []
    assert all(url.startswith((server.base, "data:", "about:")) for url in tab.asked)


def test_a_bar_of_a_chart_leads_to_its_explanation(server: Serving, tab: Tab) -> None:
    tab.open(server.url)
    label = tab.evaluate("document.querySelector('#chart-repairs-by-source a path').getAttribute('aria-label')")
    tab.click("#chart-repairs-by-source a path")
    month, name = label.partition(":")[0].split(", ")
    asked = parse_qs(urlsplit(tab.evaluate("location.href")).query)
    assert (asked["month"], asked["source"], asked["metric"]) == ([month], [name], ["repairs"])
    assert tab.evaluate("document.querySelector('p.figure').textContent") == label.rpartition(": ")[2]
    assert tab.problems == []


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_every_page_fits_and_the_policy_refuses_nothing(server: Serving, tab: Tab, width: int, *, dark: bool) -> None:
    tab.look(width, dark=dark, phone=width < 500)
    tab.open(server.url)
    for path in PATHS:
        tab.open(server.base + path)
        wide, window, drawn = json.loads(tab.evaluate(SIZES))
        assert (wide <= window, drawn) == (True, True), path
    assert tab.problems == []


def test_a_keyboard_reaches_every_figure_and_sees_where_it_is(server: Serving, tab: Tab) -> None:
    tab.open(server.url)
    reached = []
    for _ in range(14):
        tab.send("Input.dispatchKeyEvent", type="keyDown", key="Tab", windowsVirtualKeyCode=9)
        tab.send("Input.dispatchKeyEvent", type="keyUp", key="Tab", windowsVirtualKeyCode=9)
        reached.append(tab.evaluate("document.activeElement.textContent.trim()"))
    assert reached[0] == "Skip to the figures"
    assert reached[1:4] == ["Overview", "Funnel", "Measures"]
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    unnamed = (
        "[...document.querySelectorAll('input:not([type=hidden]), select')].filter((e) => !e.labels?.length).length"
    )
    tab.open(f"{server.base}/plan")
    assert tab.evaluate(unnamed) == 0


def test_another_site_gets_nothing_but_a_person_may_follow_its_link(server: Serving, tab: Tab, tmp_path: Path) -> None:
    tab.open(server.url)
    evil = tmp_path / "evil.html"
    evil.write_text(
        f'<a id="link" href="{server.base}/explain?source=ALL&metric=cpl">Why?</a>'
        f'<iframe src="{server.base}/"></iframe><img id="img" src="{server.base}/static/style.css">', encoding="utf-8"
    )  # fmt: skip
    tab.open(evil.as_uri())
    fetched = f"fetch('{server.base}/mark', {{credentials: 'include'}}).then((r) => r.text(), () => 'refused')"
    assert tab.evaluate(fetched) == "refused"
    blind = f"fetch('{server.base}/', {{mode: 'no-cors', credentials: 'include'}}).then((r) => r.type, () => 'refused')"
    assert tab.evaluate(blind) in {"opaque", "refused"}
    tab.problems.clear()
    tab.click("#link")
    tab.wait_for("document.querySelector('p.figure') !== null")  # it asked again by itself, with its cookie
    assert tab.evaluate("location.pathname") == "/explain"


def test_a_sync_shows_up_without_a_reload(small: Project, tab: Tab) -> None:
    with serving(small) as server:
        tab.open(server.url)
        tab.open(f"{server.base}/explain?source=Pro%20Referral&month=2024-11&metric=leads")
        tab.evaluate("window.same = true")
        assert tab.evaluate("document.querySelector('p.figure').dataset.value") == "2"
        small.put("proref2.csv", "Lead ID,Lead Date,Current Status\nc,11/18/2024 09:00 AM,Booked\n")
        small.sync()
        tab.wait_for("document.querySelector('p.figure').dataset.value === '3'")
        assert tab.evaluate("window.same") is True
        assert "New figures" in tab.evaluate("document.getElementById('news').textContent")
        assert tab.problems == []


def test_a_number_is_tried_in_the_form(small: Project, tab: Tab) -> None:
    rules = (small.rules / "sources.toml").read_bytes()
    with serving(small) as server:
        tab.open(server.url)
        tab.open(f"{server.base}/plan")
        tab.evaluate(
            "document.querySelector('form[aria-label^=\"Pro Referral: price\"] input[name=value]').value = '25.00'"
        )
        tab.click("form[aria-label^='Pro Referral: price'] button")
        assert tab.evaluate("document.querySelector('#table-changes tbody td:last-child').dataset.value") == "10.00"
        assert "per_lead = 25.00" in tab.evaluate("document.getElementById('toml').textContent")
        assert tab.problems == []
    assert (small.rules / "sources.toml").read_bytes() == rules
