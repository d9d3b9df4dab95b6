"""What all commands share: their common options and exit codes. Imports nothing heavy."""

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
