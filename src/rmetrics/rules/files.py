"""Reads TOML files into one tree of tables, with the file and line of every key."""

import bisect
import functools
import io
import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rmetrics.errors import RuleProblem, SettingsError
from rmetrics.rules.model import Place

# Tables that must be in one file as a whole; "sources", "feeds" and the other groups are collections of such tables.
SINGLE = ("business", "jobs", "revenue", "calls", "journeys", "brief")
GROUPS = ("sources", "feeds", "measures", "dimensions", "returns", "pulls", "notify", "companies")
LISTS = ("checks", "alerts")
# No figure depends on these: they are not part of the rules' digest.
NO_FIGURES = frozenset({"pulls", "brief", "notify", "alerts", "companies"})
MAX_BYTES = 1_000_000

_HEADER = re.compile(r"\s*(\[\[?)[^\[\]]")
_BARE_OR_QUOTED = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_BARE_OR_QUOTED}(?:\s*\.\s*{_BARE_OR_QUOTED})*)\s*=")
# A header or key without quotes, as nearly all are: it means what it says, and needs no parser.
_BARE = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
_PLAIN = re.compile(rf"\s*(?:\[({_BARE})\]|\[\[({_BARE})\]\]|({_BARE}) = 0)\s*(?:#[^\x00-\x08\x0a-\x1f\x7f]*)?")


class _NumberError(Exception):
    """A number that Python cannot represent, and its line."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(slots=True)
class Tree:
    """The merged tables, and the place of each key."""

    tables: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[RuleProblem] = field(default_factory=list)


def read_tree(folder: Path) -> Tree:
    """Reads all ``*.toml`` of a folder into one tree. Problems (syntax, duplicate tables) are collected, not raised.

    Raises:
        SettingsError: the folder does not exist, holds no rules, or cannot be read.
    """
    files = rule_files(folder)
    if not files:
        raise SettingsError(
            f"no rules in {folder}",
            "Run `rmetrics init FOLDER` to create a project, name a project folder with -C, or set RMETRICS_RULES_DIR.",
        )
    made = _tree(tuple((path, _content(path)) for path in files))
    return Tree(dict(made.tables), dict(made.places), list(made.problems))


@functools.lru_cache(maxsize=1)
def _tree(files: tuple[tuple[Path, bytes | RuleProblem], ...]) -> Tree:
    """The tree of files by their content: the companies of a group have the same, and loading asks for it each time."""
    tree = Tree()
    for path, content in files:
        if isinstance(content, RuleProblem):
            tree.problems.append(content)
        else:
            _merge(tree, path, content)
    return tree


def _content(path: Path) -> bytes | RuleProblem:
    """The bytes of a file, or why they are not to be had."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return RuleProblem(path, 0, "", f"larger than {MAX_BYTES:,} bytes: not a rules file")
        return path.read_bytes()
    except OSError as error:
        return RuleProblem(path, 0, "", f"cannot be read: {error}")


