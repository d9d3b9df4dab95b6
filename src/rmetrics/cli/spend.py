"""``rmetrics spend set``: enters a month's spend as a file in the inbox."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, month_in, show_group_help
from rmetrics.cli.target import Month, report_entered

spend = typer.Typer(
    help="Enter spend by hand.", callback=show_group_help, invoke_without_command=True, rich_markup_mode=None
)


@spend.command("set")
def spend_set(
    month: Month,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="The amount spent, for instance 1,250.00.")],
    source: Annotated[str | None, typer.Option(help="The source; required if several have a spend.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Only for this campaign.")] = None,
    add: Annotated[bool, typer.Option("--add", help="Add it to the other rows of the month.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Set the advertising cost of a month.

    It is a file in the inbox, which the next sync reads.
    """
    from rmetrics.settings import load_settings
    from rmetrics.usecases.spend import set_spend

    entered = set_spend(load_settings(), month_in(month), amount, source=source, campaign=campaign, add=add)
    report_entered(entered, as_json=as_json, quiet=quiet)
