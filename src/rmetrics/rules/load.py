"""A folder of TOML files to validated ``Rules``, or every problem in it with file, line and key."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rmetrics.errors import RuleProblem, RulesError
from rmetrics.rules.model import (
    Business,
    Calls,
    Check,
    Dated,
    Feed,
    Jobs,
    Place,
    Revenue,
    Rules,
    Source,
    Table,
)
from rmetrics.rules.nearest import did_you_mean
from rmetrics.rules.toml import GROUPS, LISTS, SINGLE, Tree, read_tree
from rmetrics.rules.validate import validate

M = TypeVar("M", bound=Table)

# What may change from a date on. A zone, a feed's columns or a source's spellings hold for all of history.
_DATED_KEYS: Mapping[str, frozenset[str] | None] = {
    "business": frozenset(),
    "jobs": frozenset({"unit", "repair", "segments"}),
    "revenue": frozenset({"share"}),
    "calls": None,
    "sources": frozenset({"leads", "cost", "segment"}),
    "feeds": frozenset({"where"}),
}


def load_rules(folder: Path) -> Rules:
    """The rules of a folder.

    Raises:
        RulesError: with all problems found, in order of file and line.
        SettingsError: there are no rules in the folder.
    """
    loader = _Loader(read_tree(folder), folder)
    rules = loader.rules()
    if rules is not None:
        problems, warnings = validate(rules)
        loader.problems += problems
        if not loader.problems:
            return _with(rules, warnings=tuple(warnings))
    raise RulesError(sorted(set(loader.problems), key=lambda p: (str(p.path), p.line, p.key)))


def _with(rules: Rules, **changes: Any) -> Rules:
    import dataclasses

    return dataclasses.replace(rules, **changes)


class _Loader:
    """Turns one tree into models, collecting problems by the way."""

    def __init__(self, tree: Tree, folder: Path) -> None:
        self.tree, self.folder, self.problems = tree, folder, list(tree.problems)

    def rules(self) -> Rules | None:
        tables = self.tree.tables
        known = (*SINGLE, *GROUPS, *LISTS)
        for name in tables:
            if name not in known:
                self.problem(name, f"unknown table{did_you_mean(name, known)}")
        business = self.dated(Business, "business", tables.get("business", {}))
        jobs = self.dated(Jobs, "jobs", self.required("jobs"))
        revenue = self.dated(Revenue, "revenue", self.required("revenue"))
        calls = self.dated(Calls, "calls", tables.get("calls", {}))
        sources = {n: self.dated(Source, f"sources.{n}", t) for n, t in self.group("sources").items()}
        feeds = {n: self.dated(Feed, f"feeds.{n}", t) for n, t in self.group("feeds").items()}
        checks = [self.model(Check, f"checks.{i}", c) for i, c in enumerate(tables.get("checks", []))]
        if self.problems or not (business and jobs and revenue and calls):
            return None
        return Rules(
            folder=self.folder,
            business=business.latest,
            jobs=jobs,
            revenue=revenue,
            calls=calls,
            sources={n: s for n, s in sources.items() if s},
            feeds={n: f.latest for n, f in feeds.items() if f},
            feed_where={n: Dated(tuple((d, v.where) for d, v in f.versions)) for n, f in feeds.items() if f},
            checks=tuple(c for c in checks if c),
            digest=digest_of(tables),
            places=self.tree.places,
        )

    def required(self, name: str) -> Any:
        if name not in self.tree.tables:
            path = self.folder / "business.toml"
            self.problems.append(RuleProblem(path, 0, name, f"the table [{name}] is missing"))
            return {}
        return self.tree.tables[name]

    def group(self, name: str) -> Mapping[str, Any]:
        table = self.tree.tables.get(name, {})
        if isinstance(table, dict):
            return table
        self.problem(name, f"must be tables [{name}.NAME]")
        return {}

    def problem(self, key: str, message: str) -> None:
        place = self.place(key)
        self.problems.append(RuleProblem(place.path, place.line, key, message))

    def place(self, key: str) -> Place:
        probe = key
        while probe:
            if probe in self.tree.places:
                return self.tree.places[probe]
            probe = probe.rpartition(".")[0]
        return Place(self.folder, 0)

    def dated(self, kind: type[M], key: str, table: Any) -> Dated[M] | None:
        """The table and its ``changes``: each change replaces the given keys from its date on."""
        if not isinstance(table, dict):
            self.problem(key, f"must be a table, found {_shown(table)}")
            return None
        base = {k: v for k, v in table.items() if k != "changes"}
        first = self.model(kind, key, base)
        changes = table.get("changes", [])
        if not isinstance(changes, list) or not all(isinstance(c, dict) for c in changes):
            self.problem(f"{key}.changes", f"must be tables [[{key}.changes]] with from = YYYY-MM-DD")
            return None
        versions: list[tuple[dt.date | None, M]] = [(None, first)] if first else []
        current, last = base, None
        for i, change in enumerate(changes):
            place = f"{key}.changes.{i}"
            start = change.get("from")
            if not isinstance(start, dt.date) or isinstance(start, dt.datetime):
                self.problem(f"{place}.from", f"must be a date such as 2026-01-01, found {_shown(start)}")
                continue
            if last is not None and start <= last:
                self.problem(f"{place}.from", f"{start} does not come after {last}; put changes in order, one a day")
            allowed = _DATED_KEYS[key.split(".", maxsplit=1)[0]]
            delta = {k: v for k, v in change.items() if k != "from"}
            for name in delta:
                if allowed is not None and name not in allowed and name in kind.model_fields:
                    can = ", ".join(sorted(allowed)) or "nothing"
                    self.problem(f"{place}.{name}", f"cannot change by date; what can is: {can}")
            if not delta:
                self.problem(place, "changes nothing: give the keys that are different from this date on")
            current, last = {**current, **delta}, start
            version = self.model(kind, key, current, given=place, only=set(delta))
            if version:
                versions.append((start, version))
        return Dated(tuple(versions)) if first else None

    def model(
        self, kind: type[M], key: str, table: Any, *, given: str | None = None, only: set[str] | None = None
    ) -> M | None:
        """Validates one table; ``only`` limits the problems reported to the keys a change gives."""
        try:
            return kind.model_validate(table)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in _without_echoes(details):
                if only is None or not detail["loc"] or detail["loc"][0] in only:
                    self.detail(kind, given or key, detail)
            return None

    def detail(self, kind: type[Table], key: str, detail: ErrorDetails) -> None:
        loc = [str(p) for p in detail["loc"] if not _is_union_tag(p)]
        path = ".".join([key, *loc])
        if detail["type"] == "extra_forbidden":
            self.problem(path, f"unknown key{did_you_mean(loc[-1], _keys_at(kind, detail['loc'][:-1]))}")
        elif detail["type"] == "missing":
            self.problem(path, "is missing")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            found = "" if isinstance(detail["input"], dict) else f", found {_shown(detail['input'])}"
            self.problem(path, f"{message[0].lower()}{message[1:]}{found}")


def _without_echoes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leaves out what is told twice: the branches of a union that were not meant."""
    kept = []
    for detail in details:
        loc = detail["loc"]
        if any(_is_union_tag(p) for p in loc):
            literal = any(str(p).startswith("literal") for p in loc)
            if literal == isinstance(_union_input(detail), dict):
                continue
        kept.append(detail)
    return kept or details


def _union_input(detail: ErrorDetails) -> object:
    return detail["input"] if str(detail["loc"][-1]).startswith("literal") else {}


def _is_union_tag(part: object) -> bool:
    text = str(part)
    return text.startswith(("literal[", "function-")) or text in {"FeedLeads", "Cost", "[key]"}


def _keys_at(kind: type[Table], loc: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an unknown one was found."""
    model: Any = kind
    for part in loc:
        if str(part) == "FeedLeads":
            from rmetrics.rules.model import FeedLeads

            return list(FeedLeads.model_fields)
        field = getattr(model, "model_fields", {}).get(str(part))
        if field is None:
            continue
        for candidate in _models_in(field.annotation):
            model = candidate
    return [f.alias or n for n, f in model.model_fields.items()] + (["changes"] if model is kind else [])


def _models_in(annotation: Any) -> list[type[Table]]:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(str(value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def digest_of(tables: Mapping[str, Any]) -> str:
    """SHA-256 of the tables' meaning: key order within a table counts (first match wins), comments do not."""
    return hashlib.sha256(json.dumps(tables, default=str, ensure_ascii=False).encode()).hexdigest()
