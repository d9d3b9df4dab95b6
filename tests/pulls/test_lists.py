"""Lists: what ends them, what proves them, what servers may not do."""

import datetime as dt
import json
import ssl
import sys
import time
from pathlib import Path

import pytest
import stamina

from pulls.declared import TABLE, Declared
from rmetrics.pulls.window import covered_until, since
from vendor import Asked, Reply, Vendor, cursors, jobs, linked, numbered, offsets, serving

TODAY = dt.date(2026, 3, 10)


def without(table: str, *keys: str) -> str:
    return "\n".join(line for line in table.splitlines() if not line.startswith(keys)) + "\n"


def with_keys(table: str, **keys: str) -> str:
    return without(table, *keys) + "".join(f"{k} = {v}\n" for k, v in keys.items())


def test_the_next_pull_looks_back_from_the_last_good_one() -> None:
    days = dt.timedelta(days=14)
    assert since(TODAY, [], days) == dt.date(2026, 2, 24)
    assert since(TODAY, [dt.date(2026, 1, 31), dt.date(2026, 1, 1)], days) == dt.date(2026, 1, 17)


def test_a_pull_made_under_a_wrong_clock_leaves_no_gap() -> None:
    ahead = dt.date(2036, 1, 1)
    assert since(TODAY, [dt.date(2026, 3, 1), ahead], dt.timedelta()) == dt.date(2026, 3, 1)
    assert since(dt.date(2020, 1, 1), [dt.date(2026, 3, 1)], dt.timedelta()) == dt.date(2020, 1, 1)


def test_the_days_asked_for(declared: Declared) -> None:
    with serving(offsets(jobs(3))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        declared.pull(since=dt.date(2024, 11, 1))
        assert {a.params["start_date"] for a in vendor.asked} == {"2024-11-01"}
        (path,) = declared.folder.glob("*.json")
        manifest = json.loads(path.read_bytes())
        path.write_text(json.dumps(manifest | {"day": "2024-12-24"}))
        vendor.asked.clear()
        declared.pull()
        assert {a.params["start_date"] for a in vendor.asked} == {"2024-12-10"}


def test_a_pull_that_skips_days_leaves_them_to_the_next(declared: Declared) -> None:
    good = [dt.date(2026, 1, 1), dt.date(2026, 2, 1)]
    assert covered_until(TODAY, good, dt.date(2026, 2, 1)) == TODAY
    assert covered_until(TODAY, good, dt.date(2026, 2, 2)) == dt.date(2026, 2, 1)
    assert covered_until(TODAY, [], dt.date(2026, 2, 2)) == TODAY
    with serving(offsets(jobs(3))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        declared.pull()
        (path,) = declared.folder.glob("*.json")
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"day": "2024-12-24"}))
        declared.pull(since=dt.date(2025, 6, 1))
        vendor.asked.clear()
        declared.pull()
        assert {a.params["start_date"] for a in vendor.asked} == {"2024-12-10"}


def test_a_list_that_fills_its_last_page(declared: Declared) -> None:
    with serving(offsets(jobs(8), total=False)) as vendor:
        declared.rules(without(TABLE.format(url=vendor.url), "total"))
        result = declared.pull()
        assert (result.status, result.rows) == ("complete", 8)
        assert [a.params["offset"] for a in vendor.asked] == ["0", "4", "8"] * 2


def test_a_server_that_gives_fewer_rows_than_it_is_asked_for(declared: Declared) -> None:
    rows = jobs(10)

    def capped(asked: Asked) -> Reply:
        start = int(asked.params["offset"])
        return Reply({"data": rows[start : start + 3]})

    with serving(capped) as vendor:
        declared.rules(without(TABLE.format(url=vendor.url), "total"))
        result = declared.pull()
    assert result.status == "incomplete"
    assert result.message.startswith("page 2 has rows, although the previous page was not full")
    assert declared.files == []


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"most": "9"}, "9 rows received, and the known cap is 9"),
        ({"rows": '"nothing"'}, "has no list under nothing"),
        ({"total": '"data"'}, "has no number under data"),
        ({"unique": '["Source"]'}, "a row (Source) is on page 1 and page 1 with different content"),
        ({"unique": '["Gone"]'}, "page 1 has a row without Gone"),
        ({"feed": '"payments"'}, "the answer does not fit the feed payments"),
        ({"stamps": '["Source"]', "zone": '"UTC"'}, "has a time in Source that is not in the form"),
        ({"scale": "{ Source = 2 }"}, "has a value that is not a number in Source"),
    ],
)
def test_what_is_not_proved_complete(keys: dict[str, str], told: str, declared: Declared) -> None:
    with serving(offsets(jobs(9))) as vendor:
        declared.rules(with_keys(TABLE.format(url=vendor.url), **keys))
        result = declared.pull()
    assert result.status == "incomplete"
    assert told in result.message
    assert (declared.files, list(declared.folder.glob(".*"))) == ([], [])


