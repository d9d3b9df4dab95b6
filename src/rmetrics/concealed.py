"""Masks secrets in all output.

A secret is registered once, when it is looked up. Every text that leaves the program passes through ``concealed``:
messages, JSON documents, tracebacks, manifests. Secrets are also recognised in the forms they take on the way to a
server: URL-escaped or JSON-escaped, and in base64 together with a user name.
"""

import base64
import json
import re
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_LENGTH = 4  # characters; masking shorter secrets would mask half of every message
_IN_ROWS = 8  # characters; a shorter secret could occur in a customer's data by chance
_forms: dict[str, bool] = {}  # every form of every secret, and whether it is also masked in rows


def conceal(secret: str) -> None:
    """Registers a secret for the lifetime of the process."""
    in_rows = len(secret) >= _IN_ROWS and not secret.isdigit()
    plain = {
        secret,
        secret.strip(),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
    }
    coded = {base64.b64encode(secret.encode()).decode(), base64.urlsafe_b64encode(secret.encode()).decode()}
    for form in plain | {c.rstrip("=") for c in coded}:
        _forms[form] = in_rows


def conceal_pair(user: str, secret: str) -> None:
    """Registers the HTTP basic authentication form of a user name and a secret."""
    _forms[base64.b64encode(f"{user}:{secret}".encode()).decode().rstrip("=")] = True


def concealed(text: str) -> str:
    """The text with every registered secret masked."""
    return _masked(text, list(_forms))


def concealed_in_rows(text: str) -> str:
    """A cell with every secret masked that is too long to occur in data by chance."""
    return _masked(text, [form for form, in_rows in _forms.items() if in_rows])


def _masked(text: str, forms: list[str]) -> str:
    if not forms or not text:
        return text
    found = "|".join(re.escape(f) for f in sorted(forms, key=len, reverse=True) if f)
    return re.sub(found, MASK, text)
