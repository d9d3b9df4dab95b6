"""Common options and exit codes of the commands. Imports nothing heavy."""

import datetime as dt
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rmetrics.output.reporter import Report
    from rmetrics.pipeline.asked import MonthRange

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; messages on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print failures only.")]


class OutputForm(StrEnum):
    """The output format of a table."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


AsForm = Annotated[OutputForm, typer.Option("--format", help="The output format; json is the same as --json.")]

From = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM", help="The first month.")]
To = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="The last month.")]
ToDate = Annotated[bool, typer.Option("--ytd", help="The year to date: from January to the newest month or to --to.")]

DATA_FINDINGS = 3
_DAY = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def reporter(*, as_json: bool = False, quiet: bool = False, form: OutputForm = OutputForm.TABLE) -> "Report":
    """Returns the writer of results; only this function imports rich.

    Raises:
        SettingsError: the options ask for two formats.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.output.reporter import Report

    if as_json and form not in {OutputForm.TABLE, OutputForm.JSON}:
        raise SettingsError(f"--json and --format {form} cannot be combined", "Use one of them.")
    return Report(as_json=as_json or form is OutputForm.JSON, quiet=quiet, rows_as=form.value)


def month_of(text: str | None) -> dt.date | None:
    """Parses the month of an option; None if the option is absent.

    Raises:
        SettingsError: the text is not of the form YYYY-MM.
    """
    return None if text is None else month_in(text)


def months_of(month: str | None, first: str | None, last: str | None, *, to_date: bool) -> "MonthRange":
    """Returns the months that the options name: one, a span, or by default the newest.

    Raises:
        SettingsError: a month is not of the form YYYY-MM, or the options exclude each other.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.pipeline.asked import MonthRange

    if month is not None and (first or last or to_date):
        raise SettingsError("--month cannot be combined with --from, --to or --ytd", "Name one month, or a span.")
    if first is not None and to_date:
        raise SettingsError("--from and --ytd cannot be combined", "Use one of them.")
    if not (first or last or to_date):
        return MonthRange(last=month_of(month), one=True)
    asked = MonthRange(month_of(first), month_of(last), to_date)
    if asked.first and asked.last and asked.first > asked.last:
        raise SettingsError(f"--from {first} is after --to {last}", "Name the earlier month first.")
    return asked


def span_of(month: str | None, first: str | None, last: str | None, *, to_date: bool) -> "MonthRange":
    """Returns the months that the options name, as ``months_of``, or days if ``--from`` and ``--to`` both name a day.

    Raises:
        SettingsError: a day does not exist, only one end is a day, or as for ``months_of``.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.pipeline.asked import MonthRange

    ends = [text for text in (first, last) if text is not None and _DAY.fullmatch(text.strip())]
    if not ends:
        return months_of(month, first, last, to_date=to_date)
    if len(ends) < 2 or to_date or month is not None:
        raise SettingsError(
            f"{ends[0]} is a day: the span needs a first and a last day, and no other option of time",
            "Name both: --from 2024-11-04 --to 2024-11-10.",
        )
    start, end = (day_in(text) for text in ends)
    if start > end:
        raise SettingsError(f"--from {first} is after --to {last}", "Name the earlier day first.")
    return MonthRange(start.replace(day=1), end.replace(day=1), days=(start, end))


def day_in(text: str) -> dt.date:
    """Parses a day of the form YYYY-MM-DD.

    Raises:
        SettingsError: the text has another form, or there is no such day.
    """
    from rmetrics.errors import SettingsError

    try:
        return dt.datetime.strptime(text.strip(), "%Y-%m-%d").date()  # noqa: DTZ007 - a business day has no zone
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-05.") from None


def month_in(text: str) -> dt.date:
    """Parses a month of the form YYYY-MM.

    Raises:
        SettingsError: the text has another form.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.periods import parse_month

    month = parse_month(text)
    if month is None:
        raise SettingsError(f"not a month: {text!r}", "Use the form YYYY-MM, for instance 2024-11.")
    return month


def day_of(text: str | None) -> dt.date | None:
    """Parses a day of the form YYYY-MM-DD; None if none is given.

    Raises:
        SettingsError: the text has another form, or there is no such day.
    """
    from rmetrics.errors import SettingsError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-15.") from None


def show_group_help(context: typer.Context) -> None:
    """Shows the help of a command group if no command follows it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
