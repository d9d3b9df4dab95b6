"""Checks that the schedule and the pulls ran on time."""

import datetime as dt
from collections.abc import Iterator, Sequence

from rmetrics.diagnosis.finding import Diagnosis, passed
from rmetrics.findings import Severity, count
from rmetrics.pulls.record import pull_records
from rmetrics.rules import Rules
from rmetrics.schedule.record import installed_in, last_run_of, trouble
from rmetrics.settings import Settings


def check_schedule(settings: Settings) -> Iterator[Diagnosis]:
    """Checks that the daily run was on time; yields nothing if none is installed."""
    installed, ran = installed_in(settings.data_dir), last_run_of(settings.data_dir)
    if installed is None:
        return
    wrong = trouble(installed, ran, dt.datetime.now(dt.UTC))
    if wrong:
        yield Diagnosis(
            "daily run", Severity.WARNING, wrong, "See `rmetrics schedule show`, then try `rmetrics schedule run`."
        )
        return
    last = f"last {ran.started_at:%Y-%m-%d %H:%M} UTC" if ran else "not due yet"
    yield passed("daily run", f"every day at {installed.at} by {installed.kind}, {last}")


def check_pulls(settings: Settings, loaded: Sequence[Rules]) -> Iterator[Diagnosis]:
    """Checks the declared pulls for incomplete and overdue ones; yields nothing if none is declared.

    Args:
        settings: the settings.
        loaded: the rules, if they load.
    """
    declared = [name for rules in loaded for name in rules.pulls]
    now = dt.datetime.now(dt.UTC)
    records = pull_records(settings.data_dir, declared)
    wrong = [(r, why) for r in records if (why := r.trouble(now))]
    for record, why in wrong:
        yield Diagnosis("pulls", Severity.WARNING, f"{record.name}: {why}", f"Run: rmetrics pull {record.name}")
    if declared and not wrong:
        oldest = min(r.complete_at for r in records if r.complete_at)
        yield passed("pulls", f"{count(len(declared), 'pull')} complete, the oldest of {oldest:%Y-%m-%d %H:%M} UTC")
