"""``rmetrics alerts``: evaluates the alerts and sends each to its channels, once per occurrence."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from rmetrics.brief.alarm import alarm_text
from rmetrics.brief.facts import Raised
from rmetrics.errors import RmetricsError
from rmetrics.findings import Finding, Severity
from rmetrics.notify.channels import Message
from rmetrics.notify.evaluation import raised_alerts
from rmetrics.notify.ledger import Ledger, open_ledger
from rmetrics.notify.raised import Occurrence
from rmetrics.notify.sending import Delivery, channels_of, send
from rmetrics.opening import database_of
from rmetrics.postgres.connection import connect
from rmetrics.postgres.server import existing_server
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.notifications import Channel
from rmetrics.settings import Settings

NOT_SENT = "message-not-sent"


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert that is true.

    Attributes:
        of: the source, feed or finding it concerns; empty if it concerns the whole company.
        cause: the values that made it true.
        command: the command that explains it.
        since: when it was first found true; None if nothing is sent, because then nothing is kept.
    """

    name: str
    title: str
    of: str
    cause: str
    command: str
    since: str | None


@dataclass(frozen=True, slots=True)
class AlertsResult:
    """Result of evaluating the alerts.

    Attributes:
        declared: number of alerts in the rules.
        evaluated: False before the first publish, when there is no data to evaluate.
        alerts: the alerts that are true.
        sent: one delivery per channel; empty if nothing is sent.
    """

    declared: int
    evaluated: bool
    alerts: tuple[RaisedAlert, ...]
    sent: tuple[Delivery, ...] = ()


def alerts(settings: Settings, *, send_them: bool = True, now: dt.datetime | None = None) -> AlertsResult:
    """Evaluates the alerts and sends new ones to the channels that receive alerts.

    Args:
        settings: of the project.
        send_them: False evaluates only: it sends and keeps nothing.
        now: the current time; None for the clock's.

    Raises:
        RulesError, SettingsError, PostgresError, LakeError, BusyError: see ``errors``.
    """
    now = now or dt.datetime.now(dt.UTC)
    rules = load_rules(settings.rules_dir, settings.company)
    found = _found(settings, rules, now) if rules.alerts else ()
    channels = channels_of(rules.notify, "alerts") if send_them else {}
    if found is None or not channels:
        return AlertsResult(len(rules.alerts), found is not None, tuple(_raised(o, None) for o in found or ()))
    with open_ledger(settings.data_dir) as ledger:
        since = ledger.occurring([(o.name, o.key) for o in found], now)
        # The start time in the key makes a later occurrence of the same alert a new message.
        sent = _send(ledger, rules, channels, {f"{o.name}/{o.key}@{since[o.name, o.key]}": o for o in found})
    raised = tuple(_raised(o, since[o.name, o.key]) for o in found)
    return AlertsResult(len(rules.alerts), evaluated=True, alerts=raised, sent=sent)


def _found(settings: Settings, rules: Rules, now: dt.datetime) -> tuple[Occurrence, ...] | None:
    today = now.astimezone(ZoneInfo(rules.business.timezone)).date()
    with existing_server(database_of(settings)) as target:
        if target is None:
            return None
        with connect(target, schema=settings.pg_schema) as session:
            return raised_alerts(session, rules, today)


def _raised(found: Occurrence, since: str | None) -> RaisedAlert:
    return RaisedAlert(found.name, found.title, found.of, found.cause, found.command, since)


def _send(
    ledger: Ledger, rules: Rules, channels: dict[str, Channel], found: dict[str, Occurrence]
) -> tuple[Delivery, ...]:
    if not found:
        return ()

    def message(channel: Channel, keys: Collection[str]) -> Message:
        raised = [Raised(o.name, o.title, o.of, o.cause, o.command) for k, o in found.items() if k in keys]
        return Message(*alarm_text(raised, channel.language or rules.brief.language, rules.business.timezone))

    return send(ledger, channels, "alerts", list(found), message)


def alerts_after_sync(settings: Settings) -> tuple[Finding, ...]:
    """Evaluates and sends alerts if the rules declare a channel; failures become findings and stop nothing."""
    try:
        if not channels_of(load_rules(settings.rules_dir, settings.company).notify, "alerts"):
            return ()
        result = alerts(settings)
    except RmetricsError as error:
        return (Finding(NOT_SENT, Severity.WARNING, f"alerts could not be evaluated or sent: {error.message}", 0),)
    return tuple(
        Finding(NOT_SENT, Severity.WARNING, f"the alerts were not sent to the channel {d.channel}: {d.why}", 0)
        for d in result.sent
        if d.failed
    )
