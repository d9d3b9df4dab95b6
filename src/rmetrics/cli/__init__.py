"""The command line: parses options, runs one use case, passes the result to ``output``, and sets the exit code.

One module per group of commands; ``app`` assembles them. Imports inside the commands keep ``rmetrics --help`` instant.
"""

import gc
import os
import signal

# A collection looks at every object of the libraries and of thousands of exports: with Python's own thresholds a tenth
# of a short sync. What a sync leaves behind is freed by reference counts; cycles are rare.
_COLLECT = (50_000, 20, 50)
# By itself, Polars reads many row groups of a file ahead, and keeps several pieces of a table before each step that
# puts them in order or hands them out. Two and one are as fast, with half the memory where a large table is copied.
_READ_AHEAD = {
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "2",
    "POLARS_DEFAULT_LINEARIZER_BUFFER_SIZE": "1",
    "POLARS_DEFAULT_DISTRIBUTOR_BUFFER_SIZE": "1",
}


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    gc.set_threshold(*_COLLECT)
    for name, value in _READ_AHEAD.items():
        os.environ.setdefault(name, value)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until anything has started, Ctrl-C simply ends the process
    from rmetrics.cli.app import main as start

    start()


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    from rmetrics.cli.app import run as run_app

    return run_app(arguments)


__all__ = ["main", "run"]
