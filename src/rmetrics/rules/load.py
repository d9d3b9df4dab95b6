"""Loads a folder of TOML files as validated ``Rules``, or reports every problem with file, line and key."""

import copy
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rmetrics.errors import RuleProblem, RulesError
from rmetrics.rules.companies import COMPANIES, CompanyRule, of_company
from rmetrics.rules.dated import DATED_KEYS, Dated
from rmetrics.rules.error_messages import is_union_tag, key_problem, shown, without_duplicates
from rmetrics.rules.feeds import Feed, JobLink
from rmetrics.rules.files import GROUPS, LISTS, NO_FIGURES, SINGLE, Tree, read_tree
from rmetrics.rules.identifiers import IDENTIFIER, IDENTIFIER_RULE
from rmetrics.rules.journeys import JourneyRules, Journeys, SourceJourneys
from rmetrics.rules.measure_tables import Dimension, Measure, Return
from rmetrics.rules.model import Business, Calls, Check, Jobs, Place, Revenue, Rules, Source
from rmetrics.rules.names import JOB_KEY, PAYMENTS
from rmetrics.rules.notifications import Alert, BriefRules, Channel
from rmetrics.rules.suggest import did_you_mean
from rmetrics.rules.table import Table
from rmetrics.rules.validate import validate

if TYPE_CHECKING:
    from rmetrics.rules.pulls import Pull

M = TypeVar("M", bound=Table)


def load_rules(folder: Path, company: str | None = None) -> Rules:
    """Loads the rules of a folder.

    Args:
        folder: the folder with the TOML files.
        company: one of ``[companies]``, whose exceptions are applied; None: the common rules.

    Raises:
        RulesError: with all problems found, ordered by file and line.
        SettingsError: the folder has no rules, or no such company is declared.
    """
    tree = read_tree(folder)
    loader = _Loader(tree if company is None else of_company(tree, company), folder)
    rules = dataclasses.replace(loader.rules(), company=company)
    problems, warnings = validate(rules, frozenset(loader.broken))
    problems = [*loader.problems, *problems]
    if problems:
        raise RulesError(sorted(dict.fromkeys(problems), key=lambda p: (str(p.path), p.line, p.key)))
    return dataclasses.replace(rules, warnings=tuple(warnings))


