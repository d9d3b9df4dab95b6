"""The command line: parses options, runs one use case, passes the result to ``output``, and sets the exit code.

One module per group of commands; ``app`` assembles them. Imports inside the commands keep ``rmetrics --help`` instant.
"""

import gc
import os
import signal

# A collection looks at every object of the libraries and of thousands of exports: with Python's own thresholds a tenth
# of a short sync. What a sync leaves behind is freed by reference counts; cycles are rare.
_COLLECT = (50_000, 20, 50)
# By itself, Polars reads many row groups of a file ahead. Two are as fast, and copying a table of five million rows
# then takes 0.4 instead of 0.8 GB.
_READ_AHEAD = ("POLARS_ROW_GROUP_PREFETCH_SIZE", "2")


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    gc.set_threshold(*_COLLECT)
    os.environ.setdefault(*_READ_AHEAD)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until anything has started, Ctrl-C simply ends the process
    from rmetrics.cli.app import main as start

    start()


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    from rmetrics.cli.app import run as run_app

    return run_app(arguments)


__all__ = ["main", "run"]
