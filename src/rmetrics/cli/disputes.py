"""``rmetrics disputes``: leads to dispute with their vendor."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter


def disputes(
    source: Annotated[str | None, typer.Option(help="Only leads of this source.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also show answered and expired ones.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the open ones as a CSV file for the vendor's form.")
    ] = None,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Show leads that vendors should credit under their terms.

    Lists the clause, the evidence, the time left and the vendor's answer. Proposals only: you decide.
    """
    from rmetrics.findings import count
    from rmetrics.output.disputes import show_disputes, write_for_vendor
    from rmetrics.settings import load_settings
    from rmetrics.usecases.disputes import disputes as find_disputes

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    with report.progress() as progress:
        result = find_disputes(load_settings(), source, progress=progress)
    written = None if csv is None else write_for_vendor(result, csv)
    show_disputes(report, result, every=every)
    if written is not None:
        report.line(f"{count(written, 'lead')} in {csv}")
