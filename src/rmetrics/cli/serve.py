"""``rmetrics serve``."""

import sys
from typing import Annotated

import typer

from rmetrics.cli.options import AsJson, Quiet, reporter


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free one.")] = 8787,
    host: Annotated[str, typer.Option(help="The address to listen on; any but the loopback admits other machines.")] = (
        "127.0.0.1"
    ),
    rows: Annotated[
        bool, typer.Option("--rows", help="Also show rows of exports, which contain customers' data.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Show the figures as pages, each with its proof.

    Prints one line with the address to open, and serves until stopped. The pages are read-only.
    """
    import json

    from rmetrics.serve.server import serve as run
    from rmetrics.settings import load_settings

    reporter(as_json=as_json, quiet=quiet)

    def ready(url: str) -> None:
        sys.stdout.write(f"{json.dumps({'url': url}) if as_json else url}\n")
        sys.stdout.flush()

    run(load_settings(), host=host, port=port, rows=rows, ready=ready)
