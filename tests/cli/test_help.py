"""The help: each command's first sentence is whole at 80 columns, wherever commands are listed."""

from collections.abc import Iterator
from typing import Any

import pytest

from rmetrics.cli.app import command_line


def listings(command: Any, path: str = "rmetrics") -> Iterator[tuple[str, Any]]:
    if getattr(command, "commands", None):
        yield path, command
        for name, child in command.commands.items():
            yield from listings(child, f"{path} {name}")


@pytest.mark.parametrize("path", [path for path, _ in listings(command_line())])
def test_no_sentence_is_cut_where_commands_are_listed(
    path: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rmetrics.cli import run

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    assert run([*path.split()[1:], "--help"]) == 0
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert listed.strip()
    for line in listed.strip().splitlines():
        assert line.endswith("."), line
        assert "..." not in line
        assert len(line) <= 80


def test_every_command_takes_a_folder() -> None:
    commands = [c for _, group in listings(command_line()) for c in group.commands.values()]
    assert len(commands) > 20
    assert [c.name for c in commands if not any("-C" in p.opts for p in c.params)] == []
