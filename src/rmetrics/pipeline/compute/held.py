"""Which tables of an earlier computation an edit of the rules leaves as they are.

A new price makes no row count elsewhere, a new measure moves no figure of another. What a stage does not see of the
rules (``rules.projections``) cannot change what it makes, so where the exports are the same its tables stand.
"""

from dataclasses import dataclass

from rmetrics.lake.snapshot import Snapshot
from rmetrics.pipeline.compute.names import CONTENTS, FIGURES, TALLIES, tables
from rmetrics.rules import Rules
from rmetrics.rules.projections import alike, without_own_measures, without_prices
from rmetrics.tables import JOURNEYS


@dataclass(frozen=True, slots=True)
class Held:
    """What of an earlier computation stands.

    Attributes:
        before: that computation.
        tables: the names of its tables that are not made again.
    """

    before: Snapshot
    tables: frozenset[str]

    def __contains__(self, table: str) -> bool:
        """Whether a table stands."""
        return table in self.tables


def held_tables(before: Snapshot, old: Rules, rules: Rules) -> Held:
    """What stands of an earlier computation from the same exports.

    Args:
        before: the earlier computation, by this version of the program.
        old: the rules it was computed with.
        rules: in force.
    """
    one, other = without_prices(old), without_prices(rules)
    if not alike(without_own_measures(one), without_own_measures(other)):
        return Held(before, frozenset())
    again = {*FIGURES, CONTENTS}
    if not alike(without_own_measures(old), without_own_measures(rules)):
        again |= {TALLIES["spent"], JOURNEYS}
    if not alike(one, other):
        again |= {TALLIES["measures"], TALLIES["members"]}
    return Held(before, frozenset(n for n in tables(rules) if n not in again and before.has(n)))


__all__ = ["Held", "held_tables"]
