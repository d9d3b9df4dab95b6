"""The report page in a real browser: desktop and phone, light and dark, every chart drawn, no error, no network."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from published import Published
from rmetrics.findings import Finding, Severity
from rmetrics.html_report.html import page_html
from rmetrics.opening import open_project
from rmetrics.pipeline.workspace import opened
from rmetrics.usecases.report import PageResult, library, page_data, write_page

BROWSER = next((p for p in (shutil.which(n) for n in ("chromium", "chromium-browser", "google-chrome")) if p), None)
pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(
        BROWSER is None,
        reason="no Chromium here: the report page was not looked at in a browser (apt-get install chromium)",
    ),
]
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--virtual-time-budget=10000",
]  # fmt: skip

# Stands before the page's own scripts: collects whatever goes wrong.
WATCH = """<script>window.problems = [];
addEventListener("error", (e) => problems.push(String(e.message)));
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
for (const kind of ["error", "warn"]) console[kind] = (...a) => problems.push(kind + ": " + a.map(String).join(" "));
</script>"""
# Stands at the end: waits until all is drawn and writes what a person would see into the page.
LOOK = """<script>(async () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  while (!document.body.dataset.ready) await new Promise((done) => setTimeout(done, 50));
  await rmetricsCharts.draw(document);
  const charts = {};
  for (const box of document.querySelectorAll(".chart")) {
    const marks = [...box.querySelectorAll(".role-mark path, .role-mark rect, .role-mark line")]
      .filter((m) => { const b = m.getBBox(); return b.width > 0 || b.height > 0; });
    const svg = box.querySelector("svg");
    const drawn = svg ? svg.getBoundingClientRect() : { width: 0, height: 0 };
    charts[box.id] = { marks: marks.length, width: drawn.width, height: drawn.height, room: box.clientWidth,
      words: box.querySelectorAll("text").length,
      cut: [...box.querySelectorAll("text")].filter((t) => { const b = t.getBoundingClientRect();
        return b.width && (b.bottom > drawn.bottom + 1 || b.right > drawn.right + 1 || b.left < drawn.left - 1); }).length };
  }
  const text = document.querySelector(".chart text"), card = document.querySelector(".card");
  const png = await rmetricsCharts.views.get("chart-money").toImageURL("png", 2);
  const made = document.createElement("pre");
  made.id = "seen";
  made.textContent = JSON.stringify({ charts, problems, png: png.slice(0, 22), pngLength: png.length,
    wide: document.documentElement.scrollWidth, window: innerWidth,
    loaded: performance.getEntriesByType("resource").map((r) => r.name).filter((n) => !n.startsWith("data:")),
    text: getComputedStyle(text).fill, card: getComputedStyle(card).backgroundColor,
    canvas: getComputedStyle(document.querySelector(".chart svg")).backgroundColor });
  document.body.append(made);
})();</script>"""


@dataclass(frozen=True)
class Written:
    """The page as written, and a copy that watches itself."""

    result: PageResult
    watched: Path


@pytest.fixture(scope="module")
def written(sample: Published, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """The page of the sample with the real library."""
    assert sample.project is not None
    folder = tmp_path_factory.mktemp("page")
    result = write_page(sample.project.settings, output=folder / "report.html")
    text = result.page.read_text(encoding="utf-8")
    head, rest = text.split("</head>", 1)
    body, end = rest.rsplit("</body>", 1)
    watched = folder / "watched.html"
    watched.write_text(f"{head}{WATCH}</head>{body}{LOOK}</body>{end}", encoding="utf-8")
    return Written(result, watched)


def browse(page: Path, profile: Path, *flags: str) -> str:
    """What the browser writes to stdout."""
    assert BROWSER is not None
    done = subprocess.run([BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    return done.stdout


def framed(page: Path, width: int, height: int) -> Path:
    """A page that shows another in a frame: a window cannot be narrower than 500 pixels."""
    frame = page.with_name(f"frame-{width}.html")
    frame.write_text(f'<body style="margin:0"><iframe src="{page.name}" style="border:0;width:{width}px;height:{height}px"></iframe>', encoding="utf-8")  # fmt: skip
    return frame


def seen(page: Path, profile: Path, width: int, *, dark: bool) -> Any:
    """What the page says of itself at a width: the narrow one by the style sheet's own rules, in a scaled window."""
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    dom = browse(page, profile, "--dump-dom", f"--window-size={width},1000", *theme)
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, "the page did not finish drawing"
    return json.loads(unescape(found[1]))


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        pytest.param(1280, False, id="desktop-light"),
        pytest.param(1280, True, id="desktop-dark", marks=pytest.mark.slow),
        pytest.param(1030, False, id="laptop-light", marks=pytest.mark.slow),
        pytest.param(500, True, id="narrow-dark", marks=pytest.mark.slow),
        pytest.param(500, False, id="narrow-light", marks=pytest.mark.slow),
    ],
)
def test_every_chart_is_drawn_without_an_error(written: Written, tmp_path: Path, width: int, *, dark: bool) -> None:
    """Marks, axes and room for each; nothing wider than the window; nothing loaded; readable in both themes."""
    page = seen(written.watched, tmp_path, width, dark=dark)
    assert page["problems"] == []
    assert page["loaded"] == []
    assert set(page["charts"]) == {f"chart-{name}" for name in written.result.charts}
    for name, chart in page["charts"].items():
        assert chart["marks"] > 0, name
        assert chart["words"] > 2, name
        assert 200 < chart["width"] <= chart["room"] + 1, name
        assert chart["height"] > 200, name
        assert chart["cut"] == 0, f"{name}: words beyond the edge"
    assert page["wide"] <= page["window"]
    text, card = (sum(int(n) for n in re.findall(r"\d+", page[k])[:3]) for k in ("text", "card"))
    assert (text > card + 250) if dark else (card > text + 250)
    assert page["canvas"] == "rgba(0, 0, 0, 0)"
    assert page["png"] == "data:image/png;base64,"
    assert page["pngLength"] > 10_000


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        pytest.param(1280, False, id="desktop-light"),
        pytest.param(390, True, id="phone-dark"),
        pytest.param(1280, True, id="desktop-dark"),
        pytest.param(390, False, id="phone-light"),
    ],
)
@pytest.mark.slow
def test_screenshots(written: Written, tmp_path: Path, width: int, *, dark: bool) -> None:
    """A picture at each width and theme; kept where RMETRICS_SCREENSHOTS names a folder, for a person to look at."""
    name = f"report-{width}-{'dark' if dark else 'light'}.png"
    folder = Path(os.environ.get("RMETRICS_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page = framed(written.result.page, width, 3000)
    theme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    browse(page, tmp_path / "profile", f"--screenshot={folder / name}", f"--window-size={max(width, 500)},3000", theme)
    picture = (folder / name).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 60_000  # an empty page has a tenth of it


def sheets(page: Path, folder: Path) -> list[int]:
    """Prints a page; how much is drawn on each sheet, in bytes."""
    browse(page, folder / "profile", f"--print-to-pdf={folder / 'page.pdf'}", "--no-pdf-header-footer")
    paper = (folder / "page.pdf").read_bytes()
    assert paper.startswith(b"%PDF")
    drawn = []
    for sheet in re.findall(rb"<<[^<>]*?/Type\s*/Page\b.*?/Contents (\d+) 0 R", paper, re.DOTALL):
        length = re.search(rb"(?:^|\n)%s 0 obj\s*<<[^>]*?/Length (\d+)" % sheet, paper)
        assert length is not None
        drawn.append(int(length[1]))
    return drawn


@pytest.mark.slow
def test_the_sample_prints_on_eight_sheets_at_most_and_none_is_blank(written: Written, tmp_path: Path) -> None:
    found = sheets(written.result.page, tmp_path)
    assert 4 <= len(found) <= 8, found
    assert min(found) > 700, f"a sheet with nothing on it: {found}"


def test_a_large_company_prints_on_eight_sheets_too(sample: Published, tmp_path: Path) -> None:
    """Forty sources, thirty feeds and sixty findings: what is left out is named, and is on the page itself."""
    assert sample.project is not None
    with opened(open_project(sample.project.settings)) as lake:
        page = page_data(lake)
    one = next(line for line in page.lines if line.source == "eLocals" and line.month == page.month)
    more = [dataclasses.replace(one, source=f"Channel {i}", month=m) for i in range(30) for m in page.months]
    finding = Finding("some-finding", Severity.WARNING, "what was found and what to do about it " * 5, 3)
    large = dataclasses.replace(
        page,
        lines=tuple(sorted([*page.lines, *more], key=lambda x: (x.month, x.source))),
        feeds=tuple(dataclasses.replace(page.feeds[0], feed=f"feed_{i}") for i in range(30)),
        findings=(finding,) * 60,
    )
    path = tmp_path / "large.html"
    path.write_text(page_html(large, library()), encoding="utf-8")
    found = sheets(path, tmp_path)
    assert len(found) <= 8, found
    assert min(found) > 700
    text = path.read_text(encoding="utf-8")
    assert "more rows on the page itself." in text
    assert "more channels on the page itself." in text


def test_a_table_wider_than_a_phone_says_that_it_scrolls(written: Written, tmp_path: Path) -> None:
    """At 500 pixels the wide tables say so and keep their first column in sight; at 1280 none has to."""
    said = """<script>(async () => {
      while (!document.body.dataset.ready) await new Promise((done) => setTimeout(done, 50));
      const found = [...document.querySelectorAll(".scroll")].filter((b) => b.clientWidth).map((b) => {
        b.scrollLeft = 150;
        const cell = b.querySelector("td:first-child");
        return { name: b.getAttribute("aria-label"), more: b.classList.contains("more"), tab: b.tabIndex,
          wide: b.scrollWidth > b.clientWidth + 1, word: getComputedStyle(b, "::before").content,
          seen: cell.getBoundingClientRect().left >= b.getBoundingClientRect().left - 1 };
      });
      const made = document.createElement("pre");
      made.id = "seen"; made.textContent = JSON.stringify(found); document.body.append(made);
    })();</script>"""
    text = written.result.page.read_text(encoding="utf-8")
    body, end = text.rsplit("</body>", 1)
    page = tmp_path / "tables.html"
    page.write_text(f"{body}{said}</body>{end}", encoding="utf-8")
    for width, any_wide in ((500, True), (1280, False)):
        tables = seen(page, tmp_path / str(width), width, dark=False)
        assert {t["name"] for t in tables} >= {"against", "sources", "feeds"}
        for table in tables:
            assert table["more"] == table["wide"], table
            assert table["tab"] == 0
            assert table["seen"], table
            assert ("scroll sideways" in table["word"]) == table["wide"]
        assert any(t["wide"] for t in tables if t["name"] == "against") == any_wide


def test_the_whole_page_is_one_file_of_a_sensible_size(written: Written) -> None:
    """The library, the style and the data are inside, and it can be mailed."""
    assert 800_000 < written.result.size < 3_000_000
