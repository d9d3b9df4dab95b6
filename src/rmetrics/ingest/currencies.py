"""Determines the currency named in a cell and whether it is the company's: different currencies are never added."""

import re
from collections.abc import Mapping

_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR
ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND
VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
CODES = frozenset(_CODES.split())
_DOLLAR_CODES = """
ARS AUD BBD BMD BND BRL BSD BZD CAD CLP COP CUP CVE DOP FJD GYD HKD JMD KYD LRD MOP MXN NAD NIO NZD SBD SGD SRD TOP
TTD TWD USD UYU WST XCD
"""
_DOLLARS = frozenset(_DOLLAR_CODES.split())
_DOLLARS_OF = {
    "US": "USD", "CA": "CAD", "C": "CAD", "AU": "AUD", "A": "AUD", "NZ": "NZD", "HK": "HKD", "R": "BRL", "MX": "MXN",
    "S": "SGD", "NT": "TWD",
}  # fmt: skip
# A mark may belong to several currencies; longer ones are matched first.
MARKS: Mapping[str, frozenset[str]] = {
    "$": _DOLLARS,
    **{f"{land}$": frozenset({code}) for land, code in _DOLLARS_OF.items()},
    "\u20ac": frozenset({"EUR"}),
    "\u00a3": frozenset({"GBP", "EGP", "FKP", "GIP", "LBP", "SHP", "SSP", "SYP"}),
    "\u00a5": frozenset({"JPY", "CNY"}),
    "\u20b9": frozenset({"INR"}),
    "\u20bd": frozenset({"RUB"}),
    "\u20b4": frozenset({"UAH"}),
    "\u20aa": frozenset({"ILS"}),
    "\u20ba": frozenset({"TRY"}),
    "\u20a9": frozenset({"KRW", "KPW"}),
    "\u20ab": frozenset({"VND"}),
    "\u0e3f": frozenset({"THB"}),
    "\u20b1": frozenset({"PHP"}),
    "\u20b8": frozenset({"KZT"}),
    "z\u0142": frozenset({"PLN"}),
    "K\u010d": frozenset({"CZK"}),
    "Ft": frozenset({"HUF"}),
    "kr": frozenset({"DKK", "ISK", "NOK", "SEK"}),
}  # fmt: skip
NAMES: Mapping[str, str] = {
    "us dollar": "USD", "united states dollar": "USD", "american dollar": "USD", "canadian dollar": "CAD",
    "euro": "EUR", "pound sterling": "GBP", "british pound": "GBP",
    "australian dollar": "AUD", "new zealand dollar": "NZD", "mexican peso": "MXN",
}  # fmt: skip
_BY_LENGTH = sorted((*MARKS, *CODES), key=lambda m: -len(m))
_MARK = re.compile("|".join(map(re.escape, _BY_LENGTH)))


def without_mark(text: str) -> tuple[str, str]:
    """Splits an amount into the text without its currency mark or code, and that mark; "" if it has none.

    Text with two marks, or with one between digits, is returned unchanged: it is not an amount.

    >>> without_mark("CA$12"), without_mark("(12 EUR)"), without_mark("1$2"), without_mark("12.50")
    (('12', 'CA$'), ('(12 )', 'EUR'), ('1$2', ''), ('12.50', ''))
    """
    found = list(_MARK.finditer(text))
    if len(found) != 1:
        return text, ""
    start, end = found[0].span()
    if text[:start].strip()[-1:].isdigit() and text[end:].strip()[:1].isdigit():
        return text, ""
    return text[:start] + text[end:], found[0][0]


def may_be(mark: str, currency: str) -> bool:
    """Whether a mark or code can mean a currency; no mark can mean any."""
    return not mark or mark == currency or currency in MARKS.get(mark, ())


def code_of(text: str, currency: str) -> str | None:
    """The company's currency if a cell of a currency column means it (code, mark or name), otherwise None.

    >>> [code_of(t, "USD") for t in ("usd", "$", "U.S. Dollars", "USD - US Dollar", "CAD", "dollars of my own")]
    ['USD', 'USD', 'USD', 'USD', None, None]
    """
    written = text.strip()
    if written in MARKS:
        return currency if may_be(written, currency) else None
    words = written.replace(".", "").casefold()
    codes = {w.upper() for w in re.findall(r"[a-z]+", words)} & CODES
    name = NAMES.get(words.removesuffix("s"))
    named = {name} if name else codes if len(words) == 3 or re.match(r"[a-z]{3}\b\W", words) else set()
    return currency if named == {currency} else None
