"""How long work tells how far it is, without knowing who listens."""

from collections.abc import Callable

# (what is being done, how much of it is done, how much there is; 0 = unknown)
Progress = Callable[[str, int, int], None]


def silent(_what: str, _done: int, _total: int) -> None:
    """Tells nobody."""
