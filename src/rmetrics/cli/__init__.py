"""The command line: options in, one use case, the result to ``report``, the exit code out.

One module per group of commands; ``app`` puts them together. Imports inside the commands keep ``rmetrics --help``
instant.
"""

import signal


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing has begun yet: Ctrl-C just ends it
    from rmetrics.cli.app import main as start

    start()


def run(arguments: list[str]) -> int:
    """Runs one command line; returns its exit code."""
    from rmetrics.cli.app import run as run_app

    return run_app(arguments)


__all__ = ["main", "run"]
