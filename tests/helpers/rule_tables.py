"""The tables of the shipped rules as a test edits them: the place of every key, and leaving one out."""

from collections.abc import Iterator
from typing import Any

Key = tuple[str | int, ...]


def keys(tables: Any, above: Key = ()) -> Iterator[Key]:
    """The place of every key of the tables, those of lists and of tables within tables, too."""
    for key, value in tables.items() if isinstance(tables, dict) else enumerate(tables):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from keys(value, (*above, key))


def place_of(tables: Any, key: Key) -> tuple[Any, str | int]:
    """The table or list that a key is in, and its name there."""
    *above, last = key
    for name in above:
        tables = tables[name]
    return tables, last


def leave_out(tables: Any, key: Key) -> None:
    """Deletes a key, which may be a whole table."""
    place, last = place_of(tables, key)
    del place[last]
