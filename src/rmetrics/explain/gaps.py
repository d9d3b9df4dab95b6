"""``explain --expect`` and ``--against``: explanations of the gap between a figure and one from elsewhere."""

import dataclasses
import datetime as dt
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations

import polars as pl

from rmetrics.explain.asked import SCALES, Query, RowOutcome
from rmetrics.explain.evidence import Evidence, Frames
from rmetrics.explain.explainer import Explainer
from rmetrics.explain.explanation import Explained
from rmetrics.findings import count
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import job_facts, linked
from rmetrics.metrics.newest import TypedExport, newest_rows
from rmetrics.periods import days_of
from rmetrics.pipeline.compute.rows import typed_exports
from rmetrics.pipeline.landing.quarantine import quarantine
from rmetrics.rules.model import ALL, UNATTRIBUTED, FeedLeads
from rmetrics.rules.names import JOBS, PAYMENTS, normal_source

_EDGE_DAYS = 3
_EXPORTS_BACK = 5
_LIKE = 0.72  # the minimum similarity of two spellings


@dataclass(frozen=True, slots=True)
class Reason:
    """A certain or possible explanation of a gap.

    Attributes:
        exact: whether it explains the gap to the last row or cent, alone or together with the others marked so.
    """

    text: str
    rows: int
    amount: Decimal | None = None
    keys: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """A figure compared with one from elsewhere, and the reasons for the gap between them."""

    metric: str
    value: Decimal
    expected: Decimal
    title: str
    reasons: tuple[Reason, ...]

    @property
    def gap(self) -> Decimal:
        """The expected figure minus the computed one."""
        return self.expected - self.value


# -- a figure from elsewhere


def gap_of(one: Explainer, asked: Query, metric: Explained, expected: Decimal) -> Gap:
    """Returns the gap between a figure and the expected one, with its possible reasons."""
    gap = expected - metric.value
    scale = metric.scale
    computed_text, expected_text = (f"{v:,.{min(scale, 2)}f}" for v in (metric.value, expected))
    if not gap:
        return Gap(
            metric.name, metric.value, expected, f"{expected_text} expected, {computed_text} here: no difference", ()
        )
    more = f"{abs(gap):,.{min(scale, 2)}f} {'more there' if gap > 0 else 'more here'}"
    reasons = list(_candidates(one, asked, metric, gap))
    reasons = _marked(reasons, gap, scale)
    reasons.sort(key=lambda r: (not r.exact, -r.rows))
    return Gap(
        metric.name, metric.value, expected, f"{expected_text} expected, {computed_text} here: {more}", tuple(reasons)
    )


def _worth(reason: Reason, scale: int) -> Decimal:
    return Decimal(reason.rows) if scale == 0 else (reason.amount or Decimal(0))


def _marked(reasons: list[Reason], gap: Decimal, scale: int) -> list[Reason]:
    """Marks exact explanations: every reason that is exact alone, else the smallest set without common rows."""
    size = abs(gap)
    known = [i for i, r in enumerate(reasons) if _worth(r, scale)]
    exact_matches = {i for i in known if abs(_worth(reasons[i], scale)) == size}
    if exact_matches:
        return [dataclasses.replace(r, exact=i in exact_matches) for i, r in enumerate(reasons)]
    for how_many in (2, 3):
        for chosen in combinations(known, how_many):
            keys = [k for i in chosen for k in reasons[i].keys]
            worth = sum((abs(_worth(reasons[i], scale)) for i in chosen), Decimal(0))
            if worth == size and len(set(keys)) == len(keys):
                return [dataclasses.replace(r, exact=i in chosen) for i, r in enumerate(reasons)]
    return reasons


def _candidates(one: Explainer, asked: Query, metric: Explained, gap: Decimal) -> Iterator[Reason]:
    """Yields possible reasons, depending on the direction of the gap."""
    if gap > 0:
        for part in metric.parts:
            for near in part.nearly:
                yield Reason(f"{near.rows:,} not counted here: {near.reason}", near.rows, near.amount, near.keys)
        yield from _edges(one, asked, metric.name, inside=False)
        yield from _spellings(one, asked, metric.name)
        yield from _rejected(one, metric)
        yield from _other_parts(one, asked, metric)
    else:
        yield from _edges(one, asked, metric.name, inside=True)
        yield from _repeated(metric)
    yield from _exports(one, asked, metric, gap)


