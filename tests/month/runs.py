"""The commands of a morning, run as a user or a scheduler runs them, under the simulated clock."""

import datetime as dt
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from adbc_driver_postgresql import dbapi

from support import Project

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
CLOCK = Path(__file__).parent / "clock"
# The database's clock goes with ours. Built-in functions of one database alone are replaced.
MOVED = """
CREATE OR REPLACE FUNCTION pg_catalog.{name}() RETURNS timestamptz LANGUAGE sql {kind} AS
$$ SELECT pg_catalog.{real}() + coalesce(current_setting('simulated.moved', true), '0 s')::interval $$
"""


@dataclass
class Site:
    """A project under a clock of its own.

    Attributes:
        secrets: more environment.
        running: the command that runs, for whoever kills it.
        said: everything that commands printed.
    """

    project: Project
    secrets: dict[str, str] = field(default_factory=dict)
    now: dt.datetime = EPOCH
    moved: float = 0
    running: "subprocess.Popen[str] | None" = None
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._sql(MOVED.format(name="now", kind="STABLE", real="transaction_timestamp"))
        self._sql(MOVED.format(name="clock_timestamp", kind="VOLATILE", real="statement_timestamp"))

    def set_clock(self, now: dt.datetime) -> None:
        """Moves the clock of the commands and of the database that follow."""
        self.now = now
        self.moved = (now - dt.datetime.now(dt.UTC)).total_seconds()
        name = self.project.dsn.partition("?")[0].rpartition("/")[2]
        self._sql(f"ALTER DATABASE {name} SET simulated.moved = '{self.moved} s'")

    def run(self, *arguments: str, may: tuple[int, ...] = (0,)) -> str:
        """One run of the program: what it printed.

        Args:
            arguments: of the command line.
            may: how it may end; -9 where it may be killed.
        """
        environment = {**self.project.environment, **self.secrets, "SIMULATED_MOVED": str(self.moved),
                       "PYTHONPATH": os.pathsep.join([str(CLOCK), os.environ.get("PYTHONPATH", "")])}  # fmt: skip
        self.running = subprocess.Popen(
            [sys.executable, "-m", "rmetrics", *arguments], cwd=self.project.root, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        out, err = self.running.communicate(timeout=600)
        code, self.running = self.running.returncode, None
        self.said += [out, err]
        assert code in may, f"{' '.join(arguments)} on {self.now}: {code}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return out

    def kill(self) -> None:
        """Kills the command that runs."""
        assert self.running is not None
        self.running.kill()

    def kill_if_running(self) -> None:
        """Kills the command, unless it has ended."""
        if self.running is not None:
            self.running.kill()

    def _sql(self, statement: str) -> None:
        with dbapi.connect(self.project.dsn, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
