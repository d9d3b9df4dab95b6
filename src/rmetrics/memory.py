"""The memory limit of a run and the limits derived from it.

Rows are joined in memory, so they are joined in buckets of limited size. The constants are measured
(``docs/benchmarks.md``).
"""

import os
from collections.abc import Iterator
from pathlib import Path

_MIB = 1024**2
DEFAULT_MEMORY = 4 * 1024**3  # bytes; the limit of a run if none is set
_PROGRAM = 600 * 1024**2  # bytes: the program, its libraries, and file blocks being processed
_ROW = 800  # bytes of a row being joined and written
_CHECKED_ROW = 16  # bytes of a row that DuckDB cannot do without while recomputing
_MARGIN = 256 * 1024**2  # bytes that an engine uses beyond its limit
_MIN_ROWS = 250_000


def rows_at_once(limit: int) -> int:
    """The number of rows that may be joined at a time."""
    return max(_MIN_ROWS, (limit - _PROGRAM) // _ROW)


def duckdb_limit(limit: int) -> str:
    """DuckDB's memory limit, as its setting: the run's limit minus the program's memory, which it may never release.

    At least a quarter of the run's limit, at most half.
    """
    return f"{_share(limit) // _MIB}MiB"


def duckdb_limits(limit: int, rows: int) -> Iterator[str | None]:
    """The limits to try one after the other where DuckDB has to finish.

    DuckDB writes what does not fit to disk, but not everything can be written. The first is ``duckdb_limit``, or more
    if that many rows need it; then twice as much each time. The last is None: no limit of ours.
    """
    share = max(_share(limit), rows * _CHECKED_ROW)
    yield f"{share // _MIB}MiB"
    while (share := 2 * share) < _machine() // 2:
        yield f"{share // _MIB}MiB"
    yield None


def _share(limit: int) -> int:
    free = limit - _resident() - _MARGIN
    return max(min(free, limit // 2), limit // 4, _MARGIN)


def _machine() -> int:
    """The machine's memory; 0 if the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def _resident() -> int:
    """The current memory of this process; half of ``_PROGRAM`` if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return _PROGRAM // 2
    return pages * os.sysconf("SC_PAGE_SIZE")


__all__ = ["DEFAULT_MEMORY", "duckdb_limit", "duckdb_limits", "rows_at_once"]
