"""``rmetrics init``: a new project folder."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Create a project folder: rules, an inbox, an example of the settings."""
    from rmetrics.pipeline.project import init_project

    report = reporter(as_json=as_json, quiet=quiet)
    made = init_project(folder)
    if as_json:
        report.json({"folder": folder, "files": made})
    report.line(f"Made {folder} with {len(made)} files. Next:")
    report.line(f"  cd {folder}")
    report.line("  put your exports into data/inbox, then: rmetrics sync")
