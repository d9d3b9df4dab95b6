"""Which page comes next, and when the last one was there. Pure."""

from dataclasses import dataclass

from rmetrics.pulls.answers import Page
from rmetrics.rules.pulls import ListPull, Paging

PAGES = 20_000  # beyond: a list that never ends


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a list a request asks.

    Attributes:
        number: of the request, from 1.
        at: the offset or the number of the page.
        cursor: what the page before gave; a whole address with the Link header.
        probe: whether the list has ended already, and this request is to find nothing.
    """

    number: int
    at: int = 0
    cursor: str | None = None
    probe: bool = False


def first_position(paging: Paging) -> Position:
    """The position of the first page."""
    start = paging.first if paging.first is not None else 1 if paging.kind == "page" else 0
    return Position(1, start)


def next_position(pull: ListPull, here: Position, page: Page, rows: int, link: str | None) -> Position | None:
    """The position after a page; None after the last.

    Counted pages end where the total is reached, or with an empty page. Without a total a page that is not full is the
    last; one more is asked for, which must be empty: a server may give fewer rows than it was asked for.

    Args:
        pull: the declaration.
        here: the position of the page.
        page: what was there.
        rows: read so far, those of this page included.
        link: the address in the Link header that leads on.
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


def probes_further(here: Position, page: Page) -> bool:
    """Whether a page was to be empty and is not."""
    return here.probe and bool(page.rows)
