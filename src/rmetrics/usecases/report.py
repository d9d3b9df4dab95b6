"""``rmetrics report``: the four views as one HTML page, from the lake alone."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from rmetrics.errors import LakeError, SettingsError
from rmetrics.files import PRIVATE_FOLDER, replace_private, write_private
from rmetrics.html_report.cells import Links
from rmetrics.html_report.charts import charts, has_rows
from rmetrics.html_report.data import FeedLine, PageData, funnel_lines, month_days, segment_lines
from rmetrics.html_report.html import page_html
from rmetrics.html_report.own_data import own_data
from rmetrics.lake.snapshot import load
from rmetrics.metrics import tallies
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import MonthRange, months_named
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.forecasts import Estimate, month_estimates
from rmetrics.pipeline.landing.placement import newest_day
from rmetrics.pipeline.months import measure_lines, month_lines
from rmetrics.pipeline.publication import feed_states
from rmetrics.pipeline.verify.quality import remembered_findings
from rmetrics.pipeline.verify.run_findings import run_findings
from rmetrics.pipeline.workspace import Workspace, opened
from rmetrics.progress import Progress, silent
from rmetrics.settings import Settings
from rmetrics.tables import DAILY, DIMENSION_MONTHLY, JOURNEY_METRICS, MONTHLY
from rmetrics.version import __version__

_NEWEST = MonthRange(one=True)


@dataclass(frozen=True, slots=True)
class PageResult:
    """Result of writing the page.

    Attributes:
        month: of the views *This month* and *Channels*.
        page: the HTML file.
        size: its length in bytes.
        charts: the ids of the charts on it.
        pictures: PNG files, if requested.
        first: the first month of the views over time.
    """

    month: dt.date
    page: Path
    size: int
    charts: tuple[str, ...]
    pictures: tuple[Path, ...] = ()
    first: dt.date | None = None


def write_page(
    settings: Settings,
    *,
    months: MonthRange = _NEWEST,
    output: Path | None = None,
    pictures: Path | None = None,
    progress: Progress = silent,
) -> PageResult:
    """Writes the page; changes nothing in the lake.

    Args:
        settings: of the project.
        months: the month in depth; or a span, whose last month is shown in depth and which limits the views over time.
        output: the HTML file; None means ``report-YYYY-MM.html`` in the working folder.
        pictures: a folder for a PNG of each chart.
        progress: receives progress reports.

    Raises:
        LakeError: nothing was synced yet, or nothing in it counts.
        SettingsError: there is no such month, or a file cannot be written.
    """
    with opened(open_project(settings), progress) as lake:
        page = page_data(lake, months)
    drawn = {name: chart for name, chart in charts(page).items() if has_rows(chart[1])}
    target = output or Path(f"report-{page.month:%Y-%m}.html")
    progress("drawing", 0, 1)
    text = page_html(page, library(), Links(settings.links_to))
    made = []
    try:
        replace_private(target, text.encode())
        if pictures is not None:
            pictures.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            for name, (_, spec) in drawn.items():
                made.append(pictures / f"{name}.png")
                write_private(made[-1], picture(spec))
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or target}: {error.strerror}", "Name a file in a folder that exists."
        ) from error
    progress("drawing", 1, 1)
    return PageResult(page.month, target, len(text.encode()), tuple(drawn), tuple(made), page.lines[0].month)


def page_data(lake: Workspace, wanted: MonthRange = _NEWEST) -> PageData:
    """Returns the data of the page.

    Raises:
        LakeError: no row of the data counts in any month.
        SettingsError: there is no data in the month, or in any month of the span.
    """
    lines = month_lines(lake.computed.rows)
    months = sorted({line.month for line in lines})
    if not months:
        raise LakeError("no row of the data counts in any month", "Run `rmetrics check`, then sync again.")
    reached = _last_day(lake)
    # The spend of a month may be entered ahead: a month with nothing else is not the newest one.
    past = [m for m in months if reached is None or m <= reached] or months
    first, last = months_named(wanted, months if wanted.last else past)
    if wanted.one:
        picked, first = last, months[0]
        last = months[-1]
    else:
        picked = last = max(m for m in months if m <= last)
    lines = tuple(line for line in lines if first <= line.month <= last)
    daily = load(lake.lake).scan(DAILY).collect()
    monthly = load(lake.lake).scan(MONTHLY).filter(pl.col("month").is_between(first, last)).collect()
    last_day: dt.date = daily["date"].max()  # type: ignore[assignment]
    if reached and picked <= reached:
        last_day = min(last_day, reached)
    whole = next(line for line in lines if line.month == picked and line.source == "ALL")
    targets: tuple[Decimal | None, Decimal | None] = (whole.target_repairs, whole.target_revenue40)
    explanations = Explanations()
    findings = (
        *lake.problems,
        *run_findings(lake.lake, lake.rules, lake.computed, [], explanations),
        *explanations.failed,
        *remembered_findings(lake.lake, lake.computed.inputs),
    )
    return PageData(
        month=picked,
        last_day=last_day,
        timezone=lake.rules.business.timezone,
        currency=lake.rules.business.currency,
        version=__version__,
        lines=lines,
        segments=segment_lines(monthly),
        days=month_days(daily, picked, last_day, targets),
        feeds=_feeds(lake),
        findings=findings,
        estimates=_estimates(lake, picked) if picked in months[-2:] else (),
        own=own_data(
            tuple(line for line in measure_lines(lake.computed.rows) if first <= line.month <= last),
            load(lake.lake).scan(DIMENSION_MONTHLY).filter(pl.col("month") == picked).collect(),
            monthly,
            picked,
            lake.rules,
        ),
        funnel=funnel_lines(load(lake.lake).scan(JOURNEY_METRICS).collect(), picked),
    )


def _estimates(lake: Workspace, month: dt.date) -> tuple[Estimate, ...]:
    return tuple(e for e in month_estimates(lake.computed, lake.rules) if e.month == month)


def _feeds(lake: Workspace) -> tuple[FeedLine, ...]:
    rejected: dict[str, int] = {}
    for item in lake.computed.placed:
        counts = lake.computed.counts.get(item.raw.sha256)
        rejected[item.feed] = rejected.get(item.feed, 0) + (counts.rejected if counts else 0)
    states = feed_states(lake.rules, lake.computed)
    return tuple(
        FeedLine(s.feed, s.rows, s.last_date, s.last_export_at, s.exports, rejected.get(s.feed, 0)) for s in states
    )


def library() -> str:
    """Returns the script of the charting library with all dependencies, so that the page needs no network."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")


def picture(spec: dict[str, object]) -> bytes:
    """Returns a chart as a PNG, drawn without a browser."""
    import vl_convert

    fixed = {**spec, "width": 640, "autosize": "pad"}
    return bytes(vl_convert.vegalite_to_png(fixed, scale=2))


def _last_day(lake: Workspace) -> dt.date | None:
    """Returns the data's last day, ignoring spend and targets; None if no row has a day."""
    newest = newest_day(lake.exports.values(), lake.rules)
    found = tallies.last_day(lake.computed.snapshot.scan(TALLIES["days"]), lake.rules, newest)
    day: dt.date | None = found.collect().item()
    return day
