"""The command line: options in, one use case, the result to ``report``, the exit code out.

One module per group of commands; ``app`` puts them together. Imports inside the commands keep ``rmetrics --help``
instant.
"""

from rmetrics.cli.app import main, run

__all__ = ["main", "run"]
