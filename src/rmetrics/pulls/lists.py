"""Reads a list from a web server and proves it complete."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from rmetrics.concealed import conceal
from rmetrics.pulls.answers import ListPage, UnusableAnswerError, exact_json, found, read_page
from rmetrics.pulls.completeness import (
    InconsistentPagesError,
    ListReading,
    agree,
    consistent_reading,
    incomplete,
    inconsistent,
)
from rmetrics.pulls.paging import PAGES, Position, first_position, next_position, probes_further
from rmetrics.pulls.requests import Request, bearer_request, filled, followed, origin, page_request
from rmetrics.pulls.transport import NoSuchPageError, RefusedSecretError, Response, RetryableError, Transport
from rmetrics.pulls.window import midnight
from rmetrics.rules.pulls import ListPull

READINGS = 4  # at most, until two agree
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Proved:
    """A list that was read completely.

    Attributes:
        readings: number of readings until two agreed.
        requests: number of pages requested in all.
    """

    reading: ListReading
    readings: int
    requests: int


def values_of(
    pull: ListPull, secrets: Mapping[str, str], since: dt.date, until: dt.date, zone: str
) -> dict[str, str | int | None]:
    """Returns the values of all placeholders except those of a page."""
    zone = pull.zone or zone
    days = {"since": midnight(since, zone).strftime(pull.dates), "until": midnight(until, zone).strftime(pull.dates)}
    return {**secrets, **days, "size": pull.paging.size}


def first_request(pull: ListPull, values: Mapping[str, str | int | None]) -> Request:
    """Builds the request for the first page."""
    return page_request(pull, {**values, **_at(_first(pull, values))})


def read_list(pull: ListPull, values: Mapping[str, str | int | None], progress: Progress) -> Proved:
    """Reads all rows of a list.

    The list is read until two successive readings agree: rows that move between pages during a reading can be missed
    without any page looking wrong.

    Args:
        pull: the declaration.
        values: values of the placeholders.
        progress: called with the number of rows so far and the total (0: unknown).

    Raises:
        PullError: the list is not proved complete.
    """
    origins = {origin(pull.url)} | ({origin(pull.bearer.url)} if pull.bearer else set())
    with Transport(frozenset(origins), seconds=pull.budget, interval=pull.interval) as transport:
        reader = _Reader(pull, values, transport, progress)
        before: ListReading | None = None
        fault: InconsistentPagesError | None = None
        for number in range(1, READINGS + 1):
            try:
                reading = consistent_reading(pull, reader.pages())
            except InconsistentPagesError as error:
                if fault is not None and fault.message == error.message:
                    raise  # the same fault twice: the list did not change while it was read
                # Two consistent readings in a row are required, so the one before no longer counts.
                before, fault = None, error
                continue
            if not pull.twice or (before is not None and agree(before, reading)):
                return Proved(reading, number, reader.requests)
            before = reading
    if fault is not None:
        raise fault
    raise incomplete(f"{READINGS} readings differ: the list changes while it is read")


class _Reader:
    def __init__(
        self, pull: ListPull, values: Mapping[str, str | int | None], transport: Transport, progress: Progress
    ) -> None:
        self.pull, self.values, self.transport, self.progress = pull, dict(values), transport, progress
        self.requests = 0

    def pages(self) -> list[ListPage]:
        """Reads all pages once.

        Raises:
            PullError: a page is missing, or the pages do not end by their rule.
        """
        pages: list[ListPage] = []
        asked: set[str | None] = {None}
        here: Position | None = _first(self.pull, self.values)
        while here is not None:
            page, link = self._page(here)
            if probes_further(here, page):
                raise inconsistent(
                    f"page {here.number} has rows, although the previous page was not full: rows are missing in "
                    "between",
                    "If the server returns fewer rows than size, lower size to its limit.",
                )
            pages.append(page)
            rows = sum(len(p.rows) for p in pages)
            self.progress(rows, page.total or 0)
            here = next_position(self.pull, here, page, rows, link)
            if here is not None and here.cursor is not None and here.cursor in asked:
                raise inconsistent(f"page {here.number - 1} leads back to a page already read")
            if here is not None:
                asked.add(here.cursor)
                if here.number > PAGES:
                    raise incomplete(f"the list does not end after {PAGES:,} pages")
        return pages

    def _page(self, here: Position) -> tuple[ListPage, str | None]:
        what = f"page {here.number}"
        self.requests += 1

        def read(answer: Response) -> tuple[ListPage, str | None]:
            document = exact_json(answer.body)
            if self.pull.throttled and found(self.pull.throttled, document):
                raise RetryableError("asks for a later retry")
            return read_page(self.pull, document), answer.link

        for renewed in (False, True):
            try:
                return self.transport.ask(what, self._request(here), read)
            except RefusedSecretError as error:
                if self.pull.bearer is None or renewed:
                    named = " or ".join(self.pull.secrets.values()) or "a secret"
                    raise incomplete(
                        f"{what}: the server refuses access ({error}): {named} is wrong or has expired",
                        "Get a new one, replace the old one, and pull again.",
                    ) from None
                self.values.pop("bearer", None)
            except NoSuchPageError:
                if here.probe:  # some servers have no page after the last one
                    return ListPage(()), None
                raise incomplete(f"{what}: the address does not exist on the server (404)", "Check `url`.") from None
        raise AssertionError  # pragma: no cover - the second round returns or raises

    def _request(self, here: Position) -> Request:
        if self.pull.bearer is not None and "bearer" not in self.values:
            self.values["bearer"] = self._bearer()
        request = page_request(self.pull, {**self.values, **_at(here)})
        linked = self.pull.paging.kind == "link" and here.cursor is not None
        return followed(request, here.cursor or "") if linked else request

    def _bearer(self) -> str:
        assert self.pull.bearer is not None  # noqa: S101 - the caller has looked
        path = self.pull.bearer.value

        def read(answer: Response) -> str:
            token = found(path, exact_json(answer.body))
            if not isinstance(token, str) or len(token) < 4:
                raise UnusableAnswerError(f"has no token under {path}")
            return token

        try:
            token = self.transport.ask("the access token", bearer_request(self.pull, self.values), read)
        except (RefusedSecretError, NoSuchPageError):
            named = " or ".join(self.pull.secrets.values())
            raise incomplete(
                f"the access token is refused: {named} is wrong or has expired",
                "Get a new one, replace the old one, and pull again.",
            ) from None
        conceal(token)
        return token


def _first(pull: ListPull, values: Mapping[str, str | int | None]) -> Position:
    start = filled(pull.paging.start, values)
    return replace(first_position(pull.paging), cursor=None if start is None else str(start))


def _at(here: Position) -> dict[str, str | int | None]:
    return {"offset": here.at, "page": here.at, "cursor": here.cursor}
