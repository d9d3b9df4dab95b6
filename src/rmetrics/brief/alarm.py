"""The message about alerts, as plain text."""

from collections.abc import Sequence

from rmetrics.brief.facts import Raised
from rmetrics.brief.words import phrase


def alarm_text(raised: Sequence[Raised], language: str, zone: str) -> tuple[str, str]:
    """Returns subject and body of a message about alerts.

    Args:
        raised: the alerts, at least one.
        language: language of the words around the titles, which the rules declare.
        zone: time zone for points in time.
    """
    values = {"title": raised[0].title, "more": len(raised) - 1}
    subject = phrase(language, "alerts.subject.several" if len(raised) > 1 else "alerts.subject", values, zone)
    lines = []
    for item in raised:
        occurrence = {"title": item.title, "of": item.of, "cause": item.cause}
        lines += [phrase(language, "alert.of" if item.of else "alert", occurrence, zone), f"      {item.command}", ""]
    return subject, "\n".join([*lines, phrase(language, "alerts.footer", {}, zone), ""])
