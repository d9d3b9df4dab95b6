"""The command line: options in, one use case, the result to ``report``, the exit code out.

Imports inside the commands keep ``rmetrics --help`` instant. ``main`` alone turns errors into exit codes: 0 fine, 1 our
bug, 2 usage, settings or rules, 3 data findings at error level, 4 lake or Postgres, 5 another run holds the lock.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rmetrics.errors import RmetricsError

if TYPE_CHECKING:
    from rmetrics.report import Report

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
db = typer.Typer(
    help="The embedded PostgreSQL, for Grafana on the same machine.", no_args_is_help=True, rich_markup_mode=None
)
rules_app = typer.Typer(help="The rules: validate them.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(db, name="db")
app.add_typer(rules_app, name="rules")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; messages on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but failures.")]

DATA_FINDINGS = 3


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    try:
        result = app(args=arguments, standalone_mode=False)
    except RmetricsError as error:
        _report(as_json="--json" in arguments).error(error)
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
    except Exception as error:
        usage = getattr(error, "format_message", None)  # typer's own click: usage errors
        if usage is None:
            raise
        sys.stderr.write(f"error: {usage()}\n  See `rmetrics --help`.\n")
        return 2
    return result if isinstance(result, int) else 0


def _report(*, as_json: bool = False, quiet: bool = False) -> "Report":
    from rmetrics.report import Report

    return Report(as_json=as_json, quiet=quiet)


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


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Create a project folder: rules, an inbox, an example of the settings."""
    from rmetrics.pipeline.project import init_project

    report = _report(as_json=as_json, quiet=quiet)
    made = init_project(folder)
    if as_json:
        report.json({"folder": folder, "files": made})
    report.line(f"Made {folder} with {len(made)} files. Next:")
    report.line(f"  cd {folder}")
    report.line("  put your exports into data/inbox, then: rmetrics sync")


@app.command()
def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute and check, but write nothing.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Make and compare everything again.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 3 when rows were rejected, too.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish although the database knows exports this lake lacks.")
    ] = False,
    months: Annotated[int, typer.Option(help="How many of the last months to show by source.", min=0)] = 2,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Land new exports, apply the rules, check and publish to Postgres."""
    from rmetrics.pipeline.sync import sync as run_sync
    from rmetrics.settings import load_settings

    report = _report(as_json=as_json, quiet=quiet)
    settings = load_settings()
    with report.progress() as progress:
        result = run_sync(settings, full=full, dry_run=dry_run, force=force, progress=progress)
    report.sync(result, months=months)
    errors = any(f.severity == "error" for f in result.findings)
    if errors and quiet:
        for finding in result.findings:
            if finding.severity == "error":
                sys.stderr.write(f"error: {finding.message}\n")
    rejected = strict and any(f.rejected for f in result.files)
    return DATA_FINDINGS if errors or rejected else 0


@app.command()
def status(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """The last runs, how fresh each feed is, and what is published."""
    from rmetrics.pipeline.status import status as run_status
    from rmetrics.settings import load_settings

    _report(as_json=as_json, quiet=quiet).status(run_status(load_settings()))


@app.command()
def schema(
    apply: Annotated[bool, typer.Option("--apply", help="Apply it to the server instead of printing it.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """The SQL of the published tables and views; --apply creates what is missing."""
    from rmetrics.pipeline.database import schema_apply, schema_ddl
    from rmetrics.settings import load_settings

    report = _report(as_json=as_json, quiet=quiet)
    if apply:
        server = schema_apply(load_settings())
        if as_json:
            report.json({"applied": True, "server": server})
        report.line(f"The schema is in force on {server}.")
        return
    ddl = schema_ddl(load_settings())
    if as_json:
        report.json({"ddl": ddl})
    elif not quiet:
        sys.stdout.write(ddl)


@db.command("start")
def db_start(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Start the embedded PostgreSQL and leave it running."""
    from rmetrics.pipeline.database import db_start as start
    from rmetrics.settings import load_settings

    _url(start(load_settings()), as_json=as_json, quiet=quiet)


@db.command("stop")
def db_stop(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Stop the embedded PostgreSQL."""
    from rmetrics.pipeline.database import db_stop as stop
    from rmetrics.settings import load_settings

    stopped = stop(load_settings())
    report = _report(as_json=as_json, quiet=quiet)
    if as_json:
        report.json({"stopped": stopped})
    report.line("Stopped." if stopped else "It did not run.")


@db.command("url")
def db_url(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """The URL of the running embedded PostgreSQL."""
    from rmetrics.pipeline.database import db_url as url
    from rmetrics.settings import load_settings

    _url(url(load_settings()), as_json=as_json, quiet=quiet)


def _url(url: str, *, as_json: bool, quiet: bool) -> None:
    report = _report(as_json=as_json, quiet=quiet)
    if as_json:
        report.json({"url": url})
    report.line(url)


@rules_app.command("check")
def rules_check(as_json: AsJson = False, quiet: Quiet = False) -> int:
    """Validate the rules: every problem with file, line and key."""
    from rmetrics.errors import RulesError
    from rmetrics.rules import load_rules
    from rmetrics.settings import load_settings

    report = _report(as_json=as_json, quiet=quiet)
    folder = load_settings().rules_dir
    try:
        rules = load_rules(folder)
    except RulesError as error:
        if not as_json:
            raise
        report.json({"ok": False, "problems": error.problems, "warnings": []})
        return error.exit_code
    if as_json:
        report.json({"ok": True, "problems": [], "warnings": rules.warnings})
    for warning in rules.warnings:
        report.line(f"warning: {warning}", "yellow")
    report.line(f"The rules in {folder} are fine: {len(rules.sources)} sources, {len(rules.feeds)} feeds.")
    return 0
