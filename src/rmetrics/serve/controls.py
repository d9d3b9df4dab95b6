"""The numbers in the rules that can be tried with another value, and the text of a rules file with one of them edited.

Nothing here writes to the project: an edited file exists as text only.
"""

import datetime as dt
import difflib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import AoT

from rmetrics.errors import SettingsError
from rmetrics.metrics.touches import source_order
from rmetrics.rules import Rules
from rmetrics.rules.model import FeedLeads, Place

_KINDS: Mapping[str, str] = {
    "share": "share of the amount paid", "per_lead": "price per lead", "per_unit": "price per unit",
    "per_repair": "price per repair", "monthly": "monthly fee", "window": "window in days",
}  # fmt: skip
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_WINDOW = ("journeys", "window")
_GROUPS = frozenset({"sources"})  # tables of tables: a source's name is the second part of a path


@dataclass(frozen=True, slots=True)
class Control:
    """A number in the rules.

    Attributes:
        path: keys and indexes that lead to it from the top of the file.
        kind: its meaning, in words.
        value: its current value.
        where: ``file:line``.
        file: the rules file that holds it.
        since: the first day on which it applies; None if it always did.
        declared: whether the rules contain it; a source without a window of its own follows the common one.
    """

    path: tuple[str | int, ...]
    kind: str
    value: Decimal
    where: str
    file: Path
    since: dt.date | None
    declared: bool = True

    @property
    def key(self) -> str:
        """Its dotted key, as used in messages."""
        return ".".join(map(str, self.path))

    @property
    def table(self) -> tuple[str | int, ...]:
        """Path of the table whose ``changes`` hold its dated changes."""
        if self.path[:2] == ("journeys", "sources"):
            return self.path[:3]
        return self.path[: 2 if self.path[0] in _GROUPS else 1]

    @property
    def owner(self) -> str:
        """The source or table that it belongs to."""
        return str(self.table[-1])


@dataclass(frozen=True, slots=True)
class Edited:
    """A rules file with one number edited.

    Attributes:
        file: the file.
        text: its whole text after the edit.
        snippet: the edit as TOML to copy.
        diff: unified diff of the edit.
    """

    file: Path
    text: str
    snippet: str
    diff: str


def controls(rules: Rules) -> list[Control]:
    """Lists every number in the rules that can be tried with another value, in the order of the tables."""
    found = []
    for path, value in _numbers(rules.tables, ()):
        if path[0] in {"feeds", "checks", "business"}:
            continue
        key = ".".join(map(str, path))
        at = next((rules.places[k] for k in _shorter(key) if k in rules.places), None)
        if at is None:
            continue
        since = None
        if "changes" in path:
            since = _at(rules.tables, path[: path.index("changes") + 2]).get("from")
        found.append(Control(path, _KINDS[str(path[-1])], Decimal(value), str(at), at.path, since))
        if path == _WINDOW:
            found += _own_windows(rules, at)
    return found


def _own_windows(rules: Rules, at: Place) -> Iterator[Control]:
    """Yields a window for each source with touches but no window of its own, placed where the common one is."""
    called = {s.name for _, calls in rules.calls.versions for s in calls.sources}
    fed = {n for n, d in rules.sources.items() if any(isinstance(v.leads, FeedLeads) for _, v in d.versions)}
    for name in source_order(rules):
        own = rules.journeys.sources.get(name)
        if name in called | fed and (own is None or own.latest.window is None):
            path = ("journeys", "sources", name, "window")
            window = Decimal(rules.journeys.windows(name).latest)
            yield Control(path, _KINDS["window"], window, str(at), at.path, None, declared=False)


def _shorter(key: str) -> Iterator[str]:
    while key:
        yield key
        key = key.rpartition(".")[0]


