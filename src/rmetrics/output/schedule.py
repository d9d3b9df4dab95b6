"""The daily run as text and JSON."""

from rmetrics.output.reporter import Report
from rmetrics.usecases.schedule import ScheduleResult, ShownSchedule


def show_installed(report: Report, result: ScheduleResult, *, dry_run: bool) -> None:
    """Shows the files written and the commands run."""
    if report.as_json:
        report.json({**{n: getattr(result, n) for n in result.__slots__}, "dry_run": dry_run})
        return
    where = result.zone or "this machine's clock"
    if not result.changed:
        report.line(f"Every day at {result.at} ({where}) by {result.kind}: already installed, nothing changed.")
    else:
        _files(report, result.files)
        for command in result.commands:
            report.line(f"$ {' '.join(command)}", "dim")
        message = "Would run" if dry_run else "Runs"
        report.line(f"{message} pull, sync and brief every day at {result.at} ({where}) by {result.kind}.", "bold")
    for note in result.notes:
        report.line(f"note: {note}", "yellow")


def show_removed(report: Report, result: ScheduleResult) -> None:
    """Shows what was removed."""
    if report.as_json:
        report.json(result)
        return
    for name in result.files:
        report.line(f"removed {name}" if name != "crontab" else "removed the lines of this project from crontab")
    if not result.changed:
        report.line("No schedule of this project is installed.")


def show_schedule(report: Report, shown: ShownSchedule) -> None:
    """Shows the installed schedule, and its last run."""
    if report.as_json:
        report.json(shown)
        return
    if shown.installed is None:
        report.line("No daily run is installed. To install it: rmetrics schedule install --at 07:30")
        return
    _files(report, shown.files)
    where = shown.installed.zone or "this machine's clock"
    report.line(f"Every day at {shown.installed.at} ({where}) by {shown.installed.kind}.", "bold")
    if shown.ran is not None:
        report.line(f"Last run: {shown.ran.started_at:%Y-%m-%d %H:%M} UTC; pull and sync {_code(shown.ran.sync)}, "
                    f"brief {_code(shown.ran.brief)}.")  # fmt: skip
    if shown.trouble:
        report.line(f"Trouble: {shown.trouble}", "bold red")


def _code(code: int | None) -> str:
    return "not run" if code is None else "fine" if code == 0 else f"exit code {code}"


def _files(report: Report, files: dict[str, str]) -> None:
    for name, text in files.items():
        report.line(name, "bold")
        report.script(text)
        report.line("")