class _Loader:
    """Converts one tree into models and collects the problems.

    Attributes:
        broken: dotted keys of the tables that did not load; references to them are not checked.
    """

    def __init__(self, tree: Tree, folder: Path) -> None:
        self.tree, self.folder, self.problems = tree, folder, list(tree.problems)
        # A file with invalid TOML may hold any table: no table is certain to be missing.
        self.broken: set[str] = {"*"} if any(not p.key for p in tree.problems) else set()

    def rules(self) -> Rules:
        """Loads all valid tables. If there are problems, the result only serves to find more of them."""
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
        journeys = self.journeys(tables.get("journeys", {}))
        pulls = {n: self.pull(n, t) for n, t in self.group("pulls").items()}
        measures = {n: self.dated(Measure, f"measures.{n}", t) for n, t in self.group("measures").items()}
        dimensions = {n: self.dated(Dimension, f"dimensions.{n}", t) for n, t in self.group("dimensions").items()}
        returns = {n: self.dated(Return, f"returns.{n}", t) for n, t in self.group("returns").items()}
        checks = [self.model(Check, f"checks.{i}", c) for i, c in enumerate(self.listed("checks"))]
        brief = self.model(BriefRules, "brief", tables.get("brief", {}))
        channels = {n: self.model(Channel, f"notify.{n}", t) for n, t in self.group("notify").items()}
        alerts = {f"alerts.{i}": self.model(Alert, f"alerts.{i}", a) for i, a in enumerate(self.listed("alerts"))}
        companies = {n: self.company(n, t) for n, t in self.group(COMPANIES).items()}
        figures = {n: t for n, t in tables.items() if n not in NO_FIGURES}
        return Rules(
            folder=self.folder,
            business=business.latest if business else Business(),
            jobs=jobs or Dated(()),
            revenue=revenue or Dated(()),
            calls=calls or Dated(()),
            sources={n: s for n, s in sources.items() if s},
            feeds={n: _with_link(n, f.latest) for n, f in feeds.items() if f},
            feed_where={n: Dated(tuple((d, v.where) for d, v in f.versions)) for n, f in feeds.items() if f},
            journeys=journeys,
            measures={n: m for n, m in measures.items() if m},
            dimensions={n: d.latest for n, d in dimensions.items() if d},
            returns={n: r.latest for n, r in returns.items() if r},
            checks=tuple(c for c in checks if c),
            pulls={n: p for n, p in pulls.items() if p},
            brief=brief or BriefRules(),
            notify={n: c for n, c in channels.items() if c},
            alerts={k: a for k, a in alerts.items() if a},
            companies={n: c for n, c in companies.items() if c},
            digest=digest_of(figures),
            places=self.tree.places,
            tables=figures,
        )

    def company(self, name: str, table: Any) -> CompanyRule | None:
        """Loads one company; its name becomes part of folder names and of a schema name."""
        key = f"{COMPANIES}.{name}"
        if not IDENTIFIER.fullmatch(name) or name == "public":
            self.problem(key, f"{name!r} {IDENTIFIER_RULE}, and not public")
        return self.model(CompanyRule, key, table)

    def required(self, name: str) -> Any:
        if name in self.tree.tables:
            return self.tree.tables[name]
        if "*" not in self.broken:
            path = self.folder / "business.toml"
            self.problems.append(RuleProblem(path, 0, name, f"the table [{name}] is missing"))
        return None

    def group(self, name: str) -> Mapping[str, Any]:
        table = self.tree.tables.get(name, {})
        if isinstance(table, dict):
            return table
        self.problem(name, f"must be tables [{name}.NAME]")
        return {}

    def listed(self, name: str) -> list[Any]:
        table = self.tree.tables.get(name, [])
        if isinstance(table, list):
            return table
        self.problem(name, f"must be tables [[{name}]]")
        return []

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
        """Loads a table and its ``changes``: each change replaces the given keys from its date on."""
        if not isinstance(table, dict):
            self.broken.add(key)
            if table is not None:
                self.problem(key, f"must be a table, found {shown(table)}")
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
                self.problem(f"{place}.from", f"must be a date such as 2026-01-01, found {shown(start)}")
                continue
            delta = {k: v for k, v in change.items() if k != "from"}
            self.change(kind, key, place, delta, start, last)
            current, last = {**current, **delta}, start
            version = self.model(kind, key, current, given=place, only=set(delta))
            if version:
                versions.append((start, version))
        if first is None:
            self.broken.add(key)
        return Dated(tuple(versions)) if first else None

    def journeys(self, table: Any) -> JourneyRules:
        """Loads ``[journeys]`` and the exceptions of each source."""
        own = table.get("sources", {}) if isinstance(table, dict) else {}
        if not isinstance(own, dict):
            self.problem("journeys.sources", "must be tables [journeys.sources.NAME]")
            own = {}
        common = {k: v for k, v in table.items() if k != "sources"} if isinstance(table, dict) else table
        dated = self.dated(Journeys, "journeys", common)
        sources = {n: self.dated(SourceJourneys, f"journeys.sources.{n}", t) for n, t in own.items()}
        return JourneyRules(dated or JourneyRules().common, {n: d for n, d in sources.items() if d})

    def pull(self, name: str, table: Any) -> "Pull | None":
        """Loads one pull as the model of its kind."""
        from rmetrics.rules.pulls import KINDS, problems_of

        key = f"pulls.{name}"
        if not isinstance(table, dict):
            self.problem(key, f"must be a table, found {shown(table)}")
            return None
        kind = table.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            found = f", found {shown(kind)}" if "kind" in table else ""
            self.problem(f"{key}.kind", f"must be one of {', '.join(KINDS)}{found}")
            return None
        if IDENTIFIER.fullmatch(name) is None:
            self.problem(key, f"{IDENTIFIER_RULE}, found {shown(name)}")
        pull = self.model(KINDS[kind], key, table)
        for inner, message in problems_of(pull) if pull else ():
            self.problem(f"{key}.{inner}", message)
        return pull

    def change(
        self, kind: type[Table], key: str, place: str, delta: Mapping[str, Any], start: dt.date, last: dt.date | None
    ) -> None:
        """Reports changes that are out of order, set a key that cannot change by date, or set nothing."""
        if last is not None and start <= last:
            self.problem(f"{place}.from", f"{start} is not after {last}; order changes by date, one per day")
        allowed = DATED_KEYS[key.split(".", maxsplit=1)[0]]
        for name in delta:
            if allowed is not None and name not in allowed and name in kind.model_fields:
                can = ", ".join(sorted(allowed)) or "nothing"
                self.problem(f"{place}.{name}", f"cannot change by date; keys that can: {can}")
        if not delta:
            self.problem(place, "changes nothing: add the keys that differ from this date on")

    def model(
        self, kind: type[M], key: str, table: Any, *, given: str | None = None, only: set[str] | None = None
    ) -> M | None:
        """Validates one table; ``only`` limits the reported problems to the keys that a change sets."""
        try:
            return kind.model_validate(table)
        except ValidationError as error:
            details = error.errors(include_url=False)
            for detail in without_duplicates(details):
                if only is None or not detail["loc"] or detail["loc"][0] in only:
                    self.problem(*key_problem(kind, given or key, detail))
            return _rest(kind, table, details)


def _rest(kind: type[M], table: Any, details: list[ErrorDetails]) -> M | None:
    """Validates the table without its unknown keys, to find problems hidden by them; None if it is still invalid."""
    kept = copy.deepcopy(table)
    for detail in details:
        if detail["type"] == "extra_forbidden":
            node: Any = kept
            *path, last = [p for p in detail["loc"] if not is_union_tag(p)]
            for part in path:
                known = part in node if isinstance(node, dict) else isinstance(part, int)
                node = node[part] if known else node
            if isinstance(node, dict):
                node.pop(last, None)
    try:
        return kind.model_validate(kept)
    except ValidationError:
        return None


def _with_link(name: str, feed: Feed) -> Feed:
    """Returns a feed with the link it declares; payments without one name the number of their job."""
    if name != PAYMENTS or feed.job is not None:
        return feed
    return feed.model_copy(update={"job": JobLink(column="job_ref", match=(JOB_KEY,))})


def digest_of(tables: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the tables: key order within a table matters (first match wins), comments do not."""
    return hashlib.sha256(json.dumps(tables, default=str, ensure_ascii=False).encode()).hexdigest()
