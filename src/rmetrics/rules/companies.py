"""Several companies under one set of rules: their own settings, and their exceptions to the common rules.

An exception replaces keys of a table such as ``[revenue]``, of one source or feed, or of one column of a feed. If the
common rules change such a key at a date, the exception must state its own changes: otherwise the common change would
silently replace the company's value on that date.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from rmetrics.errors import RuleProblem, SettingsError
from rmetrics.rules.files import Tree
from rmetrics.rules.model import Business, Place, Rules
from rmetrics.rules.suggest import did_you_mean
from rmetrics.rules.table import Table, known_zone

COMPANIES = "companies"
_SINGLE = ("jobs", "revenue", "calls", "journeys")
_GROUPS = ("sources", "feeds")
_EXCEPTIONS = (*_SINGLE, *_GROUPS)
_NESTED = {"journeys": "sources", "feeds": "columns"}  # tables nested in a table: merged by name as well


class CompanyRule(Table):
    """A company of the group.

    Attributes:
        inbox: the folder of its exports inside the inbox; None: the company's name.
        timezone, currency: its own, where they differ from ``[business]``.
        publish: ``own``: also publishes the company's tables in its own schema; ``group``: the group's tables only.
        own_schema: the name of that schema; None: the company's name.
        title: its display name in tables and dashboards; None: its name in the rules.
        rules: its exceptions, table by table.
    """

    inbox: Annotated[str, StringConstraints(pattern=r"^[^/\\.][^\\]*$")] | None = None
    timezone: str | None = None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] | None = None
    publish: Literal["group", "own"] = "group"
    own_schema: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] | None = Field(
        default=None, alias="schema"
    )
    title: str | None = None
    rules: Mapping[str, Any] = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        return value if value is None else known_zone(value)

    def zone_of(self, business: Business) -> str:
        """The company's time zone, by default that of the business."""
        return self.timezone or business.timezone

    def currency_of(self, business: Business) -> str:
        """The company's currency, by default that of the business."""
        return self.currency or business.currency


def require_company(rules: Rules) -> None:
    """Requires a named company if the rules declare several.

    Raises:
        SettingsError: the rules declare companies, but none is named.
    """
    if rules.companies and rules.company is None:
        raise SettingsError(
            "the rules declare companies, and this command needs one of them",
            f"Name it: RMETRICS_COMPANY={next(iter(rules.companies))} rmetrics ...",
        )


def require_history(rules: Rules) -> None:
    """Refuses rules by which no changes are recorded: those of many companies, and of one in the group's tables alone.

    Raises:
        SettingsError: there is no history.
    """
    require_company(rules)
    if rules.company is not None and rules.companies[rules.company].publish != "own":
        raise SettingsError(
            f"{rules.company} is published in the group's tables only, which have no history",
            f'To keep a history from now on, set publish = "own" in [companies.{rules.company}], then sync.',
        )


def of_company(tree: Tree, name: str) -> Tree:
    """Returns the rules of one company: the common rules with its exceptions. Problems are collected in the tree.

    Raises:
        SettingsError: no company has that name.
    """
    declared = tree.tables.get(COMPANIES)
    companies = declared if isinstance(declared, dict) else {}
    if name not in companies:
        raise SettingsError(
            f"no company {name!r} is declared in the rules{did_you_mean(name, list(companies))}",
            "Use the name of one of the tables [companies.NAME].",
        )
    company = companies[name] if isinstance(companies[name], dict) else {}
    made = Tree(dict(tree.tables), dict(tree.places), list(tree.problems))
    at = f"{COMPANIES}.{name}"
    business = {k: company[k] for k in ("timezone", "currency") if k in company}
    if business:
        made.tables["business"] = {**_table(tree.tables.get("business")), **business}
        made.places |= {f"business.{k}": p for k in business if (p := tree.places.get(f"{at}.{k}"))}
    for table, own in _table(company.get("rules")).items():
        key = f"{at}.rules.{table}"
        if table not in _EXCEPTIONS or not isinstance(own, dict):
            allowed = ", ".join(_EXCEPTIONS)
            message = f"is not a table that allows exceptions{did_you_mean(table, _EXCEPTIONS)}; allowed: {allowed}"
            made.problems.append(_problem(tree, key, message))
            continue
        made.tables[table] = _with(tree, made, table, own, key)
    prefix = f"{at}.rules."
    made.places |= {k.removeprefix(prefix): p for k, p in tree.places.items() if k.startswith(prefix)}
    return made


def _with(tree: Tree, made: Tree, table: str, own: Mapping[str, Any], key: str) -> dict[str, Any]:
    base = _table(tree.tables.get(table))
    if table in _SINGLE:
        made.problems += _superseded_keys(tree, table, base, own, key)
        return _merged(base, own, _NESTED.get(table))
    result = dict(base)
    for name, of_name in own.items():
        base_table = _table(base.get(name))
        if isinstance(of_name, dict):
            made.problems += _superseded_keys(tree, f"{table}.{name}", base_table, of_name, f"{key}.{name}")
            result[name] = _merged(base_table, of_name, _NESTED.get(table))
        else:
            result[name] = of_name  # validated when the rules are loaded
    return result


def _merged(base: Mapping[str, Any], own: Mapping[str, Any], nested: str | None) -> dict[str, Any]:
    result = {**base, **own}
    if nested is not None and isinstance(own.get(nested), dict):
        inner = _table(base.get(nested))
        result[nested] = inner | {
            n: {**_table(inner.get(n)), **v} if isinstance(v, dict) else v for n, v in own[nested].items()
        }
    return result


def _superseded_keys(
    tree: Tree, table: str, base: Mapping[str, Any], own: Mapping[str, Any], key: str
) -> Iterator[RuleProblem]:
    """Yields a problem for each key of an exception that a dated change of the common rules would replace."""
    changes = base.get("changes")
    if "changes" in own or not isinstance(changes, list):
        return
    for i, change in enumerate(changes):
        for name in (k for k in _table(change) if k in own and k != "from"):
            day = change.get("from")
            when = f"from {day} on" if isinstance(day, dt.date) else "later"
            where = _place(tree, f"{table}.changes.{i}")
            message = (
                f"the common rules change {name} {when} ({where}): declare the company's own changes, or changes = [] "
                "to keep its value"
            )
            yield _problem(tree, f"{key}.{name}", message)


def _problem(tree: Tree, key: str, message: str) -> RuleProblem:
    place = _nearest(tree, key)
    return RuleProblem(place.path, place.line, key, message)


def _place(tree: Tree, key: str) -> str:
    place = _nearest(tree, key)
    return f"{place.path.name}:{place.line}"


def _nearest(tree: Tree, key: str) -> Place:
    probe = key
    while probe and probe not in tree.places:
        probe = probe.rpartition(".")[0]
    return tree.places[probe] if probe else next(iter(tree.places.values()))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


__all__ = ["COMPANIES", "CompanyRule", "of_company", "require_company", "require_history"]