def rule_files(folder: Path) -> list[Path]:
    """Returns the files of a rules folder in the order they are read; none if the folder does not exist.

    Raises:
        SettingsError: the folder cannot be read.
    """
    try:
        return sorted(p for p in folder.iterdir() if p.suffix == ".toml" and not p.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"cannot read the rules folder {folder}: {error.strerror}"
        raise SettingsError(message, "Check its permissions, or set RMETRICS_RULES_DIR.") from error


def _merge(tree: Tree, path: Path, content: bytes) -> None:
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
        parsed = _parsed(text)
    except tomllib.TOMLDecodeError as error:
        tree.problems.append(RuleProblem(path, _line_in(str(error)), "", f"not valid TOML: {error}"))
        return
    except UnicodeDecodeError:
        tree.problems.append(RuleProblem(path, 0, "", "not UTF-8: save it as UTF-8 text"))
        return
    except _NumberError as error:
        tree.problems.append(RuleProblem(path, error.line, "", "a number with more digits than any rule allows"))
        return
    except RecursionError as error:
        tree.problems.append(RuleProblem(path, 0, "", f"cannot be read: {error}"))
        return
    lines = dict(key_lines(text))
    ordered = sorted(lines)
    for name, value in parsed.items():
        if name in GROUPS and isinstance(value, dict):
            for child, table in value.items():
                _put(tree, path, lines, ordered, (name, child), table)
        elif name in LISTS and isinstance(value, list):
            _extend(tree, path, lines, name, value)
        else:
            _put(tree, path, lines, ordered, (name,), value)


def _extend(tree: Tree, path: Path, lines: Mapping[str, int], name: str, value: list[Any]) -> None:
    """Appends the tables of a list that may be spread over several files; they are numbered across all files."""
    before = tree.tables.setdefault(name, [])
    for key, line in lines.items():
        if numbered := re.fullmatch(rf"{name}\.(\d+)(.*)", key):
            tree.places[f"{name}.{len(before) + int(numbered[1])}{numbered[2]}"] = Place(path, line)
    before.extend(value)
    tree.places.setdefault(name, Place(path, lines.get(name, 0)))


def _parsed(text: str) -> dict[str, Any]:
    """Parses a file into tables, with numbers as exact decimals.

    Raises:
        TOMLDecodeError: it is not valid TOML.
        _NumberError: an integer or an exponent has too many digits for Python.
    """

    def exact(number: str) -> Decimal:
        try:
            return Decimal(number)
        except InvalidOperation as error:
            raise _NumberError(_longest_number(text)) from error

    try:
        return tomllib.loads(text, parse_float=exact)
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise _NumberError(_longest_number(text)) from error


def _longest_number(text: str) -> int:
    digits = [max(map(len, re.findall(r"[0-9_]+", line)), default=0) for line in text.splitlines()]
    return digits.index(max(digits)) + 1


def _put(
    tree: Tree, path: Path, lines: Mapping[str, int], ordered: Sequence[str], key: tuple[str, ...], value: object
) -> None:
    dotted = ".".join(key)
    below = _below(lines, ordered, f"{dotted}.")
    line = lines.get(dotted) or min(below.values(), default=0)
    if dotted in tree.places:
        tree.problems.append(
            RuleProblem(path, line, dotted, f"the same table is also in {tree.places[dotted]}; keep it in one file")
        )
        return
    parent = tree.tables if len(key) == 1 else tree.tables.setdefault(key[0], {})
    parent[key[-1]] = value
    tree.places[dotted] = Place(path, line)
    tree.places |= {k: Place(path, n) for k, n in below.items()}


def _below(lines: Mapping[str, int], ordered: Sequence[str], prefix: str) -> dict[str, int]:
    """The keys that begin with a prefix, by line. Found in their order: a group has thousands of companies."""
    first = bisect.bisect_left(ordered, prefix)
    found = itertools.takewhile(lambda key: key.startswith(prefix), itertools.islice(ordered, first, None))
    return dict(sorted(((key, lines[key]) for key in found), key=lambda item: item[1]))


def key_lines(text: str) -> Iterator[tuple[str, int]]:
    """Yields (dotted key, 1-based line) for every table header and every key at the start of a line.

    ``tomllib`` reports no lines. Headers and keys with quotes are parsed with ``tomllib`` itself, one line at a time,
    so that quoting follows TOML. Tables of an array are numbered (``jobs.segments.0``), and so are their subtables:
    ``feeds.payments.variants.0.columns``. Keys within an inline table share their parent's line.
    """
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            path = _path(line.split("#")[0] if '"' not in line and "'" not in line else line)
            if path is None:
                continue
            path = _numbered(path, counts)
            if line.lstrip().startswith("[["):
                counts[path] = counts.get(path, -1) + 1
                table = (*path, str(counts[path]))
                if counts[path] == 0:
                    yield ".".join(path), number
            else:
                table = path
            yield ".".join(table), number
        elif match := _KEY.match(line):
            path = _path(f"{match[1]} = 0")
            if path is not None:
                yield ".".join((*table, *path)), number


def _numbered(path: tuple[str, ...], counts: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    """Returns the path with the number of the last table inserted after each array of tables in it."""
    found: tuple[str, ...] = ()
    for key in path[:-1]:
        found = (*found, key)
        found = (*found, str(counts[found])) if found in counts else found
    return (*found, path[-1])


def _path(line: str) -> tuple[str, ...] | None:
    if plain := _PLAIN.fullmatch(line):
        return tuple((plain[1] or plain[2] or plain[3]).split("."))
    try:
        node: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    keys: list[str] = []
    while True:
        if isinstance(node, list):
            node = node[0]
        if not isinstance(node, dict) or not node:
            return tuple(keys)
        key, node = next(iter(node.items()))
        keys.append(key)


def _line_in(message: str) -> int:
    match = re.search(r"line (\d+)", message)
    return int(match[1]) if match else 0
