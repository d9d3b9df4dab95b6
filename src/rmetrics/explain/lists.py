"""Compares a list from elsewhere with the rows behind a figure, key by key."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl

from rmetrics.errors import SettingsError
from rmetrics.explain.asked import Query, RowOutcome
from rmetrics.explain.evidence import Evidence
from rmetrics.explain.explainer import Explainer
from rmetrics.explain.explanation import Explained
from rmetrics.explain.gaps import Gap, Reason, similar_names
from rmetrics.ingest.read import LINE, RefusedError, open_export
from rmetrics.ingest.recognise import column_headers, normal_header, read_as
from rmetrics.ingest.sniff import blocks
from rmetrics.pipeline.landing.exported import exported_records
from rmetrics.pipeline.landing.quarantine import quarantine
from rmetrics.rules.feeds import Feed
from rmetrics.rules.model import ALL


def listed_metric(one: Explainer, asked: Query, metrics: Sequence[str]) -> str:
    """Returns the measure to compare a list with: the one requested, otherwise leads if a rule counts them, or jobs."""
    if len(metrics) == 1:
        return metrics[0]
    return "leads" if asked.source in {ALL, *one.rules.sources} else "jobs"


def compare_list(one: Explainer, asked: Query, metric: Explained, path: Path, header: str) -> Gap:
    """Compares the keys of a list with the rows behind a measure."""
    listed = _keys_of(one, path, header)
    different = Counter(k for k in listed if k)
    here = dict[str, Evidence]()
    rows = list[pl.DataFrame]()
    feeds = list[str]()
    for e in one.evidence(metric.name, asked):
        if e.feed is None:
            continue
        column = _column_of(one.rules.feeds[e.feed], header)
        feeds.append(e.feed)
        named = e.rows.with_columns(pl.col(column).cast(pl.String).alias("_named"))
        compared = pl.col("_named").str.strip_chars().str.to_lowercase()
        rows.append(
            named.filter(compared.is_in(list(different)) | (pl.col("_outcome") == RowOutcome.COUNTED.value))
            .select(compared.alias("_same"), "_named", "_key", "_day", "_source", "_outcome")
            .collect()
        )
        here.setdefault(e.feed, e)
    if not rows:
        raise SettingsError(
            f"{metric.name} of {asked.source} do not come from rows that a list could contain",
            "Choose another --metric.",
        )
    found = pl.concat(rows)
    counted = found.filter(pl.col("_outcome") == RowOutcome.COUNTED.value)
    ours = set(counted["_same"].drop_nulls().to_list())
    reasons = [
        *_repeats(different),
        *_only_in_list(one, asked, metric, set(different) - ours, found, feeds[0], header),
        *_only_in_lake(counted.filter(~pl.col("_same").is_in(list(different)).fill_null(value=False))),
    ]
    both = len(ours & set(different))
    title = (
        f"{path.name} lists {len(listed):,} rows ({len(different):,} different), here {counted.height:,} count: "
        f"{both:,} are in both"
    )
    return Gap(metric.name, Decimal(counted.height), Decimal(len(listed)), title, tuple(reasons))


def _keys_of(one: Explainer, path: Path, header: str) -> list[str]:
    """Returns the keys in a file, normalised for comparison: without outer spaces, in lower case.

    Raises:
        SettingsError: the file cannot be read or has no such column.
    """
    try:
        export = open_export(path, path.name, one.rules.feeds)
        frame = pl.concat(list(export.batches(blocks(path))))
    except (OSError, RefusedError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError(f"{path} cannot be read: {why}", "Use a CSV or Excel file with a header row.") from error
    headers = [h for h in frame.columns if h != LINE and not h.startswith("_")]
    column = next((h for h in headers if normal_header(h) == normal_header(header)), None)
    if column is None:
        raise SettingsError(f"{path} has no column {header!r}", f"Its columns: {', '.join(headers)}.")
    return [v.strip().lower() for v in frame[column].to_list() if v and v.strip()]


def _column_of(feed: Feed, header: str) -> str:
    """Returns the column of a feed with this header; its key if there is none."""
    wanted = normal_header(header)
    for name, column in feed.mapped.items():
        if wanted in {normal_header(name), *(normal_header(h) for h in column.from_)}:
            return name
    return feed.key_columns[0]


def _repeats(listed: Counter[str]) -> Iterator[Reason]:
    repeated = {k: n for k, n in listed.items() if n > 1}
    if repeated:
        extra = sum(n - 1 for n in repeated.values())
        yield Reason(f"{extra:,} in the list repeat another of its rows", extra, None, tuple(repeated))


def _only_in_lake(rows: pl.DataFrame) -> Iterator[Reason]:
    if rows.height:
        keys = tuple(rows.sort("_day", "_key")["_named"].fill_null("-").to_list())
        yield Reason(f"{rows.height:,} count here and are not in the list", rows.height, None, keys)


def _only_in_list(
    one: Explainer, asked: Query, metric: Explained, keys: set[str], found: pl.DataFrame, feed: str, header: str
) -> Iterator[Reason]:
    """Groups the keys found only in the list by the reason why they do not count here."""
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


def _why(row: Mapping[str, object], asked: Query, nearly: Mapping[str, str]) -> str:
    outcome, day = row["_outcome"], row["_day"]
    source, key = str(row["_source"]), str(row["_key"])
    if outcome == RowOutcome.OTHER_MONTH.value and isinstance(day, dt.date):
        side, edge = ("before", asked.month) if day < asked.month else ("after", asked.last or asked.month)
        far = abs((day.year - edge.year) * 12 + day.month - edge.month)
        when = f"count in the month {side}" if far == 1 else f"count {far} months {side}"
        of = "" if asked.source in {ALL, source} else f", for {source}"
        return f"{when} ({day:%Y-%m}){of}"
    if outcome == RowOutcome.OTHER_SOURCE.value:
        spelled = similar_names(source, asked.source)
        return f"have the source {source!r}" + (": if it is another spelling, add it to the aliases" if spelled else "")
    return nearly.get(key, str(outcome))


def _loose(key: str) -> str:
    return "".join(c for c in key if c.isalnum()).lstrip("0")


def _all_keys(one: Explainer, feed: str, header: str) -> list[str]:
    column = _column_of(one.rules.feeds[feed], header)
    values = one.frames.feeds[feed].select(pl.col(column).cast(pl.String).str.strip_chars().str.to_lowercase())
    return values.collect().to_series().drop_nulls().to_list()


def _rejected_keys(one: Explainer, feed: str, header: str) -> set[str]:
    """Returns the keys of rows in quarantine, as far as their cells could be read."""
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
