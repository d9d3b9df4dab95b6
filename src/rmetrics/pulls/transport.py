"""HTTP requests to declared servers only, with retries and within a time budget.

A library's error messages may contain the address of a request, and with it a secret. So each of its errors is replaced
by one of ours with our own text.
"""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

from rmetrics.errors import PullError
from rmetrics.pulls.answers import UnusableAnswerError
from rmetrics.pulls.completeness import incomplete
from rmetrics.pulls.extra import library
from rmetrics.pulls.requests import Request, followed, may_be_sent_to, origin
from rmetrics.pulls.window import SKEW

T = TypeVar("T")
ATTEMPTS = 6
_READINGS = 3  # of a response that arrived but cannot be used
_MAX_BYTES = 256 * 2**20  # bytes of one response
_REDIRECTS = 5
_WAIT_SECONDS = 60.0  # for one response
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403})


class RetryableError(Exception):
    """A response that is worth another attempt.

    Attributes:
        after: the seconds that the server asks to wait; None if it names none.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class RefusedSecretError(Exception):
    """The server does not accept the secret."""


class NoSuchPageError(Exception):
    """The server has no such page."""


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response.

    Attributes:
        link: the address of the next page from the Link header; None without one.
    """

    body: bytes
    link: str | None = None


class Transport:
    """Sends requests to the declared servers and to no others.

    Args:
        origins: scheme, host and port of each server.
        seconds: the time budget.
        interval: the least number of seconds between two requests.
    """

    def __init__(self, origins: frozenset[str], *, seconds: float, interval: float = 0.0) -> None:
        self._httpx, self._stamina = library("httpx"), library("stamina")
        library("stamina.instrumentation").set_on_retry_hooks([])  # the default hooks log the requests
        self._origins, self._interval = origins, interval
        self._seconds, self._deadline = seconds, time.monotonic() + seconds
        self._last = float("-inf")
        # A proxy from the environment cannot reach servers on this machine.
        near = all(o.startswith("http:") for o in origins)
        self._client = self._httpx.Client(
            follow_redirects=False,
            timeout=self._httpx.Timeout(_WAIT_SECONDS, connect=20.0),
            trust_env=not near,
            headers={"User-Agent": "rmetrics", "Accept": "application/json"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, what: str, request: Request, read: Callable[[Response], T]) -> T:
        """Sends a request, repeatedly if necessary, until the response can be read.

        Args:
            what: name of the part requested, for messages.
            request: the request.
            read: parses the response; raises UnusableAnswerError or RetryableError if it cannot.

        Raises:
            PullError: no usable response came within the attempts and the time budget.
            RefusedSecretError: the server does not accept the secret.
            NoSuchPageError: 404.
        """
        tries = 0

        def waits(error: Exception) -> bool | float:
            """Whether to retry, or the number of seconds to wait before that."""
            if isinstance(error, RetryableError):
                return True if error.after is None else max(error.after, 0.01)
            return isinstance(error, UnusableAnswerError) and tries < _READINGS

        try:
            for attempt in self._stamina.retry_context(
                on=waits,
                attempts=ATTEMPTS,
                timeout=self._remaining(what),
                wait_initial=0.5,
                wait_max=30.0,
                wait_jitter=1.0,
            ):
                with attempt:
                    tries += 1
                    return self._once(what, request, read)
        except (RetryableError, UnusableAnswerError) as error:
            asked = f" ({tries} requests)" if tries > 1 else ""
            raise incomplete(f"{what}: the answer {error}{asked}") from None
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _remaining(self, what: str) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise incomplete(f"{what}: the time budget of {self._seconds:,.0f} seconds is exhausted", _BUDGET)
        return remaining

    def _once(self, what: str, request: Request, read: Callable[[Response], T]) -> T:
        for _ in range(_REDIRECTS):
            self._must_be_declared(what, request.url)
            answer = self._sent(what, request)
            if isinstance(answer, Response):
                return read(answer)
            if request.method != "GET":
                raise incomplete(f"{what}: the server redirects a POST ({origin(answer)})")
            request = followed(request, answer)
        raise incomplete(f"{what}: the server redirects in a circle")

    def _must_be_declared(self, what: str, url: str) -> None:
        try:
            target, safe = origin(url), may_be_sent_to(url)
        except ValueError:
            raise incomplete(f"{what}: leads to an address that cannot be used") from None
        if target not in self._origins or not safe:
            raise incomplete(f"{what}: leads to {target}, which is not declared", _HOSTS)

    def _sent(self, what: str, request: Request) -> "Response | str":
        """Sends one request; returns the response or the address of a redirect."""
        pause = self._last + self._interval - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        self._last = time.monotonic()
        self._remaining(what)
        httpx = self._httpx
        try:
            with self._client.stream(
                request.method, request.url, headers=dict(request.headers), json=request.json, data=request.form
            ) as response:
                self._same_clock(what, response.headers)
                if response.is_redirect:
                    return _joined(request.url, str(response.headers["location"]))
                self._refuse(what, response)
                body = self._body(what, response)
        except httpx.TimeoutException:
            raise RetryableError("did not arrive in time") from None
        except httpx.ConnectError as error:
            if "CERTIFICATE" in str(error).upper():
                raise incomplete(f"{what}: the certificate of {request.origin} cannot be verified", _TLS) from None
            raise RetryableError(f"did not arrive: no connection to {request.origin}") from None
        except httpx.RequestError as error:
            raise RetryableError(f"broke off ({type(error).__name__})") from None
        except (httpx.InvalidURL, ValueError):
            raise incomplete(f"{what}: the address is invalid") from None
        return Response(body, _next_link(request.url, response))

    def _refuse(self, what: str, response: Any) -> None:
        status = response.status_code
        if status in _REFUSED:
            raise RefusedSecretError(str(status))
        if status == 404:
            raise NoSuchPageError
        if status in _PASSING:
            after = retry_after(response.headers.get("retry-after", ""), response.headers.get("date", ""))
            if after is not None and after > self._remaining(what):
                raise incomplete(
                    f"{what}: the server requests a wait of {after:,.0f} seconds, longer than the time budget allows",
                    _BUDGET,
                )
            raise RetryableError(f"is {status} {response.reason_phrase}", after)
        if status != 200:
            raise incomplete(f"{what}: the answer is {status} {response.reason_phrase}")

    def _body(self, what: str, response: Any) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            size += len(part)
            if size > _MAX_BYTES:
                raise incomplete(f"{what}: the answer is larger than {_MAX_BYTES // 2**20} MiB")
            parts.append(part)
        return b"".join(parts)

    def _same_clock(self, what: str, headers: Any) -> None:
        theirs = _http_date(headers.get("date", ""))
        if theirs is not None and abs(theirs - dt.datetime.now(dt.UTC)) > SKEW:
            raise incomplete(
                f"{what}: the server's clock shows {theirs:%Y-%m-%d %H:%M} UTC, this machine's "
                f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}: the wrong days would be requested",
                "Set the clock of this machine, then pull again.",
            )


