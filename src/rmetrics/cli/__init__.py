"""The command line: parses options, runs one use case, passes the result to ``output``, and sets the exit code.

One module per group of commands; ``app`` assembles them. Imports inside the commands keep ``rmetrics --help`` instant.
"""

import signal


def main() -> None:
    """Runs the program and ends the process with its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until anything has started, Ctrl-C simply ends the process
    from rmetrics.cli.app import main as start

    start()


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    from rmetrics.cli.app import run as run_app

    return run_app(arguments)


__all__ = ["main", "run"]
