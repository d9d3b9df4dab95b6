"""Whether the schedule ran when it should."""

import datetime as dt
from collections.abc import Iterator

from rmetrics.diagnosis.finding import Check, passed
from rmetrics.findings import Severity
from rmetrics.schedule.record import installed_in, ran_in, trouble
from rmetrics.settings import Settings


def check_schedule(settings: Settings) -> Iterator[Check]:
    """Whether the daily run ran when it should; nothing where none is installed."""
    installed, ran = installed_in(settings.data_dir), ran_in(settings.data_dir)
    if installed is None:
        return
    wrong = trouble(installed, ran, dt.datetime.now(dt.UTC))
    if wrong:
        yield Check("daily run", Severity.WARNING, wrong, "See `rmetrics schedule show`; try `rmetrics schedule run`.")
        return
    last = f"last {ran.started_at:%Y-%m-%d %H:%M} UTC" if ran else "not due yet"
    yield passed("daily run", f"every day at {installed.at} by {installed.kind}, {last}")
