"""``rmetrics disputes``: leads to dispute with their vendor, and the state of each claim."""

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from rmetrics.errors import SettingsError
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import only_source
from rmetrics.pipeline.claims import Claim, ClaimState, lead_claims
from rmetrics.pipeline.workspace import opened
from rmetrics.progress import Progress, silent
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class Tally:
    """Claims of a source by state: claimed = granted + refused + expired + open.

    Attributes:
        amounts: cost of these leads, in the order of ``ClaimState``; a lead with an unknown price adds nothing.
    """

    source: str
    claimed: int
    open: int
    granted: int
    refused: int
    expired: int
    amounts: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class DisputesResult:
    """The claims.

    Attributes:
        now: the time against which deadlines are measured.
        claims: by source and time of the lead.
        tallies: one per source with terms.
        problems: why the lake does not match the current rules and exports.
    """

    now: dt.datetime
    claims: tuple[Claim, ...]
    tallies: tuple[Tally, ...]
    problems: tuple[str, ...] = ()


def disputes(
    settings: Settings, source: str | None = None, *, now: dt.datetime | None = None, progress: Progress = silent
) -> DisputesResult:
    """Returns the leads that are creditable under a term.

    Args:
        settings: of the project.
        source: only leads of this source.
        now: the current time; None for the clock's.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such source, or its rules have no terms.
        RulesError, LakeError: see ``errors``.
    """
    now = now or dt.datetime.now(dt.UTC)
    with opened(open_project(settings), progress) as lake:
        rules = lake.rules
        with_terms = [n for n, dated in rules.sources.items() if any(v.disputes for _, v in dated.versions)]
        source = only_source(source, rules)
        if not with_terms or (source is not None and source not in with_terms):
            whose = f"the source {source}" if source else "any source"
            raise SettingsError(
                f"the rules declare no terms for credits by the vendor of {whose}",
                "Add [[sources.NAME.disputes]] to the rules of the source; see docs/rules.md, Disputes.",
            )
        found = lead_claims(lake.computed.rows, {r: e.name for r, e in lake.exports.items()}, now)
        wanted = with_terms if source is None else [source]
        kept = tuple(c for c in found if c.source in wanted)
        tallies = tuple(_tally(name, [c for c in kept if c.source == name]) for name in wanted)
        return DisputesResult(now, kept, tallies, problems=tuple(p.message for p in lake.problems))


def _tally(source: str, claims: list[Claim]) -> Tally:
    counts = Counter(c.state for c in claims)
    amounts = tuple(sum((c.price or Decimal(0) for c in claims if c.state is s), Decimal(0)) for s in ClaimState)
    return Tally(
        source, len(claims), counts[ClaimState.OPEN], counts[ClaimState.GRANTED], counts[ClaimState.REFUSED],
        counts[ClaimState.EXPIRED], amounts,
    )  # fmt: skip


__all__ = ["DisputesResult", "Tally", "disputes"]
