"""One command in a fresh process: how long it took, how much processor time and how much memory."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What Linux counts as a unit of ru_maxrss; macOS counts bytes.
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_LAUNCH = Path(__file__).with_name("launch.py")


class BenchmarkError(Exception):
    """The benchmark cannot go on: a command failed, or two contenders disagree."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a command.

    Attributes:
        wall: seconds from start to end.
        cpu: seconds of processor time, of the process and the children it waited for.
        rss: peak resident bytes of the largest of those processes.
        output: what it wrote to stdout.
    """

    wall: float
    cpu: float
    rss: int
    output: str


@dataclass(slots=True)
class Figure:
    """Repeated runs of one command at one size.

    Attributes:
        wall, cpu, rss: one value per round.
        parts: seconds of its parts by name, as the command itself says, one value per round.
        rows: how many rows it handled, where a rate is of interest.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    rows: int | None = None

    def add(self, run: Measured, parts: Mapping[str, float] | None = None) -> None:
        """Adds a round."""
        self.wall.append(round(run.wall, 4))
        self.cpu.append(round(run.cpu, 4))
        self.rss.append(run.rss)
        for name, seconds in (parts or {}).items():
            self.parts.setdefault(name, []).append(round(seconds, 4))

    def plain(self) -> dict[str, Any]:
        """For the JSON of results."""
        values: dict[str, Any] = {"wall": self.wall, "cpu": self.cpu, "rss": self.rss}
        if self.parts:
            values["parts"] = self.parts
        if self.rows is not None:
            values["rows"] = self.rows
        return values


def measured(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None, allowed: Sequence[int] = (0,)
) -> Measured:
    """Runs a command to its end.

    Args:
        command: program and arguments.
        cwd: where it runs; what it says on stderr goes to ``stderr.txt`` there.
        env: variables to set beside those of this process.
        allowed: exit codes that are no failure.

    Raises:
        BenchmarkError: another exit code; quotes the last lines of stderr.
    """
    said, told, took = cwd / "stdout.txt", cwd / "stderr.txt", cwd / "took.json"
    launched = [sys.executable, "-I", "-S", _LAUNCH, took, *command]
    with said.open("wb") as stdout, told.open("wb") as stderr:
        process = subprocess.Popen(
            [str(c) for c in launched], cwd=cwd, env={**os.environ, **(env or {})}, stdout=stdout, stderr=stderr,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        with _ended_with_us(process):
            process.wait()
    usage = json.loads(took.read_text())
    if usage["code"] not in allowed:
        last = "\n".join(told.read_text(errors="replace").splitlines()[-15:])
        raise BenchmarkError(f"{' '.join(map(str, command))} ended with {usage['code']}:\n{last[-4000:]}")
    return Measured(usage["wall"], usage["cpu"], usage["rss"] * _RSS_UNIT, said.read_text(errors="replace"))


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Takes the command along when the benchmark is interrupted."""
    try:
        yield
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)  # its own session: the launcher and what it runs
        process.wait()
        raise
