"""A phone number in one spelling, whoever wrote it: an export's cell, or a rule.

Ten digits in North America, ``+`` and digits elsewhere, with the extension after an ``x``: ``8084355068x940``. The
extension belongs to the number, for a vendor's proxy number is shared by many customers and only its PIN tells them
apart.
"""

import re

SEPARATOR = ";"
_NORTH_AMERICA = 1  # the country code
_NATIONAL = re.compile(r"[2-9][0-9]{9}", re.ASCII)
_RUNS = frozenset({"1234567890", "0123456789", "9876543210", "0987654321"})
_SHORTEST = 7  # digits of a placeholder: 1111 may be an office's extension
_LONGEST_EXTENSION = 7  # digits; longer ones are a second number
_PIN = re.compile(r"(?:^|(?<=[\s\d,;)]))(?:pin|(?:access )?code)[\s:.#]*(?=[0-9])", re.IGNORECASE)
_KEY = re.compile(r"(?:[2-9][0-9]{9}|\+[0-9]{7,15})(?:x[0-9]{1,20})?", re.ASCII)


def read_phone(text: str) -> str | None:
    """The numbers of one cell, in one spelling; None for a placeholder, the text itself where it holds no number.

    >>> [read_phone(t) for t in ("8084355068 #940", "+1 (617) 555-0101", "+44 20 7946 0958", "1234567890")]
    ['8084355068x940', '6175550101', '+442079460958', None]
    >>> read_phone("617-555-0101 / 617-555-0102 ext. 4"), read_phone("call the office")
    ('6175550101;6175550102x4', 'call the office')
    """
    if _is_placeholder(text):
        return None
    found = _numbers(_PIN.sub(" x", text))
    spelled = [_spelling(*number) for number in found]
    kept = list(dict.fromkeys(s for s in spelled if s is not None and not _is_placeholder(s)))
    if kept:
        return SEPARATOR.join(kept)
    return None if any(s is not None for s in spelled) else text


def _numbers(text: str) -> list[tuple[int, str, str]]:
    """Country code, number and extension of all numbers in a cell."""
    import phonenumbers

    try:
        whole = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        whole = None
    if (
        whole is not None
        and phonenumbers.is_possible_number(whole)
        and len(whole.extension or "") <= _LONGEST_EXTENSION
    ):
        numbers = [whole]
    else:
        matches = phonenumbers.PhoneNumberMatcher(text, "US", leniency=phonenumbers.Leniency.POSSIBLE)
        numbers = [match.number for match in matches]
    return [(n.country_code or 0, phonenumbers.national_significant_number(n), n.extension or "") for n in numbers]


def _spelling(country: int, number: str, extension: str) -> str | None:
    """One number; None where it is no whole number, such as one without its area code."""
    if country != _NORTH_AMERICA:
        spelled = f"+{country}{number}"
    elif _NATIONAL.fullmatch(number) or _is_placeholder(number):
        spelled = number
    else:
        return None
    return f"{spelled}x{extension}" if extension else spelled


def _is_placeholder(text: str) -> bool:
    """Whether a cell holds what people type when they have no number: one digit only, or all digits in a row."""
    main = text.partition("x")[0]
    if re.search(r"[^\W\d_]", main):
        return False
    digits = re.sub(r"\D", "", main)
    own = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    return (len(own) >= _SHORTEST and len(set(own)) == 1) or own in _RUNS


def is_number(text: str) -> bool:
    """Whether a text is one number in its one spelling."""
    return _KEY.fullmatch(text) is not None


__all__ = ["SEPARATOR", "is_number", "read_phone"]
