"""The command line: options in, one use case, the result to ``report``, the exit code out.

Imports inside the commands keep ``rmetrics --help`` instant. ``main`` alone turns errors into exit codes: 0 fine, 1 our
bug, 2 usage, settings or rules, 3 data findings at error level, 4 lake or Postgres, 5 another run holds the lock.
"""

import os
import sys
from typing import Annotated

import typer

from rmetrics.cli.check import check
from rmetrics.cli.database import db, schema
from rmetrics.cli.doctor import doctor
from rmetrics.cli.explain import explain
from rmetrics.cli.exports import exports
from rmetrics.cli.grafana import grafana
from rmetrics.cli.history import history
from rmetrics.cli.options import reporter
from rmetrics.cli.page import report
from rmetrics.cli.plan import plan
from rmetrics.cli.project import init
from rmetrics.cli.query import sql
from rmetrics.cli.rejected import rejected
from rmetrics.cli.rules import rules
from rmetrics.cli.sync import status, sync
from rmetrics.errors import RmetricsError, of_the_system

app = typer.Typer(
    name="rmetrics",
    help="From a folder of exports to right numbers in Postgres, for appliance-repair companies.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (init, sync, explain, check, plan, history, sql, status, doctor, schema, grafana, report):
    app.command()(command)
app.add_typer(rules, name="rules")
app.add_typer(db, name="db")
app.add_typer(rejected, name="rejected")
app.add_typer(exports, name="exports")


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code.

    Whatever it writes is closed to other users: exports, tables and pages hold customers' rows and a company's figures.
    """
    os.umask(0o077)
    try:
        result = app(args=arguments, standalone_mode=False)
    except RmetricsError as error:
        reporter(as_json="--json" in arguments).error(error)
        return error.exit_code
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("stopped; nothing half done is visible, the next run goes on from here\n")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where a fault of ours is told
        usage = getattr(error, "format_message", None)  # typer's own click: usage errors
        if usage is None:
            return _crashed(error, as_json="--json" in arguments)
        sys.stderr.write(f"error: {usage()}\n  See `rmetrics --help`.\n")
        return 2
    return result if isinstance(result, int) else 0


def _crashed(error: Exception, *, as_json: bool) -> int:
    from rmetrics.cli.crash import REPORT, masked, told

    if (known := of_the_system(error)) is not None:
        reporter(as_json=as_json).error(known)
        return known.exit_code
    if as_json:
        kind = type(error).__name__
        reporter(as_json=True).json({"error": {"kind": kind, "message": masked(str(error)), "hint": REPORT}})
    sys.stderr.write(f"{told(error)}{REPORT}\n")
    return 1


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """From a folder of exports to right numbers in Postgres, for appliance-repair companies."""
    if show:
        from rmetrics import __version__

        sys.stdout.write(f"rmetrics {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(0)
