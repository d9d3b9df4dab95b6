"""``explain --expect`` and ``--against``: what explains the gap between a number here and one from elsewhere."""

import dataclasses
import datetime as dt
import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations
from pathlib import Path

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.explain.evidence import MEASURES, SCALES, Asked, Evidence, Frames, Outcome, evidence
from rmetrics.explain.explainer import Explained, Explainer, Explanation, explainer
from rmetrics.findings import count
from rmetrics.ingest.read import LINE, RefusedError, open_export
from rmetrics.ingest.recognise import column_headers, normal_header, read_as
from rmetrics.ingest.sniff import blocks
from rmetrics.metrics.feeds import kept_rows
from rmetrics.metrics.jobs import job_facts, linked
from rmetrics.metrics.newest import TypedExport, newest_rows
from rmetrics.periods import days_of, parse_month
from rmetrics.pipeline.asked import Months
from rmetrics.pipeline.compute.rows import typed_exports
from rmetrics.pipeline.landing.exported import exported_records
from rmetrics.pipeline.landing.quarantine import quarantine
from rmetrics.progress import Progress, silent
from rmetrics.rules.model import ALL, UNATTRIBUTED, Feed, FeedLeads
from rmetrics.rules.names import JOBS, PAYMENTS, normal_source
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings

_EDGE_DAYS = 3
_EXPORTS_BACK = 5
_LIKE = 0.72  # how alike two spellings must be


