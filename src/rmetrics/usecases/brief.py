"""``rmetrics brief``: the morning's facts in words, sent to the channels that receive the brief."""

import contextlib
import datetime as dt
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from rmetrics.brief.facts import Disputable, Facts, PullTrouble, Raised, SendTrouble
from rmetrics.brief.published import read_facts, span_of, spread_feeds
from rmetrics.brief.text import Brief, as_html, as_text, brief_of
from rmetrics.errors import LakeError, PostgresError, SettingsError
from rmetrics.files import replace_private
from rmetrics.notify.channels import Message
from rmetrics.notify.evaluation import raised_alerts
from rmetrics.notify.ledger import Ledger, open_ledger
from rmetrics.notify.sending import Delivery, channels_of, send, troubles_in
from rmetrics.opening import database_of, open_lake
from rmetrics.pipeline.claims import ClaimState, lead_claims
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.postgres.connection import connect
from rmetrics.postgres.server import existing_server
from rmetrics.pulls.covered import covered_feeds
from rmetrics.pulls.record import pull_records
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.notifications import Channel
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class BriefResult:
    """A brief and its deliveries.

    Attributes:
        deliveries: one per channel, if the brief was to be sent.
        page: the HTML file, if requested.
        error: why the database could not be queried, if a message reports that instead of a brief.
    """

    brief: Brief
    deliveries: tuple[Delivery, ...] = ()
    page: Path | None = None
    error: PostgresError | None = None


def brief(
    settings: Settings,
    day: dt.date | None = None,
    *,
    send_it: bool = False,
    again: Collection[str] = (),
    page: Path | None = None,
    now: dt.datetime | None = None,
) -> BriefResult:
    """Writes the brief of a morning and sends it if requested.

    Args:
        settings: of the project.
        day: the morning's business day; None for today. The brief covers the day before.
        send_it: send it to the channels that receive the brief, to each once per day.
        again: channels to send it to again.
        page: an HTML file to write it to.
        now: the current time; None for the clock's.

    If the database cannot be queried and the brief is to be sent, the message says so, once a day, because a reader
    must not mistake silence for a quiet day. The brief itself can still be sent later that day.

    Raises:
        RulesError, SettingsError, PostgresError, LakeError, BusyError: see ``errors``.
    """
    now = now or dt.datetime.now(dt.UTC)
    rules = load_rules(settings.rules_dir, settings.company)
    day = day or now.astimezone(ZoneInfo(rules.business.timezone)).date()
    channels = channels_of(rules.notify, "brief")
    if send_it and not channels:
        raise SettingsError(
            "no channel for the brief is declared", "Declare [notify.NAME] in the rules; see docs/brief.md, Sending."
        )
    with _ledger(settings, needed=send_it) as ledger:
        key, error = day.isoformat(), None
        try:
            facts = _facts(settings, rules, day, now, ledger)
        except PostgresError as refused:
            if not send_it:
                raise
            # A key of its own: the brief itself can still be sent later that day.
            key, error = f"{key}/unreachable", refused
            business, stale = rules.business, rules.brief.stale_days
            facts = Facts(day, business.timezone, business.currency, stale, unreachable=True)
        made = brief_of(facts, rules.brief.language)
        deliveries: tuple[Delivery, ...] = ()
        if send_it and ledger is not None:
            deliveries = send(
                ledger, channels, "brief", [key], lambda c, _: _message(facts, made, c), again=again, as_of=now
            )
    if page is not None:
        _write(page, as_html(made, details=True))
    return BriefResult(made, deliveries, page, error)


@contextlib.contextmanager
def _ledger(settings: Settings, *, needed: bool) -> Iterator[Ledger | None]:
    """Yields the ledger; None if nothing is or ever was sent, so that merely showing the brief writes nothing."""
    if not needed and not (settings.data_dir / "messages.sqlite").exists():
        yield None
        return
    with open_ledger(settings.data_dir) as ledger:
        yield ledger


def _facts(settings: Settings, rules: Rules, day: dt.date, now: dt.datetime, ledger: Ledger | None) -> Facts:
    last = ledger.last_brief(day.isoformat()) if ledger else None
    since, until = span_of(day, rules.business.timezone, now, last)
    troubles: tuple[SendTrouble, ...] = troubles_in(ledger, rules.notify, now) if ledger else ()
    today = day == now.astimezone(ZoneInfo(rules.business.timezone)).date()
    pulls = _pulls(settings, rules, now) if today else ()
    with existing_server(database_of(settings)) as target:
        if target is None:
            return read_facts(None, rules, day, since, until, troubles=troubles, pulls=pulls)
        with connect(target, schema=settings.pg_schema) as session:
            disputable = _disputable(settings, rules, now) if today else ()
            found = (raised_alerts(session, rules, day) if today else None) or ()
            raised = tuple(Raised(o.name, o.title, o.of, o.cause, o.command) for o in found)
            covered = covered_feeds(rules.pulls, settings.inbox_dir, rules.business.timezone)
            facts = read_facts(
                session, rules, day, since, until, raised=raised, troubles=troubles, covered=covered, pulls=pulls
            )
            return replace(facts, disputable=disputable)


def _disputable(settings: Settings, rules: Rules, now: dt.datetime) -> tuple[Disputable, ...] | None:
    """Returns the open claims of the last computation, by source; None if its files cannot be read.

    A sync may remove them meanwhile, or they may be damaged; that must not keep a brief from being sent.
    """
    try:
        rows = last_rows(open_lake(settings), rules)
        claims = [] if rows is None else [c for c in lead_claims(rows, {}, now) if c.state is ClaimState.OPEN]
    except (LakeError, OSError, pl.exceptions.PolarsError):
        return None
    found = []
    for source in dict.fromkeys(c.source for c in claims):
        mine = [c for c in claims if c.source == source]
        first = min(mine, key=lambda c: c.deadline)
        amount = sum((c.price or Decimal(0) for c in mine), Decimal(0))
        found.append(Disputable(source, len(mine), first.deadline, first.hours_left(now) or 0, amount))
    return tuple(found)


def _pulls(settings: Settings, rules: Rules, now: dt.datetime) -> tuple[PullTrouble, ...]:
    """Returns the pulls that are incomplete or overdue."""
    records = pull_records(settings.data_dir, rules.pulls)
    spread = spread_feeds(rules)
    return tuple(
        PullTrouble(r.name, r.complete_at, r.why, spread=rules.pulls[r.name].feed in spread)
        for r in records
        if r.trouble(now)
    )


def _message(facts: Facts, made: Brief, channel: Channel) -> Message:
    """Returns the brief for a channel: in its language and form, with details only if it asks for them."""
    translated = brief_of(facts, channel.language) if channel.language else made
    html = channel.form == "html"
    body = (as_html if html else as_text)(translated, details=channel.details)
    return Message(translated.subject, body, html)


def _write(page: Path, text: str) -> None:
    try:
        replace_private(page, text.encode())
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or page}: {error.strerror}", "Name a file in a folder that exists."
        ) from error
