"""The tables of an earlier computation that an edit of the rules does not affect.

A new price does not change which rows count; a new measure moves no other figure. The parts of the rules that a stage
does not read (``rules.projections``) cannot change its result, so if the exports are the same its tables are kept.
"""

from dataclasses import dataclass

from rmetrics.lake.snapshot import Snapshot
from rmetrics.pipeline.compute.names import CONTENTS, FIGURES, RETURNS, TALLIES, tables
from rmetrics.rules import Rules
from rmetrics.rules.projections import (
    same_meaning,
    without_own_measures,
    without_prices,
    without_prices_and_own_measures,
)
from rmetrics.tables import JOURNEYS


@dataclass(frozen=True, slots=True)
class KeptTables:
    """The part of an earlier computation that is kept.

    Attributes:
        before: that computation.
        tables: the names of its tables that are not recomputed.
    """

    before: Snapshot
    tables: frozenset[str]

    def __contains__(self, table: str) -> bool:
        """Tests whether a table is kept."""
        return table in self.tables


def kept_tables(before: Snapshot, old: Rules, rules: Rules) -> KeptTables:
    """Returns the tables to keep from an earlier computation over the same exports.

    Args:
        before: the earlier computation, by this version of the program.
        old: the rules it was computed with.
        rules: the rules in force.
    """
    if not same_meaning(without_prices_and_own_measures(old), without_prices_and_own_measures(rules)):
        return KeptTables(before, frozenset())
    affected = {*FIGURES, CONTENTS}
    if not same_meaning(without_own_measures(old), without_own_measures(rules)):
        affected |= {TALLIES["spent"], JOURNEYS}
    if not same_meaning(without_prices(old), without_prices(rules)):
        affected |= {TALLIES["measures"], TALLIES["members"]}
    if list(old.returns.items()) != list(rules.returns.items()):
        affected |= {RETURNS}
    return KeptTables(before, frozenset(n for n in tables(rules) if n not in affected and before.has(n)))


__all__ = ["KeptTables", "kept_tables"]
