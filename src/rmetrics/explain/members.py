"""Explains the shares of members in a measure: of one member with its rows, or of all members next to the whole.

Source: the design, section 8.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.explain.asked import SCALES, Query
from rmetrics.explain.explainer import Explainer
from rmetrics.explain.explanation import Explained, Explanation, share_of
from rmetrics.explain.member_evidence import MemberQuery, member_evidence
from rmetrics.explain.monthly import by_month
from rmetrics.findings import Finding
from rmetrics.metrics.dimensions import VALUE, largest
from rmetrics.metrics.figures import Figure
from rmetrics.pipeline.compute.names import TALLIES
from rmetrics.postgres.ddl import has_all
from rmetrics.rules.measure_tables import NONE, REST, Dimension
from rmetrics.rules.measure_words import dimension_in_words, measure_in_words
from rmetrics.rules.measures import is_additive, sums
from rmetrics.rules.suggest import did_you_mean
from rmetrics.sandbox.connection import duckdb_errors
from rmetrics.sandbox.query import rows as fetched
from rmetrics.tables import DIMENSION_MONTHLY

_COLUMNS = {"date": pl.Date(), "member": pl.String(), "measure": pl.String(), "value": VALUE}
_DIFFERENCES = 20
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class MemberLine:
    """One member's figure of a measure; see ``explanation.Explained`` for the figures."""

    member: str
    value: Decimal
    share: Decimal | None
    recomputed: Decimal
    published: Decimal | None


@dataclass(frozen=True, slots=True)
class MemberTable:
    """The figures of all members for a measure, the largest first.

    Attributes:
        rule, where: of the measure.
        scale: the decimals of the figures.
        additive: whether the members add up; if not, they have no shares.
        whole: the figure of the whole company, from its own table.
    """

    measure: str
    rule: str
    where: str
    scale: int
    additive: bool
    whole: Decimal
    lines: tuple[MemberLine, ...]

    def of(self, member: str) -> Decimal:
        """Returns the figure of a member; 0 if it has none."""
        return next((line.value for line in self.lines if line.member == member), _ZERO)

    @property
    def together(self) -> Decimal:
        """The sum over all members."""
        return sum((line.value for line in self.lines), _ZERO)


@dataclass(frozen=True, slots=True)
class Members:
    """All members of a dimension, measure by measure.

    Attributes:
        rule, where: of the dimension.
        figures_differing: the differences between the engines, PostgreSQL, and the sums over members.
        figures: the requested figures: measures, and figures computed from them.
    """

    asked: Query
    dimension: str
    rule: str
    where: str
    tables: Mapping[str, MemberTable]
    figures_differing: tuple[str, ...]
    problems: tuple[Finding, ...]
    run_id: str | None
    figures: tuple[Figure, ...] = ()

    def value(self, figure: Figure, member: str) -> Decimal | None:
        """Returns a member's figure; None if the divisor is 0."""
        return figure.value(*(self.tables[p].of(member) for p in figure.parts))

    def whole(self, figure: Figure) -> Decimal | None:
        """Returns the figure of the whole company."""
        return figure.value(*(self.tables[p].whole for p in figure.parts))

    @property
    def members(self) -> tuple[str, ...]:
        """All members with a figure, ordered by size in the first measure."""
        return tuple(dict.fromkeys(line.member for table in self.tables.values() for line in table.lines))

    @property
    def agrees(self) -> bool:
        """Whether all figures that must be equal are equal."""
        return not self.figures_differing

    @property
    def verdict(self) -> str:
        """``match``, ``mismatch`` or ``unpublished``."""
        if self.problems or not self.agrees:
            return "mismatch"
        return "match" if self.run_id else "unpublished"

    @property
    def conclusion(self) -> str:
        """The verdict, or ``problems`` if all figures agree and only problems of the lake make it a mismatch."""
        return "problems" if self.problems and self.agrees else self.verdict


def dimension_named(one: Explainer, name: str) -> Dimension:
    """Returns a dimension of the rules.

    Raises:
        SettingsError: the rules have no dimension of that name.
    """
    known = one.rules.dimensions
    if name not in known:
        hint = f"Dimensions: {', '.join(known)}." if known else "To declare one, see docs/rules.md, Own measures."
        near = did_you_mean(name, known) if known else ""
        raise SettingsError(f"unknown dimension: {name!r}{near}", hint)
    return known[name]