def test_an_empty_list_needs_a_total_or_a_word(declared: Declared) -> None:
    with serving(offsets([])) as vendor:
        table = TABLE.format(url=vendor.url)
        declared.rules(without(table, "total"))
        assert declared.pull().message.startswith("the list is empty, and no total confirms this")
        declared.rules(table)
        assert declared.pull().status == "empty"
        declared.rules(with_keys(without(table, "total"), may_be_empty="true"))
        assert declared.pull().status == "empty"
    assert declared.files == []
    assert len(list(declared.folder.glob("nothing *.json"))) == 1


def test_the_last_good_data_stay(declared: Declared) -> None:
    rows = jobs(6)
    with serving(offsets(rows)) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert declared.pull().status == "complete"
        (name,) = declared.files
        good = (declared.folder / name).read_bytes()
        vendor.fault = lambda _asked, reply: Reply(reply.body | {"data": reply.body["data"][1:]})
        assert declared.pull().status == "incomplete"
        assert (declared.files, (declared.folder / name).read_bytes()) == ([name], good)
        vendor.fault = lambda _asked, reply: reply
        assert declared.pull().status == "unchanged"
        rows[0]["Total"] = "7.77"
        assert declared.pull().status == "complete"
        assert len(declared.files) == 2


def test_numbers_keep_their_digits(declared: Declared) -> None:
    texts = ["0.1", "12.10", "99999999999999999.99", "1e3", "-0.30"]
    pages = [
        b'{"meta": {"total": 5}, "data": ['
        + b",".join(b'{"UUID": "%d", "Job #": %d, "Job Type": "x", "Created": "2024-11-01", "Total": %s}' % (n, n, t.encode()) for n, t in enumerate(texts))
        + b"]}"
    ]  # fmt: skip
    with serving(lambda _asked: Reply(pages[0])) as vendor:
        declared.rules(with_keys(TABLE.format(url=vendor.url), paging='{ kind = "none" }', params="{}"))
        assert declared.pull().status == "complete"
    lines = (declared.folder / declared.files[0]).read_text().splitlines()[1:]
    assert [line.split(",")[-1].strip('"') for line in lines] == [
        "0.1",
        "12.10",
        "99999999999999999.99",
        "1000",
        "-0.30",
    ]


@pytest.mark.parametrize(
    "body", [b'{"data": [], "data": [1]}', b'{"data": [NaN]}', b'{"data": [1e999]}', b"[" * 90_000]
)
def test_json_that_means_two_things_is_refused(body: bytes, declared: Declared) -> None:
    with serving(lambda _asked: Reply(body)) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        assert declared.pull().status == "incomplete"


def test_pages_links_cursors_and_graphql(declared: Declared) -> None:
    rows = jobs(10)
    base = without(TABLE, "paging", "params")
    forms = {
        "page": (numbered(rows), '{ kind = "page", size = 4 }', 'params = { page = "{page}", per_page = "{size}" }'),
        "cursor": (cursors(rows, 4), '{ kind = "cursor", next = "meta.next" }', 'params = { after = "{cursor}" }'),
        "link": (linked(rows, 4, lambda: vendor.url), '{ kind = "link" }', ""),
        "post": (cursors(rows, 4), '{ kind = "token", next = "meta.next" }', 'method = "POST"\nbody = { after = "{cursor}" }'),
    }  # fmt: skip
    for name, (answer, paging, keys) in forms.items():
        with serving(answer) as vendor:
            declared.rules(f"{base.format(url=vendor.url)}paging = {paging}\n{keys}\n")
            result = declared.pull()
        assert (result.rows, result.pages, result.message[:11]) == (10, 3, "the server "), (name, result)

    def graphql(asked: Asked) -> Reply:
        variables = asked.json["variables"]
        start = int(variables.get("after", 0))
        page = {"hasNextPage": start + 4 < 10, "endCursor": str(start + 4)}
        assert (asked.json["query"], variables["first"]) == ("{ jobs }", 4)
        return Reply({"data": {"jobs": {"total": 10, "nodes": rows[start : start + 4], "pageInfo": page}}})

    with serving(graphql) as vendor:
        table = with_keys(
            without(base.format(url=vendor.url), "kind"),
            kind='"graphql"', query='"{ jobs }"', rows='"data.jobs.nodes"', total='"data.jobs.total"',
            variables='{ first = "{size}", after = "{cursor}" }',
            paging='{ kind = "cursor", size = 4, next = "data.jobs.pageInfo.endCursor", more = "data.jobs.pageInfo.hasNextPage" }',
        )  # fmt: skip
        declared.rules(table)
        assert (declared.pull().rows, len(vendor.asked)) == (10, 6)
        vendor.fault = lambda _asked, reply: Reply({"errors": [{"message": "x"}], "data": reply.body["data"]})
        assert declared.pull().message == "page 1: the answer reports an error under errors (3 requests)"


def test_a_cursor_that_leads_back(declared: Declared) -> None:
    with serving(lambda _asked: Reply({"data": jobs(2), "meta": {"next": "c1"}})) as vendor:
        table = without(TABLE.format(url=vendor.url), "paging", "params", "total")
        declared.rules(table + 'paging = { kind = "cursor", next = "meta.next" }\nparams = { after = "{cursor}" }\n')
        assert declared.pull().message == "page 2 leads back to a page already read"


