"""How much memory a run may use, and what follows from it.

Rows that are joined, or sorted into months, are held in memory while that is done; so at most so many are taken at a
time, a few months after the others. The figures behind it are measured (``docs/benchmarks.md``).
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from rmetrics.settings import Settings

K = TypeVar("K")
DEFAULT = 4 * 1024**3
_PROGRAM = 600 * 1024**2  # the program, its libraries, and blocks of files on their way
_ROW = 500  # bytes of a row that is joined and written
_FEWEST = 250_000
_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


def memory_of(settings: Settings) -> int:
    """The limit in bytes."""
    if settings.memory_limit is None:
        return DEFAULT
    match = re.fullmatch(r"([\d.]+) ?([KMGT])(i?)B", settings.memory_limit)
    if match is None:  # the settings have been validated
        msg = f"{settings.memory_limit!r} is no amount of memory"
        raise AssertionError(msg)
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2]])


def rows_at_once(limit: int) -> int:
    """How many rows may be joined, or sorted into months, at a time."""
    return max(_FEWEST, (limit - _PROGRAM) // _ROW)


def duckdb_limit(limit: int) -> str:
    """DuckDB's share, as its setting: it works beside what the first engine still holds."""
    return f"{max(limit // 2, 256 * 1024**2) // 1024**2}MiB"


def batches(sizes: Mapping[K, int], most: int) -> Iterator[list[K]]:
    """Yields keys in their order, together as many rows as may be taken at a time, at least one key."""
    batch, rows = list[K](), 0
    for key, size in sizes.items():
        if batch and rows + size > most:
            yield batch
            batch, rows = [], 0
        batch.append(key)
        rows += size
    if batch:
        yield batch


__all__ = ["DEFAULT", "batches", "duckdb_limit", "memory_of", "rows_at_once"]
