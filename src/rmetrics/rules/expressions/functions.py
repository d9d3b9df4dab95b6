"""The available functions with their meaning and their treatment of NULL. ``docs/rules.md`` has the same list."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the expression language.

    Attributes:
        form: its call syntax.
        min_args, max_args: number of arguments; ``max_args`` None for any number.
        meaning: its result.
        blank: its treatment of NULL.
    """

    form: str
    min_args: int
    max_args: int | None
    meaning: str
    blank: str


_NULL = "NULL if an argument is NULL"
FUNCTIONS: Mapping[str, Function] = {
    "lower": Function("lower(text)", 1, 1, "the text in lower case, letter by letter", _NULL),
    "upper": Function("upper(text)", 1, 1, "the text in upper case, letter by letter", _NULL),
    "trim": Function("trim(text)", 1, 1, "without white space at both ends", _NULL),
    "ltrim": Function("ltrim(text)", 1, 1, "without white space at the start", _NULL),
    "rtrim": Function("rtrim(text)", 1, 1, "without white space at the end", _NULL),
    "length": Function("length(text)", 1, 1, "the number of Unicode characters", _NULL),
    "starts_with": Function("starts_with(text, part)", 2, 2, "whether the text begins with the part", _NULL),
    "ends_with": Function("ends_with(text, part)", 2, 2, "whether the text ends with the part", _NULL),
    "contains": Function("contains(text, part)", 2, 2, "whether the part occurs in the text", _NULL),
    "concat": Function("concat(text, ...)", 1, None, "the texts joined", "NULL counts as an empty text"),
    "coalesce": Function("coalesce(value, ...)", 1, None, "the first value that is not NULL", "NULL if all are NULL"),
    "nullif": Function(
        "nullif(value, other)", 2, 2, "NULL if both are equal, otherwise the value", "a NULL is not equal"
    ),
    "year": Function("year(date)", 1, 1, "the year; of a timestamp, of its business day", _NULL),
    "month": Function("month(date)", 1, 1, "the month, 1 to 12; of a timestamp, of its business day", _NULL),
    "day": Function("day(date)", 1, 1, "the day of the month, 1 to 31; of a timestamp, of its business day", _NULL),
    "isodow": Function(
        "isodow(date)", 1, 1, "the day of the week, Monday 1 to Sunday 7; of a timestamp, of its business day", _NULL
    ),
    "hour": Function("hour(timestamp)", 1, 1, "the hour of the business's clock, 0 to 23", _NULL),
}
