"""Types a tree against the columns of a row, and refuses mixed kinds.

A timestamp combined with a date is converted to its business day. A quoted text combined with a date or a timestamp is
parsed as one. Numbers in one operation get a common representation, wide enough to rule out overflow.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

from rmetrics.rules.expressions import tree
from rmetrics.rules.expressions.kinds import (
    DIGITS,
    TypedNode,
    as_truth,
    business_day,
    common,
    fit,
    mixed,
    named,
    typed_null,
)
from rmetrics.rules.expressions.moments import day_of, instant_of, looks_like_day, looks_like_moment
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.patterns import pieces_of
from rmetrics.rules.expressions.refusal import RefusedExpressionError, clipped
from rmetrics.rules.expressions.typed import (
    CELLS,
    DATE,
    INTEGER,
    NOTHING,
    STAMP,
    STORED,
    TEXT,
    TRUTH,
    Apply,
    Choice,
    Const,
    Field,
    Hour,
    Kind,
    Matches,
    Numbers,
    OneOf,
    Op,
    Type,
    Value,
    rendered_size,
)
from rmetrics.rules.expressions.written import sql_of
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.suggest import did_you_mean

MAX_SIZE = 10_000  # nodes of a rendered form
MAX_DAYS = 100_000  # the most days that may be added to a date
_EXACT = Context(prec=2 * DIGITS, Emax=MAX_EMAX, Emin=MIN_EMIN)  # the default context rounds to 28 digits
_SIGNS: Mapping[tree.Sign, Op] = {
    "=": Op.EQUAL, "<>": Op.UNEQUAL, "<": Op.LESS, "<=": Op.AT_MOST, ">": Op.MORE, ">=": Op.AT_LEAST,
    "IS DISTINCT FROM": Op.NOT_SAME, "IS NOT DISTINCT FROM": Op.SAME,
}  # fmt: skip
_OF_TEXT: Mapping[str, tuple[Op, Type]] = {
    "lower": (Op.LOWER, TEXT), "upper": (Op.UPPER, TEXT), "trim": (Op.TRIM, TEXT), "ltrim": (Op.LTRIM, TEXT),
    "rtrim": (Op.RTRIM, TEXT), "concat": (Op.CONCAT, TEXT), "starts_with": (Op.STARTS_WITH, TRUTH),
    "ends_with": (Op.ENDS_WITH, TRUTH), "contains": (Op.CONTAINS, TRUTH),
    "length": (Op.LENGTH, Type(Kind.NUMBER, INTEGER, 2**32)),
}  # fmt: skip
_OF_DAY = {"year": Op.YEAR, "month": Op.MONTH, "day": Op.DAY, "isodow": Op.ISODOW}
_CALENDAR = Type(Kind.NUMBER, INTEGER, 10_000_000)
_DAYS = Type(Kind.NUMBER, INTEGER, 2**33)


@dataclass(frozen=True, slots=True)
class Row:
    """The row that an expression is typed against.

    Attributes:
        columns: the available columns.
        zone: the zone of business days.
        cells: whether the columns hold single cells of an export, so that sums of a few fit a column; otherwise they
            may hold sums.
    """

    columns: tuple[tuple[str, ColumnType], ...]
    zone: str
    cells: bool = False

    @classmethod
    def of(cls, columns: Mapping[str, ColumnType], zone: str, *, cells: bool = False) -> "Row":
        """Returns a row of these columns."""
        return cls(tuple(columns.items()), zone, cells)


@functools.lru_cache(maxsize=4096)
def condition(text: str, row: Row) -> Value:
    """Returns the typed form of a condition: true, false or NULL for a row.

    Args:
        text: the user's text.
        row: the row it applies to.

    Raises:
        RefusedError: the text is not a condition over this row.

    Source: the design, section 2 (conditions).
    """
    return condition_of(parse(text), row)


def condition_of(node: tree.Node, row: Row) -> Value:
    """Returns the typed form of a tree that is a condition; raises RefusedError as ``condition`` does."""
    found = _Typing(row).typed(node)
    if found.kind not in {Kind.TRUTH, Kind.NOTHING}:
        raise RefusedExpressionError(
            f"must be true or false for a row, but {clipped(sql_of(node))} is {found.kind}; compare it with a value"
        )
    return _with_column_height(as_truth(found))


def _with_column_height(value: Value) -> Value:
    """Returns the value, unless nested BETWEEN, CASE, nullif or lower, which repeat arguments, make it too large."""
    if rendered_size(value) > MAX_SIZE:
        raise RefusedExpressionError("repeats too much within itself; use derived columns (sql)")
    return value


@functools.lru_cache(maxsize=1024)
def derived(text: str, row: Row, kind: ColumnType) -> Value:
    """Returns the typed form of a derived column, in the type of a stored column.

    Args:
        text: the user's text.
        row: the columns it is computed from.
        kind: the declared type.

    Raises:
        RefusedError: the text is not an expression over this row, or its values do not fit the type.
    """
    found = _Typing(row).typed(parse(text))
    wanted = STORED[kind]
    if found.kind is Kind.NOTHING:
        return Const(None, wanted)
    if found.kind is Kind.STAMP and wanted.kind is Kind.DATE:
        return business_day(found, row.zone).value
    if found.kind is not wanted.kind:
        raise RefusedExpressionError(f"gives {found.kind}, but the column's type is {kind}")
    if wanted.kind is not Kind.NUMBER:
        return _with_column_height(found.value)
    return _with_column_height(_stored_number(found, wanted, kind))


def _stored_number(found: TypedNode, wanted: Type, kind: ColumnType) -> Value:
    scale, max_scale = found.type.numbers.scale, wanted.numbers.scale
    if scale > max_scale:
        raise RefusedExpressionError(f"gives numbers of {scale} decimals, but a column of type {kind} has {max_scale}")
    limit = 2**63 if wanted.numbers == INTEGER else 10**wanted.numbers.digits
    if found.type.bound * 10 ** (max_scale - scale) >= limit:
        raise RefusedExpressionError(f"may give numbers that a column of type {kind} cannot hold; add up fewer columns")
    return fit(found, wanted.numbers).value


# -- combining values


class _Typing:
    """Types the nodes of one tree."""

    def __init__(self, row: Row) -> None:
        self.columns, self.zone = dict(row.columns), row.zone
        self.types = CELLS if row.cells else STORED

    def typed(self, node: tree.Node) -> TypedNode:
        match node:
            case tree.ColumnName():
                return self._column(node)
            case tree.Text(value):
                return TypedNode(node, Const(value, TEXT), TEXT)
            case tree.Number():
                return self._number(node)
            case tree.Truth(value):
                return TypedNode(node, Const(value, TRUTH), TRUTH)
            case tree.Null():
                return TypedNode(node, Const(None, NOTHING), NOTHING)
            case tree.Moment():
                return self._moment(node)
            case tree.Sum():
                return self._sum(node)
            case tree.Chain(parts):
                texts = tuple(self._text(p, "||") for p in parts)
                return TypedNode(node, Apply(Op.JOIN, texts), TEXT)
            case tree.Call():
                return self._call(node)
            case tree.Case():
                return self._case(node)
            case _:
                return TypedNode(node, self._condition(node), TRUTH)

    def _condition(
        self,
        node: tree.Joined
        | tree.Not
        | tree.Comparison
        | tree.In
        | tree.Between
        | tree.Like
        | tree.IsNull
        | tree.IsTruth,
    ) -> Value:
        match node:
            case tree.Joined(word, parts):
                return Apply(Op.AND if word == "AND" else Op.OR, tuple(self._truth(p, node) for p in parts))
            case tree.Not(part):
                return Apply(Op.NOT, (self._truth(part, node),))
            case tree.Comparison(sign, left, right):
                return self._compared(_SIGNS[sign], self.typed(left), self.typed(right))
            case tree.In():
                return self._in(node)
            case tree.Between(value, low, high):
                tested = self.typed(value)
                ends = (
                    self._compared(Op.AT_LEAST, tested, self.typed(low)),
                    self._compared(Op.AT_MOST, tested, self.typed(high)),
                )
                return Apply(Op.AND, ends)
            case tree.Like():
                return self._like(node)
            case tree.IsNull(value, negated):
                test = Apply(Op.IS_NULL, (typed_null(self.typed(value), TRUTH),))
                return Apply(Op.NOT, (test,)) if negated else test
            case tree.IsTruth(value, truth, negated):
                test = Apply(Op.IS_TRUE if truth else Op.IS_FALSE, (self._truth(value, node),))
                return Apply(Op.NOT, (test,)) if negated else test

    # -- values

    def _column(self, node: tree.ColumnName) -> TypedNode:
        if node.name not in self.columns:
            near = did_you_mean(node.name, self.columns)
            text = f"; put text in single quotes: '{node.name}'" if node.quoted else ""
            raise RefusedExpressionError(f"unknown column {node.name!r}{near}{text}")
        return TypedNode(node, Field(node.name), self.types[self.columns[node.name]])

    @staticmethod
    def _number(node: tree.Number) -> TypedNode:
        value = _EXACT.normalize(node.value)
        if int(value.as_tuple().exponent) > 0 or not value:
            value = _EXACT.quantize(value, Decimal(1))
        scale = -int(value.as_tuple().exponent)
        bound = int(_EXACT.scaleb(value.copy_abs(), scale))
        numbers = INTEGER if scale == 0 and bound < 2**63 else Numbers(18 if bound < 10**18 else DIGITS, scale)
        kind = Type(Kind.NUMBER, numbers, bound)
        return TypedNode(node, Const(value, kind), kind)

    def _moment(self, node: tree.Moment) -> TypedNode:
        if node.word == "DATE":
            return TypedNode(node, Const(day_of(node.text), DATE), DATE)
        return TypedNode(node, Const(instant_of(node.text, self.zone, node.word), STAMP), STAMP)

    def _sum(self, node: tree.Sum) -> TypedNode:
        terms = [(plus, self.typed(term)) for plus, term in node.terms]
        kinds = [t.kind for _, t in terms]
        if any(k in {Kind.DATE, Kind.STAMP} for k in kinds):
            return self._days(node, terms)
        for _, term in terms:
            self._need(term, Kind.NUMBER, "+ and - add numbers; texts are joined with ||")
        types = [t.type for _, t in terms if t.kind is Kind.NUMBER]
        if not types:
            return TypedNode(node, Const(None, NOTHING), NOTHING)
        # A leading minus is computed as 0 - term, which makes one more operand.
        numbers = common(types, node, len(terms) + (not terms[0][0]))
        fitted = [(plus, self._as_number(t, numbers)) for plus, t in terms]
        bound = sum(t.type.bound for _, t in fitted)
        result: Value = Const(Decimal(0), Type(Kind.NUMBER, numbers))
        for i, (plus, term) in enumerate(fitted):
            result = term.value if i == 0 and plus else Apply(Op.ADD if plus else Op.SUBTRACT, (result, term.value))
        return TypedNode(node, result, Type(Kind.NUMBER, numbers, bound))

    @staticmethod
    def _as_number(found: TypedNode, numbers: Numbers) -> TypedNode:
        if found.kind is Kind.NOTHING:
            kind = Type(Kind.NUMBER, numbers)
            return TypedNode(found.node, Const(None, kind), kind)
        return fit(found, numbers)

    def _days(self, node: tree.Sum, terms: Sequence[tuple[bool, TypedNode]]) -> TypedNode:
        """Types a date plus or minus days, or the days between two dates."""
        (plus, first), *rest = terms
        if plus and len(rest) == 1 and not rest[0][0] and Kind.DATE in {first.kind, rest[0][1].kind}:
            ends = [business_day(t, self.zone) if t.kind is Kind.STAMP else t for t in (first, rest[0][1])]
            if all(e.kind is Kind.DATE for e in ends):
                return TypedNode(node, Apply(Op.DAYS_BETWEEN, (ends[0].value, ends[1].value)), _DAYS)
        if plus and first.kind is Kind.DATE and all(isinstance(t.node, tree.Number) for _, t in rest):
            days = sum(
                (t.node.value if p else -t.node.value for p, t in rest if isinstance(t.node, tree.Number)), Decimal(0)
            )
            if days == int(days) and abs(days) <= MAX_DAYS:
                count = Const(days.quantize(Decimal(1)), Type(Kind.NUMBER, INTEGER, MAX_DAYS))
                return TypedNode(node, Apply(Op.PLUS_DAYS, (first.value, count)), DATE)
        raise RefusedExpressionError(
            f"{clipped(sql_of(node))}: dates allow a date minus a date (days), and a date plus or minus a whole "
            f"number of days, at most {MAX_DAYS:,}"
        )

    def _case(self, node: tree.Case) -> TypedNode:
        if len(node.whens) > 100:
            raise RefusedExpressionError("CASE has more than 100 branches; put derived columns (sql) in between")
        subject = None if node.subject is None else self.typed(node.subject)
        conditions = [
            self._truth(c, node) if subject is None else self._compared(Op.EQUAL, subject, self.typed(c))
            for c, _ in node.whens
        ]
        branches = [self.typed(v) for _, v in node.whens]
        branches.append(self.typed(node.otherwise if node.otherwise is not None else tree.Null()))
        values, kind = self._unified(branches, node)
        return TypedNode(node, Choice(tuple(zip(conditions, values[:-1], strict=True)), values[-1]), kind)

    def _call(self, node: tree.Call) -> TypedNode:
        if node.name in _OF_TEXT:
            op, kind = _OF_TEXT[node.name]
            return TypedNode(node, Apply(op, tuple(self._text(a, f"{node.name}()") for a in node.args)), kind)
        found = [self.typed(a) for a in node.args]
        if node.name in _OF_DAY:
            return TypedNode(node, Apply(_OF_DAY[node.name], (self._as_day(found[0], node.name),)), _CALENDAR)
        if node.name == "hour":
            self._need(found[0], Kind.STAMP, "hour() takes a timestamp")
            return TypedNode(node, Hour(typed_null(found[0], STAMP), self.zone), _CALENDAR)
        if node.name == "nullif":
            equal = self._compared(Op.EQUAL, found[0], found[1])
            nothing = Const(None, found[0].type)
            return TypedNode(node, Choice(((equal, nothing),), found[0].value), found[0].type)
        values, kind = self._unified(found, node)  # coalesce
        return TypedNode(node, Apply(Op.COALESCE, tuple(values)), kind)

    def _as_day(self, found: TypedNode, name: str) -> Value:
        if found.kind is Kind.STAMP:
            return business_day(found, self.zone).value
        self._need(found, Kind.DATE, f"{name}() takes a date or a timestamp")
        return typed_null(found, DATE)

    # -- conditions

    def _compared(self, op: Op, left: TypedNode, right: TypedNode) -> Value:
        values, _ = self._unified([left, right], left.node)
        return Apply(op, tuple(values))

    def _in(self, node: tree.In) -> Value:
        value, candidates = self.typed(node.value), [self.typed(a) for a in node.candidates]
        known = [a for a in candidates if a.kind is not Kind.NOTHING]
        test: Value
        kinds = {value.kind, *(a.kind for a in known)}
        if all(isinstance(a.value, Const) for a in candidates) and known and not {Kind.DATE, Kind.STAMP} <= kinds:
            values, _ = self._unified([value, *known], node)
            consts = tuple(v for v in values[1:] if isinstance(v, Const))
            if len(consts) == len(known):
                test = OneOf(values[0], consts, null=len(known) < len(candidates))
                return Apply(Op.NOT, (test,)) if node.negated else test
        test = Apply(Op.OR, tuple(self._compared(Op.EQUAL, value, a) for a in candidates))
        return Apply(Op.NOT, (test,)) if node.negated else test

    def _like(self, node: tree.Like) -> Value:
        if not isinstance(node.pattern, tree.Text):
            other = "to compare with another column, use starts_with, ends_with or contains"
            raise RefusedExpressionError(
                f"LIKE {clipped(sql_of(node.pattern))}: a pattern must be text in single quotes; {other}"
            )
        value = self._text(node.value, "ILIKE" if node.any_case else "LIKE")
        pieces = pieces_of(node.pattern.value, node.escape, any_case=node.any_case)
        test = Matches(Apply(Op.LOWER, (value,)) if node.any_case else value, pieces)
        return Apply(Op.NOT, (test,)) if node.negated else test

    # -- kinds

    def _truth(self, node: tree.Node, around: tree.Node) -> Value:
        found = self.typed(node)
        if found.kind not in {Kind.TRUTH, Kind.NOTHING}:
            raise RefusedExpressionError(f"{named(found)} where true or false is needed{_repeated(node, around)}")
        return as_truth(found)

    def _text(self, node: tree.Node, where: str) -> Value:
        found = self.typed(node)
        self._need(found, Kind.TEXT, f"{where} takes text")
        return typed_null(found, TEXT)

    @staticmethod
    def _need(found: TypedNode, kind: Kind, why: str) -> None:
        if found.kind not in {kind, Kind.NOTHING}:
            raise RefusedExpressionError(f"{named(found)}: {why}")

    def _unified(self, found: Sequence[TypedNode], node: tree.Node) -> tuple[list[Value], Type]:
        """Converts values that are combined to a common type; raises RefusedError for different kinds."""
        found = [self._read(f, found) for f in found]
        if {Kind.DATE, Kind.STAMP} <= {f.kind for f in found}:
            found = [business_day(f, self.zone) if f.kind is Kind.STAMP else f for f in found]
        known = [f for f in found if f.kind is not Kind.NOTHING]
        if not known:
            return [Const(None, TRUTH) for _ in found], NOTHING
        for other in known[1:]:
            if other.kind is not known[0].kind:
                raise mixed(known[0], other)
        kind = known[0].type
        if kind.kind is Kind.NUMBER:
            numbers = common([f.type for f in known], node)
            found = [self._as_number(f, numbers) for f in found]
            kind = Type(Kind.NUMBER, numbers, max(f.type.bound for f in found))
        return [typed_null(f, kind) for f in found], kind

    def _read(self, found: TypedNode, candidates: Sequence[TypedNode]) -> TypedNode:
        """Parses a quoted text that is combined with a date or a timestamp as one."""
        kinds = {f.kind for f in candidates}
        if not isinstance(found.node, tree.Text) or not kinds & {Kind.DATE, Kind.STAMP}:
            return found
        text = found.node.value
        if looks_like_day(text):
            return TypedNode(found.node, Const(day_of(text), DATE), DATE)
        if Kind.STAMP in kinds and looks_like_moment(text):
            return TypedNode(found.node, Const(instant_of(text, self.zone, "TIMESTAMP"), STAMP), STAMP)
        other = next(f for f in candidates if f.kind in {Kind.DATE, Kind.STAMP})
        right = "DATE '2024-11-03'" + (" or TIMESTAMP '2024-11-03 14:30:00'" if Kind.STAMP in kinds else "")
        raise RefusedExpressionError(f"{named(other)}, {clipped(sql_of(found.node))} is not one: use the form {right}")


def _repeated(node: tree.Node, around: tree.Node) -> str:
    """Returns the correction for ``a = 'x' OR 'y'``."""
    if isinstance(around, tree.Joined) and isinstance(node, tree.Text | tree.Number):
        for part in around.parts:
            if isinstance(part, tree.Comparison) and isinstance(part.left, tree.ColumnName):
                name = sql_of(part.left)
                return f"; write {name} {part.sign} {sql_of(node)}, or {name} IN ({sql_of(part.right)}, {sql_of(node)})"
    return "; compare it with a value"
