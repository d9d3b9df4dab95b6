"""The memory limit of a run and the limits derived from it.

Rows are joined in memory, so they are joined in buckets of limited size. The constants are measured
(``docs/benchmarks.md``).
"""

import os
from pathlib import Path

DEFAULT_MEMORY = 4 * 1024**3  # bytes; the limit of a run if none is set
_PROGRAM = 600 * 1024**2  # bytes: the program, its libraries, and file blocks being processed
_ROW = 800  # bytes of a row being joined and written
_MARGIN = 256 * 1024**2  # bytes that an engine uses beyond its limit
_MIN_ROWS = 250_000


def rows_at_once(limit: int) -> int:
    """The number of rows that may be joined at a time."""
    return max(_MIN_ROWS, (limit - _PROGRAM) // _ROW)


def duckdb_limit(limit: int) -> str:
    """DuckDB's memory limit, as its setting: the run's limit minus the program's memory, which it may never release.

    At least a quarter of the run's limit, at most half.
    """
    free = limit - _resident() - _MARGIN
    return f"{max(min(free, limit // 2), limit // 4, _MARGIN) // 1024**2}MiB"


def _resident() -> int:
    """The current memory of this process; half of ``_PROGRAM`` if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return _PROGRAM // 2
    return pages * os.sysconf("SC_PAGE_SIZE")


__all__ = ["DEFAULT_MEMORY", "duckdb_limit", "rows_at_once"]
