"""Both engines give the same for random well-typed expressions over odd values, and for every Unicode code point."""

import datetime as dt
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engines import values_of
from rmetrics.pipeline.verify.odd_values import TEXTS, changes_of, odd_rows
from rmetrics.rules.expressions import typing
from rmetrics.rules.expressions.letters import lower_case, lowered, upper_case
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.refusal import RefusedExpressionError
from rmetrics.rules.expressions.typed import Value
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.expressions.white_space import WHITE_SPACE
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import ColumnType

COLUMNS = {
    "t": ColumnType.TEXT, "u": ColumnType.TEXT, "phone": ColumnType.PHONE, "n": ColumnType.INTEGER,
    "dur": ColumnType.DURATION, "m": ColumnType.MONEY, "q": ColumnType.MONEY, "s": ColumnType.SHARE,
    "d": ColumnType.DATE, "mon": ColumnType.MONTH, "at": ColumnType.TIMESTAMP, "until": ColumnType.TIMESTAMP,
    "b": ColumnType.BOOLEAN, "c": ColumnType.BOOLEAN,
}  # fmt: skip
ZONES = ("America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC")


class Writer:
    """Writes random expressions of a wanted kind, well typed by construction."""

    def __init__(self, seed: int, zone: str) -> None:
        self.draw, self.zone = random.Random(seed), zone  # noqa: S311 - repeatable, not secret

    def truth(self, depth: int) -> str:
        """A condition that is at most so deep."""
        if depth <= 0:
            return self.draw.choice(["b", "c", "TRUE", "FALSE", "t = 'a'", "n > 1", "NULL"])
        return self.draw.choice(
            [self._joined, self._not, self._compared, self._compared, self._in, self._between, self._like, self._is,
             self._part, self._truth_case]
        )(depth - 1)  # fmt: skip

    def _value(self, depth: int) -> tuple[str, Callable[[int], str]]:
        make = self.draw.choice([self._text, self._text, self._number, self._number, self._day, self._moment])
        return make(depth), make

    def _text(self, depth: int) -> str:
        if depth <= 0 or self.draw.random() < 0.3:
            return self.draw.choice(["t", "u", "phone", "NULL", *(self._quoted(x) for x in self.draw.sample(TEXTS, 3))])
        name = self.draw.choice(
            ["lower", "upper", "trim", "ltrim", "rtrim", "||", "concat", "coalesce", "nullif", "CASE"]
        )
        one, two = self._text(depth - 1), self._text(depth - 1)
        if name == "||":
            return f"({one} || {two})"
        if name == "CASE":
            return f"CASE WHEN {self.truth(depth - 1)} THEN {one} ELSE {two} END"
        return f"{name}({one}, {two})" if name in {"concat", "coalesce", "nullif"} else f"{name}({one})"

    def _number(self, depth: int) -> str:
        if depth <= 0 or self.draw.random() < 0.3:
            return self.draw.choice(["n", "dur", "m", "q", "s", "0", "1", "-1", "100", "100.005", "0.35", "1e3", "NULL",
                                     "9223372036854775807", "99999999999999999999.99"])  # fmt: skip
        one, two = self._number(depth - 1), self._number(depth - 1)
        return self.draw.choice([
            f"({one} + {two})", f"({one} - {two})", f"(- {one})", f"length({self._text(depth - 1)})",
            f"coalesce({one}, {two})", f"nullif({one}, {two})", f"year({self._day(depth - 1)})",
            f"isodow({self._moment(depth - 1)})", f"hour({self._stamp()})", f"day({self._day(depth - 1)})",
            f"month({self._stamp()})", f"({self._day(0)} - {self._moment(0)})", f"({self._moment(0)} - {self._day(0)})",
            f"CASE WHEN {self.truth(depth - 1)} THEN {one} WHEN {self.truth(depth - 1)} THEN {two} END",
        ])  # fmt: skip

    def _day(self, depth: int) -> str:
        if depth <= 0 or self.draw.random() < 0.5:
            near = [f"DATE '{d + dt.timedelta(days=self.draw.randint(-1, 1))}'" for d in changes_of(self.zone)]
            return self.draw.choice(["d", "mon", *near])
        return self.draw.choice([
            f"coalesce({self._day(depth - 1)}, {self._moment(depth - 1)})", f"({self._day(depth - 1)} + 1)",
            f"({self._day(depth - 1)} - 365)",
            f"CASE WHEN {self.truth(depth - 1)} THEN {self._day(depth - 1)} ELSE {self._moment(0)} END",
        ])  # fmt: skip

    def _stamp(self) -> str:
        return self.draw.choice(
            ["at", "until", "TIMESTAMP '2024-06-01 12:30:00'", "TIMESTAMPTZ '2024-11-03 05:30:00+00'"]
        )

    def _moment(self, depth: int) -> str:
        return self._stamp() if depth <= 0 or self.draw.random() < 0.6 else self._day(depth)

    def _quoted(self, text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    def _joined(self, depth: int) -> str:
        return f"({self.truth(depth)} {self.draw.choice(['AND', 'OR'])} {self.truth(depth)})"

    def _not(self, depth: int) -> str:
        return f"(NOT {self.truth(depth)})"

    def _compared(self, depth: int) -> str:
        sign = self.draw.choice(["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
        one, make = self._value(depth)
        return f"({one} {sign} {make(depth)})"

    def _in(self, depth: int) -> str:
        one, make = self._value(depth)
        listed = [make(self.draw.choice([0, 0, depth])) for _ in range(self.draw.randint(1, 4))]
        listed += self.draw.choice([[], [], ["NULL"]])
        return f"({one} {self.draw.choice(['', 'NOT '])}IN ({', '.join(listed)}))"

    def _between(self, depth: int) -> str:
        one, make = self._value(depth)
        return f"({one} {self.draw.choice(['', 'NOT '])}BETWEEN {make(depth)} AND {make(depth)})"

    def _like(self, depth: int) -> str:
        pieces = self.draw.choices(
            ["%", "_", "a", "!%", "!_", "!!", "\u0130", "\u03c3", ".", "\n", "FAILED", "\U0001f600"], k=3
        )
        word = self.draw.choice(["LIKE", "ILIKE", "NOT LIKE", "NOT ILIKE"])
        return f"({self._text(depth)} {word} {self._quoted(''.join(pieces))} ESCAPE '!')"

    def _is(self, depth: int) -> str:
        test = self.draw.choice(["TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "NULL", "NOT NULL"])
        return f"({self.truth(depth)} IS {test})"

    def _part(self, depth: int) -> str:
        name = self.draw.choice(["starts_with", "ends_with", "contains"])
        return f"{name}({self._text(depth)}, {self._text(depth)})"

    def _truth_case(self, depth: int) -> str:
        one, make = self._value(depth)
        return f"CASE {one} WHEN {make(0)} THEN {self.truth(depth)} ELSE {self.truth(depth)} END"


def compare(seeds: range, zone: str, folder: Path) -> None:
    row, written, typed, refused = Row.of(COLUMNS, zone), list[str](), list[Value](), list[str]()
    for seed in seeds:
        text = Writer(seed, zone).truth(4)
        try:
            value = typing.condition(text, row)
        except RefusedExpressionError as error:
            refused.append(str(error))
            continue
        assert typing.condition(sql_of(parse(text)), row) == value
        written.append(text)
        typed.append(value)
    assert all("38 digits" in r or "only values of one kind" in r for r in refused), refused
    assert len(written) > len(seeds) * 0.6
    rows = odd_rows(row, [parse(w) for w in written[:20]], seed=seeds.start)
    for text, (first, second) in zip(written, values_of(typed, rows, folder), strict=True):
        wrong = [(rows.row(i, named=True), a, b) for i, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
        assert not wrong, (text, wrong[0])


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.ordinary(1, deep=1)
def test_random_expressions(zone: str, tmp_path: Path) -> None:
    compare(range(120), zone, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("block", range(10))
def test_many_random_expressions(zone: str, block: int, tmp_path: Path) -> None:
    compare(range(1000 + block * 400, 1400 + block * 400), zone, tmp_path)


# -- every code point

CASED = Row.of({"t": ColumnType.TEXT}, "UTC")
EXPRESSIONS = ("lower(t)", "upper(t)", "trim(t)", "ltrim(t)", "rtrim(t)", "length(t)", "concat(t, 'x')")
CONDITIONS = (
    "t LIKE '_'", "t LIKE '__%'", "t ILIKE 'i%'", "t ILIKE '%\u03c3'", "t ILIKE '_'", "t = lower(t)", "t > '\ud7ff'",
    "starts_with(t, '\u0130')", "contains(lower(t), 'k')", "t LIKE '%!%%' ESCAPE '!'", "t = upper(lower(t))",
)  # fmt: skip


def code_points(step: int) -> list[str]:
    special = {ord(c) for t in TEXTS for c in t} | {ord(c) for c in WHITE_SPACE}
    cased = {ord(c) for c in (*lower_case(), *upper_case())}
    every = {*range(1, 0x110000, step), *special, *cased}
    return [chr(c) for c in sorted(every) if not 0xD800 <= c <= 0xDFFF]


def cased(character: str, table: dict[str, str], ascii_form: str) -> str:
    return ascii_form if character.isascii() else table.get(character, character)


def check_code_points(step: int, folder: Path) -> None:
    alone = code_points(step)
    rows = pl.DataFrame({"t": [*alone, *(f"{c}\u0391{c}" for c in alone), *(f" {c}A" for c in alone)]})
    typed = [typing.derived(e, CASED, ColumnType.INTEGER if "length" in e else ColumnType.TEXT) for e in EXPRESSIONS]
    typed += [typing.condition(c, CASED) for c in CONDITIONS]
    found = values_of(typed, rows, folder)
    for text, (first, second) in zip((*EXPRESSIONS, *CONDITIONS), found, strict=True):
        wrong = [(ascii(t), a, b) for t, a, b in zip(rows["t"], first, second, strict=True) if a != b]
        assert not wrong, (text, wrong[:5])
    count = len(alone)
    assert found[0][0][:count] == [cased(c, lower_case(), c.lower()) for c in alone]
    assert found[1][0][:count] == [cased(c, upper_case(), c.upper()) for c in alone]
    assert found[2][0][:count] == ["" if c in WHITE_SPACE else c for c in alone]
    assert found[5][0][:count] == [1] * count


def test_some_code_points(tmp_path: Path) -> None:
    check_code_points(1009, tmp_path)


@pytest.mark.slow
def test_every_code_point(tmp_path: Path) -> None:
    check_code_points(1, tmp_path)


@pytest.mark.deep
def test_the_table_of_letters_is_unicodes() -> None:
    """The simple mappings: the whole mapping where it is one letter, else the title case, which is one for Greek."""
    for code in range(128, 0x110000):
        letter = chr(code)
        if 0xD800 <= code <= 0xDFFF or unicodedata.unidata_version.split(".")[0] != "14":
            continue
        lower = "i" if letter == "\u0130" else letter.lower() if len(letter.lower()) == 1 else letter
        forms = ("\u1e9e",) if letter == "\u00df" else (letter.upper(), letter.title(), letter)
        assert lower_case().get(letter, letter) == lower
        assert upper_case().get(letter, letter) == next(f for f in forms if len(f) == 1)


def test_white_space_is_unicodes() -> None:
    spaces = {chr(c) for c in range(0x110000) if chr(c).isspace()} - {"\x1c", "\x1d", "\x1e", "\x1f"}
    assert set(WHITE_SPACE) == spaces


def test_patterns_are_lowered_like_texts() -> None:
    letters = "".join(code_points(97))
    assert lowered(letters) == "".join(cased(c, lower_case(), c.lower()) for c in letters)


def test_numbers_that_conditions_are_sized_for_are_the_most_a_cell_holds() -> None:
    """``typed.CELLS`` relies on what the parsers of cells refuse."""
    from rmetrics.ingest.amounts import MAX_CENTS, read_money
    from rmetrics.rules.expressions.typed import CELLS

    assert CELLS[ColumnType.MONEY].bound == MAX_CENTS - 1
    assert read_money("9999999999.99") is not None