def _total(parts: Iterable[Evidence], within: pl.Expr | None = None) -> tuple[int, Decimal, tuple[str, ...]]:
    """Returns number, value and keys of the counted rows of evidence."""
    rows, amount, keys = 0, Decimal(0), list[str]()
    for e in parts:
        counted = e.rows.filter(pl.col("_outcome") == RowOutcome.COUNTED.value)
        if within is not None:
            counted = counted.filter(within)
        frame = counted.select("_key", "_amount").collect()
        rows += frame.height
        amount += Decimal(int(frame["_amount"].sum() or 0)).scaleb(-e.scale)
        keys += frame["_key"].to_list()
    return rows, amount, tuple(keys)


def _edges(one: Explainer, asked: Query, name: str, *, inside: bool) -> Iterator[Reason]:
    """Yields rows within a few days of either end of the requested months."""
    if asked.day is not None:
        return
    before = (asked.month - dt.timedelta(days=1)).replace(day=1)
    final, after = asked.last or asked.month, asked.end
    day = pl.col("_day").dt.day()

    def last(month: dt.date) -> pl.Expr:
        return day > days_of(month) - _EDGE_DAYS

    if inside:
        sides = [
            (asked.month, day <= _EDGE_DAYS, f"the month before ({before:%Y-%m})"),
            (final, last(final), f"the month after ({after:%Y-%m})"),
        ]
    else:
        sides = [(before, last(before), f"{before:%Y-%m}"), (after, day <= _EDGE_DAYS, f"{after:%Y-%m}")]
    for month, within, where in sides:
        neighbour = dataclasses.replace(asked, month=month, last=None)
        rows, amount, keys = _total((e for e in one.evidence(name, neighbour) if e.feed or e.touches), within)
        if rows:
            message = (
                f"{rows:,} here within {_EDGE_DAYS} days of {where}: elsewhere they may count in that month"
                if inside
                else f"{rows:,} count in {where} here, within {_EDGE_DAYS} days of these months"
                if asked.several
                else f"{rows:,} count in {where} here, within {_EDGE_DAYS} days of this month"
            )
            yield Reason(message, rows, amount, keys)


def _spellings(one: Explainer, asked: Query, name: str) -> Iterator[Reason]:
    """Yields jobs of the month whose source is blank or has a spelling that no rule declares."""
    if asked.source == ALL:
        return  # ALL includes every spelling
    rule = one.rules.sources.get(asked.source)
    leads = None if rule is None else rule.latest.leads
    measure = name if name in {"jobs", "units", "repairs", "revenue_gross", "revenue40"} else None
    if name == "leads" and leads is not None and not isinstance(leads, FeedLeads):
        measure = leads
    if measure is None:
        return
    spelled = [asked.source, *(rule.latest.aliases if rule else ())]
    for other in one.sources():
        if other in one.rules.sources or other == asked.source:
            continue
        similar = any(similar_names(other, s) for s in spelled)
        if not similar and other != UNATTRIBUTED:
            continue
        other_query = dataclasses.replace(asked, source=other)
        rows, amount, keys = _total(one.evidence(measure, other_query))
        if rows:
            verb = "has" if rows == 1 else "have"
            what = (
                f"{verb} the source {other!r}, which no rule declares: add it to the aliases of {asked.source}"
                if similar
                else f"{verb} no source in the CRM (Unattributed)"
            )
            yield Reason(
                f"{count(rows, measure.removesuffix('s') if SCALES[measure] == 0 else 'payment')} {what}",
                rows,
                amount,
                keys,
            )


def similar_names(one: str, other: str) -> bool:
    """Whether two spellings may mean the same name."""
    a, b = normal_source(one), normal_source(other)
    return a in b or b in a or difflib.SequenceMatcher(None, a, b).ratio() >= _LIKE


