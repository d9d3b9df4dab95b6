"""Problems of a rules table in the words of someone who edits rules: an unknown or missing key, a wrong value."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.identifiers import IDENTIFIER_RULE
from rmetrics.rules.model import Check, FeedLeads
from rmetrics.rules.notifications import HIDDEN, Alert, BriefRules, Channel
from rmetrics.rules.suggest import did_you_mean
from rmetrics.rules.table import Table

_UNDATED = (Check, BriefRules, Channel, Alert)

# Hints for missing keys.
_MISSING: Mapping[str, str] = {
    "date": ': name the column that gives the day of a row, for instance date = "lead_at"',
    "files": ': add at least one glob, for instance files = ["leads*"]',
    "columns": ': a feed needs [feeds.NAME.columns] with at least a date, for instance lead_at = { type = "timestamp", '
    'from = ["Date"], required = true }',
    "leads": ': define a lead: "jobs", "units", "repairs", or { feed = "...", where = "..." }',
    "rows": ': the JMESPath of the rows in an answer, for instance rows = "data"',
    "url": ": the URL to fetch from",
    "feed": ": the feed of the rows",
    "share": ": revenue40 = gross * share; use a number from 0 to 1",
    "type": f": one of {', '.join(ColumnType)}",
    "where": ": add the condition that a row must meet",
}


# Expectations in the words of someone who edits rules; braces are filled from the context of the failed check.
_EXPECTED: Mapping[str, str] = {
    "greater_than_equal": "must not be less than {ge}",
    "less_than_equal": "must not be more than {le}",
    "decimal_max_places": "has more than {decimal_places} decimals",
    "decimal_parsing": "must be a number",
    "decimal_type": "must be a number",
    "string_type": "must be text in quotes",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "must not be blank",
    "too_short": "must not be an empty list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list [...]",
    "model_type": "must be a table {{ ... }}",
    "dict_type": "must be a table {{ ... }}",
    "literal_error": "must be {expected}",
}


def key_problem(kind: type[Table], key: str, detail: ErrorDetails) -> tuple[str, str]:
    """Returns the key at fault and what is wrong with it.

    Args:
        kind: the model of the table.
        key: the table's own key.
        detail: one of the errors of its validation.
    """
    loc = [str(p) for p in detail["loc"] if not is_union_tag(p)]
    path = ".".join([key, *loc])
    last = loc[-1] if loc else ""
    if detail["type"] == "extra_forbidden":
        return path, f"unknown key{did_you_mean(last, _keys_at(kind, detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return path, f"is missing{_MISSING.get(last, '')}"
    # The value may itself be a secret or a customer's number.
    hidden = {"secrets", "own_numbers", "shared_numbers"} & {*loc}
    omitted = isinstance(detail["input"], dict) or hidden or detail["type"] == HIDDEN
    found = "" if omitted else f", found {shown(detail['input'])}"
    return path, f"{_expectation(detail)}{found}"


def _expectation(detail: ErrorDetails) -> str:
    limits, kind = detail.get("ctx", {}), detail["type"]
    if kind == "string_pattern_mismatch" and "secrets" in detail["loc"]:
        return "must be the name of a setting in capitals, such as WORKIZ_TOKEN, never the secret itself"
    if kind == "string_pattern_mismatch" and limits.get("pattern", "").startswith("^[a-z]"):
        return IDENTIFIER_RULE
    if kind == "enum":
        known = [str(t) for t in ColumnType]
        return f"must be one of {', '.join(known)}{did_you_mean(str(detail['input']), known, near=True)}"
    if kind == "literal_error" and detail["loc"][0] == "leads":
        near = did_you_mean(str(detail["input"]), ["jobs", "units", "repairs"], near=True)
        return f'must be "jobs", "units", "repairs", or a table {{ feed = "...", where = "..." }}{near}'
    if kind in _EXPECTED:
        return _EXPECTED[kind].format(**limits)
    message = detail["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}"


def without_duplicates(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Removes duplicate reports: for a union (a word or a table), the errors of the branch that was not meant."""
    kept = []
    for detail in details:
        branch = next((str(p) for p in detail["loc"] if is_union_tag(p) and p != "[key]"), "")
        is_word = branch.startswith("literal")
        expects_word = detail["type"] in {"literal_error", "model_type"} and not isinstance(detail["input"], dict)
        if not branch or is_word == expects_word:
            kept.append(detail)
    return kept or details


def is_union_tag(part: object) -> bool:
    """Whether a part of an error's place names a branch of a union (a word or a table), not a key."""
    text = str(part)
    return text.startswith(("literal[", "function-")) or text in {"FeedLeads", "Cost", "[key]"}


def _keys_at(kind: type[Table], loc: tuple[int | str, ...]) -> list[str]:
    """Returns the keys that are allowed where an unknown one was found."""
    model: Any = kind
    for part in loc:
        if str(part) == "FeedLeads":
            return list(FeedLeads.model_fields)
        field = getattr(model, "model_fields", {}).get(str(part))
        if field is None:
            continue
        for candidate in _models_in(field.annotation):
            model = candidate
    return [f.alias or n for n, f in model.model_fields.items()] + (
        ["changes"] if model is kind and kind not in _UNDATED else []
    )


def _models_in(annotation: Any) -> list[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def shown(value: object) -> str:
    """Returns a found value as TOML would write it, cut to 80 characters."""
    if isinstance(value, bool):
        return str(value).lower()  # as in TOML
    text = "nothing" if value is None else repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
