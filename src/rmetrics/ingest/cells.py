"""Removes what other programs add around a cell's value before the value is read.

Excel and programs that write for it protect ids and signs: ``="1001"``, ``'1001``, a leading tab. Invisible characters
come from web pages. The raw layer and ``explain`` keep the cell as exported.
"""

import re

import polars as pl

# Placeholders for an empty cell. The last is an em dash that Excel opened in the wrong encoding.
BLANKS = ("", "\u2014", "\u2013", "--", "\u201a\u00c4\u00ee")
_MAX_BLANK = max(len(b.encode()) for b in BLANKS)

# Characters without width: soft hyphen, zero-width spaces and joiners, directional marks, byte order mark.
_INVISIBLE = (
    "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
_SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_OUTER = _INVISIBLE + _SPACES
_FORMULA = re.compile(r'="(.*)"|=([-+]?[0-9][0-9.,]*)', re.DOTALL)
# A single word, or text that a spreadsheet would read as a number or formula. Before other text, an apostrophe counts
# as part of the text.
_APOSTROPHE = re.compile(r"'\s*([^\s']+|=.*|[-+=@$(\u2212\u20ac\u00a30-9][^']*)", re.DOTALL)
_WHOLE = r"^(-?[0-9]+)\.0$"


def clean(cells: pl.Series) -> pl.Series:
    """Cells without outer white space and protection; placeholders for nothing become null."""
    return all_clean(pl.DataFrame([cells])).to_series()


def all_clean(cells: pl.DataFrame) -> pl.DataFrame:
    """``clean`` for every column.

    A few queries strip all columns and find those that need more: hardly any cell does.
    """
    if not cells.width:
        return cells
    text = cells.select(pl.all().str.strip_chars())
    every = pl.all()
    guarded = (every.str.starts_with("=") | every.str.starts_with("'")).any()
    wide = every.str.len_bytes().sum() != every.str.len_chars().sum()
    short = (every.str.len_bytes() <= _MAX_BLANK).any()
    is_guarded, is_wide, has_short = (text.select(found).row(0) for found in (guarded, wide, short))
    columns = list[pl.Series]()
    for column, guards, wider, shorts in zip(text, is_guarded, is_wide, has_short, strict=True):
        plain = _unprotected(column, wide=wider) if guards or wider else column
        # An unprotected cell may have become blank.
        columns.append(_without_placeholders(plain) if shorts or plain is not column else plain)
    return pl.DataFrame(columns)


def _unprotected(text: pl.Series, *, wide: bool) -> pl.Series:
    """Stripped cells without no-break spaces, invisible characters and spreadsheet protection.

    Args:
        text: stripped cells.
        wide: whether any of them is not ASCII.
    """
    odd = text.str.starts_with("=") | text.str.starts_with("'")
    if wide:  # only non-ASCII text can contain such characters
        odd = odd | text.str.contains(f"^[{_INVISIBLE}]|[{_INVISIBLE}]$")
    found = {t: unprotected(t) for t in text.filter(odd.fill_null(value=False)).unique().to_list()}
    changed = {was: now for was, now in found.items() if was != now}
    return text.replace(changed) if changed else text


def _without_placeholders(text: pl.Series) -> pl.Series:
    filled = pl.all_horizontal(pl.first() != blank for blank in BLANKS)  # faster than is_in, which hashes every cell
    return pl.DataFrame([text]).select(pl.when(filled).then(pl.first())).to_series()


def unprotected(text: str) -> str:
    r"""One cell without its protection, which may be nested.

    >>> [unprotected(t) for t in ('="1001"', '"=""1001\""', "'-85.00", "'til noon", "=12")]
    ['1001', '1001', '-85.00', "'til noon", '12']
    """
    before = None
    while text != before:
        before, text = text, text.strip(_OUTER)
        if found := _FORMULA.fullmatch(text):
            text = found[1].replace('""', '"') if found[1] is not None else found[2]
        elif len(text) > 2 and text.startswith('"=') and text.endswith('"'):
            text = text[1:-1].replace('""', '"')
        elif found := _APOSTROPHE.fullmatch(text):
            text = found[1]
    return text


def whole_ids(cells: pl.Series) -> pl.Series:
    """Ids, with the ``.0`` removed that a spreadsheet adds to ids it reads as numbers."""
    if not cells.str.ends_with(".0").any():
        return cells
    return cells.str.replace(_WHOLE, "$1")
