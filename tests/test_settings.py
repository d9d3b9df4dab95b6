"""Where settings come from."""

from pathlib import Path

import pytest

from rmetrics.errors import SettingsError
from rmetrics.settings import load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RMETRICS_DATA_DIR", "RMETRICS_INBOX_DIR", "RMETRICS_RULES_DIR", "RMETRICS_POSTGRES_DSN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_environment_comes_before_the_file_in_upper_or_lower_case(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ("rmetrics_pg_schema=of_file", "export RMETRICS_SERVE_URL='http://file'", "RMETRICS_COMPANY", "GRAFANA=x")
    (folder / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("Rmetrics_Serve_Url", "http://environment")
    found = load_settings(folder)
    assert (found.pg_schema, found.serve_url, found.company) == ("of_file", "http://environment", None)
    assert found.data_dir == folder / "data"


def test_a_derived_setting_cannot_be_set(folder: Path) -> None:
    (folder / ".env").write_text("RMETRICS_DATA_URL=s3://stolen\nRMETRICS_GROUP_SCHEMA=stolen\n")
    found = load_settings(folder)
    assert (found.data_url, found.group_schema) == (None, None)


def test_an_invalid_value_is_named_without_being_shown(folder: Path) -> None:
    (folder / ".env").write_text("RMETRICS_POSTGRES_DSN=postgresql://u:secret@h/d\nRMETRICS_PG_SCHEMA=Not Valid\n")
    with pytest.raises(SettingsError, match="RMETRICS_PG_SCHEMA") as raised:
        load_settings(folder)
    assert "secret" not in str(raised.value)
    assert "Not Valid" not in str(raised.value)
