"""Phone numbers in one spelling, whether they come from an export or a rule.

Ten digits in North America, ``+`` and digits elsewhere, with the extension after an ``x``: ``8084355068x940``. The
extension is part of the number: many customers share a vendor's proxy number, and only its PIN distinguishes them.
"""

import re

SEPARATOR = ";"
_NORTH_AMERICA = 1  # the country code
_NATIONAL = re.compile(r"[2-9][0-9]{9}", re.ASCII)
_RUNS = frozenset({"1234567890", "0123456789", "9876543210", "0987654321"})
_MIN_DIGITS = 7  # digits of a placeholder; fewer, such as 1111, may be an office's extension
_MAX_EXTENSION = 7  # digits; more are a second number
_PIN = re.compile(r"(?:^|(?<=[\s\d,;)]))(?:pin|(?:access )?code)[\s:.#]*(?=[0-9])", re.IGNORECASE)
_KEY = re.compile(r"(?:[2-9][0-9]{9}|\+[0-9]{7,15})(?:x[0-9]{1,20})?", re.ASCII)


def read_phone(text: str) -> str | None:
    """Normalises the numbers of one cell; None for a placeholder, the text itself if it holds no number.

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
    """Returns country code, national number and extension of every number in a cell."""
    import phonenumbers

    try:
        whole = phonenumbers.parse(text, "US")
    except phonenumbers.NumberParseException:
        whole = None
    if whole is not None and phonenumbers.is_possible_number(whole) and len(whole.extension or "") <= _MAX_EXTENSION:
        numbers = [whole]
    else:
        matches = phonenumbers.PhoneNumberMatcher(text, "US", leniency=phonenumbers.Leniency.POSSIBLE)
        numbers = [match.number for match in matches]
    return [(n.country_code or 0, phonenumbers.national_significant_number(n), n.extension or "") for n in numbers]


def _spelling(country: int, number: str, extension: str) -> str | None:
    """Returns one number in the common spelling; None if it is incomplete, such as one without its area code."""
    if country != _NORTH_AMERICA:
        spelled = f"+{country}{number}"
    elif _NATIONAL.fullmatch(number) or _is_placeholder(number):
        spelled = number
    else:
        return None
    return f"{spelled}x{extension}" if extension else spelled


def _is_placeholder(text: str) -> bool:
    """Whether a cell holds a stand-in for a missing number: one repeated digit, or consecutive digits."""
    main = text.partition("x")[0]
    if re.search(r"[^\W\d_]", main):
        return False
    digits = re.sub(r"\D", "", main)
    own = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    return (len(own) >= _MIN_DIGITS and len(set(own)) == 1) or own in _RUNS


def is_number(text: str) -> bool:
    """Whether a text is a single number in the common spelling."""
    return _KEY.fullmatch(text) is not None


__all__ = ["SEPARATOR", "is_number", "read_phone"]