def explain_member(one: Explainer, asked: Query, dimension: str, member: str, metrics: Sequence[str]) -> Explanation:
    """Explains one member's figures: rule, rows, near misses, share and proof.

    Args:
        one: the explainer of the lake.
        asked: months of the whole company.
        dimension: a dimension of the rules.
        member: the member's name, in any case.
        metrics: sums.

    Raises:
        SettingsError: there is no such dimension or member.
    """
    of = _member(one, dimension, member)
    computed, published = _computed(one, asked, dimension), _published(one, asked, dimension)
    found = {m: tuple(member_evidence(m, asked, of, one.frames, one.rules)) for m in metrics}
    parts = one.parts(found, asked)
    recomputed = _recomputed(one, asked, dimension)  # last, as it may still be running
    explained = {}
    declared = one.rules.dimensions[dimension]
    for m in metrics:
        mine, second = (_of(f, of.member, m) for f in (computed, recomputed))
        in_database = None if published is None else _of(published, of.member, m)
        rule, where = _rule(one, m)
        explained[m] = Explained(
            name=m,
            rule="; ".join(dict.fromkeys(p.rule for p in parts[m])) or rule,
            where=parts[m][0].where if parts[m] else where,
            value=_total(mine, m),
            parts=parts[m],
            listed=sum((p.value for p in parts[m]), _ZERO),
            recomputed=_total(second, m),
            published=None if in_database is None else _total(in_database, m),
            months=by_month(m, asked, [p.by_month for p in parts[m]], mine, second, in_database)
            if asked.several
            else (),
            scale=_scale(one, m),
            whole=_company_total(one, asked, m) if is_additive(declared, sums(one.rules)[m].latest) else None,
        )
    ours, theirs = (f.filter(pl.col("member") == of.member) for f in (computed, recomputed))
    differing = [*_differing("the second engine has", ours, theirs, metrics)]
    if published is not None:
        differing += _differing("PostgreSQL has", ours, published.filter(pl.col("member") == of.member), metrics)
    rows = tuple(str(d) for d in one.rows_differing(found))
    return Explanation(
        asked,
        explained,
        tuple(differing),
        rows,
        one.lake.problems,
        one.run_id if published is not None else None,
        dimension=dimension,
        member=of.member,
    )


def explain_members(one: Explainer, asked: Query, dimension: str, metrics: Sequence[str]) -> Members:
    """Returns the figures of all members of a dimension, proved against the whole.

    Args:
        one: the explainer of the lake.
        asked: months of the whole company.
        dimension: a dimension of the rules.
        metrics: sums.

    Raises:
        SettingsError: there is no such dimension.
    """
    declared = dimension_named(one, dimension)
    computed, published = _computed(one, asked, dimension), _published(one, asked, dimension)
    recomputed = _recomputed(one, asked, dimension)
    differing = [*_differing("the second engine has", computed, recomputed, metrics)]
    if published is not None:
        differing += _differing("PostgreSQL has", computed, published, metrics)
    tables = {}
    for m in metrics:
        additive = is_additive(declared, sums(one.rules)[m].latest)
        total = _company_total(one, asked, m)
        theirs, in_database = _by_member(recomputed, m), None if published is None else _by_member(published, m)
        lines = [
            MemberLine(
                member,
                value,
                share_of(value, total) if additive else None,
                theirs.get(member, _ZERO),
                None if in_database is None else in_database.get(member, _ZERO),
            )
            for member, value in _by_member(computed, m).items()
        ]
        rule, where = _rule(one, m)
        tables[m] = MemberTable(m, rule, where, _scale(one, m), additive, total, tuple(lines))
        if additive and tables[m].together != total:
            differing.append(f"{m}: the members add up to {tables[m].together}, the total is {total}")
    return Members(
        asked,
        dimension,
        dimension_in_words(declared),
        one.rules.place(f"dimensions.{dimension}"),
        tables,
        tuple(differing),
        one.lake.problems,
        one.run_id if published is not None else None,
    )