def _rejected(one: Explainer, metric: Explained) -> Iterator[Reason]:
    feeds = {p.feed for p in metric.parts}
    rows = [r for r in quarantine(one.lake.lake, one.rules, one.lake.computed.placed) if r.feed in feeds]
    if rows:
        places = tuple(f"{r.file} line {r.line}" for r in rows)
        of = ", ".join(sorted(f for f in feeds if f))
        message = f"{count(len(rows), 'row')} of {of} could not be read (rmetrics rejected)"
        yield Reason(message, len(rows), None, places)


def _other_parts(one: Explainer, asked: Query, metric: Explained) -> Iterator[Reason]:
    """Yields rows that the segment of the question excludes."""
    if asked.segment is None:
        return
    all_segments = dataclasses.replace(asked, segment=None)
    rows, amount, _ = _total(one.evidence(metric.name, all_segments))
    here = sum(len(p.rows) for p in metric.parts)
    if rows > here:
        yield Reason(
            f"{rows - here:,} belong to segments other than {asked.segment}", rows - here, amount - metric.value
        )


def _repeated(metric: Explained) -> Iterator[Reason]:
    """Yields rows with the content of another row: duplicates, or two visits of one customer."""
    seen: dict[tuple[object, ...], list[str]] = {}
    worth: dict[str, Decimal] = {}
    for part in metric.parts:
        for row in part.rows:
            if row.file is None:
                continue
            same = (row.date, row.segment, *(str(v) for n, v in row.detail.items() if not n.endswith("_uuid")))
            seen.setdefault(same, []).append(row.key)
            worth[row.key] = row.amount
    extra = [k for keys in seen.values() for k in sorted(keys)[1:]]
    if extra:
        amount = sum((worth[k] for k in extra), Decimal(0))
        message = f"{len(extra):,} repeat another row under a different key: elsewhere they may count once"
        yield Reason(message, len(extra), amount, tuple(extra))


# -- the figure before the newest exports


def _exports(one: Explainer, asked: Query, metric: Explained, gap: Decimal) -> Iterator[Reason]:
    """Yields the exports that changed the figure, newest first, with the figure before each of them."""
    computed, lake = one.lake.computed, one.lake.lake
    for name in dict.fromkeys(p.feed for p in metric.parts if p.feed):
        files = sorted(computed.typed[name], key=lambda f: f[1])
        now_keys = {r.key for p in metric.parts if p.feed == name for r in p.rows}
        value = metric.value
        for i in range(len(files) - 1, max(0, len(files) - 1 - _EXPORTS_BACK), -1):
            exports = typed_exports(lake, files[:i])
            frames = _frames_with(one, name, exports)
            rows, amount, keys = _total(one.evidence(metric.name, asked, frames))
            before = Decimal(rows) if metric.scale == 0 else amount
            change = before - value
            if change and (change > 0) == (gap > 0):
                removed = tuple(sorted(set(keys) - now_keys) if change > 0 else sorted(now_keys - set(keys)))
                shown = f"{before:,.{min(metric.scale, 2)}f}"
                export = one.exports[files[i][1]]
                what = "changed or replaced rows that counted" if change > 0 else "brought rows"
                message = f"it was {shown} before the export {export}, which {what}"
                yield Reason(message, int(abs(change)) if metric.scale == 0 else len(removed), abs(change), removed)
            value, now_keys = before, set(keys)


def _frames_with(one: Explainer, name: str, exports: Sequence[TypedExport]) -> Frames:
    """Returns the frames as they were when only these exports of a feed had landed."""
    rules, feed = one.rules, one.rules.feeds[name]
    rows = kept_rows(newest_rows(exports, feed), rules, name)
    feeds = dict(one.frames.feeds)
    if feed.job is not None:
        rows = linked(rows, feeds[JOBS], feed.job)
    feeds[name] = rows.collect().lazy()
    facts = one.frames.facts
    if name in (JOBS, PAYMENTS):
        facts = job_facts(feeds[JOBS], feeds[PAYMENTS], rules).collect().lazy()
    return dataclasses.replace(one.frames, feeds=feeds, facts=facts)
