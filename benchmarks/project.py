"""rmetrics as its users run it: a project folder made by `rmetrics init`, everything else through the command line."""

import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from measure import BenchmarkError, Measured, measured
from same import KEY, MEASURES

_OWN = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "rmetrics"
# What users install, without the peers' libraries: some of those would be imported, too, and take their time.
PROGRAM = _OWN if _OWN.exists() else Path(sys.executable).with_name("rmetrics")
FINDINGS = 3  # the exit code of data findings: generated data has some


class Project:
    """A project folder whose inbox holds hard links to generated exports, and a database of its own.

    ``dsn`` None: rmetrics' embedded server, which each command starts and stops.
    """

    def __init__(self, folder: Path, dsn: str | None) -> None:
        self.folder, self.dsn = folder, dsn
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        measured([PROGRAM, "init", folder.name], cwd=folder.parent)

    @property
    def inbox(self) -> Path:
        """Where exports arrive."""
        return self.folder / "data" / "inbox"

    @property
    def lake(self) -> Path:
        """What rmetrics keeps."""
        return self.folder / "data" / "lake"

    def published(self) -> Path:
        """The daily metrics as they are published now, in a Parquet file that the next call overwrites."""
        assert self.dsn is not None  # noqa: S101 - asked for where one was given
        path = self.folder / "published.parquet"
        columns = ", ".join([*KEY, *MEASURES])
        with psycopg.connect(self.dsn) as connection:
            rows = connection.execute(f"SELECT {columns} FROM daily_metrics").fetchall()
        pl.DataFrame(rows, schema=[*KEY, *MEASURES], orient="row", infer_schema_length=None).write_parquet(path)
        return path

    def receive(self, exports: Iterable[Path]) -> None:
        """Puts exports into the inbox, with their modification times."""
        for path in exports:
            os.link(path, self.inbox / path.name)

    def run(self, *arguments: str) -> Measured:
        """Runs one command of rmetrics; findings in the data are no failure."""
        env = {"RMETRICS_POSTGRES_DSN": self.dsn} if self.dsn else {}
        return measured([PROGRAM, *arguments], cwd=self.folder, env=env, allowed=(0, FINDINGS))

    def sync(
        self, *arguments: str, expect: str = "published", refusing: bool = False
    ) -> tuple[Measured, dict[str, Any]]:
        """Runs a sync and returns what it says of itself; ``refusing``: some exports are meant to be refused.

        Raises:
            BenchmarkError: it did something else than was to be measured, or refused an export.
        """
        run = self.run("sync", "--json", *arguments)
        said: dict[str, Any] = json.loads(run.output)
        refused = [f["file"] for f in said["files"] if f["status"] == "refused"]
        if said["status"] != expect or (refused and not refusing):
            raise BenchmarkError(f"the sync is {said['status']}, not {expect}; refused: {refused}")
        return run, said


def kept_rows(said: dict[str, Any]) -> dict[str, int]:
    """Rows that are the current version of their key, by feed, as a sync says it."""
    rows: dict[str, int] = {}
    for file in said["files"]:
        rows[file["feed"]] = rows.get(file["feed"], 0) + file["accepted"]
    return rows
