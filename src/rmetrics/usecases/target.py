"""``rmetrics target set``: a target of one month, source and segment, written as a small export in the inbox."""

import datetime as dt
from collections.abc import Mapping

from rmetrics.errors import SettingsError
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import source_named
from rmetrics.pipeline.entered import (
    EnteredRow,
    as_figure,
    declared_feed,
    entered_file_name,
    figures_before,
    write_entered,
)
from rmetrics.rules import ALL, Rules
from rmetrics.rules.companies import require_company
from rmetrics.rules.names import TARGETS, normal_source
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings


def set_target(
    settings: Settings,
    month: dt.date,
    figures: Mapping[str, str | None],
    *,
    source: str | None = None,
    segment: str | None = None,
) -> EnteredRow:
    """Writes a target of one month, source and segment; omitted figures stay unchanged.

    Args:
        settings: of the project.
        month: its first day.
        figures: by column of the targets feed, as typed; None if omitted.
        source: None for the whole company.
        segment: None for all segments.

    Raises:
        SettingsError: no figure is given, an amount cannot be read, or there is no such source or segment.
        LakeError: the lake cannot be read.
    """
    project = open_project(settings)
    rules = project.rules
    require_company(rules)
    feed = declared_feed(rules, TARGETS)
    key = {
        feed.date: f"{month:%Y-%m}",
        "source": source_named(source, rules) if source else ALL,
        "segment": _segment(rules, segment),
    }
    given = {name: as_figure(feed.columns[name], name, text) for name, text in figures.items() if text is not None}
    if not given:
        raise SettingsError("no target is given", "Give one, for instance: rmetrics target set 2026-01 --repairs 30")
    named = [v for v in list(key.values())[1:] if v != ALL]
    file = project.inbox.folder / entered_file_name(TARGETS, [key[feed.date], *named])
    before = figures_before(project, TARGETS, feed, file, month, key)
    kept = {name: before[name] for name in figures if before.get(name)}
    return write_entered(project, TARGETS, file, {**key, **kept, **given}, before)


# -- the row


def _segment(rules: Rules, segment: str | None) -> str:
    known = {normal_source(s): s for s in (*rules.segment_order, ALL)}
    if segment is None:
        return ALL
    if normal_source(segment) not in known:
        near = did_you_mean(segment, known.values(), near=True)
        raise SettingsError(f"unknown segment: {segment!r}{near}", f"Segments: {', '.join(known.values())}.")
    return known[normal_source(segment)]


__all__ = ["set_target"]
