"""``rmetrics grafana``."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter


def grafana(
    folder: Annotated[Path, typer.Argument(help="The folder to write the kit to.")] = Path("grafana"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write the Grafana kit: dashboards, alerts, provisioning.

    For the time zone and the currency of your rules.
    """
    from rmetrics.settings import load_settings
    from rmetrics.usecases.grafana import write_kit

    result = write_kit(load_settings(), folder)
    report = reporter(as_json=as_json, quiet=quiet)
    if as_json:
        report.json(result)
        return
    for name in result.changed:
        report.line(f"wrote {result.folder / name}")
    if not result.changed:
        report.line(f"{result.folder} is up to date.")
