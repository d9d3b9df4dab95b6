"""Guesses the columns of an unknown export: type, date forms, key, date, and whether they may be published."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rmetrics.drafting.privacy import (
    are_phones,
    hold_personal,
    looks_harmless,
    looks_like_phone,
    looks_personal,
    may_be_names,
    words_of,
)
from rmetrics.drafting.words import (
    AD_WORDS,
    BIRTH,
    CODES,
    COST,
    ID_ANYWHERE,
    ID_AT_THE_END,
    MONEY,
    NOT_WHEN,
    REPEATING_WORDS,
    ROWS,
    WHEN,
)
from rmetrics.ingest.cells import clean
from rmetrics.ingest.parse import parse_column
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.rules.feeds import Column, ColumnType
from rmetrics.rules.identifiers import is_reserved

_SAMPLES = 3
_FEW = 12  # the most distinct values of a status
_MAX_STATUS, _MAX_NAME, _MAX_ID = 40, 80, 64  # characters
_CLOCK = r"\d{1,2}:\d{2}"
# Tried in this order after ISO; American forms come before others that fit the same values.
_FORMATS = (
    "%m/%d/%Y",
    "%m/%d/%y",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M",
    "%m/%d/%y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m-%d-%Y",
    "%m-%d-%Y %H:%M",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %b %Y %H:%M",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%b %d, %Y, %I:%M %p",
    "%b %d, %Y %I:%M %p",
    "%b %d, %Y at %I:%M %p",
    "%b %d %Y",
    "%a %b %d %Y",
    "%a, %b %d, %Y",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y%m%d",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %I:%M %p",
    "%a %b %o, %I:%M%p",
    "excel",
)
_OTHER_FORM = {"%m/%d/%Y": "%d/%m/%Y", "%m/%d/%Y %H:%M": "%d/%m/%Y %H:%M", "%m-%d-%Y": "%d-%m-%Y"}
_OWN_COLUMNS = frozenset({"counted", "row_id", "source", "job_id"})  # columns that rmetrics itself adds to a feed
BLANK = "always blank in this file"
AMBIGUOUS = "could also be"  # how the note on a date form begins that has a second reading


@dataclass(frozen=True, slots=True)
class Guess:
    """The guess about a column of the export.

    Attributes:
        header: as in the file.
        name: the column's name in the rules.
        formats: date forms that read every value.
        decimal: "," if amounts are written 1.234,56.
        private: whether it may contain personal data, and therefore is not published.
        samples: some of its values; none if private.
        filled, distinct: the number of rows with a value, and of distinct values.
        note: a point to check.
    """

    header: str
    name: str
    type: ColumnType
    formats: tuple[str, ...] = ()
    private: bool = False
    samples: tuple[str, ...] = ()
    filled: int = 0
    distinct: int = 0
    decimal: str = "."
    required: bool = False
    note: str = ""


def guesses(rows: pl.DataFrame, headers: Sequence[str], reading: ParseContext) -> list[Guess]:
    """Returns one guess per header, in order, with distinct names.

    Args:
        rows: text columns named by the headers.
        headers: the headers that a column can be read from.
        reading: the business zone and the day of the export.
    """
    used: set[str] = set()
    found = []
    for header in headers:
        guess = guess_column(header, clean(rows[header].cast(pl.String).alias("cells")), reading)
        name = column_name(header, guess.type, used)
        used.add(name)
        found.append(replace(guess, name=name))
    return found


def guess_column(header: str, cells: pl.Series, reading: ParseContext) -> Guess:
    """Guesses one column; it is private unless its type, header or values rule out personal data."""
    values = cells.drop_nulls()
    words = set(words_of(header))
    guess = Guess(header, "", ColumnType.TEXT, filled=len(values), distinct=values.n_unique())
    if not len(values):
        return replace(guess, private=True, note=BLANK)
    if looks_like_phone(header):
        return replace(guess, type=ColumnType.PHONE, private=True)
    if not words & CODES:
        dated = _dated(header, values, reading)
        if dated is not None:
            private = bool(words & BIRTH)
            kind, formats, note = dated
            return _with_samples(replace(guess, type=kind, formats=formats, note=note, private=private), values)
        if not looks_like_id(header) and _is_comma_money(values, reading):
            return _amount(replace(guess, type=ColumnType.MONEY, decimal=","), values, words)
        if are_phones(values) and not words & ID_ANYWHERE:
            return replace(guess, type=ColumnType.PHONE, private=True)
        kind = _plain_type(header, values, reading)
        if kind is ColumnType.MONEY:
            return _amount(replace(guess, type=kind), values, words)
        if kind is not ColumnType.TEXT:
            guess = replace(guess, type=kind, private=looks_personal(header))
            return guess if kind is ColumnType.INTEGER else _with_samples(guess, values)
    return _text(guess, values)


def _amount(guess: Guess, values: pl.Series, words: set[str]) -> Guess:
    return _with_samples(replace(guess, private=looks_personal(guess.header) and not words & MONEY), values)


def _text(guess: Guess, values: pl.Series) -> Guess:
    """Guesses a text column, which is published only if it is an id of the row, a status, or a term of the trade."""
    if looks_personal(guess.header) or hold_personal(values):
        return replace(guess, private=True)
    longest = int(values.str.len_chars().max() or 0)  # type: ignore[arg-type]
    few = 1 < guess.distinct <= _FEW and 2 * guess.distinct <= guess.filled
    status = few and longest <= _MAX_STATUS and not may_be_names(values)
    harmless = looks_harmless(guess.header) and longest <= _MAX_NAME
    if not (status or harmless or (looks_like_id(guess.header) and _are_ids(values))):
        return replace(guess, private=True)
    shown = status or (harmless and 1 < guess.distinct <= _FEW and guess.distinct < guess.filled)
    return _with_samples(replace(guess, note=_statuses(values)), values) if shown else guess


def _with_samples(guess: Guess, values: pl.Series) -> Guess:
    if guess.private:
        return guess
    return replace(guess, samples=tuple(values.unique(maintain_order=True).head(_SAMPLES).to_list()))


def looks_like_id(header: str) -> bool:
    """Whether a header calls its column an id: ``Ref``, ``leadId``, ``Job #``; but not ``Number of clicks``."""
    words = words_of(header)
    return any(w in ID_ANYWHERE for w in words) or bool(words and words[-1] in ID_AT_THE_END)


