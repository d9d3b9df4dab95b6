"""Comparison of both engines on each expression of the rules, with odd values and with the lake's own.

A disagreement is a bug in rmetrics, but the user must know the rule and the rows it concerns.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rmetrics.errors import CheckError, withdrawal_hint
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.verify.odd_values import odd_rows
from rmetrics.pipeline.verify.placed_conditions import PlacedCondition, conditions, derived_columns
from rmetrics.positions import FILE, LINE
from rmetrics.rules import Rules
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.expressions import duckdb_form, polars_form
from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.names import JOBS
from rmetrics.sandbox.connection import duckdb_errors, file_name, sandbox
from rmetrics.sandbox.quoting import text

MAX_VALUES = 100_000  # distinct rows of values on which a condition is tried
_NAMED = 3
_PLACE, _ONE = "_place", "_one"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An expression that the engines evaluate differently.

    Attributes:
        condition: the expression.
        rows: number of rows, or of distinct values, on which they differ.
        examples: the first of them in words.
        exports: the names of the exports that the rows are from; empty for values that belong to no row.
    """

    condition: PlacedCondition
    rows: int
    examples: tuple[str, ...]
    exports: frozenset[str] = frozenset()


def disagreements(rules: Rules, computed: Rows | None = None) -> tuple[Disagreement, ...]:
    """Returns the expressions of the rules that the engines evaluate differently.

    Args:
        rules: the rules in force.
        computed: a computation whose values are tried along with odd ones; None for odd ones only.
    """
    trials = []
    for number, placed in enumerate(_every(rules)):
        trials.append((placed, odd_rows(placed.row, [parse(placed.text)], seed=number)))
        own = _own_values(placed, computed)
        if own is not None:
            trials.append((placed, own))
    found: dict[str, Disagreement] = {}
    for (placed, _), differing in zip(trials, _differing(trials), strict=True):
        if differing.height and placed.key not in found:
            examples = tuple(_values_in_words(r, placed) for r in differing.head(_NAMED).to_dicts())
            found[placed.key] = Disagreement(placed, differing.height, examples)
    return tuple(found.values())


def _every(rules: Rules) -> list[PlacedCondition]:
    return [*conditions(rules), *derived_columns(rules)]


def named_rows(rules: Rules, computed: Rows, names: Mapping[int, str]) -> tuple[Disagreement, ...]:
    """Returns the expressions that the engines evaluate differently on rows of the lake, with key, export and line.

    Args:
        rules: the rules in force.
        computed: the computation whose figures differ.
        names: the exports' file names by rank.
    """
    trials = [(p, own) for p in _every(rules) if (own := _own_values(p, computed)) is not None]
    found = []
    for (placed, own), differing in zip(trials, _differing(trials), strict=True):
        if not differing.height:
            continue
        key = rules.feeds[JOBS if placed.rows == FACTS else placed.rows].key_columns
        rows = computed.scan(placed.rows).join(differing.lazy(), on=own.columns, how="semi", nulls_equal=True)
        listed = rows.select(*key, FILE, LINE).sort(FILE, LINE).collect()
        examples = tuple(_row_in_words(r, key, names) for r in listed.head(_NAMED).to_dicts())
        exports = frozenset(names[r] for r in listed[FILE].unique().to_list() if r in names)
        found.append(Disagreement(placed, listed.height, examples, exports))
    return tuple(found)


def disagreement_error(rules: Rules, computed: Rows, names: Mapping[int, str], differences: str) -> CheckError:
    """Returns the error for figures on which the engines differ; if a rule is the cause, it names the rule and rows.

    Args:
        rules: the rules in force.
        computed: the computation.
        names: the exports' file names by rank.
        differences: the figures that differ, in words.
    """
    found = named_rows(rules, computed, names)
    parts = [differences, *(in_words(d, rules) for d in found)]
    hint = "This is a bug in rmetrics: please report it with this message. Published figures are unchanged."
    if found:
        one = withdrawal_hint(frozenset().union(*(d.exports for d in found)))
        hint = f"Until it is fixed, write the condition another way. {one}{'. ' if one else ''}{hint}"
    return CheckError("\n".join(parts), hint)


def in_words(found: Disagreement, rules: Rules) -> str:
    """Describes a disagreement: the rule, its place, and the rows on which the engines differ."""
    placed = found.condition
    more = f" and {found.rows - len(found.examples):,} more" if found.rows > len(found.examples) else ""
    sql, examples = " ".join(placed.text.split()), "; ".join(found.examples)
    return f"{rules.place(placed.key)}: {placed.key}: Polars and DuckDB read {sql!r} differently for {examples}{more}"


def _differing(trials: Sequence[tuple[PlacedCondition, pl.DataFrame]]) -> list[pl.DataFrame]:
    """Returns the values of each trial on which the engines differ. DuckDB reads the values from files."""
    found = []
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder, duckdb_errors("try the conditions of the rules"):
        files = [Path(folder) / f"{i}.parquet" for i in range(len(trials))]
        for file, (_, values) in zip(files, trials, strict=True):
            values.with_row_index(_PLACE).write_parquet(file)
        connection = sandbox(files, temp=Path(folder))
        try:
            for file, (placed, values) in zip(files, trials, strict=True):
                first = values.lazy().with_columns(polars_form.rendered(placed.typed).alias(_ONE)).collect()[_ONE]
                message = (
                    f"SELECT {duckdb_form.rendered(placed.typed)} AS two FROM read_parquet({text(file_name(file))})"
                )
                answer = connection.execute(f"{message} ORDER BY {_PLACE}").to_arrow_table()
                other = pl.Series("two", answer.column("two"), dtype=first.dtype)
                found.append(values.filter(other.ne_missing(first)) if values.height else values)
        finally:
            connection.close()
    return found


def _own_values(placed: PlacedCondition, computed: Rows | None) -> pl.DataFrame | None:
    """Returns the lake's distinct values in the columns of an expression; None if it has none."""
    if computed is None or not computed.has(placed.rows):
        return None
    named = read_condition(placed.text, placed.row, kind=placed.kind).columns
    rows = computed.scan(placed.rows)
    if not named or not set(named) <= set(rows.collect_schema().names()):
        return None
    types = {n: polars_form.DTYPES[k] for n, k in placed.row.columns if n in named}
    if any(rows.collect_schema()[n] != t for n, t in types.items()):
        return None  # computed under other rules
    return rows.select(*named).unique().head(MAX_VALUES).collect()


def _values_in_words(values: dict[str, object], placed: PlacedCondition) -> str:
    named = read_condition(placed.text, placed.row, kind=placed.kind).columns
    return ", ".join(f"{n} = {'NULL' if values[n] is None else ascii(values[n])}" for n in named) or "any row"


def _row_in_words(row: dict[str, object], key: Sequence[str], names: Mapping[int, str]) -> str:
    known = ", ".join(f"{k} {row[k]}" for k in key)
    rank = row[FILE]
    name = names.get(rank, "an export") if isinstance(rank, int) else "an export"
    return f"{known} ({name}, line {row[LINE]})"


__all__ = ["Disagreement", "disagreement_error", "disagreements", "in_words", "named_rows"]
