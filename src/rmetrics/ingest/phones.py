"""Normalises columns of phone numbers: one spelling per number, so that cells of the same customer are equal.

``rules.phones`` defines the spelling. Two numbers in one cell keep their order, joined by a semicolon. Placeholders
(``0000000000``) are null; any other text that is not a number stays as exported and is not used as a key
(``metrics.phones``).
"""

import polars as pl

from rmetrics.rules.phones import read_phone

# The characters that \s matches in a regular expression: Unicode's White_Space.
_SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
BETWEEN_DIGITS = [*_SPACES, *"().-+"]
_ONE_DIGIT = [str(d) * 10 for d in range(10)]


def read_phones(text: pl.Series) -> pl.Series:
    """The normalised numbers of clean cells; null if a cell is blank or a placeholder."""
    digits = text.str.replace_many(BETWEEN_DIGITS, [""])
    national = digits.str.extract(r"^1?([2-9][0-9]{9})$")
    odd = text.filter(national.is_null() & text.is_not_null()).unique()
    if len(odd):
        table = pl.DataFrame(
            {"t": odd, "v": [read_phone(t) for t in odd.to_list()]}, schema={"t": pl.String, "v": pl.String}
        )
        found = pl.DataFrame({"t": text}).join(table, on="t", how="left", maintain_order="left")["v"]
        national = national.zip_with(national.is_not_null(), found)
    return national.set(national.is_in(_ONE_DIGIT).fill_null(value=False), None)


__all__ = ["BETWEEN_DIGITS", "read_phones"]
