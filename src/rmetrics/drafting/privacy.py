"""Decides whether a column may contain personal data. A column is private unless it is certainly harmless.

Headers are examined word by word, and so are cells: phone numbers, e-mail addresses, street addresses and names are
found under any header. Columns of dates, amounts, counts and yes/no are decided by type before these checks.
"""

import re

import polars as pl

from rmetrics.drafting.words import CAMPAIGN_WORDS, GIVEN_NAMES, HARMLESS, NAME_WORDS, PERSONAL, PHONE_WORDS

_EMAIL = r"[^\s@]+@[^\s@]+\.[^\s@]+"
_PHONE = (
    r"(?:^|[^0-9])(?:\+?1[ .-]?)?\(?[2-9][0-9]{2}\)?[ .-][0-9]{3}[ .-][0-9]{4}(?:$|[^0-9])|\+[0-9][0-9 ().-]{8,}[0-9]"
)
_BARE_PHONE = r"^\+?1?[2-9][0-9]{2}[2-9][0-9]{6}$"
_STREET = (
    r"(?i)(?:^|\s)[0-9]+[a-z]?\s+(?:[\p{L}0-9.'-]+\s+){0,4}(?:st|street|ave|avenue|av|rd|road|blvd|boulevard|ln|lane|dr"
    r"|drive|ct|court|way|pl|place|ter|terrace|pkwy|parkway|cir|circle|hwy|highway|sq|square|trl|trail)\b"
    r"|\bp\.?\s?o\.?\s?box\b"
)
_LINK = r"(?i)https?://|\bwww\."
_NUMBERED = r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b|^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$"  # social security; an IP address
_NAME = r"^(?:\p{Lu}[\p{L}'\u2019.-]*,?\s+){1,3}\p{Lu}[\p{L}'\u2019.-]*$"
_BEARERS = 0.5  # the share of matching cells from which a column counts as phones or names


def words_of(header: str) -> list[str]:
    """Splits a header into lower-case words, at spaces, signs, underscores and changes to capitals.

    >>> words_of("leadId"), words_of("first_contact_date"), words_of("Job #")
    (['lead', 'id'], ['first', 'contact', 'date'], ['job', '#'])
    """
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", header).replace("#", " # ")
    return re.findall(r"[^\W_]+|#", parted.lower())


def looks_personal(header: str) -> bool:
    """Whether a header is about a person: ``Claim ID and Important notes`` is, ``Campaign name`` is not."""
    words = words_of(header)
    campaign = any(w in CAMPAIGN_WORDS for w in words)
    return any(w in PERSONAL and not (campaign and w in NAME_WORDS) for w in words)


def looks_like_phone(header: str) -> bool:
    """Whether a header is about a phone number."""
    words = words_of(header)
    return any(w in PHONE_WORDS for w in words) or {"caller", "id"} <= set(words)


def looks_harmless(header: str) -> bool:
    """Whether a header names a term of the trade, such as a status or a campaign, and no person."""
    return not looks_personal(header) and any(w in HARMLESS for w in words_of(header))


def are_phones(values: pl.Series) -> bool:
    """Whether at least half of the filled cells look like phone numbers."""
    digits = values.str.replace_all(r"[ ().+-]", "")
    return _share(digits, _BARE_PHONE) >= _BEARERS


def hold_personal(values: pl.Series) -> bool:
    """Whether filled cells contain contact data or names: one contact is enough, bare phones and names must be many."""
    sure = f"{_EMAIL}|{_PHONE}|{_LINK}"
    if values.str.contains(sure).any() or values.str.contains(_STREET).any() or values.str.contains(_NUMBERED).any():
        return True
    return are_phones(values) or are_names(values)


def are_names(values: pl.Series) -> bool:
    """Whether filled cells look like names of people: at least 30 % of the distinct ones have a common given name."""
    few = values.unique()
    first = few.str.to_lowercase().str.extract(r"^([\p{L}]+)").fill_null("")
    last = few.str.to_lowercase().str.extract(r",\s*([\p{L}]+)").fill_null("")  # Oakley, Ann
    known = first.is_in(list(GIVEN_NAMES)) | last.is_in(list(GIVEN_NAMES))
    return bool(known.sum()) and int(known.sum()) >= max(1, int(len(few) * 0.3))


def may_be_names(values: pl.Series) -> bool:
    """Whether filled cells have the shape of names, such as ``Ann Oakley``, but also ``In Progress``."""
    return _share(values, _NAME) >= _BEARERS


def _share(values: pl.Series, pattern: str) -> float:
    return float(values.str.contains(pattern).mean() or 0) if len(values) else 0.0  # type: ignore[arg-type]


__all__ = [
    "are_names",
    "are_phones",
    "hold_personal",
    "looks_harmless",
    "looks_like_phone",
    "looks_personal",
    "may_be_names",
    "words_of",
]
