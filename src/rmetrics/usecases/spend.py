"""``rmetrics spend set``: enters a month's spend of a source."""

import datetime as dt

from rmetrics.errors import SettingsError
from rmetrics.opening import open_project
from rmetrics.pipeline.asked import source_named
from rmetrics.pipeline.entered import (
    EnteredRow,
    as_figure,
    declared_feed,
    entered_file_name,
    figures_before,
    refuse_double_count,
    write_entered,
)
from rmetrics.rules import Rules
from rmetrics.rules.companies import require_company
from rmetrics.rules.feeds import ColumnType
from rmetrics.settings import Settings


def set_spend(
    settings: Settings,
    month: dt.date,
    amount: str,
    *,
    source: str | None = None,
    campaign: str | None = None,
    add: bool = False,
) -> EnteredRow:
    """Writes a channel's advertising spend of a month.

    Args:
        settings: of the project.
        month: its first day.
        amount: as typed.
        source: whose spend; None if only one source has a spend by month.
        campaign: None for the month's whole amount.
        add: add to the month's other rows instead of refusing them.

    Raises:
        SettingsError: the amount cannot be read, no source or several have a spend, or the month has other rows.
        LakeError: the lake cannot be read.
    """
    project = open_project(settings)
    rules = project.rules
    require_company(rules)
    name, column = _spend_feed(rules, source)
    feed = declared_feed(rules, name)
    row = {feed.date: f"{month:%Y-%m}", column: as_figure(feed.columns[column], column, amount)}
    part = next((c for c in feed.publish_by or feed.key if feed.columns[c].type is ColumnType.TEXT), None)
    if campaign is not None:
        if part is None:
            raise SettingsError(f"{name} has no campaigns", "Leave out --campaign.")
        row[part] = campaign
    file = project.inbox.folder / entered_file_name(name, [row[feed.date], *([campaign] if campaign else [])])
    if not add:
        refuse_double_count(project, name, feed, column, month, row)
    key = {c: v for c, v in row.items() if c != column}
    return write_entered(project, name, file, row, figures_before(project, name, feed, file, month, key))


def _spend_feed(rules: Rules, source: str | None) -> tuple[str, str]:
    """Returns the feed and the money column of a source's spend by month."""
    of = {
        name: [(c.feed, c.sum) for c in dated.latest.cost if c.feed and c.sum and c.spread]
        for name, dated in rules.sources.items()
    }
    wanted = [source_named(source, rules)] if source else list(of)
    found = {(feed, column) for name in wanted for feed, column in of.get(name, ()) if feed and column}
    if len(found) == 1:
        return found.pop()
    with_spend = ", ".join(name for name, feeds in of.items() if feeds)
    if not found:
        message = f"no monthly spend is declared{f' for {wanted[0]}' if source else ''}"
        hint = (
            f"Sources with one: {with_spend}."
            if with_spend
            else 'Declare it: cost = { feed = "...", sum = "...", spread = '
        )
        raise SettingsError(message, hint if with_spend else f'{hint}"days" }}, see docs/rules.md.')
    raise SettingsError("several sources have a monthly spend", f"Name one: --source NAME ({with_spend}).")
