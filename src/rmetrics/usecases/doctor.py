"""``rmetrics doctor``: faults of this installation, and the fix for each. Changes nothing."""

from collections.abc import Callable, Iterator

from rmetrics.diagnosis.database import check_database
from rmetrics.diagnosis.finding import Diagnosis, DoctorResult
from rmetrics.diagnosis.folders import (
    check_clock,
    check_folders,
    check_lock,
    check_permissions,
    check_space,
    verify_files,
)
from rmetrics.diagnosis.program import check_libraries, check_python, check_rules, check_zone
from rmetrics.diagnosis.scheduled import check_pulls, check_schedule
from rmetrics.findings import Severity
from rmetrics.lake import Damage
from rmetrics.opening import open_lake
from rmetrics.progress import Progress, silent
from rmetrics.rules import Rules
from rmetrics.settings import Settings


def doctor(settings: Settings, *, verify: bool = False, progress: Progress = silent) -> DoctorResult:
    """Examines an installation.

    Args:
        settings: of the project.
        verify: also read and hash every file of the lake and the inbox.
        progress: receives progress reports.
    """
    rules: list[Rules] = []
    lake = open_lake(settings)
    looks: list[Callable[[], Iterator[Diagnosis]]] = [
        check_python,
        check_libraries,
        lambda: check_rules(settings, rules),
        lambda: check_zone(rules),
        lambda: check_folders(settings, lake),
        lambda: check_permissions(settings, lake),
        lambda: check_space(settings),
        lambda: check_clock(lake),
        lambda: check_lock(lake),
        lambda: check_schedule(settings),
        lambda: check_pulls(settings, rules),
        lambda: check_database(settings),
    ]
    checks: list[Diagnosis] = []
    for i, look in enumerate(looks):
        progress("looking", i, len(looks))
        try:
            checks += look()
        except OSError as error:
            message = f"cannot read {error.filename}: {error.strerror}"
            checks.append(
                Diagnosis("files", Severity.ERROR, message, "Check its permissions, and those of the folders above it.")
            )
    progress("looking", len(looks), len(looks))
    damaged: list[Damage] = []
    if verify:
        progress("verifying the lake", 0, 1)
        checks += verify_files(settings, lake, damaged)
        progress("verifying the lake", 1, 1)
    return DoctorResult(tuple(checks), tuple(damaged))


__all__ = ["doctor"]
