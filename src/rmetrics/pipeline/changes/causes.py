"""Causes of changes of published figures: new exports that brought rows, and edited rules.

The possible causes of a change are the rows that new exports bring into the figure's month and source, and the edits of
rules that its source, feeds and measure depend on. ``rmetrics plan`` and ``metric_changes`` use the same words.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import polars as pl

from rmetrics.findings import count
from rmetrics.lake import RawFile
from rmetrics.metrics.newest import all_versions, put_together
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.pipeline.compute.rows import typed_exports
from rmetrics.positions import FILE
from rmetrics.postgres.publish import JOURNEY_MEASURES
from rmetrics.rules import Rules
from rmetrics.rules.edits import Edit, can_move, feed_metrics, moves_members, rule_edits
from rmetrics.rules.funnel import PREFIX
from rmetrics.rules.measures import sums
from rmetrics.rules.model import UNATTRIBUTED
from rmetrics.rules.names import JOBS, PAYMENTS
from rmetrics.version import __version__

MEASURES = ("jobs", "leads", "units", "repairs", "revenue_gross", "revenue40", "cost")


@dataclass(frozen=True, slots=True)
class ArrivedRows:
    """The rows that a new export brings into a month.

    Attributes:
        export: whether it is new or restored, and its name in the inbox.
        source: of its jobs or payments; None for other feeds, whose sources follow from the rules.
        new, changed: numbers of rows that were not there, and of rows whose values changed.
    """

    feed: str
    export: str
    month: dt.date | None
    source: str | None
    new: int
    changed: int

    def __str__(self) -> str:
        counts = [count(n, f"{what} row") for n, what in _counts(self) if n]
        return f"{self.export}: {', '.join(counts)}"


def _counts(arrival: ArrivedRows) -> tuple[tuple[int, str], ...]:
    return (arrival.new, "new"), (arrival.changed, "changed")


@dataclass(frozen=True)  # no slots: cached_property needs a __dict__ to keep its value
class Causes:
    """Everything that can have moved a figure since the rules and exports it was computed from.

    Attributes:
        overall: the causes of the run as a whole, for figures that nothing else explains.
        old, new: the rules before and after; old is None if unknown.
        withdrawn: feed and name of the exports withdrawn since.
    """

    overall: str
    arrivals: tuple[ArrivedRows, ...]
    edits: tuple[Edit, ...]
    old: Rules | None
    new: Rules
    withdrawn: tuple[tuple[str, str], ...] = ()

    def of(self, month: dt.date, source: str, metric: str) -> str:
        """Returns the cause of a figure's change, in words."""
        texts = [str(a) for a in self._arrived(month, source, metric)]
        removed = [name for feed, name in self.withdrawn if metric in feed_metrics(feed, source, self.new)]
        texts += _listed("withdrawn export", removed)
        if self.old is not None:
            texts += [f"rule edit {e}" for e in self.edits if can_move(e, source, metric, self.old, self.new)]
        return "; ".join(texts) or self.overall

    def of_member(self, month: dt.date, dimension: str, metric: str) -> str:
        """Returns the cause of a change of a member's figure, in words: edits of its dimension, or of the measure."""
        arrived = self._by_month.get(month, [])
        sources = dict.fromkeys([*self.new.sources, UNATTRIBUTED, *(a.source for a in arrived if a.source)])
        exports: dict[str, ArrivedRows] = {}
        for a in arrived:
            whose = sources if a.source is None else [a.source]
            if any(metric in feed_metrics(a.feed, s, self.new) for s in whose):
                before = exports.get(a.export)
                known = (before.new, before.changed) if before else (0, 0)
                exports[a.export] = replace(a, new=a.new + known[0], changed=a.changed + known[1])
        texts = [str(a) for a in exports.values()]
        if self.old is not None:
            edits = [e for e in self.edits if moves_members(e, dimension, self.old, self.new)]
            old, new = self.old, self.new
            edits += [
                e for e in self.edits if e not in edits and any(can_move(e, s, metric, old, new) for s in sources)
            ]
            texts += [f"rule edit {e}" for e in edits]
        return "; ".join(texts) or self.overall

    def _arrived(self, month: dt.date, source: str, metric: str) -> list[ArrivedRows]:
        """Returns the rows that came into the month for the source, summed by export."""
        found: dict[str, ArrivedRows] = {}
        for arrival in self._by_month.get(month, ()):
            if arrival.source in {None, source} and metric in feed_metrics(arrival.feed, source, self.new):
                before = found.get(arrival.export)
                new, changed = (before.new, before.changed) if before else (0, 0)
                found[arrival.export] = replace(arrival, new=arrival.new + new, changed=arrival.changed + changed)
        return list(found.values())

    @cached_property
    def _by_month(self) -> Mapping[dt.date | None, list[ArrivedRows]]:
        found: dict[dt.date | None, list[ArrivedRows]] = {}
        for arrival in self.arrivals:
            found.setdefault(arrival.month, []).append(arrival)
        return found

    def member_frame(self, months: Sequence[dt.date]) -> pl.DataFrame:
        """Returns the cause of every possible figure of members: month, dimension, metric, cause."""
        names = [*sums(self.new)]
        rows = [(m, d, n, self.of_member(m, d, n)) for m in months for d in self.new.dimensions for n in names]
        schema = {"month": pl.Date, "dimension": pl.String, "metric": pl.String, "cause": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def frame(self, months: Sequence[dt.date], sources: Sequence[str]) -> pl.DataFrame:
        """Returns the cause of every possible figure: month, source, metric, cause."""
        names = (*MEASURES, *sums(self.new, own=True))
        rows = [(m, s, n, self.of(m, s, n)) for m in months for s in sources for n in names]
        edits = [f"rule edit {e}" for e in self.edits if e.key.startswith("journeys.")]
        if edits:  # journeys grow by themselves as their jobs are paid; an edited rule restates them
            text = "; ".join(edits)
            rows += [(m, s, f"{PREFIX}{n}", text) for m in months for s in sources for n in JOURNEY_MEASURES]
        schema = {"month": pl.Date, "source": pl.String, "metric": pl.String, "cause": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")


def find_causes(computed: Computed, rules: Rules, old: Rules | None, known: frozenset[str], overall: str) -> Causes:
    """Returns the causes of changes since an earlier computation.

    Args:
        computed: the present computation.
        rules: the rules in force.
        old: the rules of the earlier computation; None if unknown.
        known: the exports of the earlier computation, by the start of their hash.
        overall: the causes of the run as a whole.
    """
    arrivals = tuple(a for name in rules.feeds for a in _arrivals(computed, rules, name, known))
    edits = () if old is None else rule_edits(old, rules)
    removed = known - {p.raw.sha256[:16] for p in computed.placed}
    withdrawn = tuple((r.feed, r.name) for r in computed.withdrawn if r.sha256[:16] in removed)
    return Causes(overall, arrivals, edits, old, rules, withdrawn)


def _arrivals(computed: Computed, rules: Rules, name: str, known: frozenset[str]) -> list[ArrivedRows]:
    """Returns the rows that the new exports of a feed bring, by export, month and source."""
    exports = {p.rank: as_new(p.raw) for p in computed.placed if p.feed == name and p.raw.sha256[:16] not in known}
    if not exports:
        return []
    feed = rules.feeds[name]
    keys, mapped = list(feed.key_columns), [n for n in feed.mapped if n not in feed.key_columns]
    ours = pl.col(FILE).is_in(list(exports))
    made = computed.increment
    if made is not None and known == {sha256[:16] for sha256, _, _ in computed.earlier}:
        current = made.now[name].lazy().filter(ours) if name in made.now else computed.rows.feed(name).filter(ours)
        older_rows = made.was[name].lazy() if name in made.was else current.head(0)
    else:
        current = computed.rows.feed(name).filter(ours)
        files = [(file, rank) for file, rank in computed.typed[name] if rank not in exports]
        older = typed_exports(computed.rows.lake, files)
        # Aligned first: an older export may lack columns of the key that the new one has.
        versions = all_versions(older, feed).join(current.select(keys), on=keys, how="semi", nulls_equal=True)
        older_rows = put_together(versions, older, feed)
    before = older_rows.select(*keys, *(pl.col(n).alias(f"_old {n}") for n in mapped), was=pl.lit(1))
    same = pl.all_horizontal(pl.lit(value=True), *(pl.col(n).eq_missing(pl.col(f"_old {n}")) for n in mapped))
    day = pl.col("metric_date") if name == JOBS else pl.col(feed.business_date)
    if name == PAYMENTS and rules.revenue.latest.date == "job":
        day = pl.coalesce("metric_date", day)
    counted = (
        _with_source(current, computed, name)
        .join(before, on=keys, how="left", nulls_equal=True)
        .group_by(pl.col(FILE), day.dt.month_start().alias("month"), "_source")
        .agg(pl.col("was").is_null().sum().alias("new"), (pl.col("was").is_not_null() & ~same).sum().alias("changed"))
        .filter((pl.col("new") > 0) | (pl.col("changed") > 0))
        .sort(FILE, "month", "_source")
        .collect()
    )
    return [ArrivedRows(name, exports[f], m, s, int(n), int(c)) for f, m, s, n, c in counted.iter_rows()]


def _reordered(computed: Computed) -> bool:
    """Tests whether the same exports were computed before in another order."""
    before, now = ([export.sha256 for export in e] for e in (computed.earlier, computed.snapshot.exports))
    return before != now and sorted(before) == sorted(now)


def as_new(raw: RawFile) -> str:
    """Describes an export that was not used before: whether it is new or restored, and its name."""
    return f"{'restored' if raw.restored else 'new'} export {raw.name}"


def _with_source(rows: pl.LazyFrame, computed: Computed, name: str) -> pl.LazyFrame:
    """Adds ``_source``, and the metric date to jobs and payments; ``_source`` is NULL for other feeds."""
    if name not in {JOBS, PAYMENTS}:
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias("_source"))
    facts = computed.snapshot.scan(FACTS)
    facts = facts.select("job_id", pl.col("source").alias("_source"), pl.col("metric_date"))
    joined = rows.join(facts, on="job_id", how="left")
    return joined if name == JOBS else joined.with_columns(pl.col("_source").fill_null(UNATTRIBUTED))


def overall_cause(
    before_exports: frozenset[str], before_rules: str, before_version: str, computed: Computed, rules: Rules
) -> str:
    """Returns why published figures can change at all: new exports, edited rules, another version."""
    causes = list[str]()
    added = [p.raw for p in computed.placed if p.raw.sha256[:16] not in before_exports]
    removed = before_exports - {p.raw.sha256[:16] for p in computed.placed}
    withdrawn = [r for r in computed.withdrawn if r.sha256[:16] in removed]
    causes += _listed("new export", [r.name for r in added if not r.restored])
    causes += _listed("restored export", [r.name for r in added if r.restored])
    causes += _listed("withdrawn export", [r.name for r in withdrawn])
    if lost := len(removed) - len(withdrawn):
        causes.append(f"{lost} export{'s' if lost > 1 else ''} removed")
    if before_rules != rules.digest:
        causes.append("rules edited")
    if before_version and before_version != __version__:
        causes.append(f"rmetrics {before_version} -> {__version__}")
    if not causes and _reordered(computed):
        causes.append("an export was delivered again and now counts as the newest")
    return "; ".join(causes) or "published again: the database differed from the lake"


def _listed(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [f"{what}{'s' if len(names) > 1 else ''}: {', '.join(names[:5])}{more}"]


__all__ = ["MEASURES", "ArrivedRows", "Causes", "as_new", "find_causes", "overall_cause"]
