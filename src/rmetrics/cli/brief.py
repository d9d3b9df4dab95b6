"""``rmetrics brief``."""

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsJson, Quiet, reporter


def brief(
    send: Annotated[bool, typer.Option("--send", help="Send it to its channels, once a day each.")] = False,
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="The brief for the morning of this day. Default: today.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as HTML, suitable for mail.")] = None,
    again: Annotated[
        list[str] | None, typer.Option(metavar="CHANNEL", help="With --send: send it to this channel once more.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Print the morning brief: yesterday, the month, what needs you.

    If the data are stale, a warning comes first and yesterday is left out.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.output.brief import show_brief
    from rmetrics.settings import load_settings
    from rmetrics.usecases.brief import brief as make_brief

    if again and not send:
        raise SettingsError("--again requires --send", "Use both: rmetrics brief --send --again CHANNEL")
    result = make_brief(load_settings(), _day(date), send_it=send, again=again or (), page=html)
    report = reporter(as_json=as_json, quiet=quiet)
    show_brief(report, result)
    if result.error is not None:
        report.failure(result.error.message, result.error.hint)
        return result.error.exit_code
    return DATA_FINDINGS if any(d.failed for d in result.deliveries) else 0


def _day(text: str | None) -> dt.date | None:
    from rmetrics.errors import SettingsError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-15.") from None
