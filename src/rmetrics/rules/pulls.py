"""The tables ``[pulls.NAME]``: the origins of exports that are fetched automatically (``design`` section 9).

A pull refers to secrets by the name of a setting. Texts may hold placeholders: ``{since}``, ``{until}``, ``{size}``,
``{offset}``, ``{page}``, ``{cursor}``, ``{bearer}`` and the names under ``secrets``.
"""

import datetime as dt
import ipaddress
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

import jmespath
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from rmetrics.rules.table import Flag, Identifier, Name, Table, known_zone

OWN_PLACEHOLDERS = frozenset({"since", "until", "size", "offset", "page", "cursor", "bearer"})
PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_SPAN = re.compile(r"(\d{1,4}) ?(second|minute|hour|day|week)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_RATE = re.compile(r"(\d{1,6}) per (second|minute|hour)")
_SENSITIVE = re.compile(r"token|secret|passw|api[-_]?key|authorization|signature|credential|cookie", re.IGNORECASE)


def seconds_of(span: str) -> int:
    """Returns the seconds of a span such as ``14 days``.

    Raises:
        ValueError: the text is no such span.
    """
    match = _SPAN.fullmatch(span.strip())
    if match is None:
        msg = 'must be a span such as "14 days", "2 weeks", "36 hours" or "5 minutes"'
        raise ValueError(msg)
    return int(match[1]) * _SECONDS[match[2]]


def _span(value: str) -> str:
    seconds_of(value)
    return value


def _days(value: str) -> str:
    if seconds_of(value) % _SECONDS["day"]:
        msg = 'must be whole days, such as "14 days" or "2 weeks"'
        raise ValueError(msg)
    return value


def _path(value: str) -> str:
    try:
        jmespath.compile(value)
    except jmespath.exceptions.JMESPathError as error:
        msg = f"is not a JMESPath expression: {str(error).splitlines()[0]}"
        raise ValueError(msg) from None
    return value


def _rate(value: str) -> str:
    match = _RATE.fullmatch(value)
    if match is None or int(match[1]) < 1:
        msg = 'must be a rate such as "60 per minute"'
        raise ValueError(msg)
    return value


def _zone(value: str | None) -> str | None:
    return value if value is None else known_zone(value)


Span = Annotated[str, AfterValidator(_span)]
Days = Annotated[str, AfterValidator(_days)]
JmesPath = Annotated[str, StringConstraints(min_length=1), AfterValidator(_path)]
Rate = Annotated[str, AfterValidator(_rate)]
Zone = Annotated[str | None, AfterValidator(_zone)]
Setting = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{1,99}$")]
Positive = Annotated[int, Field(ge=1, le=100_000_000, strict=True)]
Decimals = Annotated[int, Field(ge=1, le=9, strict=True)]
Text = Annotated[str, StringConstraints(min_length=1)]
Globs = Annotated[tuple[Text, ...], Field(min_length=1)]


class Paging(Table):
    """How a paged list is read to its end.

    ``offset`` and ``page`` count up, starting at ``first`` (0 or 1); ``size`` is the number of rows of a full page.
    ``cursor`` and ``token`` request each page with the value that ``next`` finds in the page before, as long as
    ``more`` (if given) is true; the first page is requested with ``start``, or without a value. ``link`` follows the
    Link header. ``none``: a single request returns everything.
    """

    kind: Literal["none", "offset", "page", "cursor", "token", "link"]
    size: Positive | None = None
    first: Annotated[int, Field(ge=0, le=1, strict=True)] | None = None
    start: Text | None = None
    next: JmesPath | None = None
    more: JmesPath | None = None

    @model_validator(mode="after")
    def _require_matching_kind(self) -> "Paging":
        counted, named = self.kind in {"offset", "page"}, self.kind in {"cursor", "token"}
        if counted and self.size is None:
            msg = f'kind = "{self.kind}" needs size, the rows of a full page'
            raise ValueError(msg)
        if named and self.next is None:
            msg = f'kind = "{self.kind}" needs next, the JMESPath of the cursor or token of the next page'
            raise ValueError(msg)
        if not named and (self.next or self.more or self.start):
            msg = f'start, next and more require kind = "cursor" or "token", not "{self.kind}"'
            raise ValueError(msg)
        if self.first is not None and not counted:
            msg = 'first requires kind = "offset" or "page"'
            raise ValueError(msg)
        return self


class Bearer(Table):
    """How to obtain a short-lived token: a form is posted to ``url``; ``value`` finds the token in the response."""

    url: Text
    form: dict[str, str]
    headers: dict[str, str] = Field(default={})
    value: JmesPath = "access_token"


class PullBase(Table):
    """The keys common to all pulls.

    ``feed``: the feed whose form the rows must have. ``secrets``: placeholder to the name of a setting. ``overlap``:
    how far each pull looks back before the day of the last successful one. ``most``: a known limit on rows; a pull that
    reaches it is incomplete. ``within``: the time budget of the whole pull.
    """

    feed: Identifier
    secrets: dict[Identifier, Setting] = Field(default={})
    overlap: Days = "0 days"
    most: Positive | None = None
    within: Span = "10 minutes"
    comment: str = ""

    @property
    def looks_back(self) -> dt.timedelta:
        """The overlap, in whole days."""
        return dt.timedelta(seconds=seconds_of(self.overlap))

    @property
    def budget(self) -> int:
        """The time budget in seconds."""
        return seconds_of(self.within)


class ListPull(PullBase):
    """A list that a web server returns in pages.

    ``rows``, ``total``: JMESPath in a page. ``unique``: flattened headers that identify a row. ``columns``: header to
    JMESPath in a row; without it, every key becomes a column, with nested keys joined by a dot. ``stamps``: columns
    with times without an offset, which are in ``zone``. ``scale``: column to its number of implied decimals (6:
    millionths). ``dates``: the form of ``{since}`` and ``{until}``. ``throttled``: JMESPath that matches if the server
    asks to retry later. ``failed``: JMESPath that matches if the response is an error. ``twice = false``: does not read
    the list a second time to check that it did not change; allowed only if ``total`` and ``unique`` prove it.
    ``may_be_empty``: accepts an empty list without a total.
    """

    url: Text
    headers: dict[str, str] = Field(default={})
    params: dict[str, str | int] = Field(default={})
    paging: Paging = Field(default=Paging(kind="none"))
    rows: JmesPath
    total: JmesPath | None = None
    unique: tuple[Text, ...] = ()
    columns: dict[Name, JmesPath] = Field(default={})
    zone: Zone = None
    stamps: tuple[Text, ...] = ()
    scale: dict[str, Decimals] = Field(default={})
    dates: Text = "%Y-%m-%d"
    rate: Rate | None = None
    throttled: JmesPath | None = None
    failed: JmesPath | None = None
    bearer: Bearer | None = None
    twice: Flag = True
    may_be_empty: Flag = False

    @property
    def interval(self) -> float:
        """The minimum number of seconds between two requests."""
        match = _RATE.fullmatch(self.rate or "")
        return _SECONDS[match[2]] / int(match[1]) if match else 0.0

    @model_validator(mode="after")
    def _can_be_proved(self) -> "ListPull":
        if not self.twice and not (self.total and self.unique):
            msg = (
                "twice = false needs total and unique: nothing else would show that the list changed while it was read"
            )
            raise ValueError(msg)
        if self.stamps and self.zone is None:
            msg = 'stamps needs zone, for instance zone = "UTC"'
            raise ValueError(msg)
        if self.columns:
            known = {n.casefold() for n in self.columns}
            lost = [n for n in (*self.unique, *self.stamps, *self.scale) if n.casefold() not in known]
            if lost:
                msg = f"{lost[0]!r} is not one of columns"
                raise ValueError(msg)
        return self


class HttpPull(ListPull):
    """Pages of JSON over HTTP."""

    kind: Literal["http"]
    method: Literal["GET", "POST"] = "GET"
    body: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _require_sendable(self) -> "HttpPull":
        if self.body is not None and self.method != "POST":
            msg = 'body requires method = "POST"'
            raise ValueError(msg)
        return self


class GraphqlPull(ListPull):
    """Pages of a GraphQL query; ``variables`` may hold placeholders, the query itself may not."""

    kind: Literal["graphql"]
    query: Text
    variables: dict[str, Any] = Field(default={})
    failed: JmesPath | None = "errors"


class FilePull(PullBase):
    """Whole files from another place. ``files``: globs of their names."""

    url: Text
    files: Globs = ("*.csv", "*.xlsx", "*.xls", "*.tsv", "*.txt", "*.csv.gz")


class ImapPull(FilePull):
    """Attachments of a mailbox, and the targets of links in its messages.

    ``from`` and ``subject`` select the messages by parts of these headers, ignoring case. ``links``: globs of addresses
    to fetch; their hosts must be listed in ``hosts``.
    """

    kind: Literal["imap"]
    user: Text
    password: Text
    from_: str = Field(default="", alias="from")
    subject: str = ""
    links: tuple[Text, ...] = ()
    hosts: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _require_mail_filter(self) -> "ImapPull":
        if not (self.from_ or self.subject):
            msg = "needs from or subject, to select messages"
            raise ValueError(msg)
        if self.links and not self.hosts:
            msg = 'links needs hosts, for instance hosts = ["reports.example.com"]'
            raise ValueError(msg)
        return self


class SftpPull(FilePull):
    """Files of an SFTP server with a known host key: ``known_hosts`` is a file in OpenSSH's format."""

    kind: Literal["sftp"]
    user: Text
    password: str = ""
    key_file: str = ""
    known_hosts: str = "~/.ssh/known_hosts"


class FolderPull(FilePull):
    """Files of a synced folder or of any store that fsspec supports; ``options`` are passed to fsspec."""

    kind: Literal["folder"]
    options: dict[str, str] = Field(default={})


Pull = HttpPull | GraphqlPull | ImapPull | SftpPull | FolderPull
KINDS: Mapping[str, type[Pull]] = {
    get_args(k.model_fields["kind"].annotation)[0]: k for k in (HttpPull, GraphqlPull, ImapPull, SftpPull, FolderPull)
}
_SCHEMES: Mapping[str, tuple[str, str]] = {
    "http": ("https", "http"), "graphql": ("https", "http"), "imap": ("imaps", "imap"), "sftp": ("sftp", "")
}  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def problems_of(pull: Pull) -> Iterator[tuple[str, str]]:
    """Yields the problems within one pull, as (key, message)."""
    if pull.kind != "folder":
        yield from _address(pull.url, *_SCHEMES[pull.kind])
    elif re.match(r"(https?|ftp)://", pull.url):
        yield "url", 'is a web address: use kind = "http" for it; a folder is a path or the URL of a store'
    if isinstance(pull, ListPull):
        if pull.bearer:
            yield from ((f"bearer.{k}", message) for k, message in _address(pull.bearer.url, "https", "http"))
        yield from _paging(pull)
    yield from _placeholders(pull)


def _placeholders(pull: Pull) -> Iterator[tuple[str, str]]:
    known = OWN_PLACEHOLDERS | set(pull.secrets)
    for key, text in _texts(pull):
        used = set(PLACEHOLDER.findall(text))
        for name in sorted(used - known):
            yield key, f"{{{name}}} is neither under secrets nor one of {', '.join(sorted(OWN_PLACEHOLDERS))}"
        named = used & {*pull.secrets, "bearer", "cursor"}
        if text and not named and _SENSITIVE.search(key.rpartition(".")[2]):
            yield (
                key,
                "seems to contain a secret: put it into a setting, name the setting under secrets, and write {name}",
            )
    for name in pull.secrets:
        if name in OWN_PLACEHOLDERS:
            yield f"secrets.{name}", "is a placeholder reserved by rmetrics; choose another name"
    if any(isinstance(v, Decimal) for v in _leaves([getattr(pull, "body", None), getattr(pull, "variables", None)])):
        yield "body", "has a number with decimals; quote it as text"


def _address(url: str, secure: str, plain: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        yield "url", f"is not an address such as {secure}://host/path"
        return
    if parts.username or parts.password:
        yield "url", "contains a user or password; name a setting under secrets instead"
    elif not host or "{" in parts.netloc:
        yield "url", f"must name its host in full, such as {secure}://host/path; a host cannot be a placeholder"
    elif parts.scheme == plain and not is_loopback(host):
        yield "url", f"must be {secure}://; {plain}:// is for this machine only"
    elif parts.scheme not in {secure, plain}:
        yield "url", f"must begin with {secure}://, found {parts.scheme or 'no scheme'}"


def _paging(pull: ListPull) -> Iterator[tuple[str, str]]:
    needed = {"offset": ("offset",), "page": ("page",), "cursor": ("cursor",), "token": ("cursor",)}
    used = {name for _, text in _texts(pull) for name in PLACEHOLDER.findall(text)}
    for name in needed.get(pull.paging.kind, ()):
        if name not in used:
            yield "paging", f'kind = "{pull.paging.kind}" needs {{{name}}} in params, url, body or variables'
    if "size" in used and pull.paging.size is None:
        yield "paging", "needs size, the value of {size}"
    if "bearer" in used and pull.bearer is None:
        yield "bearer", "is missing: it fetches the token of {bearer}"


def _texts(pull: PullBase) -> Iterator[tuple[str, str]]:
    """Yields every text that may hold placeholders, with its key."""
    for name in ("url", "user", "password", "headers", "params", "body", "variables", "options"):
        if hasattr(pull, name):
            yield from _within(name, getattr(pull, name))
    if isinstance(pull, ListPull) and pull.paging.start:
        yield "paging.start", pull.paging.start
    if isinstance(pull, ListPull) and pull.bearer:
        for name in ("url", "headers", "form"):
            yield from _within(f"bearer.{name}", getattr(pull.bearer, name))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def _within(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _within(f"{key}.{name}", inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _within(key, inner)
