"""Companies of other shapes than one long history: the sample, a cron box of five years, a list exported anew each day.

Each is a project with its own embedded server, which a command starts where it needs it and stops again: the time
counts, as it does for a user.
"""

import datetime as dt
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from measure import Figure, Measured
from project import Project

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
CRON_EXPORTS, REEXPORTS, JOBS_A_DAY = 3_650, 365, 7
START = dt.date(2021, 1, 1)
_HEADER = "Job #,Job Type,Source,Created,Status,UUID\n"
_SOURCES = ("Google", "Rely", "eLocals")


def shapes(work: Path) -> Iterator[tuple[str, Figure, Measured]]:
    """Measures every shape.

    Args:
        work: a folder for the projects.

    Yields:
        What was measured, its figures so far and the last run.
    """
    yield from _measured(
        work / "demo", "sample", [p for p in sorted(SAMPLE.iterdir()) if p.suffix in {".csv", ".xlsx"}]
    )
    yield from _measured(work / "cron", "cron box", cron_box(work / "cron-exports"))
    yield from _measured(work / "again", "daily re-exports", daily_lists(work / "lists"))


def _measured(folder: Path, name: str, exports: list[Path]) -> Iterator[tuple[str, Figure, Measured]]:
    """A first sync of all exports but the last; then one with nothing new, and one with the last."""
    project = Project(folder, None)
    *most, last = exports
    project.receive(most)
    for what, arriving, expected in (
        ("first sync", [], "published"),
        ("nothing new", [], "unchanged"),
        ("one more export", [last], "published"),
    ):
        project.receive(arriving)
        figure = Figure()
        for _ in range(3 if what == "nothing new" else 1):
            run, said = project.sync(expect=expected, refusing=name == "sample")
            figure.add(run, said.get("timings"))
        figure.rows = len(exports)
        yield f"{name}/{what}", figure, run
    files = sum(1 for p in project.lake.rglob("*") if p.is_file())
    yield f"{name}/files in the lake", Figure(rows=files), run
    shutil.rmtree(folder)


def cron_box(folder: Path) -> list[Path]:
    """Five years of two exports of three rows each a day: jobs, and payments for them."""
    made = []
    for number in range(CRON_EXPORTS):
        day = START + dt.timedelta(days=number // 2)
        ids = range(number // 2 * 3, number // 2 * 3 + 3)
        if number % 2 == 0:
            made.append(_written(folder / f"Import-{day}.csv", _HEADER + "".join(_job(i, day) for i in ids), day))
        else:
            paid = (f"{i},{day}T15:00:00.000Z,{i % 90 + 60}.{i % 100:02},cash,P{i}\n" for i in ids)
            text = "Job #,Date,Amount,Method,Transaction ID\n" + "".join(paid)
            made.append(_written(folder / f"payments_{day}.csv", text, day))
    return made


def daily_lists(folder: Path) -> list[Path]:
    """The whole list of jobs, exported every day of a year, each day with some more jobs."""
    made, rows = [], list[str]()
    for number in range(REEXPORTS):
        day = START + dt.timedelta(days=number)
        rows += [_job(number * JOBS_A_DAY + i, day) for i in range(JOBS_A_DAY)]
        made.append(_written(folder / f"Import-{day}.csv", _HEADER + "".join(rows), day))
    return made


def _job(number: int, day: dt.date) -> str:
    kind = "Repair" if number % 3 == 0 else "Service"
    return f"{number},COD {kind},{_SOURCES[number % 3]},{day:%a %b %d %Y},Done,U{number}\n"


def _written(path: Path, text: str, day: dt.date) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    at = dt.datetime(day.year, day.month, day.day, 23, tzinfo=dt.UTC).timestamp()
    os.utime(path, (at, at))
    return path