_TLS = "Nothing was sent. A company's own authority is trusted through SSL_CERT_FILE."
_BUDGET = 'Pull again later, or allow more time: within = "30 minutes".'
_HOSTS = "Only the hosts of `url` (and `hosts`) are contacted. If the server has moved, change `url`."


def retry_after(text: str, date: str) -> float | None:
    """Returns the seconds to wait by a Retry-After header: a number, or a time on the server's own clock.

    >>> retry_after("7", ""), retry_after("", "")
    (7.0, None)
    >>> retry_after("Sun, 06 Nov 1994 08:49:40 GMT", "Sun, 06 Nov 1994 08:49:37 GMT")
    3.0
    """
    if text.strip().isdecimal():
        return float(text)
    moment = _http_date(text)
    if moment is None:
        return None
    now = _http_date(date) or dt.datetime.now(dt.UTC)
    return max(0.0, (moment - now).total_seconds())


def _http_date(text: str) -> dt.datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _next_link(base: str, response: Any) -> str | None:
    link = response.links.get("next", {}).get("url")
    return None if link is None else _joined(base, link)


def _joined(base: str, address: str) -> str:
    """Resolves an address; returns an invalid one unchanged, which is refused before anything is sent."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address


__all__ = ["PullError", "RefusedSecretError", "Response", "Transport", "retry_after"]
