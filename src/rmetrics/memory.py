"""How much memory a run may use, and what follows from it.

Rows that are joined are held in memory while that is done; so they are joined in buckets of at most so many. The
figures behind it are measured (``docs/benchmarks.md``).
"""

import os
from pathlib import Path

_PROGRAM = 600 * 1024**2  # the program, its libraries, and blocks of files on their way
_ROW = 800  # bytes of a row that is joined and written
_MARGIN = 256 * 1024**2  # what an engine takes beyond its limit
_FEWEST = 250_000


def rows_at_once(limit: int) -> int:
    """How many rows may be joined at a time."""
    return max(_FEWEST, (limit - _PROGRAM) // _ROW)


def duckdb_limit(limit: int) -> str:
    """DuckDB's share, as its setting: what the program, which may not give memory back, leaves; at least a quarter."""
    left = limit - _resident() - _MARGIN
    return f"{max(min(left, limit // 2), limit // 4, _MARGIN) // 1024**2}MiB"


def _resident() -> int:
    """The memory that this process has now; half of ``_PROGRAM`` where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return _PROGRAM // 2
    return pages * os.sysconf("SC_PAGE_SIZE")


__all__ = ["duckdb_limit", "rows_at_once"]
