"""Causes of PostgreSQL errors in our own words, and their remedies.

libpq's messages may quote a DSN, and the server's messages depend on its language.
"""

_DSN = "RMETRICS_POSTGRES_DSN"
_WHERE = f"Check that the server is running and {_DSN} is correct (postgresql://user:password@host:port/database)."
_SLOTS = "Close unused connections, or raise max_connections on the server, then run the command again."

# Text in a failed connection's message, cause, remedy. The first match applies.
_CONNECTING = (
    ("root certificate file", "the file of the certificate authority cannot be read",
     "Correct sslrootcert in the DSN."),
    ("certificate verify failed", "the server's certificate is not signed by an authority trusted on this machine",
     "Add the authority's certificate to the DSN: sslrootcert=/path/ca.pem."),
    ("server certificate for", "the server's certificate is for another host name",
     "Use the name in the certificate, or sslmode=verify-ca."),
    ("server does not support SSL", "the server does not offer TLS, which sslmode in the DSN requires",
     "Turn on TLS on the server; sslmode=disable would connect without encryption."),
    ("definition of service", "the service in the DSN is not defined",
     "Define it in ~/.pg_service.conf, or name its file in PGSERVICEFILE."),
    ("session is read-only", "none of the servers accepts writes",
     "Name the primary in the DSN, or correct target_session_attrs."),
    ("session is not read-only", "none of the servers is read-only", "Correct target_session_attrs in the DSN."),
    ("server is in hot standby mode", "the server is a standby", "Name the primary in the DSN."),
    ("password authentication failed", "the password or user is wrong", f"Correct the user and password in {_DSN}."),
    ("no password supplied", "the server requires a password", f"Put the password into {_DSN}, or into ~/.pgpass."),
    ("authentication failed", "the server does not accept this user", f"Correct the user in {_DSN}, or pg_hba.conf."),
    ("no pg_hba.conf entry", "the server does not admit this user from this address",
     "Add a line for user, database and address to pg_hba.conf on the server, then reload it."),
    ("permission denied for database", "this user may not connect to the database",
     "As its owner: GRANT CONNECT ON DATABASE ... TO ..."),
    ("is not permitted to log in", "this role may not log in", "Use a role with LOGIN in the DSN."),
    ("too many connections for role", "this role has no free connection",
     "Close its unused connections, or raise its limit: ALTER ROLE ... CONNECTION LIMIT ..."),
    ("too many connections for database", "the database has no free connection", _SLOTS),
    ("too many connections", "the server has no free connection", _SLOTS),
    ("too many clients", "the server has no free connection", _SLOTS),
    ("remaining connection slots", "the server has no free connection", _SLOTS),
    ("unsupported startup parameter", "the pooler does not accept an option of the DSN",
     "Remove `options` from the DSN, or add it to ignore_startup_parameters of the pooler."),
    ("starting up", "the server is still starting", "Wait a moment, then run the command again."),
    ("shutting down", "the server is shutting down", "Start it again, then run the command again."),
    ("in recovery mode", "the server is recovering from a crash", "Wait a moment, then run the command again."),
    ("not accepting connections", "the server is not accepting connections yet", "Wait, then run the command again."),
    ('role "', "the role does not exist", f"Create it, or correct the user in {_DSN}."),
    ('database "', "the database does not exist", f"Create it (CREATE DATABASE ...), or correct its name in {_DSN}."),
    ("Connection refused", "no server is listening there", _WHERE),
    ("No such file or directory", "no server is listening there", _WHERE),
    ("Permission denied", "this user may not open its socket", _WHERE),
    ("could not translate host name", "the host name is unknown", _WHERE),
    ("Name or service not known", "the host name is unknown", _WHERE),
    ("timeout", "no answer within the time limit", "Check the network, a firewall, and host and port in the DSN."),
    ("timed out", "no answer within the time limit", "Check the network, a firewall, and host and port in the DSN."),
    ("SSL", "the TLS connection failed", "Check sslmode, sslrootcert, sslcert and sslkey in the DSN."),
    ("invalid", "the DSN cannot be read", f"Correct {_DSN}: postgresql://user:password@host:port/database."),
    ("missing", "the DSN cannot be read", f"Correct {_DSN}: postgresql://user:password@host:port/database."),
)  # fmt: skip

_APPLY = (
    "Run: rmetrics schema --apply (it adds missing tables and columns and keeps rows, grants and views), then sync "
    "again."
)
_AGAIN = "Nothing was changed. Run the command again."
# By SQLSTATE; the full code takes precedence over its two-letter class.
_ADVICE = {
    "08": "The connection was lost; nothing was changed. Check the network and the server, then run the command again.",
    "22P05": "Nothing was changed. The database cannot store every character: create one with ENCODING 'UTF8'.",
    "25006": "Nothing was changed. The server does not accept writes: name the primary, or turn off read-only mode.",
    "25P03": "Nothing was changed. Raise idle_in_transaction_session_timeout for this role, then run again.",
    "25P04": "Nothing was changed. Raise transaction_timeout for this role, then run the command again.",
    "28": "Correct the user and password in RMETRICS_POSTGRES_DSN.",
    "40": _AGAIN,
    "42501": "Nothing was changed. As the owner of the tables, run the script of `rmetrics schema --roles`: it grants "
    "what a sync needs (USAGE on the schema, TEMPORARY on the database, SELECT, INSERT, UPDATE, DELETE on its tables).",
    "42703": f"A column is missing or was renamed. {_APPLY}",
    "42804": f"The type of a column was changed. Restore it. {_APPLY}",
    "42P01": f"A table or view is missing or was renamed. {_APPLY}",
    "42P10": f"The table's key is missing. {_APPLY}",
    "23503": "Another table refers to these rows. Drop its foreign key (it is a copy of the lake), then sync again.",
    "23505": "A unique index that rmetrics did not create rejects these rows. Drop it, then sync again.",
    "23514": "A check that rmetrics did not create rejects these rows. Drop it, or correct the data, then sync again.",
    "53100": "Nothing was changed. The server's disk is full: free some space, then run the command again.",
    "53200": "Nothing was changed. The server ran out of memory: run the command again when it is less busy.",
    "53300": f"Nothing was changed. {_SLOTS}",
    "55P03": "Nothing was changed. Another session has locked a table: end it (see pg_stat_activity), then run again.",
    "57014": "Nothing was changed. The statement was cancelled: raise statement_timeout for this role "
    "(ALTER ROLE ... SET statement_timeout = 0), then run the command again.",
    "57P": "The server ended the connection; nothing was changed. Run the command again when it is up.",
}  # fmt: skip


def not_connected(message: str) -> tuple[str, str]:
    """The cause of a failed connection, and its remedy.

    Args:
        message: libpq's message.
    """
    found = next(((why, hint) for sign, why, hint in _CONNECTING if sign in message), None)
    return found or ("the server refused the connection", _WHERE)


def advice(sqlstate: str) -> str:
    """The remedy for a statement's error; empty if none is known for its SQLSTATE."""
    return next((_ADVICE[code] for code in (sqlstate, sqlstate[:3], sqlstate[:2]) if code and code in _ADVICE), "")
