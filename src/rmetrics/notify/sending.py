"""Sends messages to the channels of the rules; a failing channel does not stop the others. See ``ledger``."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from rmetrics.brief.facts import SendTrouble
from rmetrics.environment import named_setting
from rmetrics.errors import SettingsError
from rmetrics.notify.channels import Message, deliver, require_apprise
from rmetrics.notify.ledger import Kind, Ledger
from rmetrics.rules.notifications import Channel

DOUBTFUL = "doubtful"
_TROUBLE_DAYS = 2


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of a message to a channel.

    Attributes:
        state: sent: just now; already: by an earlier run; failed: the next run tries again; doubtful: an earlier
            sender was killed while sending, so it may have arrived and is not resent automatically.
        why: the reason for a failure or doubt; otherwise empty.
    """

    channel: str
    state: str
    why: str = ""

    @property
    def failed(self) -> bool:
        """Whether it needs attention."""
        return self.state in {"failed", DOUBTFUL}


def channels_of(channels: Mapping[str, Channel], kind: Kind) -> dict[str, Channel]:
    """Selects the channels that receive messages of a kind."""
    return {name: c for name, c in channels.items() if kind in c.gets}


def send(
    ledger: Ledger,
    channels: Mapping[str, Channel],
    kind: Kind,
    keys: Sequence[str],
    message: Callable[[Channel, Collection[str]], Message],
    *,
    again: Collection[str] = (),
    as_of: dt.datetime | None = None,
) -> tuple[Delivery, ...]:
    """Sends a message to each channel that has not received it.

    Args:
        ledger: the open ledger, which keeps other processes from sending.
        channels: the recipients.
        kind: the kind of message.
        keys: the subjects of the message: a day, or occurrences of alerts; each channel gets only its missing ones.
        message: builds the message for a channel from the keys to send.
        again: channels that get the message even if they received it or may have received it.
        as_of: the end of the time that the message covers, recorded in the ledger as its time; None for now.

    Raises:
        SettingsError: apprise is missing, or ``again`` names a channel that does not exist.
        LakeError: the ledger cannot be written.
    """
    require_apprise()
    if unknown := sorted(set(again) - channels.keys()):
        known = ", ".join(channels) or "none"
        raise SettingsError(
            f"no channel {unknown[0]!r} is declared for this", f"Channels: {known}. See [notify] in the rules."
        )
    at = as_of or _now()
    return tuple(_sent(ledger, name, c, kind, keys, message, at, again=name in again) for name, c in channels.items())


def _sent(
    ledger: Ledger,
    name: str,
    channel: Channel,
    kind: Kind,
    keys: Sequence[str],
    message: Callable[[Channel, Collection[str]], Message],
    at: dt.datetime,
    *,
    again: bool,
) -> Delivery:
    claimed = ledger.claim(kind, keys, name, at, again=again)
    if not claimed:
        before = [s for key in keys if (s := ledger.state(kind, key, name)) is not None and s.state == "sending"]
        return Delivery(name, DOUBTFUL, _doubtful_reason(before[0].started_at)) if before else Delivery(name, "already")
    url = named_setting(channel.url)
    why = f"{channel.url} is not set: add it to .env" if url is None else deliver(url, message(channel, claimed))
    ledger.mark(kind, claimed, name, "failed" if why else "sent", _now(), why)
    return Delivery(name, "failed", why) if why else Delivery(name, "sent")


def _doubtful_reason(at: dt.datetime) -> str:
    return (
        f"the program was stopped while sending at {at:%Y-%m-%d %H:%M} UTC, so the message may or may not have arrived"
    )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def troubles_in(ledger: Ledger, channels: Collection[str], now: dt.datetime) -> tuple[SendTrouble, ...]:
    """Returns, for each declared channel and kind, the newest failed or doubtful message of the last two days."""
    found = {
        (s.channel, s.kind): SendTrouble(
            s.channel, s.kind, s.key, DOUBTFUL if s.state == "sending" else s.state, s.started_at, s.why
        )
        for s in ledger.troubles(now - dt.timedelta(days=_TROUBLE_DAYS))
        if s.channel in channels
    }
    return tuple(found.values())
