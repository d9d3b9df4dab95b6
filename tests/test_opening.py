"""What the settings name is opened once: places as plain values, and nothing secret in what is shown or sent."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from rmetrics.opening import database_of, open_project, places_of, sync_places
from rmetrics.settings import Settings
from support import ROOT

DSN = "postgresql://owner:secret-4711@db.example/acme"


def settings(**more: Any) -> Settings:
    return Settings(rules_dir=ROOT / "rules", **more)


def test_a_project_is_its_rules_its_lake_and_its_places(tmp_path: Path) -> None:
    project = open_project(settings(data_dir=tmp_path, memory_limit="2GiB", pg_schema="acme"))
    assert project.lake.root == tmp_path / "lake"
    assert "jobs" in project.rules.feeds
    assert (project.memory, project.database.schema) == (2 * 1024**3, "acme")
    assert not list(tmp_path.iterdir()), "opening writes nothing"
    other = open_project(settings(data_dir=tmp_path / "other")).lake
    assert (project.over(other).lake, project.over(other).places) == (other, project.places)


def test_a_company_of_a_group_has_places_of_its_own(tmp_path: Path) -> None:
    group = settings(data_dir=tmp_path, inbox_dir=tmp_path / "inbox", pg_schema="metrics")
    own = places_of(group.of_company("calgary", inbox="west/calgary"))
    assert own.lake.root == tmp_path / "companies" / "calgary" / "lake"
    assert own.inbox.folder == tmp_path / "inbox" / "west/calgary"
    assert (own.company, own.database.schema, own.group_schema) == ("calgary", "calgary", "metrics")
    assert own.database.folder == places_of(group).database.folder, "one server for all"


def test_what_travels_has_absolute_paths_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = places_of(settings(postgres_dsn=SecretStr(DSN)))
    assert here.database.dsn == DSN
    assert "secret" not in repr(here)
    there = here.portable_settings()
    assert b"secret" not in pickle.dumps(there)
    assert there.lake.root == tmp_path / "data" / "lake"
    assert there.inbox.folder == tmp_path / "data" / "inbox"


@pytest.mark.parametrize(
    ("more", "local"),
    [
        ({}, True),
        ({"postgres_dsn": SecretStr(DSN)}, True),  # a running server is asked
        ({"data_dir": "s3://acme/data"}, False),
        ({"inbox_dir": "s3://acme/inbox"}, False),
    ],
)
def test_only_a_lake_and_an_inbox_on_this_machine_show_their_state_without_requests(
    more: dict[str, object], local: bool
) -> None:
    assert sync_places(settings(**more)).local is local


def test_an_embedded_server_is_in_the_data_folder(tmp_path: Path) -> None:
    found = database_of(settings(data_dir=tmp_path))
    assert (found.dsn, found.folder) == (None, tmp_path / "postgres")
