"""Who may see the pages. A small application stands behind the guard: what passes says so."""

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from rmetrics.serve.guard import Guard, new_token

TOKEN = "right"  # noqa: S105 - it opens nothing but a test's pages
COOKIE = {"rmetrics_8787": TOKEN}


async def _inside(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"inside {Request(scope).url.path}")(scope, receive, send)


def client(
    *, host: str = "127.0.0.1", cookies: dict[str, str] | None = None, base: str = "http://127.0.0.1:8787"
) -> TestClient:
    return TestClient(
        Guard(_inside, token=TOKEN, host=host, port=8787), base_url=base, cookies=cookies, follow_redirects=False
    )


def test_without_the_token_nothing_is_shown() -> None:
    for path in ("/", "/explain", "/static/style.css", "/mark", "/nothing"):
        answer = client().get(path)
        assert (answer.status_code, "inside" in answer.text) == (401, False)


@pytest.mark.parametrize("token", ["wrong", "", "righ", "rightt", "RIGHT", "r\u0131ght"])
def test_a_wrong_token_is_refused_also_beside_the_right_cookie(token: str) -> None:
    assert client().get("/", params={"token": token}).status_code == 401
    assert client(cookies=COOKIE).get("/", params={"token": token}).status_code == 401
    if token.isascii():
        assert client(cookies={"rmetrics_8787": token}).get("/").status_code == 401


def test_the_token_is_given_once_and_then_the_cookie_opens() -> None:
    browser = client()
    first = browser.get("/", params={"token": TOKEN})
    assert (first.status_code, first.text) == (200, "inside /")
    given = first.headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Strict" in given
    assert "Path=/" in given
    assert "Domain" not in given
    assert browser.get("/funnel").text == "inside /funnel"
    assert "set-cookie" not in browser.get("/funnel").headers


def test_the_cookie_of_a_server_on_another_port_opens_nothing() -> None:
    assert client(cookies={"rmetrics_8788": TOKEN}).get("/").status_code == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example:8787", "evil.example", "127.0.0.1.evil.example:8787", "127.0.0.1:80", "127.0.0.1", "localhost:8788",
     "10.0.0.5:8787", "[::2]:8787", "", ":8787", "127.0.0.1:8787:8787", "localhost.:8787", "0.0.0.0:8787"],
)  # fmt: skip
def test_another_name_in_the_host_header_is_refused_also_with_the_token(host: str) -> None:
    answer = client(cookies=COOKIE).get("/", headers={"host": host})
    assert (answer.status_code, "inside" in answer.text) == (400, False)


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:8787", "LocalHost:8787", "[::1]:8787"])
def test_the_names_of_the_loopback_are_known(host: str) -> None:
    assert client(cookies=COOKIE).get("/", headers={"host": host}).status_code == 200


def test_a_server_on_all_addresses_is_reached_by_any_address_and_by_no_foreign_name() -> None:
    browser = client(host="0.0.0.0", cookies=COOKIE)  # noqa: S104 - nothing listens
    assert browser.get("/", headers={"host": "192.168.1.20:8787"}).status_code == 200
    assert browser.get("/", headers={"host": "evil.example:8787"}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_there_is_no_way_to_write(method: str) -> None:
    assert client(cookies=COOKIE).request(method, "/plan").status_code == 405


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:8787", "http://127.0.0.1:3000", "file://"]
)
def test_scripts_of_other_origins_are_refused(origin: str) -> None:
    assert client(cookies=COOKIE).get("/", headers={"origin": origin}).status_code == 403


def test_a_script_of_this_origin_is_answered() -> None:
    assert (
        client(cookies=COOKIE)
        .get("/mark", headers={"origin": "http://127.0.0.1:8787", "sec-fetch-site": "same-origin"})
        .status_code
        == 200
    )


@pytest.mark.parametrize(
    ("mode", "dest"),
    [("no-cors", "image"), ("no-cors", "script"), ("cors", "empty"), ("navigate", "iframe"), ("navigate", "embed")],
)
def test_other_sites_can_embed_nothing(mode: str, dest: str) -> None:
    for site in ("cross-site", "same-site"):
        headers = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
        assert client(cookies=COOKIE).get("/", headers=headers).status_code == 403


def test_a_link_on_another_site_may_be_followed_and_asks_again_for_its_cookie_once() -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    answer = client().get("/explain?source=A%26B&month=2024-11", headers=headers)
    assert answer.status_code == 401
    assert '<meta http-equiv="refresh" content="0;url=/explain?source=A%26B&amp;month=2024-11">' in answer.text
    again = client().get("/explain?source=A%26B&month=2024-11", headers={**headers, "sec-fetch-site": "same-origin"})
    assert again.status_code == 401
    assert "http-equiv" not in again.text


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/\\evil.example", "/%2F%2Fevil.example", '/"><script>alert(1)</script>']
)
def test_the_locked_page_leads_nowhere_else_and_escapes_what_was_asked(path: str) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    text = client().get(f"http://127.0.0.1:8787{path}", headers=headers).text
    assert 'href="/e' in text or 'href="/%' in text
    assert 'href="//' not in text
    assert "url=//" not in text
    assert "<script" not in text
    assert "\\evil" not in text


def test_every_answer_carries_the_headers_that_keep_other_sites_out() -> None:
    for answer in (client().get("/"), client(cookies=COOKIE).get("/"), client(cookies=COOKIE).post("/")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert "http:" not in policy
        assert "*" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_two_host_headers_are_refused() -> None:
    answer = client(cookies=COOKIE).get("/", headers=[("host", "127.0.0.1:8787"), ("host", "evil.example:8787")])
    assert answer.status_code == 400


def test_tokens_are_long_and_never_the_same() -> None:
    made = {new_token() for _ in range(50)}
    assert len(made) == 50
    assert all(len(t) >= 43 for t in made)
