"""``rmetrics db``."""

from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter, show_group_help

db = typer.Typer(
    help="Start and stop the embedded PostgreSQL.",
    callback=show_group_help,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@db.command("start")
def db_start(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65_535, help="Also listen on this loopback port, for Grafana and other programs on this machine."
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Start the embedded PostgreSQL and leave it running.

    Without --port, it listens on its socket only, for programs of the same user. With it, the reader role can log in by
    password; its address is printed, for libpq and for Java (JDBC).
    """
    from rmetrics.settings import load_settings
    from rmetrics.usecases.db import db_start as start
    from rmetrics.usecases.db import db_start_on

    if port is None:
        _url(start(load_settings()), as_json=as_json, quiet=quiet)
        return
    from rmetrics.output.db import show_reader

    show_reader(reporter(as_json=as_json, quiet=quiet), db_start_on(load_settings(), port))


@db.command("stop")
def db_stop(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Stop the embedded PostgreSQL."""
    from rmetrics.settings import load_settings
    from rmetrics.usecases.db import db_stop as stop

    stopped = stop(load_settings())
    report = reporter(as_json=as_json, quiet=quiet)
    if as_json:
        report.json({"stopped": stopped})
    report.line("Stopped." if stopped else "It was not running.")


@db.command("url")
def db_url(
    reader: Annotated[
        bool, typer.Option("--reader", help="Print the URL of the reader role, with its password; see db start --port.")
    ] = False,
    jdbc: Annotated[
        bool, typer.Option("--jdbc", help="Print it as a JDBC URL, for DBeaver, Metabase or Tableau.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the URL of the running embedded PostgreSQL."""
    from rmetrics.settings import load_settings
    from rmetrics.usecases.db import db_reader
    from rmetrics.usecases.db import db_url as url

    if not (reader or jdbc):
        _url(url(load_settings()), as_json=as_json, quiet=quiet)
        return
    found = db_reader(load_settings())
    _url(found.jdbc if jdbc else found.dsn, as_json=as_json, quiet=quiet)


def _url(url: str, *, as_json: bool, quiet: bool) -> None:
    report = reporter(as_json=as_json, quiet=quiet)
    if as_json:
        report.json({"url": url})
    report.line(url)
