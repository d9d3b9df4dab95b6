"""Determines the next page of a list and the end of it. Pure."""

from dataclasses import dataclass

from rmetrics.pulls.answers import ListPage
from rmetrics.rules.pulls import ListPull, Paging

PAGES = 20_000  # beyond this a list counts as endless


@dataclass(frozen=True, slots=True)
class Position:
    """The place in a list that a request asks for.

    Attributes:
        number: number of the request, from 1.
        at: offset or page number.
        cursor: the cursor from the previous page; with the Link header a whole address.
        probe: whether the list seems to have ended, so that this page must be empty.
    """

    number: int
    at: int = 0
    cursor: str | None = None
    probe: bool = False


def first_position(paging: Paging) -> Position:
    """Returns the position of the first page."""
    start = paging.first if paging.first is not None else 1 if paging.kind == "page" else 0
    return Position(1, start)


def next_position(pull: ListPull, here: Position, page: ListPage, rows: int, link: str | None) -> Position | None:
    """Returns the position after a page; None after the last.

    Counted pages end when the total is reached or with an empty page. Without a total, a page that is not full is the
    last; one more is requested and must be empty, because a server may return fewer rows than requested.

    Args:
        pull: the declaration.
        here: the position of the page.
        page: the page's content.
        rows: number of rows so far, including this page.
        link: the address of the next page in the Link header; None without one.
    """
    paging = pull.paging
    match paging.kind:
        case "none":
            return None
        case "link":
            return None if link is None else Position(here.number + 1, cursor=link)
        case "cursor" | "token":
            return None if page.next is None else Position(here.number + 1, cursor=page.next)
        case "offset" | "page":
            assert paging.size is not None  # noqa: S101 - the rules require it
            on = here.at + (paging.size if paging.kind == "offset" else 1)
            if here.probe:
                return None
            if page.total is not None and rows >= page.total:
                return None
            full = len(page.rows) >= paging.size
            probe = not full and page.total is None
            return Position(here.number + 1, on, probe=probe) if page.rows else None


def probes_further(here: Position, page: ListPage) -> bool:
    """Whether a page that must be empty has rows."""
    return here.probe and bool(page.rows)
