"""Where a bucket is and with which keys, told from the settings alone; requests are tried in ``tests/scale``."""

from pathlib import Path

import pytest
from obstore.store import S3Store

from rmetrics.errors import SettingsError
from rmetrics.lake.s3 import Connection
from rmetrics.opening import open_lake
from rmetrics.settings import load_settings

NAMES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "rules").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(url: str = "s3://acme/lake") -> dict[str, object]:
    store = Connection.open(url, "https://s3.example.com")._store  # noqa: SLF001
    assert isinstance(store, S3Store)
    return dict(store.config)


def test_a_bucket_has_a_local_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("RMETRICS_DATA_DIR", "s3://acme/rmetrics/")
    monkeypatch.setenv("RMETRICS_INBOX_DIR", "s3://acme/exports")
    monkeypatch.setenv("RMETRICS_LOCAL_DIR", str(home / "local"))
    found = load_settings()
    assert (found.data_url, found.inbox_url) == ("s3://acme/rmetrics", "s3://acme/exports")
    assert found.data_dir.parent == home / "local"
    assert found.data_dir != found.inbox_dir.parent
    assert open_lake(found).place == "s3://acme/rmetrics/lake"
    boston = found.of_company("boston")
    assert (boston.lake_url, boston.inbox_url) == (
        "s3://acme/rmetrics/companies/boston/lake",
        "s3://acme/exports/boston",
    )
    assert boston.server_dir == found.server_dir
    monkeypatch.setenv("RMETRICS_S3_ENDPOINT", "https://other.example.com")
    assert load_settings().data_dir != found.data_dir, "the same name on another server is another bucket"


def test_a_folder_is_no_bucket(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("RMETRICS_DATA_DIR", str(home / "s3:"))
    found = load_settings()
    assert (found.data_url, found.lake_url, found.data_dir) == (None, None, home / "s3:")


def test_keys_come_from_the_environment_then_from_the_projects_file_then_from_the_profile(
    monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    (home / ".aws").mkdir()
    (home / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = d\naws_secret_access_key = ds\n[work]\naws_access_key_id = w\naws_secret_access_key = ws\n"
    )
    (home / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n[profile work]\nregion = eu-north-1\n")
    assert (keys()["access_key_id"], keys()["region"]) == ("d", "eu-west-1")
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert (keys()["access_key_id"], keys()["region"]) == ("w", "eu-north-1")
    (home / ".env").write_text("AWS_ACCESS_KEY_ID=p\nAWS_SECRET_ACCESS_KEY=ps\n")
    assert keys()["access_key_id"] == "p"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "e")
    assert keys()["access_key_id"] == "e"


@pytest.mark.parametrize("url", ["s3://", "s3://A_b/x", "s3:///x", "s3://acme/x?y"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="is not the address of a bucket"):
        Connection.open(url)
