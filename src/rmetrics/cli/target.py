"""``rmetrics target set``: enters a month's target as a file in the inbox."""

from typing import TYPE_CHECKING, Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, month_in, reporter, show_group_help

if TYPE_CHECKING:
    from rmetrics.pipeline.entered import EnteredRow

target = typer.Typer(
    help="Enter targets by hand.", callback=show_group_help, invoke_without_command=True, rich_markup_mode=None
)
Month = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")]


@target.command("set")
def target_set(
    month: Month,
    source: Annotated[str | None, typer.Option(help="For this source. Default: the whole company.")] = None,
    segment: Annotated[str | None, typer.Option(help="For this segment. Default: all of them.")] = None,
    repairs: Annotated[str | None, typer.Option(metavar="N", help="Repairs to reach.")] = None,
    revenue: Annotated[str | None, typer.Option(metavar="N", help="Revenue after payout to reach.")] = None,
    conversion: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Share of leads that become repairs, 0.31 or 31%.")
    ] = None,
    cpl_max: Annotated[str | None, typer.Option(metavar="N", help="The highest cost of a lead.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Set a month's target.

    It is a file in the inbox, which the next sync reads. Omitted targets remain unchanged.
    """
    from rmetrics.settings import load_settings
    from rmetrics.usecases.target import set_target

    figures = {
        "target_repairs": repairs,
        "target_revenue40": revenue,
        "target_conv_l2r": conversion,
        "target_cpl_max": cpl_max,
    }
    report_entered(
        set_target(load_settings(), month_in(month), figures, source=source, segment=segment),
        as_json=as_json,
        quiet=quiet,
    )


def report_entered(entered: "EnteredRow", *, as_json: bool, quiet: bool) -> None:
    """Reports the file written, and the next step."""
    report = reporter(as_json=as_json, quiet=quiet)
    if as_json:
        report.json(entered)
        return
    row = ", ".join(f"{name} {value}" for name, value in entered.row.items())
    if entered.changed:
        report.line(f"Wrote {entered.file}: {row}. It counts from the next sync on: rmetrics sync")
    else:
        report.line(f"Already set: {row}. Nothing was written.")
