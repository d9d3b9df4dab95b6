"""Random edits of rules, and random exports like given ones: what an owner, a CRM or a vendor may do, and worse."""

import copy
import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rmetrics.errors import RulesError
from rmetrics.rules import load_rules
from rule_tables import keys, leave_out, place_of

TYPES = "text", "integer", "money", "timestamp", "date", "month", "duration", "phone", "boolean", "share", "currency"

Feed = dict[str, Any]
Edit = Callable[[random.Random, Feed, str], None]


def _renamed(tables: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    return {new if name == old else name: value for name, value in tables.items()}


def _some_columns(of: random.Random, feed: Feed) -> list[str]:
    return of.sample(list(feed["columns"]), of.choice([1, 1, 2, 3]))


def _renamed_column(_: random.Random, feed: Feed, column: str) -> None:
    feed["columns"] = _renamed(feed["columns"], column, f"{column}_x")


def _joined_by(of: random.Random, feed: Feed, column: str) -> None:
    feed["job"] = {"column": column, "match": [of.choice(["job_id", "job_uuid"])]}


def _constant(_: random.Random, feed: Feed, column: str) -> None:
    feed["columns"][column].pop("from", None)
    feed["columns"][column]["constant"] = "x"


def _set(feed: Feed, column: str, **keys: Any) -> None:
    feed["columns"][column].update(keys)


OF_FEEDS: dict[str, Edit] = {
    "type": lambda of, feed, column: _set(feed, column, type=of.choice(TYPES)),
    "name of a column": _renamed_column,
    "not published": lambda _, feed, column: _set(feed, column, publish=False),
    "required": lambda _, feed, column: _set(feed, column, required=not feed["columns"][column].get("required")),
    "default": lambda _, feed, column: _set(feed, column, default="x"),
    "constant": _constant,
    "column deleted": lambda _, feed, column: feed["columns"].pop(column),
    "key": lambda of, feed, _: feed.update(key=_some_columns(of, feed)),
    "identity": lambda of, feed, _: feed.update(identity=_some_columns(of, feed)),
    "grain": lambda of, feed, _: feed.update(publish_by=_some_columns(of, feed)),
    "condition": lambda _, feed, column: feed.update(where=f"{column} IS NOT NULL"),
    "repeats": lambda of, feed, _: feed.update(repeats=of.choice(["sum", "newest"])),
    "date": lambda _, feed, column: feed.update(date=column),
    "local date": lambda of, feed, column: feed.update(local_date=of.choice(["their_day", column])),
    "link": _joined_by,
}


def edit(tables: dict[str, Any], of: random.Random) -> str:
    """Makes one random edit; returns what it was."""
    kind = of.choice([*OF_FEEDS, "zone", "source", "feed", *["left out"] * 5, *["value"] * 20])
    if kind == "zone":
        tables["business"]["timezone"] = of.choice(["America/Los_Angeles", "Europe/Berlin", "UTC"])
        return kind
    if kind in ("source", "feed"):
        name = of.choice(list(tables[f"{kind}s"]))
        tables[f"{kind}s"] = _renamed(tables[f"{kind}s"], name, f"{name}_two")
        return f"{kind} {name}"
    if kind == "left out":
        key = of.choice(list(keys(tables)))
        leave_out(tables, key)
        return f"{kind} {'.'.join(map(str, key))}"
    if kind == "value":
        return _other_value(tables, of)
    feed = of.choice(list(tables["feeds"]))
    column = of.choice(list(tables["feeds"][feed]["columns"]))
    OF_FEEDS[kind](of, tables["feeds"][feed], column)
    return f"{kind} {feed}.{column}"


def _other_value(tables: dict[str, Any], of: random.Random) -> str:
    values = list(_values(tables))
    key, value = of.choice(values)
    elsewhere = [v for k, v in values if k[-1] == key[-1] and v != value] or [value]
    other: Any = of.choice(elsewhere)
    if isinstance(value, bool):
        other = not value
    elif isinstance(value, int | float):
        other = of.choice([value + 1, value * 2, -value])
    elif isinstance(value, list) and of.random() < 0.6:
        other = of.sample(value, len(value) - of.choice([0, 1]))
    place, last = place_of(tables, key)
    place[last] = other
    return f"{'.'.join(map(str, key))} = {other!r}"


def _values(tables: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The place of every value that is no table and no list of tables, and the value."""
    for key in keys(tables):
        place, last = place_of(tables, key)
        value = place[last]
        if isinstance(place, dict) and not isinstance(value, dict) and value and not _are_tables(value):
            yield key, value


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and isinstance(value[0], dict)


def toml(value: Any) -> str:
    """A value in TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value) if isinstance(value, str | bool) else str(value)


def written(tables: dict[str, Any], folder: Path) -> None:
    """Makes a file of the tables the only one of a rules folder."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    text = "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in tables.items())
    (folder / "all.toml").write_text(text, encoding="utf-8")


def valid_edit(tables: dict[str, Any], of: random.Random, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Writes the rules with a random edit or two that validation accepts; returns them and what was edited."""
    while True:
        edited, made = copy.deepcopy(tables), list[str]()
        try:
            made = [edit(edited, of) for _ in range(of.choice([1, 1, 2]))]
        except (KeyError, IndexError, AttributeError):  # the second edits what the first has deleted
            continue
        written(edited, folder)
        try:
            load_rules(folder)
        except RulesError:
            continue
        return edited, made


def another_export(text: str, of: random.Random) -> str:
    """An export with some rows of a given one, cells of which are other ones, maybe with columns left out or moved."""
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    above = next(i for i, line in enumerate(lines) if len(line) > 2)  # a title
    header = lines[above]
    whole = [line for line in lines[above + 1 :] if len(line) == len(header)]
    rows = [list(row) for row in of.sample(whole, of.randint(1, min(len(whole), 8)))]
    for _ in range(of.choice([0, 1, 2, 4])):
        row, place = of.choice(rows), of.randrange(len(header))
        row[place] = of.choice(
            [*(of.choice(whole)[place] for _ in range(3)), "", "zzz", "0", "-5.25", "2024-11-03", f" {row[place]} "]
        )
    if of.random() < 0.2:
        rows.append(list(of.choice(rows)))
    places = list(range(len(header)))
    if of.random() < 0.2:
        places.remove(of.choice(places))
    if of.random() < 0.2:
        of.shuffle(places)
    made = io.StringIO()
    writer = csv.writer(made, lineterminator=of.choice(["\n", "\r\n"]))
    writer.writerows([*lines[:above], *([line[i] for i in places] for line in (header, *rows))])
    return made.getvalue()
