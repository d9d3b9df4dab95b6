"""``rmetrics init``: a new project folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="The company's time zone, such as America/Chicago. Default: this machine's."),
    ] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="The company's currency. Default: USD.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Create a project folder.

    It contains the default rules, an inbox, and examples of settings and targets.
    """
    from rmetrics.usecases.init import TARGETS_EXAMPLE, init_project

    report = reporter(as_json=as_json, quiet=quiet)
    made = init_project(folder, timezone=timezone, currency=currency)
    if as_json:
        report.json(made)
    report.line(f"Created {folder} with {len(made.files)} files.")
    whose = "as given" if timezone else "this machine's" if made.from_machine else "the default"
    report.line(f"Time zone {made.timezone} ({whose}), currency {made.currency}. Business days follow this zone.")
    report.line(f"  To change them, edit {folder / 'rules' / 'business.toml'} before the first sync.")
    report.line(
        f"Targets: copy {folder / TARGETS_EXAMPLE} into data/inbox, or: rmetrics target set 2026-01 --repairs 30"
    )
    report.line("Next:")
    report.line(f"  cd {shlex.quote(str(folder))}")
    report.line("  put your exports into data/inbox, then run: rmetrics sync")
