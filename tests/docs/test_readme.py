"""What README says is there."""

import re

import pytest
from typer.main import get_command

from rmetrics.cli.app import app
from support import ROOT

README = (ROOT / "README.md").read_text()


def test_every_command_stands_in_the_readme_and_has_help() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert [n for n in commands if f"rmetrics {n}" not in README] == []
    assert [n for n, c in commands.items() if not (c.help or "").strip()] == []


def test_every_command_the_readme_names_exists() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"`rmetrics ([a-z]+)", README)) | set(
        re.findall(r"^\$ rmetrics ([a-z]+)", README, re.MULTILINE)
    )
    assert named - commands == set()


@pytest.mark.parametrize("path", sorted(re.findall(r"\]\(([^)#:]+)\)", README)))
def test_every_link_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_settings_stand_in_the_readme() -> None:
    from rmetrics.settings import Settings

    public = {"postgres_dsn", "data_dir", "inbox_dir", "rules_dir", "pg_schema"}
    assert public <= set(Settings.model_fields)
    assert [n for n in public if f"RMETRICS_{n.upper()}" not in README] == []
