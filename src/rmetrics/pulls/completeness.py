"""Proves that a list was read completely. Pure.

A list is complete if the number of its rows is the declared total (the same on every page), its pages end by their own
rule, no key has two contents, its size is below the known cap, and a second reading gave the same rows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from rmetrics.errors import PullError
from rmetrics.findings import count
from rmetrics.pulls.answers import ListPage, Row
from rmetrics.rules.pulls import ListPull

HINT = "No data of this pull are in force; the last complete data remain. To try again: rmetrics pull"


@dataclass(frozen=True, slots=True)
class ListReading:
    """One reading of a whole list, consistent in itself.

    Attributes:
        rows: each key once, in order of arrival.
        pages: number of pages.
        total: the total that the server declared; None without one.
        digest: hash of the rows regardless of their order, which servers do not guarantee.
    """

    rows: tuple[Row, ...]
    pages: int
    total: int | None

    @property
    def digest(self) -> str:
        """Equal for equal rows in any order."""
        return hashlib.sha256("\n".join(sorted(content(r) for r in self.rows)).encode()).hexdigest()


def content(row: Row) -> str:
    """Returns a hash of a row's cells; blank cells do not count."""
    text = "\x1f".join(f"{h}\x1e{c}" for h, c in sorted(row.items()) if c)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class InconsistentPagesError(PullError):
    """Pages that are inconsistent. The list may have changed while it was read: another reading may be consistent."""


def incomplete(what: str, hint: str = HINT) -> PullError:
    """Builds the error for a pull that is not proved complete."""
    return PullError(what, hint)


def inconsistent(what: str, hint: str = HINT) -> InconsistentPagesError:
    """Builds the error for inconsistent pages."""
    return InconsistentPagesError(what, hint)


def consistent_reading(pull: ListPull, pages: Sequence[ListPage]) -> ListReading:
    """Checks the pages of a reading against each other and returns it.

    Raises:
        InconsistentPagesError: rows are missing or repeated with other content, or completeness is not proved.
    """
    total = _agreed_total(pages)
    _refuse_repeated_pages(pull, pages)
    rows = _unique(pull, pages) if pull.unique else [row for page in pages for row in page.rows]
    if total is not None and len(rows) != total:
        seen = sum(len(p.rows) for p in pages)
        message = f" ({seen:,} with repetitions)" if seen != len(rows) else ""
        shortage = f"{count(total - len(rows), 'row')} missing" if len(rows) < total else "more than declared"
        short = _short_page(pull, pages)
        raise inconsistent(
            f"the server declares {count(total, 'row')}, {len(rows):,} received{message}: {shortage}{short}"
        )
    if pull.most is not None and len(rows) >= pull.most:
        raise inconsistent(
            f"{len(rows):,} rows received, and the known cap is {pull.most:,}: the server may have more",
            "Request a shorter span (overlap, --since), or raise `most` if the cap is higher.",
        )
    if not rows and total is None and not pull.may_be_empty:
        raise inconsistent(
            "the list is empty, and no total confirms this",
            "If it may be empty, declare may_be_empty = true, or total. Otherwise check that the token is still valid.",
        )
    return ListReading(tuple(rows), len(pages), total)


def _short_page(pull: ListPull, pages: Sequence[ListPage]) -> str:
    """Names the first page, other than the last, that is not full."""
    size = pull.paging.size
    if size is None or pull.paging.kind not in {"offset", "page"}:
        return ""
    short = next(((n, len(p.rows)) for n, p in enumerate(pages[:-1], 1) if len(p.rows) < size), None)
    return "" if short is None else f" (page {short[0]} has {short[1]:,} of {size:,})"


def _agreed_total(pages: Sequence[ListPage]) -> int | None:
    totals = list(dict.fromkeys(p.total for p in pages))
    if len(totals) > 1:
        raise inconsistent(f"the declared total changed from {totals[0]} to {totals[1]} while the pages were read")
    return totals[0] if totals else None


def _refuse_repeated_pages(pull: ListPull, pages: Sequence[ListPage]) -> None:
    """Refuses a repeated page; without ``unique`` only its whole content reveals it."""
    if pull.unique:
        return
    seen: dict[str, int] = {}
    for number, page in enumerate(pages, 1):
        if not page.rows:
            continue
        # A page with a single row may rightly equal an earlier one if the total counts both.
        digest = "".join(content(r) for r in page.rows)
        if digest in seen and (len(page.rows) > 1 or page.total is None):
            raise inconsistent(f"page {number} repeats page {seen[digest]}, and another page is missing")
        seen[digest] = number


def _unique(pull: ListPull, pages: Sequence[ListPage]) -> list[Row]:
    """Returns the rows with each key once.

    Raises:
        InconsistentPagesError: a row has no key, or a key has two contents.
    """
    names = ", ".join(pull.unique)
    kept: dict[tuple[str, ...], tuple[str, int]] = {}
    rows: list[Row] = []
    for number, page in enumerate(pages, 1):
        for row in page.rows:
            key = tuple(row.get(h, "") for h in pull.unique)
            if not any(key):
                raise inconsistent(f"page {number} has a row without {names}")
            digest = content(row)
            before = kept.get(key)
            if before is None:
                kept[key] = (digest, number)
                rows.append(row)
            elif before[0] != digest:
                raise inconsistent(f"a row ({names}) is on page {before[1]} and page {number} with different content")
    return rows


def agree(first: ListReading, second: ListReading) -> bool:
    """Whether two readings have the same rows."""
    return first.digest == second.digest
