"""``rmetrics rules``: shows the rules, validates them, and drafts new ones."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter

rules = typer.Typer(help="Show the rules in force, in plain words.", invoke_without_command=True, rich_markup_mode=None)


@rules.callback()
def rules_show(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option("--as-of", help="The rules in force on this day, YYYY-MM-DD.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Show the rules in force, in plain words.

    Each with its dates, its file and its line.
    """
    if context.invoked_subcommand is not None:
        return
    from rmetrics.output.rules import show_rules
    from rmetrics.settings import load_settings
    from rmetrics.usecases.rules import rules_in_force

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    show_rules(report, rules_in_force(load_settings(), _day(as_of), source))


def _day(text: str | None) -> dt.date | None:
    from rmetrics.errors import SettingsError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-15.") from None


@rules.command("check")
def rules_check(as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Validate the rules: every problem with file, line and key."""
    from rmetrics.errors import RulesError
    from rmetrics.output.rules import show_checked, show_problems
    from rmetrics.settings import load_settings
    from rmetrics.usecases.rules import check_rules

    report = reporter(as_json=as_json, quiet=quiet)
    settings = load_settings()
    try:
        checked = check_rules(settings)
    except RulesError as error:
        if not as_json:
            raise
        show_problems(report, error)
        return error.exit_code
    show_checked(report, settings.rules_dir, checked)
    return 0


@rules.command("new")
def rules_new(
    source: Annotated[str, typer.Argument(help="The name of the new channel.")],
    export: Annotated[Path, typer.Option("--from", help="A file as exported by the channel, CSV or Excel.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Draft the rules of a new channel from one of its exports."""
    from rmetrics.output.rules import show_draft
    from rmetrics.settings import load_settings
    from rmetrics.usecases.draft import draft_rules

    draft = draft_rules(load_settings(), source, export)
    show_draft(reporter(as_json=as_json, quiet=quiet), draft)
    return 2 if draft.problems else 0


@rules.command("new-measure")
def rules_new_measure(
    name: Annotated[str, typer.Argument(help="The name of the new measure.")],
    of: Annotated[str, typer.Option(help="The feed of its rows: jobs, payments, calls or another one.")],
    count: Annotated[
        str | None, typer.Option(help="Count only the rows for which this condition is true. Default: every row.")
    ] = None,
    total: Annotated[str | None, typer.Option("--sum", help="The column to add up instead of counting.")] = None,
    where: Annotated[
        str | None, typer.Option(help="With --sum: add up only the rows for which this condition is true.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draft a new measure as a valid file of the rules."""
    from rmetrics.output.rules import show_measure_draft
    from rmetrics.settings import load_settings
    from rmetrics.usecases.new_measure import draft_measure

    draft = draft_measure(load_settings(), name, of, count=count, total=total, where=where)
    show_measure_draft(reporter(as_json=as_json, quiet=quiet), draft)