@dataclass(frozen=True, slots=True)
class Question:
    """What a person asks, with the numbers or the list they have from elsewhere.

    Attributes:
        months: which; the newest with data where none is named.
    """

    source: str
    months: Months
    segment: str | None = None
    day: dt.date | None = None
    metrics: tuple[str, ...] = MEASURES
    expect: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    against: Path | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that explains a gap, or may.

    Attributes:
        exact: whether it explains the gap to the last row or cent, alone or with the others marked so.
    """

    text: str
    rows: int
    amount: Decimal | None = None
    keys: tuple[str, ...] = ()
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Gap:
    """A number here against one from elsewhere: what lies between them."""

    metric: str
    value: Decimal
    expected: Decimal
    title: str
    reasons: tuple[Reason, ...]

    @property
    def gap(self) -> Decimal:
        """How much more the other number is."""
        return self.expected - self.value


def parse_question(
    source: str,
    month: str | None,
    segment: str | None,
    metrics: Sequence[str] | None,
    day: str | None,
    expect: str | None,
    against: Path | None,
    key: str | None,
    span: Months | None = None,
) -> Question:
    """A question from what a person typed; ``span`` names several months instead of ``month``.

    Raises:
        SettingsError: something in it cannot be read; says what and how it is written.
    """
    first = None if month is None else parse_month(month)
    if first is None and month is not None:
        raise SettingsError(f"--month {month!r} is not a month", "Write it like 2024-11.")
    on = None
    if day is not None:
        try:
            on = dt.date.fromisoformat(day)
        except ValueError:
            raise SettingsError(f"--day {day!r} is not a day", "Write it like 2024-11-05.") from None
        if span is not None and not span.one:
            raise SettingsError("--day and --from, --to or --ytd exclude each other", "Name one day, or a span.")
        if first is None:
            first = on.replace(day=1)
        if on.replace(day=1) != first:
            raise SettingsError(f"--day {day} is not in {month}", "Name a day of the month asked for.")
    for name in metrics or ():
        _known(name, "--metric")
    if (against is None) != (key is None):
        raise SettingsError("--against and --key go together", '--against FILE.csv --key "Job #"')
    return Question(
        source,
        span if span is not None and not span.one else Months(last=first, one=True),
        segment,
        on,
        tuple(dict.fromkeys(metrics)) if metrics else MEASURES,
        _numbers(expect),
        against,
        key,
    )


def _known(name: str, option: str) -> None:
    if name not in MEASURES:
        raise SettingsError(
            f"{option} {name!r} is no measure{did_you_mean(name, MEASURES)}", f"Measures: {', '.join(MEASURES)}."
        )


def _numbers(expect: str | None) -> dict[str, Decimal]:
    numbers = {}
    for part in (expect or "").split(","):
        if not part.strip():
            continue
        name, equals, text = (p.strip() for p in part.partition("="))
        _known(name, "--expect")
        try:
            numbers[name] = Decimal(text.lstrip("$"))
        except InvalidOperation:
            equals = ""
        if not equals or not numbers[name].is_finite():
            raise SettingsError(f"--expect {part.strip()!r} is not a number", "Write it like leads=70,cost=2900.50.")
    return numbers


def explain_numbers(
    settings: Settings, question: Question, *, offline: bool = False, progress: Progress = silent
) -> tuple[Explanation, tuple[Gap, ...]]:
    """Explains the numbers asked for, and the gaps to those from elsewhere.

    Raises:
        SettingsError, LakeError, PostgresError, RulesError: see ``explain``.
    """
    gaps_too = question.expect or question.against is not None
    months = None if gaps_too else question.months  # what explains a gap may lie in any month
    with explainer(settings, months=months, offline=offline, progress=progress) as one:
        source, segment = one.source(question.source), one.segment(question.segment)
        first, last = one.months(question.months)
        asked = Asked(source, first, segment, question.day, last)
        listed = [] if question.against is None else [_listed_metric(one, asked, question)]
        metrics = tuple(dict.fromkeys([*question.metrics, *question.expect, *listed]))
        found = one.explain(asked, metrics)
        gaps = [_gap(one, asked, found.metrics[m], expected) for m, expected in question.expect.items()]
        if question.against is not None and question.key is not None:
            gaps.append(_against(one, asked, found.metrics[listed[0]], question.against, question.key))
        return found, tuple(gaps)


# -- a number from elsewhere


def _gap(one: Explainer, asked: Asked, metric: Explained, expected: Decimal) -> Gap:
    gap = expected - metric.value
    scale = SCALES[metric.name]
    here, there = (f"{v:,.{min(scale, 2)}f}" for v in (metric.value, expected))
    if not gap:
        return Gap(metric.name, metric.value, expected, f"{there} expected, {here} here: no difference", ())
    more = f"{abs(gap):,.{min(scale, 2)}f} {'more there' if gap > 0 else 'more here'}"
    reasons = list(_candidates(one, asked, metric, gap))
    reasons = _marked(reasons, gap, scale)
    reasons.sort(key=lambda r: (not r.exact, -r.rows))
    return Gap(metric.name, metric.value, expected, f"{there} expected, {here} here: {more}", tuple(reasons))


def _worth(reason: Reason, scale: int) -> Decimal:
    return Decimal(reason.rows) if scale == 0 else (reason.amount or Decimal(0))


def _marked(reasons: list[Reason], gap: Decimal, scale: int) -> list[Reason]:
    """Marks what explains the gap exactly: each reason that does alone, or else the fewest that share no row."""
    size = abs(gap)
    known = [i for i, r in enumerate(reasons) if _worth(r, scale)]
    alone = {i for i in known if abs(_worth(reasons[i], scale)) == size}
    if alone:
        return [dataclasses.replace(r, exact=i in alone) for i, r in enumerate(reasons)]
    for how_many in (2, 3):
        for chosen in combinations(known, how_many):
            keys = [k for i in chosen for k in reasons[i].keys]
            worth = sum((abs(_worth(reasons[i], scale)) for i in chosen), Decimal(0))
            if worth == size and len(set(keys)) == len(keys):
                return [dataclasses.replace(r, exact=i in chosen) for i, r in enumerate(reasons)]
    return reasons


def _candidates(one: Explainer, asked: Asked, metric: Explained, gap: Decimal) -> Iterator[Reason]:
    """Yields what could lie between the numbers, by the direction of the gap."""
    if gap > 0:
        for part in metric.parts:
            for near in part.nearly:
                yield Reason(f"{near.rows:,} left out here: {near.reason}", near.rows, near.amount, near.keys)
        yield from _edges(one, asked, metric.name, inside=False)
        yield from _spellings(one, asked, metric.name)
        yield from _rejected(one, metric)
        yield from _other_parts(one, asked, metric)
    else:
        yield from _edges(one, asked, metric.name, inside=True)
        yield from _repeated(metric)
    yield from _exports(one, asked, metric, gap)


def _total(parts: Iterable[Evidence], within: pl.Expr | None = None) -> tuple[int, Decimal, tuple[str, ...]]:
    """Rows, value and keys of the counted rows of evidence."""
    rows, amount, keys = 0, Decimal(0), list[str]()
    for e in parts:
        counted = e.rows.filter(pl.col("_outcome") == Outcome.COUNTED.value)
        if within is not None:
            counted = counted.filter(within)
        frame = counted.select("_key", "_amount").collect()
        rows += frame.height
        amount += Decimal(int(frame["_amount"].sum() or 0)).scaleb(-e.scale)
        keys += frame["_key"].to_list()
    return rows, amount, tuple(keys)


def _edges(one: Explainer, asked: Asked, name: str, *, inside: bool) -> Iterator[Reason]:
    """Rows within a few days of the ends of the months asked for, on either side of them."""
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
        there = dataclasses.replace(asked, month=month, last=None)
        rows, amount, keys = _total((e for e in evidence(name, there, one.frames, one.rules) if e.feed), within)
        if rows:
            told = (
                f"{rows:,} here on the {_EDGE_DAYS} days next to {where}: elsewhere they may count there"
                if inside
                else f"{rows:,} count in {where} here, within {_EDGE_DAYS} days of the months asked for"
                if asked.several
                else f"{rows:,} count in {where} here, within {_EDGE_DAYS} days of the month asked for"
            )
            yield Reason(told, rows, amount, keys)


def _spellings(one: Explainer, asked: Asked, name: str) -> Iterator[Reason]:
    """Jobs of the month whose source is spelled in a way that no rule knows, or is blank."""
    if asked.source == ALL:
        return  # every spelling counts in it
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
        alike = any(_alike(other, s) for s in spelled)
        if not alike and other != UNATTRIBUTED:
            continue
        there = dataclasses.replace(asked, source=other)
        rows, amount, keys = _total(evidence(measure, there, one.frames, one.rules))
        if rows:
            have = "has" if rows == 1 else "have"
            what = (
                f"{have} the source {other!r}, which no rule declares: add it to the aliases of {asked.source}"
                if alike
                else f"{have} no source in the CRM (Unattributed)"
            )
            yield Reason(
                f"{count(rows, measure.removesuffix('s') if SCALES[measure] == 0 else 'payment')} {what}",
                rows,
                amount,
                keys,
            )


def _alike(one: str, other: str) -> bool:
    a, b = normal_source(one), normal_source(other)
    return a in b or b in a or difflib.SequenceMatcher(None, a, b).ratio() >= _LIKE


def _rejected(one: Explainer, metric: Explained) -> Iterator[Reason]:
    feeds = {p.feed for p in metric.parts}
    rows = [r for r in quarantine(one.lake.lake, one.rules, one.lake.computed.placed) if r.feed in feeds]
    if rows:
        places = tuple(f"{r.file} line {r.line}" for r in rows)
        of = ", ".join(sorted(f for f in feeds if f))
        told = f"{count(len(rows), 'row')} of {of} could not be read (rmetrics rejected)"
        yield Reason(told, len(rows), None, places)


def _other_parts(one: Explainer, asked: Asked, metric: Explained) -> Iterator[Reason]:
    """What the filters of the question leave out."""
    if asked.segment is None:
        return
    whole = dataclasses.replace(asked, segment=None)
    rows, amount, _ = _total(evidence(metric.name, whole, one.frames, one.rules))
    here = sum(len(p.rows) for p in metric.parts)
    if rows > here:
        yield Reason(f"{rows - here:,} are of other segments than {asked.segment}", rows - here, amount - metric.value)


def _repeated(metric: Explained) -> Iterator[Reason]:
    """Rows here that say the same as another row: duplicates, or two visits of one customer."""
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
        told = f"{len(extra):,} say the same as another row under another key: elsewhere they may count once"
        yield Reason(told, len(extra), amount, tuple(extra))


# -- what the number was before the newest exports


def _exports(one: Explainer, asked: Asked, metric: Explained, gap: Decimal) -> Iterator[Reason]:
    """The exports that changed the number, newest first: what it was without each of them."""
    computed, lake = one.lake.computed, one.lake.lake
    for name in dict.fromkeys(p.feed for p in metric.parts if p.feed):
        files = sorted(computed.typed[name], key=lambda f: f[1])
        now_keys = {r.key for p in metric.parts if p.feed == name for r in p.rows}
        value = metric.value
        for i in range(len(files) - 1, max(0, len(files) - 1 - _EXPORTS_BACK), -1):
            exports = typed_exports(lake, files[:i])
            frames = _frames_with(one, name, exports)
            rows, amount, keys = _total(evidence(metric.name, asked, frames, one.rules))
            before = Decimal(rows) if SCALES[metric.name] == 0 else amount
            change = before - value
            if change and (change > 0) == (gap > 0):
                gone = tuple(sorted(set(keys) - now_keys) if change > 0 else sorted(now_keys - set(keys)))
                shown = f"{before:,.{min(SCALES[metric.name], 2)}f}"
                export = one.exports[files[i][1]]
                what = "changed or replaced rows that counted" if change > 0 else "brought rows"
                told = f"it was {shown} before the export {export}, which {what}"
                yield Reason(told, int(abs(change)) if SCALES[metric.name] == 0 else len(gone), abs(change), gone)
            value, now_keys = before, set(keys)


def _frames_with(one: Explainer, name: str, exports: Sequence[TypedExport]) -> Frames:
    """The frames as they were when only these exports of a feed had landed."""
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


# -- a list from elsewhere


def _listed_metric(one: Explainer, asked: Asked, question: Question) -> str:
    if len(question.metrics) == 1:
        return question.metrics[0]
    return "leads" if asked.source in {ALL, *one.rules.sources} else "jobs"


def _against(one: Explainer, asked: Asked, metric: Explained, path: Path, header: str) -> Gap:
    listed = _keys_of(one, path, header)
    different = Counter(k for k in listed if k)
    here = dict[str, Evidence]()
    rows = list[pl.DataFrame]()
    feeds = list[str]()
    for e in evidence(metric.name, asked, one.frames, one.rules):
        if e.feed is None:
            continue
        column = _column_of(one.rules.feeds[e.feed], header)
        feeds.append(e.feed)
        named = e.rows.with_columns(pl.col(column).cast(pl.String).alias("_named"))
        compared = pl.col("_named").str.strip_chars().str.to_lowercase()
        rows.append(
            named.filter(compared.is_in(list(different)) | (pl.col("_outcome") == Outcome.COUNTED.value))
            .select(compared.alias("_same"), "_named", "_key", "_day", "_source", "_outcome")
            .collect()
        )
        here.setdefault(e.feed, e)
    if not rows:
        raise SettingsError(
            f"{metric.name} of {asked.source} come from no rows that a list could name", "Choose another --metric."
        )
    found = pl.concat(rows)
    counted = found.filter(pl.col("_outcome") == Outcome.COUNTED.value)
    ours = set(counted["_same"].drop_nulls().to_list())
    reasons = [
        *_repeats(different),
        *_only_there(one, asked, metric, set(different) - ours, found, feeds[0], header),
        *_only_here(counted.filter(~pl.col("_same").is_in(list(different)).fill_null(value=False))),
    ]
    both = len(ours & set(different))
    title = (
        f"{path.name} lists {len(listed):,} rows ({len(different):,} different), here {counted.height:,} count: "
        f"{both:,} are in both"
    )
    return Gap(metric.name, Decimal(counted.height), Decimal(len(listed)), title, tuple(reasons))


def _keys_of(one: Explainer, path: Path, header: str) -> list[str]:
    """The keys a file lists, as they are compared: without outer spaces and case.

    Raises:
        SettingsError: the file cannot be read or has no such column.
    """
    try:
        export = open_export(path, path.name, one.rules.feeds)
        frame = pl.concat(list(export.batches(blocks(path))))
    except (OSError, RefusedError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{path} cannot be read: {why}", "Give a CSV or Excel file with a header row.") from error
    headers = [h for h in frame.columns if h != LINE and not h.startswith("_")]
    column = next((h for h in headers if normal_header(h) == normal_header(header)), None)
    if column is None:
        raise SettingsError(f"{path} has no column {header!r}", f"Its columns: {', '.join(headers)}.")
    return [v.strip().lower() for v in frame[column].to_list() if v and v.strip()]


def _column_of(feed: Feed, header: str) -> str:
    """The column of a feed that a header names; its key where it names none."""
    wanted = normal_header(header)
    for name, column in feed.mapped.items():
        if wanted in {normal_header(name), *(normal_header(h) for h in column.from_)}:
            return name
    return feed.key_columns[0]


def _repeats(listed: Counter[str]) -> Iterator[Reason]:
    repeated = {k: n for k, n in listed.items() if n > 1}
    if repeated:
        extra = sum(n - 1 for n in repeated.values())
        yield Reason(
            f"{extra:,} in the list are repetitions of a row that is in it already", extra, None, tuple(repeated)
        )


def _only_here(rows: pl.DataFrame) -> Iterator[Reason]:
    if rows.height:
        keys = tuple(rows.sort("_day", "_key")["_named"].fill_null("-").to_list())
        yield Reason(f"{rows.height:,} count here and are not in the list", rows.height, None, keys)


def _only_there(
    one: Explainer, asked: Asked, metric: Explained, keys: set[str], found: pl.DataFrame, feed: str, header: str
) -> Iterator[Reason]:
    """Groups the keys that only the list has by why they do not count here."""
    groups: dict[str, list[str]] = {}
    nearly = {k: n.reason for p in metric.parts for n in p.nearly for k in n.keys}
    known = {row["_same"]: row for row in found.iter_rows(named=True)}
    rejected = _rejected_keys(one, feed, header)
    loose = {_loose(k): k for k in _all_keys(one, feed, header)} if keys - set(known) else {}
    for key in sorted(keys):
        row = known.get(key)
        if row is None:
            if key in rejected:
                why = "could not be read (rmetrics rejected)"
            elif (other := loose.get(_loose(key))) is not None and other != key:
                why = "are written differently in the exports"
            else:
                why = "are in no export"
        else:
            why = _why(row, asked, nearly)
        groups.setdefault(why, []).append(row["_named"] if row else key)
    for why, members in sorted(groups.items(), key=lambda g: -len(g[1])):
        yield Reason(f"{len(members):,} only in the list: {why}", len(members), None, tuple(members))


def _why(row: Mapping[str, object], asked: Asked, nearly: Mapping[str, str]) -> str:
    outcome, day = row["_outcome"], row["_day"]
    source, key = str(row["_source"]), str(row["_key"])
    if outcome == Outcome.OTHER_MONTH.value and isinstance(day, dt.date):
        side, edge = ("before", asked.month) if day < asked.month else ("after", asked.last or asked.month)
        far = abs((day.year - edge.year) * 12 + day.month - edge.month)
        when = f"count in the month {side}" if far == 1 else f"count {far} months {side}"
        of = "" if asked.source in {ALL, source} else f", for {source}"
        return f"{when} ({day:%Y-%m}){of}"
    if outcome == Outcome.OTHER_SOURCE.value:
        alike = _alike(source, asked.source)
        return f"have the source {source!r}" + (": another spelling? Add it to the aliases" if alike else "")
    return nearly.get(key, str(outcome))


def _loose(key: str) -> str:
    return "".join(c for c in key if c.isalnum()).lstrip("0")


def _all_keys(one: Explainer, feed: str, header: str) -> list[str]:
    column = _column_of(one.rules.feeds[feed], header)
    values = one.frames.feeds[feed].select(pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase())
    return values.collect().to_series().drop_nulls().to_list()


def _rejected_keys(one: Explainer, feed: str, header: str) -> set[str]:
    """The keys of rows in quarantine, as far as their cells could be told apart."""
    lake, rules = one.lake.lake, one.rules
    column = _column_of(rules.feeds[feed], header)
    keys = set()
    lines: dict[str, list[int]] = {}
    for row in quarantine(lake, rules, one.lake.computed.placed):
        if row.feed == feed:
            lines.setdefault(row.id.rpartition("-")[0], []).append(row.line)
    for placed in one.lake.computed.placed:
        wanted = lines.get(placed.raw.sha256[:8])
        read = read_as(rules.feeds[feed], placed.raw.headers, placed.raw.name)
        found = column_headers(placed.raw.headers, read).get(column) if placed.feed == feed else None
        if wanted and found is not None:
            cells = exported_records(lake, placed.raw, wanted)[placed.raw.headers[found]]
            keys |= {v.strip().lower() for v in cells.to_list() if v}
    return keys