def _member(one: Explainer, dimension: str, name: str) -> MemberQuery:
    """Returns the named member.

    Raises:
        SettingsError: the name is unknown, ambiguous, or part of ``(other)``.
    """
    declared = dimension_named(one, dimension)
    tally = one.lake.computed.snapshot.scan(TALLIES["members"]).filter(pl.col("dimension") == dimension)
    kept = frozenset(largest(tally, declared).collect()["member"])
    shown = {*kept, NONE, REST}
    wanted = name.strip().casefold()
    found = [name] if name in shown else sorted(m for m in shown if m.casefold() == wanted)
    if len(found) == 1:
        return MemberQuery(dimension, found[0], kept)
    if found:
        message = f"--member {name!r} may mean {' or '.join(map(repr, found))}"
        raise SettingsError(message, "Use one of these names exactly as shown.")
    every = tally.select(pl.col("member").str.to_lowercase().alias("m")).filter(pl.col("m") == name.strip().lower())
    if every.collect().height:
        message = f"{name!r} is one of {REST}: {dimension} keeps its {declared.limit:,} largest members by name"
        where = one.rules.place(f"dimensions.{dimension}")
        raise SettingsError(message, f"Use --member {REST!r}, or raise `most` in {where}.")
    line = f"rmetrics explain --metric {next(iter(one.own), 'repairs')} --dimension {dimension}"
    raise SettingsError(
        f"{dimension} has no member {name!r}{did_you_mean(name, shown)}", f"For all members, run: {line}"
    )


def _scale(one: Explainer, measure: str) -> int:
    return one.own[measure] if measure in one.own else SCALES[measure]


def _rule(one: Explainer, measure: str) -> tuple[str, str]:
    return measure_in_words(sums(one.rules)[measure].latest), one.rules.place(f"measures.{measure}")


# -- figures that must be equal


def _frame(rows: Sequence[Sequence[object]]) -> pl.DataFrame:
    schema = {**_COLUMNS, "value": pl.String()}
    frame = pl.DataFrame([[*r[:3], str(r[3])] for r in rows], schema=schema, orient="row")
    return frame.with_columns(pl.col("value").cast(VALUE))


def _computed(one: Explainer, asked: Query, dimension: str) -> pl.DataFrame:
    rows = one.lake.computed.snapshot.scan(DIMENSION_MONTHLY).rename({"month": "date"})
    wanted = (pl.col("dimension") == dimension) & asked.within(pl.col("date"))
    return rows.filter(wanted).select(*_COLUMNS).collect()


def _recomputed(one: Explainer, asked: Query, dimension: str) -> pl.DataFrame:
    connection = one.engine.result()
    with duckdb_errors("recompute the metrics"):
        connection.execute(
            f"SELECT month, member, measure, value FROM {DIMENSION_MONTHLY} "
            "WHERE dimension = $1 AND month >= $2 AND month < $3",
            [dimension, asked.month, asked.end],
        )
        return _frame(list(fetched(connection)))


def _published(one: Explainer, asked: Query, dimension: str) -> pl.DataFrame | None:
    if one.session is None or not has_all(one.session, [DIMENSION_MONTHLY]):
        return None
    rows = one.session.query(
        f"SELECT month, member, measure, value::text FROM {DIMENSION_MONTHLY} "
        "WHERE dimension = $1::text AND month >= $2::text::date AND month < $3::text::date",
        [dimension, asked.month.isoformat(), asked.end.isoformat()],
    )
    return _frame(rows)


def _company_total(one: Explainer, asked: Query, measure: str) -> Decimal:
    return _total(one.computed(asked), measure)


def _total(rows: pl.DataFrame, measure: str) -> Decimal:
    return Decimal(str(rows[measure].sum() or 0))


def _of(figures: pl.DataFrame, member: str, measure: str) -> pl.DataFrame:
    """Returns one member's figures of a measure by month, in a column named after the measure."""
    mine = figures.filter((pl.col("member") == member) & (pl.col("measure") == measure))
    return mine.select("date", pl.col("value").alias(measure))


def _by_member(figures: pl.DataFrame, measure: str) -> dict[str, Decimal]:
    mine = figures.filter(pl.col("measure") == measure).group_by("member").agg(pl.col("value").sum())
    return dict(mine.sort(["value", "member"], descending=[True, False]).iter_rows())


def _differing(who: str, ours: pl.DataFrame, theirs: pl.DataFrame, metrics: Sequence[str]) -> Iterator[str]:
    keys = ["date", "member", "measure"]
    both = ours.join(theirs, on=keys, how="full", coalesce=True, suffix=" there")
    wrong = both.filter(pl.col("measure").is_in(list(metrics)) & pl.col("value").ne_missing(pl.col("value there")))
    rows: list[tuple[dt.date, str, str, Decimal | None, Decimal | None]] = wrong.sort(keys).rows()
    for day, member, measure, mine, other in rows[:_DIFFERENCES]:
        yield f"{day:%Y-%m} {member} {measure}: {mine or 0} computed, {who} {'no row' if other is None else other}"


__all__ = ["MemberLine", "MemberTable", "Members", "dimension_named", "explain_member", "explain_members"]
