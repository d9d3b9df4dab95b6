"""``rmetrics pull``."""

import datetime as dt
from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter


def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="The NAME of [pulls.NAME]. Default: all declared pulls.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The first day to fetch. Default: since the last complete pull."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the requests without sending them.")] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Fetch the declared exports into the inbox.

    An incomplete pull changes nothing: the last complete data remain in force, and the exit code is 3.
    """
    from rmetrics.output.pull import show_pulled
    from rmetrics.settings import load_settings
    from rmetrics.usecases.pull import pull as run_pull

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    settings = load_settings()
    with report.progress() as progress:
        pulled = run_pull(settings, names or (), since=_day(since), dry_run=dry_run, progress=progress)
    show_pulled(report, pulled)
    return pulled.exit_code


def _day(text: str | None) -> dt.date | None:
    """Parses the day of an option.

    Raises:
        SettingsError: the text is not of the form YYYY-MM-DD, or the day is in the future.
    """
    from rmetrics.errors import SettingsError

    if text is None:
        return None
    try:
        day = dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-01.") from None
    if day > dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1):
        raise SettingsError(f"--since {text} is in the future", "Name a past day.")
    return day
