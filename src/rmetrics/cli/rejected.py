"""``rmetrics rejected``: rows in quarantine."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter

Reveal = Annotated[bool, typer.Option("--reveal", help="Show customers' data, which is masked otherwise.")]

rejected = typer.Typer(
    help="List rejected rows, show one, or read them again.",
    rich_markup_mode=None,
)


@rejected.callback(invoke_without_command=True)
def rejected_main(
    context: typer.Context,
    reveal: Reveal = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Rows in quarantine; without a command they are listed."""
    if context.invoked_subcommand is None:
        rejected_list(reveal=reveal, as_json=as_json, form=form, quiet=quiet)


@rejected.command("list")
def rejected_list(
    reveal: Reveal = False, as_json: AsJson = False, form: AsForm = OutputForm.TABLE, quiet: Quiet = False
) -> None:
    """List every row that could not be read, and why.

    File, line, column, value and reason.
    """
    from rmetrics.output.rejected import show_rejected
    from rmetrics.settings import load_settings
    from rmetrics.usecases.rejected import rejected_rows

    show_rejected(reporter(as_json=as_json, quiet=quiet, form=form), rejected_rows(load_settings(), reveal=reveal))


@rejected.command("show")
def rejected_show(
    row_id: Annotated[str, typer.Argument(metavar="ID", help="The ID from `rmetrics rejected list`.")],
    reveal: Reveal = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show one rejected row as it is in its export."""
    from rmetrics.output.rejected import show_text
    from rmetrics.settings import load_settings
    from rmetrics.usecases.rejected import rejected_text

    show_text(reporter(as_json=as_json, quiet=quiet), rejected_text(load_settings(), row_id, reveal=reveal))


@rejected.command("retry")
def rejected_retry(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Read the rejected rows again.

    Runs a sync with the current rules and files.
    """
    from rmetrics.output.rejected import show_retry
    from rmetrics.settings import load_settings
    from rmetrics.usecases.rejected import retry_rejected
    from rmetrics.usecases.sync import sync

    report = reporter(as_json=as_json, quiet=quiet)
    with report.progress() as progress:
        settings = load_settings()
        result = retry_rejected(settings, lambda: sync(settings, progress=progress))
    show_retry(report, result)