def _are_ids(values: pl.Series) -> bool:
    short = values.str.len_chars().max()
    return isinstance(short, int) and short <= _MAX_ID and bool(values.str.contains(r"^\S+$|[0-9]").all())


def _reads(
    values: pl.Series, kind: ColumnType, reading: ParseContext, formats: tuple[str, ...] = (), decimal: str = "."
) -> bool:
    column = Column.model_validate({"type": kind, "from": ["x"], "formats": formats, "decimal": decimal})
    return parse_column(values, column, reading).null_count() == 0


def _dated(header: str, values: pl.Series, reading: ParseContext) -> tuple[ColumnType, tuple[str, ...], str] | None:
    """Returns the type, forms and note of a date column; None if it is none."""
    few = values.unique(maintain_order=True)
    kind = ColumnType.TIMESTAMP if few.str.contains(_CLOCK).any() else ColumnType.DATE
    if _reads(few, kind, reading):
        return kind, (), ""
    if few.str.contains(r"^\d{1,4}$").any():  # plain numbers: counts, not days
        return None
    forms: list[str] = []
    rest = few
    for form in _FORMATS:
        column = Column.model_validate({"type": kind, "from": ["x"], "formats": [form]})
        read = parse_column(rest, column, reading)
        if read.null_count() < len(rest):
            forms.append(form)
            rest = rest.filter(read.is_null())
        if not len(rest):
            break
    # Almost any number is a valid Excel serial: require a header about time, and days from 1982 to 2036.
    serials = forms == ["excel"] and not (
        set(words_of(header)) & WHEN and few.str.contains(r"^[34]\d{4}(\.\d+)?$").all()
    )
    if len(rest) or serials or (forms == ["%Y%m%d"] and looks_like_id(header)):
        return None
    other = _OTHER_FORM.get(forms[0])
    both = other is not None and len(forms) == 1 and _reads(few, kind, reading, (other,))
    return kind, tuple(forms), f"{AMBIGUOUS} {other}: check a day after the 12th" if both else ""


def _is_comma_money(values: pl.Series, reading: ParseContext) -> bool:
    """Whether all are amounts such as 14,50 and 1.234,56: a comma before the cents, unlike in 1,234."""
    return bool(values.str.contains(r",\d{2}\D*$").all()) and _reads(values, ColumnType.MONEY, reading, decimal=",")