def test_a_short_lived_token_is_renewed_once(declared: Declared) -> None:
    rows, tokens = jobs(9), list[str]()

    def answer(asked: Asked) -> Reply:
        if asked.path == "/token":
            assert b"grant=CANARY%2F4711" in asked.body
            tokens.append(f"bearer-{len(tokens)}")
            return Reply({"access_token": tokens[-1]})
        if asked.headers["authorization"] != f"Bearer {tokens[-1]}" or asked.number == 3:
            return Reply({}, 401)
        return offsets(rows)(asked)

    with serving(answer) as vendor:
        table = with_keys(TABLE.format(url=vendor.url), headers='{ Authorization = "Bearer {bearer}" }')
        declared.rules(f'{table}bearer = {{ url = "{vendor.url}/token", form = {{ grant = "{{token}}" }} }}\n')
        assert declared.pull().status == "complete"
        assert tokens == ["bearer-0", "bearer-1"]
        vendor.fault = lambda asked, reply: reply if asked.path == "/token" else Reply({}, 401)
        assert "CRM_TOKEN is wrong or has expired" in declared.pull().message


def test_a_wait_that_the_server_asks_for_is_kept(declared: Declared) -> None:
    with stamina.set_testing(False), serving(offsets(jobs(3))) as vendor:
        vendor.fault = lambda asked, reply: Reply({}, 429, {"Retry-After": "1"}) if asked.number == 1 else reply
        declared.rules(TABLE.format(url=vendor.url))
        clock = time.monotonic()
        assert declared.pull().status == "complete"
        assert 1.0 <= time.monotonic() - clock < 20
        vendor.fault = lambda _asked, _reply: Reply({}, 429, {"Retry-After": "3600"})
        assert "requests a wait of 3,600 seconds" in declared.pull().message


def test_a_rate_is_kept(declared: Declared) -> None:
    with serving(offsets(jobs(9))) as vendor:
        declared.rules(with_keys(TABLE.format(url=vendor.url), rate='"20 per second"'))
        clock = time.monotonic()
        declared.pull()
        assert time.monotonic() - clock >= (len(vendor.asked) - 1) / 20


def test_a_time_budget_ends_a_pull(declared: Declared) -> None:
    with serving(offsets(jobs(200))) as vendor:
        vendor.fault = lambda _asked, reply: time.sleep(0.1) or reply  # type: ignore[func-returns-value]
        declared.rules(with_keys(TABLE.format(url=vendor.url), within='"1 second"'))
        assert "the time budget of 1 seconds is exhausted" in declared.pull().message


def test_only_declared_servers_are_spoken_to(declared: Declared) -> None:
    with serving(offsets(jobs(3))) as vendor, serving(offsets(jobs(3))) as other:
        declared.rules(TABLE.format(url=vendor.url))
        vendor.fault = lambda _asked, _reply: Reply({}, 302, {"Location": f"{other.url}/x"})
        assert f"leads to {other.url}, which is not declared" in declared.pull().message
        vendor.fault = lambda asked, reply: (
            reply if asked.path.endswith("/moved") else Reply({}, 307, {"Location": f"/moved?{'offset=0&records=4'}"})
        )
        assert declared.pull().status == "complete"  # elsewhere on the same server
        table = without(TABLE.format(url=vendor.url), "paging", "params") + 'paging = { kind = "link" }\n'
        declared.rules(table)
        vendor.fault = lambda _asked, reply: Reply(reply.body, headers={"Link": f'<{other.url}/list>; rel="next"'})
        assert f"leads to {other.url}, which is not declared" in declared.pull().message
        assert other.asked == []


def test_a_certificate_that_nobody_vouches_for_is_refused(declared: Declared, tmp_path: Path) -> None:
    import asyncssh  # noqa: F401 - the extra is there
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    pem = tmp_path / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    vendor = Vendor(offsets(jobs(3)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    vendor.server.socket = context.wrap_socket(vendor.server.socket, server_side=True)
    with vendor, pytest.MonkeyPatch.context() as patch:
        declared.rules(TABLE.format(url=f"https://localhost:{vendor.server.server_port}"))
        assert "cannot be verified" in declared.pull().message
        assert vendor.asked == []
        patch.setenv("SSL_CERT_FILE", str(pem))
        assert declared.pull().status == "complete"


def test_a_total_that_changes_between_pages(declared: Declared) -> None:
    with serving(offsets(jobs(9))) as vendor:
        declared.rules(TABLE.format(url=vendor.url))
        more = {"meta": {"total": 10}}
        vendor.fault = lambda asked, reply: Reply(reply.body | more) if asked.params["offset"] == "4" else reply
        told = "the declared total changed from 9 to 10 while the pages were read"
        assert (declared.pull().message, declared.files) == (told, [])


def test_without_the_extra_the_error_says_how_to_get_it(declared: Declared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    declared.rules(TABLE.format(url="http://127.0.0.1:1"))
    result = declared.pull()
    assert (result.exit_code, result.message) == (2, "pulls need the package httpx, which is not installed")
    assert result.hint == "Install it: pip install 'rmetrics[pull]'"
