"""What the declarations of returning customers must not say.

Source: the design, sections 7 (customers are followed by their numbers) and 8 (what measures may read).
"""

from collections.abc import Callable, Mapping

from rmetrics.rules.feeds import Column, ColumnType
from rmetrics.rules.measure_tables import Return
from rmetrics.rules.measures import RESERVED, SHIPPED, return_row
from rmetrics.rules.model import Rules
from rmetrics.rules.names import JOBS
from rmetrics.rules.suggest import did_you_mean

_COMPARABLE = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.BOOLEAN)
Reporter = Callable[..., None]


def check_returns(rules: Rules, added: frozenset[str], report: Reporter, condition: Reporter) -> None:
    """Says every problem of ``[returns.NAME]``.

    Args:
        rules: everything that loaded, the jobs feed among it.
        added: the columns that rmetrics adds to jobs itself.
        report: takes the key and the problem.
        condition: judges a condition over a row.
    """
    columns = rules.feeds[JOBS].columns
    for name, rule in rules.returns.items():
        at = f"returns.{name}"
        _name(at, name, rules, added, report)
        _same(f"{at}.same", rule, columns, report)
        if rule.where is not None:
            condition(f"{at}.where", rule.where, return_row(rules))


def _name(at: str, name: str, rules: Rules, added: frozenset[str], report: Reporter) -> None:
    feed = rules.feeds[JOBS]
    if name in {*feed.columns, feed.business_date} | added:
        report(at, f"jobs already have a column {name!r}; choose another name")
    elif name in RESERVED or name in {*rules.measures, *SHIPPED}:
        report(at, f"{name!r} is a measure, or has another meaning in lists of measures; choose another name")


def _same(at: str, rule: Return, columns: Mapping[str, Column], report: Reporter) -> None:
    for column in rule.same:
        spec = columns.get(column)
        if spec is None:
            report(at, f"names no column of {JOBS}: {column!r}{did_you_mean(column, columns)}")
        elif spec.type not in {*_COMPARABLE, ColumnType.PHONE}:
            report(at, f"{column!r} is {spec.type}: columns that identify customers and their appliances must be text")
    if len(set(rule.same)) < len(rule.same):
        report(at, "names a column twice")
    phones = [c for c in rule.same if c in columns and columns[c].type is ColumnType.PHONE]
    if len(phones) != 1 and all(c in columns for c in rule.same):
        known = ", ".join(n for n, c in columns.items() if c.type is ColumnType.PHONE) or "none is declared"
        report(at, f"must name one phone number, which identifies the customer ({known}), found {len(phones)}")


__all__ = ["check_returns"]