def _plain_type(header: str, values: pl.Series, reading: ParseContext) -> ColumnType:
    words, is_id = set(words_of(header)), looks_like_id(header)
    if values.str.to_lowercase().is_in(["yes", "no", "true", "false", "y", "n"]).all():
        return ColumnType.BOOLEAN
    plain = values.str.contains(r"^-?\d+$").all()
    if not is_id and _reads(values, ColumnType.MONEY, reading):
        cents = values.str.contains(r"[$]|\.\d{1,2}$").any()
        if cents or words & MONEY:
            return ColumnType.MONEY
    timed = values.str.contains(r"(?i)^\d+ ?(min|sec|m|s|h)|^\d{1,3}:\d{2}(:\d{2})?$").any()
    if timed or (plain and words & {"duration", "seconds"}):
        return ColumnType.DURATION if _reads(values, ColumnType.DURATION, reading) else ColumnType.TEXT
    leading_zero = values.str.contains(r"^0\d").any()
    if plain and not leading_zero and not is_id and _reads(values, ColumnType.INTEGER, reading):
        return ColumnType.INTEGER
    return ColumnType.TEXT


def _statuses(values: pl.Series) -> str:
    counts = values.value_counts(sort=True).head(6)
    return "values: " + ", ".join(f"{v!r} {n}" for v, n in counts.iter_rows())


def column_name(header: str, kind: ColumnType, used: set[str]) -> str:
    """Derives a unique column name that is valid in the rules and in PostgreSQL."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower().replace("#", " number ")).strip("_")[:50]
    if kind is ColumnType.TIMESTAMP:
        name = re.sub(r"_?(on|date|time|at|datetime)(_time)?$", "", name) or "lead"
        name += "_at"
    if kind is ColumnType.DATE and not name.endswith("date"):
        name = f"{name}_date" if name else "lead_date"
    if not name or not name[0].isalpha():
        name = f"column_{name}".rstrip("_")
    if is_reserved(name) or name in _OWN_COLUMNS:
        name = f"{name}_given"
    base, number = name, 2
    while name in used:
        name, number = f"{base}_{number}", number + 1
    return name


# -- the key and the date of a row


def choose_key(found: Sequence[Guess], rows: int) -> str:
    """Returns the key column, "" for none: its header says id, it is always filled, and its values are unique.

    It is never a measure, a status, a name, a phone, a date, or the id of something that recurs, such as a campaign: in
    a short file these are unique too, but rows of the next file would replace those of this one.
    """
    unique = [g for g in found if g.filled == rows == g.distinct and g.type is ColumnType.TEXT and not g.private]
    named = [g for g in unique if looks_like_id(g.header) and not set(words_of(g.header)) & REPEATING_WORDS]
    named.sort(key=lambda g: not set(words_of(g.header)) & ROWS)
    return named[0].name if named else ""


def choose_date(found: Sequence[Guess], rows: int) -> str:
    """Returns the column that dates a row, "" for none."""
    days = [g for g in found if g.type in {ColumnType.TIMESTAMP, ColumnType.DATE} and not g.private]

    def rank(guess: Guess) -> tuple[bool, bool, bool, bool]:
        words = set(words_of(guess.header))
        return guess.filled < rows, bool(words & NOT_WHEN), not words & WHEN, guess.type is not ColumnType.TIMESTAMP

    return min(days, key=rank).name if days else ""


def choose_identity(found: Sequence[Guess], date: str) -> list[str]:
    """Returns the columns that identify a row without a key: the day, and values unlikely to be corrected later."""
    campaigns = [g.name for g in found if _names_campaign(g)]
    phones = [g.name for g in found if g.type is ColumnType.PHONE]
    public = [g.name for g in found if not g.private and g.note != BLANK]
    kinds: Mapping[str, ColumnType] = {g.name: g.type for g in found}
    if campaigns:
        columns = [date, *campaigns] if date else campaigns
    else:
        columns = [n for n in public if n == date or kinds[n] is not ColumnType.TEXT] or public
        columns = [n for n in columns if n == date] + phones + [n for n in columns if n != date]
    return list(dict.fromkeys(columns or [g.name for g in found]))[:5]


def _names_campaign(guess: Guess) -> bool:
    """Whether a column names the campaign, ad or keyword of a row."""
    words = set(words_of(guess.header))
    return guess.type is ColumnType.TEXT and not guess.private and bool(words & {"campaign", "ad", "adset", "keyword"})


def is_spend(found: Sequence[Guess]) -> bool:
    """Whether the export is a report of advertising spend, whose rows are not leads."""
    measures = (ColumnType.INTEGER, ColumnType.MONEY, ColumnType.TEXT)
    measured = any(g.type in measures and set(words_of(g.header)) & AD_WORDS for g in found)
    return measured and bool(costs(found))


def costs(found: Sequence[Guess]) -> list[Guess]:
    """Returns the amounts that can be a cost: spend before prices per click and the like."""
    money = [g for g in found if g.type is ColumnType.MONEY and set(words_of(g.header)) & COST]
    return sorted(money, key=lambda g: bool(set(words_of(g.header)) & {"per", "avg", "average", "budget", *AD_WORDS}))
