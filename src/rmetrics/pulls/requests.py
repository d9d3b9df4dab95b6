"""Builds requests from declarations by filling in their placeholders. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from rmetrics.errors import SettingsError
from rmetrics.rules.pulls import PLACEHOLDER, GraphqlPull, HttpPull, ListPull, is_loopback

Values = Mapping[str, str | int | None]
_PORTS = {"https": 443, "http": 80, "imaps": 993, "imap": 143, "sftp": 22}


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Its address, headers and body may contain secrets: never show it without ``concealed``."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port of its address."""
        return origin(self.url)


def origin(url: str) -> str:
    """Returns the scheme, host and port of an address.

    >>> origin("https://API.example.com/v1"), origin("http://localhost:80/x")
    ('https://api.example.com:443', 'http://localhost:80')
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def may_be_sent_to(url: str) -> bool:
    """Whether an address uses TLS or belongs to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def page_request(pull: ListPull, values: Values) -> Request:
    """Builds the request for one page.

    Args:
        pull: the declaration.
        values: values of the placeholders. A parameter or a key of the body that consists of a placeholder without a
            value is left out; one that consists of a placeholder with a number becomes a number in JSON.
    """
    params = {k: v for k, v in ((k, filled(v, values)) for k, v in pull.params.items()) if v is not None}
    url = with_params(_address(pull.url, values), {k: str(v) for k, v in params.items()})
    headers = filled_headers(pull.headers, values)
    if isinstance(pull, GraphqlPull):
        return Request("POST", url, headers, {"query": pull.query, "variables": filled(pull.variables, values)})
    if isinstance(pull, HttpPull) and pull.method == "POST":
        return Request("POST", url, headers, filled(pull.body or {}, values))
    return Request("GET", url, headers)


def bearer_request(pull: ListPull, values: Values) -> Request:
    """Builds the request for a short-lived token."""
    assert pull.bearer is not None  # noqa: S101 - the caller asks only where one is declared
    form = {k: str(filled(v, values)) for k, v in pull.bearer.form.items()}
    return Request("POST", _address(pull.bearer.url, values), filled_headers(pull.bearer.headers, values), form=form)


def filled(value: Any, values: Values) -> Any:
    """Fills in the placeholders of a text, a table or a list.

    >>> filled({"first": "{size}", "after": "{cursor}", "day": "from {since}"}, {"size": 50, "since": "2026-01-01"})
    {'first': 50, 'day': 'from 2026-01-01'}
    """
    if isinstance(value, dict):
        return {k: v for k, v in ((k, filled(v, values)) for k, v in value.items()) if v is not None}
    if isinstance(value, list | tuple):
        return [filled(v, values) for v in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole:
        return values.get(whole[1])
    return PLACEHOLDER.sub(lambda m: str(values.get(m[1]) or ""), value)


def filled_headers(headers: Mapping[str, str], values: Values) -> dict[str, str]:
    """Fills in the placeholders of headers.

    Raises:
        SettingsError: a secret contains a line break or another character that headers do not allow.
    """
    made = {k: v for k, v in ((k, filled(v, values)) for k, v in headers.items()) if v is not None}
    for name, value in made.items():
        if not str(value).isprintable() or not str(value).isascii():
            raise SettingsError(
                f"the secret for the header {name} contains a character that is not allowed in headers",
                "Copy the secret again, without line breaks.",
            )
    return {k: str(v) for k, v in made.items()}


def with_params(url: str, params: Mapping[str, str]) -> str:
    """Adds parameters to an address; they replace those of the same name."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if k not in params]
    return urlunsplit((*parts[:3], urlencode([*kept, *params.items()]), ""))


def _address(url: str, values: Values) -> str:
    return PLACEHOLDER.sub(lambda m: quote(str(values.get(m[1]) or ""), safe=""), url)


def followed(request: Request, url: str) -> Request:
    """Returns the same request for another address, which the caller has to check."""
    return replace(request, url=url)
