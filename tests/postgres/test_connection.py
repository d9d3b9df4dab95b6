"""Connections, names and messages of PostgreSQL."""

import contextlib
import socket
import threading

import pytest

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.postgres.connection import connect, quoted, server_of, statements


@pytest.mark.parametrize("name", ['x"; drop table y;--', "x" * 64, "источник", "a\x00b", "", "1a", "a b", "a-b"])
def test_only_plain_names_become_identifiers(name: str) -> None:
    with pytest.raises(SettingsError):
        quoted(name)


def test_a_name_of_63_is_the_longest() -> None:
    assert quoted("x" * 63) == '"' + "x" * 63 + '"'


@pytest.mark.parametrize(
    ("dsn", "label"),
    [
        ("postgresql://u:pw@db.example.com:5433/sales", "db.example.com:5433/sales"),
        ("postgres://u@/sales?host=/var/run/x", "/var/run/x/sales"),
        ("postgresql://localhost", "localhost/default database"),
    ],
)
def test_a_label_says_where_and_not_who(dsn: str, label: str) -> None:
    assert server_of(dsn).label == label
    assert "pw" not in repr(server_of(dsn))


def test_tls_options_of_the_dsn_are_honoured() -> None:
    asked = []

    def answer(listener: socket.socket) -> None:
        """A server without TLS."""
        with contextlib.suppress(OSError), listener.accept()[0] as client:
            asked.append(client.recv(8))
            client.sendall(b"N")
            client.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        dsn = f"postgresql://u:pw@127.0.0.1:{listener.getsockname()[1]}/d?sslmode=require"
        with pytest.raises(PostgresError, match="TLS"), connect(server_of(dsn)):
            pass
    assert asked == [b"\x00\x00\x00\x08\x04\xd2\x16\x2f"], "TLS is asked for before a password is sent"


def test_a_transaction_that_fails_is_rolled_back_and_the_session_lives_on(database: str) -> None:
    with connect(server_of(database)) as session:
        with pytest.raises(PostgresError), session.transaction():  # noqa: PT012 - both are one transaction
            session.execute("CREATE TABLE t AS SELECT 1 AS a")
            session.execute("SELECT nonsense")
        assert session.query("SELECT to_regclass('t')") == [(None,)]


def test_an_error_says_what_went_wrong_and_not_the_statement(database: str) -> None:
    with connect(server_of(database)) as session:
        session.execute("CREATE TABLE t (a int CHECK (a > 0))")
        for sql, told in (
            (
                "INSERT INTO t SELECT -1 WHERE 'it''s Smith' <> ''",
                'new row for relation "t" violates check constraint "t_a_check"',
            ),
            ("SELECT nonsense, 'Smith'", 'column "nonsense" does not exist'),
        ):
            with pytest.raises(PostgresError) as caught:
                session.execute(sql)
            assert caught.value.message.endswith(told)
            assert "Smith" not in caught.value.message
            session.rollback()
            session.execute("CREATE TABLE t (a int CHECK (a > 0))")


def test_sessions_say_who_they_are(database: str) -> None:
    with connect(server_of(database)) as session:
        assert session.query("SELECT current_setting('application_name')") == [("rmetrics",)]


def test_a_script_is_cut_into_statements() -> None:
    assert statements("-- a\nSELECT 1;\n\nSELECT ';x';\n-- end\n") == ["-- a\nSELECT 1", "SELECT ';x'"]
