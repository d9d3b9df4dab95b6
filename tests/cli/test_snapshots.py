"""What every command prints, as text and as JSON: a change of words or keys shows up as a difference to review.

``UPDATE_SNAPSHOTS=1 pytest tests/cli/test_snapshots.py`` writes the snapshots anew; read the difference.
Of a document the first two items of each list are kept: its shape, not all of its data.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Line, in_process
from published import Published
from rmetrics.cli.app import command_line
from support import ROOT

SNAPSHOTS = Path(__file__).with_name("snapshots")
COMMANDS = (
    ("sync",),
    ("plan",),
    ("check",),
    ("status",),
    ("explain", "--source", "Google", "--month", "2024-11"),
    ("explain", "--month", "2024-11", "--metric", "cost", "--rows"),
    ("history", "--month", "2024-11"),
    ("rules",),
    ("rules", "--source", "Google"),
    ("rules", "check"),
    ("rejected",),
    ("exports",),
    ("alerts", "--dry-run"),
    ("schema", "--roles"),
    ("pull", "--dry-run"),
    ("sql", "SELECT source, cost FROM monthly_metrics WHERE month = '2024-11-01' ORDER BY source"),
    ("explain", "--source", "Gogle", "--month", "2024-11"),
    ("explain", "--source", "Google", "--month", "2031-01"),
    ("history", "--month", "soon"),
    ("sql", "SELECT nothing FROM nowhere"),
    ("rejected", "show", "none"),
    ("exports", "withdraw", "none.csv"),
)
UNSTEADY = (
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{8}\b"), "<run>"),
    (re.compile(r"/\S*?/postgres:5432/"), "<server>/"),
    (re.compile(r'(In force on |"as_of": ")\d{4}-\d\d-\d\d'), r"\1<today>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32,64}\b"), "<id>"),
    (re.compile(r"\b\d+(\.\d+)? ?(s|seconds|ms)\b"), "<seconds>"),
    (re.compile(r'("(?:seconds|land|type|compute|check|publish|read|load)": )[\d.e-]+'), r"\1<seconds>"),
    (re.compile(r"\b(test_)[0-9a-f]{32}\b"), r"\1<id>"),
)


@pytest.fixture
def line(sample: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in the project of the sample."""
    assert sample.project is not None
    monkeypatch.setenv("COLUMNS", "100")
    return in_process(sample.project, monkeypatch, capsys)


def steady(text: str, root: Path) -> str:
    """The text without what differs from run to run."""
    text = text.replace(str(root), "<project>").replace(str(ROOT), "<checkout>")
    for pattern, word in UNSTEADY:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def shape(value: Any) -> Any:
    """A document with at most two items of each list."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:2]] + ([f"... {len(value) - 2} more"] if len(value) > 2 else [])
    return value


def compare(name: str, text: str) -> None:
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"no snapshot {path.name}: run with UPDATE_SNAPSHOTS=1"
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_prints_what_it_printed(line: Line, sample: Published, command: tuple[str, ...]) -> None:
    assert sample.project is not None
    as_text, as_json = line(*command), line(*command, "--json")
    parts = [f"$ rmetrics {' '.join(command)}\n", as_text.stdout, as_text.stderr, f"exit {as_text.returncode}\n"]
    assert as_json.returncode == as_text.returncode
    if as_json.stdout.strip():
        parts.append("--json\n" + json.dumps(shape(json.loads(as_json.stdout)), indent=1, ensure_ascii=False) + "\n")
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(command).lower()).strip("-")[:60]
    compare(name, steady("".join(parts), sample.project.root))


def helps(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        yield from helps(child, (*path, name))


def test_help_says_what_it_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from rmetrics.cli import run

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    said = []
    for path in helps(command_line()):
        assert run([*path, "--help"]) == 0
        said.append(f"$ rmetrics {' '.join((*path, '--help'))}\n{capsys.readouterr().out}\n")
    compare("help", steady("".join(said), ROOT))
