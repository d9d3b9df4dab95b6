"""Translation of DuckDB's statements to Spark SQL, for the second engine.

sqlglot does most of it. This module does the rest: functions that sqlglot does not know, and those whose meaning it
would silently change.
"""

from collections.abc import Callable, Sequence

import sqlglot
from sqlglot import exp

Columns = Callable[[str], Sequence[str]]

_WHOLE = "DECIMAL(38, 0)"  # Spark has no 128-bit integers
_LAST = "9999-12-31"  # nor a date after all others
_RENAMED = {"MAKE_TIMESTAMPTZ": "TIMESTAMP_MICROS", "EPOCH_US": "UNIX_MICROS", "HASH": "XXHASH64"}


def parsed(sql: str) -> list[exp.Expr]:
    """Parses a text of DuckDB statements."""
    return [tree for tree in sqlglot.parse(sql, read="duckdb") if tree is not None]


def view_name(table: exp.Table | str) -> str:
    """Returns the name of a table's view: Spark's temporary views have no schema."""
    if isinstance(table, str):
        return table
    return f"{table.db}__{table.name}" if table.db else table.name


def spark_sql(tree: exp.Expr, columns: Columns) -> str:
    """Returns a DuckDB query in Spark's dialect.

    Args:
        tree: the DuckDB query.
        columns: returns the columns of a view.
    """
    tree = tree.copy()
    for change in (_views, _types, _unions, lambda t: _stars(t, columns), _functions):
        tree = change(tree) or tree
    return tree.sql("spark")


def _views(tree: exp.Expr) -> None:
    for table in list(tree.find_all(exp.Table)):
        if table.db:
            name = view_name(table)
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("db", None)


def _types(tree: exp.Expr) -> None:
    for kind in list(tree.find_all(exp.DataType)):
        if kind.this in (exp.DataType.Type.INT128, exp.DataType.Type.UINT128):
            kind.replace(exp.DataType.build(_WHOLE, dialect="spark"))
    for cast in list(tree.find_all(exp.Cast)):
        if cast.this.is_string and cast.this.name == "infinity":
            cast.set("this", exp.Literal.string(_LAST))


def _unions(tree: exp.Expr) -> None:
    """Translates ``UNION ALL BY NAME``: every branch gets all columns, in one order."""
    unions = [u for u in tree.find_all(exp.Union) if u.args.get("by_name")]
    selects = [s for u in unions for s in (u.left, u.right) if isinstance(s, exp.Select)]
    names = list(dict.fromkeys(e.alias_or_name for s in selects for e in s.expressions))
    for select in selects:
        by_alias = {e.alias_or_name: e for e in select.expressions}
        select.set("expressions", [by_alias.get(n) or exp.alias_(exp.Null(), n) for n in names])
    for union in unions:
        union.set("by_name", None)


def _stars(tree: exp.Expr, columns: Columns) -> None:
    """Translates ``* REPLACE``, which Spark lacks, into a list of the columns."""
    for star in list(tree.find_all(exp.Star)):
        replaced = star.args.get("replace")
        if not replaced:
            continue
        of = star.parent if isinstance(star.parent, exp.Column) else star
        alias, select = of.table if isinstance(of, exp.Column) else "", star.find_ancestor(exp.Select)
        if select is None:
            continue
        source = next(t for t in select.find_all(exp.Table) if not alias or t.alias_or_name == alias)
        excluded = {c.name for c in star.args.get("except_") or star.args.get("except") or []}
        new = {e.alias: e.this for e in replaced}
        written = [
            exp.alias_(new.get(c, exp.column(c, table=alias or None, quoted=True)), c, quoted=True)
            for c in columns(source.name)
            if c not in excluded
        ]
        select.set("expressions", [w for e in select.expressions for w in (written if e is of else [e])])


def _functions(tree: exp.Expr) -> exp.Expr:
    for called in list(tree.find_all(exp.Anonymous)):
        if called.name.upper() in _RENAMED:
            called.set("this", _RENAMED[called.name.upper()])
    for node in reversed(list(tree.walk(bfs=False))):  # innermost first: replacing a node copies its children
        new = _function(node)
        if new is None:
            continue
        if node is tree:
            tree = new
        else:
            node.replace(new)
    return tree


def _function(node: exp.Expr) -> exp.Expr | None:
    if type(node).__name__ == "EpochUs":
        return _called("UNIX_MICROS", node.this)
    if isinstance(node, exp.Sign):  # Spark's returns a floating-point number
        this = node.this
        return exp.case().when(_than(exp.GT, this), "1").when(_than(exp.LT, this), "-1").else_("0")
    if isinstance(node, exp.Bracket) and not isinstance(node.this, exp.Tuple):
        # Spark counts from 0 and rejects an index out of range; sqlglot adjusts the index only if it is a literal.
        (index,) = node.expressions
        place = exp.Literal.number(int(index.name) + 1) if index.is_int else exp.cast(index.copy(), "INT")
        return _called("TRY_ELEMENT_AT", node.this, place)
    if isinstance(node, exp.Cast) and isinstance(node.this, (exp.Explode, exp.Unnest)):
        # Spark expands a list into rows only at the top of a column: so the list is cast, not each of its values.
        inner = node.this.expressions[0] if isinstance(node.this, exp.Unnest) else node.this.this
        many = exp.DataType(this=exp.DataType.Type.ARRAY, expressions=[node.to.copy()], nested=True)
        return exp.Explode(this=exp.Cast(this=_function(inner) or inner.copy(), to=many))
    if isinstance(node, exp.GenerateSeries) and len(node.args) >= 3 and node.args.get("step") is not None:
        start, end = node.args["start"], node.args["end"]  # Spark rejects an empty range
        series = _called("SEQUENCE", start, end, node.args["step"])
        return exp.case().when(exp.LTE(this=start.copy(), expression=end.copy()), series)
    return None


def _called(name: str, *args: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=[a.copy() for a in args])


def _than(kind: type[exp.Binary], value: exp.Expr) -> exp.Expr:
    return kind(this=value.copy(), expression=exp.Literal.number(0))


__all__ = ["Columns", "parsed", "spark_sql", "view_name"]
