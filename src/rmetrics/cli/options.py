"""What all commands share: their common options and exit codes. Imports nothing heavy."""

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rmetrics.report.base import Report

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; messages on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but failures.")]

DATA_FINDINGS = 3


def reporter(*, as_json: bool = False, quiet: bool = False) -> "Report":
    """The writer of results; rich is imported only here."""
    from rmetrics.report.base import Report

    return Report(as_json=as_json, quiet=quiet)


def month_of(text: str | None) -> dt.date | None:
    """The month an option names; None where it was not given.

    Raises:
        SettingsError: it is not written YYYY-MM.
    """
    return None if text is None else month_in(text)


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
