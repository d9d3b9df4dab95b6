"""Rewrites an edit that would restate past months as a dated change."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

from rmetrics.rules.dated import DATED_KEYS
from rmetrics.rules.edits import Edit, written
from rmetrics.rules.model import Rules

_NAMED = frozenset({"sources", "feeds", "measures"})  # groups of tables: sources."Pro Referral"


def dated_instead(edits: Sequence[Edit], rules: Rules, start: dt.date) -> tuple[str, ...]:
    """Returns the edits as dated changes, each a TOML table to use instead; nothing for edits that cannot be dated.

    Args:
        edits: edits of values that apply to all of history.
        rules: the rules after the edits.
        start: the first day of the change.
    """
    wanted: dict[tuple[str, ...], dict[str, Any]] = {}
    for edit in edits:
        for table, key, value in _edited(edit, rules):
            wanted.setdefault(table, {})[key] = value
    found = []
    for path, keys in wanted.items():
        changes = _at(rules, path).get("changes", [])
        if any(key in change for change in changes for key in keys) or any(c["from"] >= start for c in changes):
            continue  # a dated change already overrides the edited value
        lines = [f"[[{'.'.join(map(_name, path))}.changes]]", f"from = {start}"]
        lines += [f"{key} = {written(value)}" for key, value in keys.items()]
        found.append("\n".join(lines))
    return tuple(found)


def _edited(edit: Edit, rules: Rules) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """Yields the table and the key that an edit belongs to, with the complete new value of the key."""
    group, _, rest = edit.key.partition(".")
    if group not in rules.tables:
        return  # the whole table is deleted
    names = [n for n in rules.tables.get(group, {}) if rest == n or rest.startswith(f"{n}.")] if group in _NAMED else []
    if edit.before is None and rest in names:
        return  # a new table has no earlier value to keep
    path = (group, max(names, key=len)) if names else (group,)
    key = rest.removeprefix(f"{path[-1]}.").partition(".")[0] if names else rest.partition(".")[0]
    if group in _NAMED and not names:
        return
    table = _at(rules, path)
    dated = DATED_KEYS.get(group, frozenset())
    if key in table and (dated is None or key in dated):
        yield path, key, table[key]


def _at(rules: Rules, path: Sequence[str]) -> Any:
    table: Any = rules.tables
    for name in path:
        table = table[name]
    return table


def _name(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else written(name)


__all__ = ["dated_instead"]
