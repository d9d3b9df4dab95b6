"""``rmetrics schedule``: daily pulls, sync and brief."""

import datetime as dt
from enum import StrEnum
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter, show_group_help

schedule = typer.Typer(
    help="Run pull, sync and brief every day.",
    callback=show_group_help,
    invoke_without_command=True,
    rich_markup_mode=None,
)


class KindOption(StrEnum):
    """A scheduler."""

    SYSTEMD = "systemd"
    CRON = "cron"
    LAUNCHD = "launchd"
    WINDOWS = "windows"


@schedule.command("install")
def schedule_install(
    at: Annotated[str, typer.Option(metavar="HH:MM", help="The time of day.")] = "07:30",
    kind: Annotated[KindOption | None, typer.Option(help="The scheduler. Default: the platform's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the files and commands.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Install a daily run of pull, sync and brief."""
    from rmetrics.output.schedule import show_installed
    from rmetrics.schedule.plan import Scheduler
    from rmetrics.settings import load_settings
    from rmetrics.usecases.schedule import install

    result = install(load_settings(), _time(at), None if kind is None else Scheduler(kind.value), dry_run=dry_run)
    show_installed(reporter(as_json=as_json, quiet=quiet), result, dry_run=dry_run)


def _time(text: str) -> dt.time:
    from rmetrics.errors import SettingsError

    try:
        return dt.datetime.strptime(text, "%H:%M").time()  # noqa: DTZ007 - a time of day, of whatever zone
    except ValueError:
        raise SettingsError(f"not a time of day: {text!r}", "Use the form HH:MM, for instance 07:30.") from None


@schedule.command("show")
def schedule_show(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Show what is installed, and whether it ran."""
    from rmetrics.output.schedule import show_schedule
    from rmetrics.settings import load_settings
    from rmetrics.usecases.schedule import show

    show_schedule(reporter(as_json=as_json, quiet=quiet), show(load_settings()))


@schedule.command("remove")
def schedule_remove(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Remove this project's schedule, and nothing else."""
    from rmetrics.output.schedule import show_removed
    from rmetrics.settings import load_settings
    from rmetrics.usecases.schedule import remove

    show_removed(reporter(as_json=as_json, quiet=quiet), remove(load_settings()))


@schedule.command("run")
def schedule_run() -> int:
    """Do now what the schedule does: pull, sync, send the brief."""
    from rmetrics.settings import load_settings
    from rmetrics.usecases.schedule import run_now

    ran = run_now(load_settings())
    return ran.sync or ran.brief or 0