def _numbers(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _numbers(inside, (*path, name))
    elif isinstance(value, list | tuple):
        for i, inside in enumerate(value):
            yield from _numbers(inside, (*path, i))
    elif path and path[-1] in _KINDS and isinstance(value, int | Decimal) and not isinstance(value, bool):
        yield path, value


def _at(tree: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def edited(chosen: Control, value: str, start: dt.date | None) -> Edited:
    """Edits one number: for all of history, or from a day on as a dated change.

    Args:
        chosen: the number.
        value: the new value as TOML text.
        start: the first day on which it applies; None replaces the present value.

    Raises:
        SettingsError: the value is not a number, the number is itself a dated change and a day was given, or a change
            from that day exists already.
    """
    if not _NUMBER.fullmatch(value):
        raise SettingsError(
            f"not a valid number for a rule: {value!r}", "Use a form such as 25.00, or 0.42 for a share."
        )
    if start is not None and chosen.since is not None:
        raise SettingsError(
            f"{chosen.key} already has a value from {chosen.since} on", "Try another value without a date."
        )
    text = chosen.file.read_text(encoding="utf-8-sig")
    document = tomlkit.parse(text)
    number = tomlkit.parse(f"x = {value}")["x"]
    if not chosen.declared:
        _declare(document, chosen)
    if start is None:
        _at(document, chosen.path[:-1])[chosen.path[-1]] = number
        snippet = _snippet(document, chosen)
    else:
        snippet = _dated(document, chosen, number, start)
    after = tomlkit.dumps(document)
    diff = "\n".join(
        line.rstrip("\n")
        for line in difflib.unified_diff(text.splitlines(), after.splitlines(), chosen.file.name, chosen.file.name, n=1,
                                         lineterm="")
    )  # fmt: skip
    return Edited(chosen.file, after, snippet, diff)


def _declare(document: Any, control: Control) -> None:
    """Adds the tables above a number that the file does not contain yet."""
    table = document
    for i, part in enumerate(control.table):
        if part not in table:
            table[part] = tomlkit.table(is_super_table=i < len(control.table) - 1)
        table = table[part]


def _snippet(document: Any, control: Control) -> str:
    """Returns the line with the number, under the header of its table."""
    depth = len(control.table)
    if "changes" in control.path:
        change = _at(document, control.path[: depth + 2])
        return f"[[{_header(control.table)}.changes]]\n{tomlkit.dumps(_plain_table(change))}".rstrip()
    key = control.path[depth]
    only: Any = tomlkit.table()
    only[key] = deepcopy(_at(document, control.path[: depth + 1]))
    return f"[{_header(control.table)}]\n{tomlkit.dumps(_plain_table(only))}".rstrip()


def _dated(document: Any, control: Control, number: Any, start: dt.date) -> str:
    """Adds a change that applies from a day on; returns it as TOML."""
    made: Any
    depth = len(control.table)
    table, key = _at(document, control.table), control.path[depth]
    if len(control.path) == depth + 1:
        value = number
    else:
        # A dated change replaces its whole key, so it repeats the rest of the key's value.
        value = deepcopy(table[key])
        _at(value, control.path[depth + 1 : -1])[control.path[-1]] = number
    changes = table.get("changes")
    if any(c["from"] == start and key in c for c in changes or ()):
        raise SettingsError(
            f"{control.key} already has a change from {start} on", "Try another value for this change instead."
        )
    if changes is None:
        changes = table["changes"] = tomlkit.aot()
    made = tomlkit.table() if isinstance(changes, AoT) else tomlkit.inline_table()
    made["from"], made[key] = start, value
    later = [i for i, c in enumerate(changes) if c["from"] > start]
    changes.insert(later[0] if later else len(changes), made)
    return f"[[{_header(control.table)}.changes]]\n{tomlkit.dumps(_plain_table(made))}".rstrip()


def _plain_table(table: Any) -> Any:
    """Copies the keys of a table into a document of their own."""
    document = tomlkit.document()
    for name, value in table.items():
        document[name] = deepcopy(value)
    return document


def _header(path: tuple[str | int, ...]) -> str:
    parts = (str(part) for part in path)
    return ".".join(p if re.fullmatch(r"[A-Za-z0-9_-]+", p) else tomlkit.string(p).as_string() for p in parts)
