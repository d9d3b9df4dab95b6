"""What all commands share: their common options and exit codes. Imports nothing heavy."""

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rmetrics.output.reporter import Report
    from rmetrics.pipeline.asked import Months

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; messages on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but failures.")]


class Form(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


AsForm = Annotated[Form, typer.Option("--format", help="How to print it; json is the same as --json.")]

From = Annotated[str | None, typer.Option("--from", metavar="YYYY-MM", help="From this month on.")]
To = Annotated[str | None, typer.Option("--to", metavar="YYYY-MM", help="Up to this month.")]
ToDate = Annotated[bool, typer.Option("--ytd", help="The year to date: from January to the newest month, or --to.")]

DATA_FINDINGS = 3


def reporter(*, as_json: bool = False, quiet: bool = False, form: Form = Form.TABLE) -> "Report":
    """The writer of results; rich is imported only here.

    Raises:
        SettingsError: two forms are asked for.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.output.reporter import Report

    if as_json and form not in {Form.TABLE, Form.JSON}:
        raise SettingsError(f"--json and --format {form} exclude each other", "Give one of them.")
    return Report(as_json=as_json or form is Form.JSON, quiet=quiet, rows_as=form.value)


def month_of(text: str | None) -> dt.date | None:
    """The month an option names; None where it was not given.

    Raises:
        SettingsError: it is not written YYYY-MM.
    """
    return None if text is None else month_in(text)


def months_of(month: str | None, first: str | None, last: str | None, *, to_date: bool) -> "Months":
    """The months that options name: one, the newest where nothing is said, or from one to another.

    Raises:
        SettingsError: a month is not written YYYY-MM, or the options exclude each other.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.pipeline.asked import Months

    if month is not None and (first or last or to_date):
        raise SettingsError("--month and --from, --to or --ytd exclude each other", "Name one month, or a span.")
    if first is not None and to_date:
        raise SettingsError("--from and --ytd exclude each other", "Name the first month, or take the year to date.")
    if not (first or last or to_date):
        return Months(last=month_of(month), one=True)
    asked = Months(month_of(first), month_of(last), to_date)
    if asked.first and asked.last and asked.first > asked.last:
        raise SettingsError(f"--from {first} is after --to {last}", "Name the earlier month first.")
    return asked


def month_in(text: str) -> dt.date:
    """The month that is written YYYY-MM.

    Raises:
        SettingsError: it is written otherwise.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.periods import parse_month

    month = parse_month(text)
    if month is None:
        raise SettingsError(f"not a month: {text!r}", "Write it YYYY-MM, for instance 2024-11.")
    return month


def help_alone(context: typer.Context) -> None:
    """Shows the help of a group of commands that is named without one."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
