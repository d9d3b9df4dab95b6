"""``rmetrics exports``: lists landed exports, withdraws or restores one."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter

Which = Annotated[
    str,
    typer.Argument(
        metavar="NAME|SHA", help="Its name in the inbox, or at least 8 digits of its hash; see `rmetrics exports`."
    ),
]

exports = typer.Typer(help="List landed exports, withdraw one, or restore it.", rich_markup_mode=None)


@exports.callback(invoke_without_command=True)
def exports_main(
    context: typer.Context, as_json: AsJson = False, form: AsForm = OutputForm.TABLE, quiet: Quiet = False
) -> None:
    """Landed exports; without a command they are listed."""
    if context.invoked_subcommand is None:
        exports_list(as_json=as_json, form=form, quiet=quiet)


@exports.command("list")
def exports_list(as_json: AsJson = False, form: AsForm = OutputForm.TABLE, quiet: Quiet = False) -> None:
    """List every landed export, and whether it counts."""
    from rmetrics.output.exports import show_exports
    from rmetrics.settings import load_settings
    from rmetrics.usecases.exports import landed_exports

    show_exports(reporter(as_json=as_json, quiet=quiet, form=form), landed_exports(load_settings()))


@exports.command("withdraw")
def exports_withdraw(which: Which, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Exclude an export from the next sync on.

    Nothing is deleted.
    """
    from rmetrics.output.exports import show_decision
    from rmetrics.settings import load_settings
    from rmetrics.usecases.exports import withdraw

    show_decision(reporter(as_json=as_json, quiet=quiet), withdraw(load_settings(), which), withdrawn=True)


@exports.command("restore")
def exports_restore(which: Which, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Include a withdrawn export again from the next sync on."""
    from rmetrics.output.exports import show_decision
    from rmetrics.settings import load_settings
    from rmetrics.usecases.exports import restore

    show_decision(reporter(as_json=as_json, quiet=quiet), restore(load_settings(), which), withdrawn=False)
