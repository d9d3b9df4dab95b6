"""``rmetrics metrics``: measures by period and member, with a comparison to an earlier period."""

import datetime as dt
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, OutputForm, Quiet, day_in, month_in, reporter


class By(StrEnum):
    """The grouping of days: the length of a period, or their age."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    AGE = "age"


class With(StrEnum):
    """The period of the comparison."""

    PREVIOUS = "previous"
    YEAR = "year"


class Shape(StrEnum):
    """The output format of the rows."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    MARKDOWN = "markdown"


def metrics(
    measure: Annotated[
        list[str] | None, typer.Option(help="A measure. Repeatable. Default: the seven published ones.")
    ] = None,
    by: Annotated[
        By,
        typer.Option(
            help="The length of a period; weeks begin on Monday (ISO 8601). Age: 0-29, 30-59, 60-89, 90+ days."
        ),
    ] = By.MONTH,
    source: Annotated[
        str | None, typer.Option(help="Only this source; case, spaces and aliases do not matter.")
    ] = None,
    segment: Annotated[str | None, typer.Option(help="Only this segment.")] = None,
    dimension: Annotated[
        str | None, typer.Option(help="One row per member of source, segment, or a dimension of the rules.")
    ] = None,
    compare: Annotated[
        With | None,
        typer.Option(help="Compare with the previous period, or with the same period of the previous year."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first day or month.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last day or month.")] = None,
    form: Annotated[
        Shape, typer.Option("--format", help="The output format; parquet requires --output.")
    ] = Shape.TABLE,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="The Parquet file to write.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show measures by day, week, month, quarter or year, or by age.

    One row per period, member and measure, exact, each with the command that explains it; ratios are computed from the
    sums of the period.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.metrics.by_period import Compare
    from rmetrics.output.metrics import parquet_bytes, report_written, show_metrics, write_parquet
    from rmetrics.periods import Grain
    from rmetrics.settings import load_settings
    from rmetrics.usecases.metrics import MetricsRequest
    from rmetrics.usecases.metrics import metrics as run_metrics

    parquet = form is Shape.PARQUET
    if output is not None and not parquet:
        raise SettingsError("--output requires --format parquet", "To save text, redirect it: > FILE.")
    if parquet and as_json:
        raise SettingsError("--json and --format parquet cannot be combined", "Use one of them.")
    if parquet and output is None and sys.stdout.isatty():
        raise SettingsError("Parquet cannot be printed", "Name a file: --output FILE.")
    report = reporter(as_json=as_json, quiet=quiet, form=OutputForm.TABLE if parquet else OutputForm(form.value))
    asked = MetricsRequest(
        measures=tuple(dict.fromkeys(measure or ())),
        by=Grain.DAY if by is By.AGE else Grain(by.value),
        source=source,
        segment=segment,
        dimension=dimension,
        compare=None if compare is None else Compare(compare.value),
        first=_first_day(first),
        last=_last_day(last),
        aged=by is By.AGE,
    )
    if asked.first and asked.last and asked.first > asked.last:
        raise SettingsError(f"--from {first} is after --to {last}", "Name the earlier day first.")
    with report.progress() as progress:
        found = run_metrics(load_settings(), asked, progress)
    if not parquet:
        show_metrics(report, found)
    elif output is not None:
        report_written(report, write_parquet(found, output), output)
    else:
        sys.stdout.buffer.write(parquet_bytes(found))


def _first_day(text: str | None) -> dt.date | None:
    return None if text is None else month_in(text) if _is_month(text) else day_in(text)


def _last_day(text: str | None) -> dt.date | None:
    from rmetrics.periods import next_month

    if text is None or not _is_month(text):
        return None if text is None else day_in(text)
    return next_month(month_in(text)) - dt.timedelta(days=1)


def _is_month(text: str) -> bool:
    """Whether a text is a month rather than a day."""
    return text.count("-") == 1
