"""``rmetrics report``."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, From, Quiet, To, ToDate, months_of, reporter


def report(
    month: Annotated[
        str | None, typer.Option(help="The month to show in detail, YYYY-MM. Default: the newest with data.")
    ] = None,
    first: From = None,
    last: To = None,
    to_date: ToDate = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page to write. Default: report-YYYY-MM.html.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Also write each chart as a PNG file to this folder.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page with all charts and tables.

    It is made from the lake only and opens anywhere, without a network.
    """
    from rmetrics.findings import count
    from rmetrics.settings import load_settings
    from rmetrics.usecases.report import write_page

    out = reporter(as_json=as_json, quiet=quiet)
    months = months_of(month, first, last, to_date=to_date)
    with out.progress() as progress:
        result = write_page(load_settings(), months=months, output=output, pictures=png, progress=progress)
    if as_json:
        out.json(result)
        return
    since = "" if months.one or result.first in (None, result.month) else f", over time from {result.first:%B %Y}"
    charts = count(len(result.charts), "chart")
    out.line(f"Wrote {result.page} ({result.size / 1e6:.1f} MB, {charts}): {result.month:%B %Y}{since}.")
    if result.pictures:
        out.line(f"Wrote {count(len(result.pictures), 'picture')} to {png}.")
