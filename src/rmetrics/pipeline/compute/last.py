"""The computation in force, under the rules it was computed with, even if they were edited since."""

from rmetrics.errors import RmetricsError
from rmetrics.lake import Lake, TypedFile
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.landing.typed_rows import definition_of
from rmetrics.rules import Rules, load_rules


def last_rows(lake: Lake, rules: Rules) -> Rows | None:
    """Returns the rows of the computation in force; None without one, or if its inputs are missing.

    Args:
        lake: only read.
        rules: the rules in force now.
    """
    snapshot = load(lake)
    used = old_rules(lake, snapshot.rules, rules)
    if not snapshot.inputs or used is None:
        return None
    raws = {raw.sha256: raw for raw in lake.raw_files()}
    typed: dict[str, list[tuple[TypedFile, int]]] = {name: [] for name in used.feeds}
    for export in snapshot.exports:
        raw, feed = raws.get(export.sha256), export.feed
        if raw is None or feed not in used.feeds:
            return None
        file = lake.typed_file(feed, raw.sha256, definition_of(used, raw, feed).digest)
        if file is None:
            return None
        typed[feed].append((file, export.rank))
    return Rows(lake, used, typed, snapshot)


def old_rules(lake: Lake, digest: str, rules: Rules) -> Rules | None:
    """Returns the rules of an earlier computation: the same ones, those the lake kept, or None."""
    if digest == rules.digest:
        return rules
    folder = lake.kept_rules(digest)
    if folder is None:
        return None
    try:
        kept = load_rules(folder, rules.company)
    except RmetricsError:  # kept by a version of the program that allowed more
        return None
    return kept if kept.digest == digest else None


__all__ = ["last_rows", "old_rules"]
