"""The nearest known name to a misspelled one."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], *, show: int = 12, near: bool = False) -> str:
    """Returns ``; did you mean 'x'?``, or if nothing is near, the known names (with ``near``: nothing).

    >>> did_you_mean("fead", ["feed", "sum"])
    "; did you mean 'feed'?"
    """
    names = sorted(known)
    folded = {n.casefold(): n for n in names}
    closest = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if closest:
        return f"; did you mean {folded[closest[0]]!r}?"
    if near:
        return ""
    more = ", ..." if len(names) > show else ""
    return f"; known are {', '.join(names[:show])}{more}" if names else ""
