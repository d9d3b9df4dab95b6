"""Access control: only read requests with the token, under a name of this machine, and not from other sites.

Checks in this order: the ``Host`` header (against DNS rebinding, where an attacker's name resolves to this machine),
the method, the origin, the token. The token comes once in the address, then in a cookie that scripts cannot read and
that requests from other sites do not carry.
"""

import base64
import hashlib
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from html import escape
from urllib.parse import quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:4em auto;padding:0 1em}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'{style}; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _POLICY.format(style=""),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def new_token() -> str:
    """Generates an unguessable token."""
    return secrets.token_urlsafe(32)


class Guard:
    """ASGI middleware that passes only permitted requests on to the application.

    Args:
        app: the application with the pages.
        token: the secret that grants access.
        host: the address the server listens on.
        port: the server's port; part of the cookie's name, because cookies are shared between ports.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str, port: int) -> None:
        self._app, self._token, self._port = app, token, port
        self._host = f"[{host}]" if ":" in host else host
        self._cookie = f"rmetrics_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses the request or passes it on; adds the security headers either way."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        answer = self._refused(request)
        given = request.query_params.get("token")

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if answer is None and given is not None:
                    headers.append("Set-Cookie", f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict")
            await send(message)

        await (self._app if answer is None else answer)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        if not self._known_host(request.headers):
            return PlainTextResponse("Unknown host name: use the address that rmetrics serve printed.\n", 400)
        if request.method not in {"GET", "HEAD"}:
            return PlainTextResponse("These pages are read-only.\n", 405, {"Allow": "GET, HEAD"})
        if _of_another_site(request.headers):
            return PlainTextResponse("Other sites may only link to these pages.\n", 403)
        given = request.query_params.get("token", request.cookies.get(self._cookie, ""))
        if secrets.compare_digest(given.encode(), self._token.encode()):
            return None
        return _locked(request)

    def _known_host(self, headers: Headers) -> bool:
        """Whether the request names this machine: by loopback, by an address, or by the name it listens on.

        A server that listens beyond loopback accepts any address: DNS rebinding needs a name that an attacker controls.
        """
        asked = headers.getlist("host")
        if len(asked) != 1:
            return False
        name, _, port = asked[0].rpartition(":") if not asked[0].endswith("]") else (asked[0], "", "")
        if not name:
            name, port = asked[0], "80"
        if port != str(self._port):
            return False
        name = name.lower()
        if name in LOOPBACK or name == self._host.lower():
            return True
        if self._host in LOOPBACK:
            return False
        return name == socket.gethostname().lower() or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _of_another_site(headers: Headers) -> bool:
    """Whether a page of another origin made the request; following a link from one (Grafana, a report) is allowed."""
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and origin not in {f"http://{host}", f"https://{host}"}:
        return True
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return False
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not followed


def _locked(request: Request) -> Response:
    """Renders the page for requests without a valid token.

    A link from Grafana or a report arrives without the cookie, which is ``SameSite=Strict``. The page therefore reloads
    itself once: that request comes from this origin and carries the cookie.
    """
    query = urlencode([(n, v) for n, v in request.query_params.multi_items() if n != "token"])
    target = "/" + quote(request.url.path.lstrip("/\\"), safe="/%") + (f"?{query}" if query else "")
    linked = (
        request.headers.get("sec-fetch-site") in {"cross-site", "same-site"} and "token" not in request.query_params
    )
    retry = f'<meta http-equiv="refresh" content="0;url={escape(target)}">' if linked else ""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{retry}<title>rmetrics: locked</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        "<body><h1>Locked</h1><p>Open the address that <code>rmetrics serve</code> printed: it contains the token.</p>"
        f'<p>If you have already done so in this browser, <a href="{escape(target)}">continue</a>.</p></body></html>'
    )
    policy = _POLICY.format(style=f" 'sha256-{_STYLE_HASH}'")
    return HTMLResponse(text, 401, {"Content-Security-Policy": policy, "WWW-Authenticate": "Token"})
