"""Validation of measures and dimensions against each other and against the feeds.

Source: the design, section 8.
"""

from collections.abc import Callable, Collection, Iterator, Mapping

from rmetrics.rules.conditions import read_condition
from rmetrics.rules.dated import Dated
from rmetrics.rules.expressions import tree, typing
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.refusal import RefusedExpressionError
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.measure_tables import JOURNEYS, SOURCES, Dimension, Measure
from rmetrics.rules.measures import RESERVED, SHIPPED, declared, measure_row, sum_kind
from rmetrics.rules.model import Rules
from rmetrics.rules.suggest import did_you_mean

_MEANING = ("of", "count", "sum", "where", "share", "ratio")
_FIGURES = (
    "daily_metrics",
    "monthly_metrics",
    "measure_daily",
    "dimension_monthly",
    "measure_monthly",
    "measure_vs_target",
    "measures",
)
_MEMBERS = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.CURRENCY, ColumnType.MONTH)
Reporter = Callable[..., None]


class MeasureProblems:
    """Validates measures and dimensions.

    Attributes:
        rules: all tables that loaded.
        broken: dotted keys of the tables that did not load; "*": any table may be missing.
        usable: whether conditions over a feed's rows can be checked.
        report: reports a problem of a key; ``warn`` makes it a warning.
        condition: checks a condition over a row.
    """

    def __init__(
        self,
        rules: Rules,
        broken: Collection[str],
        usable: Callable[[str], bool],
        report: Reporter,
        condition: Reporter,
    ) -> None:
        self.rules, self.broken, self.usable, self.report, self.condition = rules, broken, usable, report, condition

    def check(self) -> None:
        """Reports every problem."""
        for name, dated in self.rules.measures.items():
            self._measure(f"measures.{name}", name, dated)
        self._removed()
        for name, dimension in self.rules.dimensions.items():
            self._dimension(f"dimensions.{name}", name, dimension)

    def _removed(self) -> None:
        """Requires all seven shipped measures or none: a project older than declared measures has none."""
        present = [n for n in SHIPPED if n in self.rules.measures]
        unknown = {"*", "measures", *(f"measures.{n}" for n in SHIPPED)} & set(self.broken)
        missing = [n for n in SHIPPED if n not in self.rules.measures]
        if present and missing and not unknown:
            message = "may not be removed, because the published tables consist of them"
            self.report(
                f"measures.{present[0]}", f"{', '.join(missing)} {message}; restore the shipped rules/measures.toml"
            )

    def _name(self, at: str, name: str, what: str) -> None:
        if name in RESERVED:
            self.report(at, f"{name!r} has another meaning in the published tables; choose another {what} name")

    # -- measures

    def _measure(self, at: str, name: str, dated: Dated[Measure]) -> None:
        if name in SHIPPED:
            given, shipped = dated.latest, SHIPPED[name]
            other = given.format not in {None, shipped.format}
            if other or len(dated.versions) > 1 or any(getattr(given, k) != getattr(shipped, k) for k in _MEANING):
                meaning = ", ".join(f"{k} = {v!r}" for k in _MEANING if (v := getattr(shipped, k)) is not None)
                message = f"is one of the seven measures of the published tables, and remains {meaning}"
                self.report(at, f"{message}; only title and comment may be changed. Declare another measure instead")
            return
        self._name(at, name, "measure")
        kinds = set()
        for i, (_, measure) in enumerate(dated.versions):
            place = at if i == 0 else f"{at}.changes.{i - 1}"
            if measure.ratio is not None and len(dated.versions) > 1:
                message = "a ratio is computed from its sums wherever it is shown, so it cannot change from a day on"
                self.report(f"{at}.changes", f"{message}: change the sums, or declare another ratio")
                return
            if measure.ratio is not None:
                self._ratio(at, name, measure.ratio)
            elif self._rows(f"{at}.of", measure.of or ""):
                kinds.add(self._sum(place, measure))
        if len(kinds - {None}) > 1:
            self.report(
                at, "adds up money on one side of a change and whole numbers on the other; declare two measures"
            )

    def _ratio(self, at: str, name: str, parts: tuple[str, ...]) -> None:
        known = {n for n in {*self.rules.measures, *SHIPPED} if f"measures.{n}" not in self.broken}
        for part in parts:
            if part == name:
                self.report(f"{at}.ratio", f"reads its own result: {name!r} contains itself; name two sums")
            elif part not in known:
                if not {"*", f"measures.{part}"} & set(self.broken):
                    self.report(f"{at}.ratio", f"no such measure: {part!r}{did_you_mean(part, known)}")
            elif not declared(self.rules)[part].is_sum:
                whole = declared(self.rules)[part].latest.ratio or ()
                message = (
                    f"{part!r} is itself a ratio ({self.rules.place(f'measures.{part}')}); a ratio of ratios means"
                )
                self.report(f"{at}.ratio", f"{message} nothing once added up: use its sums, {whole}")

    def _rows(self, at: str, of: str) -> bool:
        if of in _FIGURES or of in {*self.rules.measures, *SHIPPED} - set(self.rules.feeds):
            self.report(at, f"{of!r} contains results, and a measure of results could read its own; name a feed")
        elif of == SOURCES:
            self.report(at, "is the result of the rules of the sources, for leads and cost only; name a feed")
        elif of == JOURNEYS and of not in self.rules.feeds:
            return True
        elif of not in self.rules.feeds and not {"*", f"feeds.{of}"} & set(self.broken):
            self.report(at, f"no such feed: {of!r}{did_you_mean(of, self.rules.feeds)}")
        return self.usable(of)

    def _sum(self, at: str, measure: Measure) -> ColumnType | None:
        """Checks a count or a sum; returns the type of the summed values, None if the sum is refused."""
        assert measure.of is not None  # noqa: S101 - the model requires it
        row = measure_row(self.rules, measure.of)
        for key in ("count", "where"):
            text = getattr(measure, key)
            if text is not None and not self._unknown(text):
                self._own_result(f"{at}.{key}", text, row)
                self.condition(f"{at}.{key}", text, row)
        if measure.count is not None:
            return ColumnType.INTEGER
        if measure.share is not None:
            self.report(f"{at}.share", "applies to revenue40 only: a share of anything else is a different figure")
        if self._unknown(measure.sum or ""):
            return None
        self._own_result(f"{at}.sum", measure.sum or "", row)
        try:
            return sum_kind(measure, self.rules)
        except RefusedExpressionError as refusal:
            known = [n for n, t in row.columns if t in {ColumnType.MONEY, ColumnType.INTEGER, ColumnType.DURATION}]
            near = did_you_mean(measure.sum or "", known)
            self.report(f"{at}.sum", f"must add up money or whole numbers: {refusal}{near}")
            return None

    def _unknown(self, text: str) -> bool:
        """Whether an expression names a return that did not load, which is told of itself."""
        return any(f"returns.{column}" in self.broken for column in _columns(text))

    def _own_result(self, at: str, text: str, row: typing.Row) -> None:
        for column in _columns(text):
            if column in {*self.rules.measures} - {n for n, _ in row.columns}:
                self.report(
                    at, f"{column!r} is a measure: a measure reads rows, never a result, which could be its own"
                )

    # -- dimensions

    def _dimension(self, at: str, name: str, dimension: Dimension) -> None:
        self._name(at, name, "dimension")
        feed = self.rules.feeds.get(dimension.of)
        if feed is None and dimension.of == JOURNEYS:
            message = "touches have a source but no members; name the feed of the leads, the calls or the jobs"
            self.report(f"{at}.of", message)
        elif feed is None and not {"*", f"feeds.{dimension.of}"} & set(self.broken):
            self.report(f"{at}.of", f"no such feed: {dimension.of!r}{did_you_mean(dimension.of, self.rules.feeds)}")
        if feed is None or not self.usable(dimension.of):
            return
        row = measure_row(self.rules, dimension.of)
        if self._unknown(dimension.column or dimension.sql or ""):
            return
        if dimension.column is not None:
            self._column(at, dimension, dimension.column, dict(row.columns))
        elif problem := read_condition(dimension.sql or "", row, kind=ColumnType.TEXT).problem:
            self.report(f"{at}.sql", problem)
        key = "column" if dimension.column is not None else "sql"
        for column in _columns_in(dimension.column or dimension.sql or "", feed):
            spec = feed.columns.get(column)
            if spec is not None and spec.type is ColumnType.PHONE:
                self.report(f"{at}.{key}", _private(column, "is a phone number"))
            elif spec is not None and not spec.publish:
                self.report(f"{at}.{key}", _private(column, "has publish = false"))

    def _column(self, at: str, dimension: Dimension, column: str, columns: Mapping[str, ColumnType]) -> None:
        kind = columns.get(column)
        if kind is None:
            near = did_you_mean(column, columns)
            self.report(f"{at}.column", f"names no column of {dimension.of}: {column!r}{near}")
        elif kind not in {*_MEMBERS, ColumnType.PHONE}:
            self.report(f"{at}.column", f"{column!r} is {kind}, which has no members; turn it into text: sql = ...")
        elif dimension.split and kind is not ColumnType.TEXT:
            self.report(f"{at}.split", f"{column!r} is {kind}; only text has parts")


def _private(column: str, why: str) -> str:
    return f"{column!r} {why}: the members of a dimension are published, but this column must not be"


def _columns_in(text: str, feed: Feed) -> list[str]:
    """Returns the columns in an expression, and the columns that its derived text columns are computed from."""
    found = list(dict.fromkeys(_columns(text)))
    for column in found:
        spec = feed.columns.get(column)
        if spec is not None and spec.sql is not None and spec.type is ColumnType.TEXT:
            found += [c for c in _columns(spec.sql) if c not in found]
    return found


def _columns(text: str) -> Iterator[str]:
    try:
        yield from tree.columns_in(parse(text))
    except RefusedExpressionError:
        return


__all__ = ["MeasureProblems"]
