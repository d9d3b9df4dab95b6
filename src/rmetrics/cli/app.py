"""Assembles the commands and maps errors to exit codes.

Imports inside the commands keep ``rmetrics --help`` instant. ``main`` alone turns errors into exit codes: 0 success,
1 a bug of rmetrics, 2 usage, settings or rules, 3 data findings of severity error, 4 lake, Postgres or an output that
cannot be written, 5 another run holds the lock, 130 interrupted by Ctrl-C.
"""

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from rmetrics.cli.alerts import alerts
from rmetrics.cli.brief import brief
from rmetrics.cli.calls import calls
from rmetrics.cli.check import check
from rmetrics.cli.db import db
from rmetrics.cli.disputes import disputes
from rmetrics.cli.doctor import doctor
from rmetrics.cli.explain import explain
from rmetrics.cli.exports import exports
from rmetrics.cli.grafana import grafana
from rmetrics.cli.history import history
from rmetrics.cli.init import init
from rmetrics.cli.interrupts import INTERRUPTED, interrupts
from rmetrics.cli.journeys import journeys
from rmetrics.cli.limits import require_address_space
from rmetrics.cli.metrics import metrics
from rmetrics.cli.options import reporter
from rmetrics.cli.plan import plan
from rmetrics.cli.pull import pull
from rmetrics.cli.rejected import rejected
from rmetrics.cli.report import report
from rmetrics.cli.rules import rules
from rmetrics.cli.schedule import schedule
from rmetrics.cli.schema import schema
from rmetrics.cli.serve import serve
from rmetrics.cli.spend import spend
from rmetrics.cli.sql import sql
from rmetrics.cli.status import status
from rmetrics.cli.sync import sync
from rmetrics.cli.target import target
from rmetrics.errors import LakeError, RmetricsError, SettingsError, caused_by_interrupt, of_the_system
from rmetrics.output.streams import close_streams, open_streams
from rmetrics.output.visible import visible

app = typer.Typer(
    name="rmetrics",
    help="Turns a folder of exports into correct figures in Postgres, for appliance-repair companies.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    *(init, pull, sync, metrics, explain, journeys, check, plan, history, sql, status, doctor),
    *(calls, disputes, schema, grafana, report, brief, alerts, serve),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(target, name="target")
app.add_typer(spend, name="spend")
app.add_typer(rules, name="rules")
app.add_typer(db, name="db")
app.add_typer(rejected, name="rejected")
app.add_typer(exports, name="exports")
app.add_typer(schedule, name="schedule")


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    open_streams()
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # a second Ctrl-C, or the first one raised by Python after Polars passed it on
        code = INTERRUPTED
    failed = close_streams()
    if failed is not None:
        _fail(
            f"cannot write to stdout: {failed.strerror}",
            "The command itself has finished; only its output is incomplete.",
        )
        close_streams()
        code = code or LakeError.exit_code
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code.

    All files it creates are private: exports, tables and pages contain customers' rows and a company's figures.
    """
    os.umask(0o077)
    with interrupts() as interrupted:
        try:
            return _run(arguments)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where errors become exit codes
            if caused_by_interrupt(error) or interrupted():
                return _stopped()
            return _failed(error, as_json=_wants_json(arguments))


def _wants_json(arguments: list[str]) -> bool:
    """Whether errors are written as JSON documents."""
    return "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _run(arguments: list[str]) -> int:
    try:
        result = command_line()(args=arguments, prog_name="rmetrics", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return _stopped()
    if result == INTERRUPTED:  # typer's own exit code for Ctrl-C
        return _stopped()
    return result if isinstance(result, int) else 0


def _stopped() -> int:
    sys.stderr.write("stopped; no partial result is visible, the next run continues from here\n")
    return INTERRUPTED


def _failed(error: BaseException, *, as_json: bool) -> int:
    known = error if isinstance(error, RmetricsError) else of_the_system(error)
    if known is not None:
        reporter(as_json=as_json).error(known)
        return known.exit_code
    usage = getattr(error, "format_message", None)  # usage errors of the click inside typer
    if usage is None:
        return _crashed(error, as_json=as_json)
    context = getattr(error, "ctx", None)
    asked = "rmetrics" if context is None else context.command_path
    _fail(usage(), f"See `{asked} --help`.")
    return 2


def _fail(message: str, hint: str) -> None:
    """Writes an error to stderr without rich."""
    text = visible(f"error: {message}\n  {hint}\n", sys.stderr.encoding, lines=True)
    sys.stderr.write(text)


def _crashed(error: BaseException, *, as_json: bool) -> int:
    from rmetrics.cli.crash import REPORT, masked, traceback_text

    if as_json:
        kind = type(error).__name__
        reporter(as_json=True).json({"error": {"kind": kind, "message": masked(str(error)), "hint": REPORT}})
    sys.stderr.write(visible(f"{traceback_text(error)}{REPORT}\n", sys.stderr.encoding, lines=True))
    return 1


def _go_to(folder: Path | None) -> None:
    """Changes the working directory before anything else runs.

    Raises:
        SettingsError: the folder cannot be entered.
    """
    if folder is None:
        return
    try:
        os.chdir(folder)
    except OSError as error:
        raise SettingsError(
            f"cannot change to {folder}: {error.strerror}", "Name an existing folder: -C FOLDER."
        ) from (error)


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    _folder: Annotated[
        Path | None,
        typer.Option("-C", metavar="DIR", help="Work in this folder.", callback=_go_to, is_eager=True,
                     expose_value=False),
    ] = None,
) -> None:  # fmt: skip
    """Turns a folder of exports into correct figures in Postgres, for appliance-repair companies."""
    if show:
        from rmetrics.version import __version__

        sys.stdout.write(f"rmetrics {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit
    require_address_space()


def command_line() -> Any:
    """Builds the command line; every command accepts ``-C``, like the program itself."""
    root = get_command(app)
    folder = next(p for p in root.params if "-C" in p.opts)
    groups: list[Any] = [root]
    while groups:
        for command in getattr(groups.pop(), "commands", {}).values():
            command.params.append(folder)
            groups.append(command)
    return root
