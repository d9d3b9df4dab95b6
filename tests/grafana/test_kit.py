"""The kit as files: provisioning without secrets, the compose file, and the command that writes it."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rmetrics.cli.app import run
from rmetrics.grafana.kit import yaml as to_yaml
from rmetrics.postgres.roles import roles_script
from support import ROOT, Project

KIT = ROOT / "grafana"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PROVISIONING = sorted((KIT / "provisioning").rglob("*.yaml"))


@pytest.mark.parametrize("path", PROVISIONING, ids=lambda p: p.parent.name)
def test_provisioning_parses_and_every_variable_is_explained(path: Path) -> None:
    """Each $NAME stands in the comment above, in the guide, and in the compose file."""
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["apiVersion"] == 1
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    used = set(re.findall(r"(?<!\$)\$([A-Z_]+)", body))
    guide = (KIT / "README.md").read_text(encoding="utf-8")
    for name in used:
        assert name in text.replace(body, "") or name in "\n".join(x for x in text.splitlines() if x.startswith("#"))
        assert f"`{name}`" in guide
        assert name in COMPOSE["services"]["grafana"]["environment"]


def test_the_data_source_holds_no_secret() -> None:
    """Password and user come from Grafana's environment; the database name stands where the plugin looks for it."""
    source = yaml.safe_load((KIT / "provisioning/datasources/rmetrics.yaml").read_text(encoding="utf-8"))[
        "datasources"
    ][0]
    assert source["secureJsonData"] == {"password": "$GRAFANA_PG_PASSWORD"}
    assert source["jsonData"]["database"] == "$GRAFANA_PG_DATABASE"
    assert (source["uid"], source["type"]) == ("rmetrics", "grafana-postgresql-datasource")
    assert "/" not in source["url"]


def test_dashboards_cannot_be_saved_over() -> None:
    """The provider takes no edits from the browser."""
    provider = yaml.safe_load((KIT / "provisioning/dashboards/rmetrics.yaml").read_text(encoding="utf-8"))["providers"][
        0
    ]
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": "x", "c": "yes", "d": "10m", "e": "1: 2 # 3", "f": None, "g": True, "h": [1, "x"], "i": ""},
        {
            "sql": "SELECT 1\n  FROM t\n\nWHERE a = 'b: c' -- d",
            "list": [{"a": {"b": [{"c": "-d"}]}}, {"e": "2024-01-01"}],
        },
    ],
)
def test_yaml_says_what_was_meant(value: dict[str, Any]) -> None:
    """Our few lines of YAML are read back as the same document."""
    assert yaml.safe_load("\n".join(to_yaml(value))) == value


def test_compose_is_whole() -> None:
    """Pinned images, mounts that exist, no password in the file, the reader's password in both services."""
    services = COMPOSE["services"]
    assert set(services) == {"postgres", "grafana"}
    for service in services.values():
        assert re.search(r":\d+\.\d+", service["image"]), service["image"]
        assert "healthcheck" in service
        assert all(str(port).startswith("127.0.0.1:") for port in service["ports"])
        for mount in service["volumes"]:
            host = mount.split(":")[0]
            assert not host.startswith(".") or (ROOT / host).exists(), mount
        for name, value in service["environment"].items():
            if "PASSWORD" in name:
                assert str(value).startswith("${"), name
    assert (
        services["postgres"]["environment"]["GRAFANA_PG_PASSWORD"]
        == services["grafana"]["environment"]["GRAFANA_PG_PASSWORD"]
    )
    assert services["grafana"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_the_init_script_is_a_shell_script_that_sets_the_readers_password() -> None:
    """It parses, applies schema and roles, and takes the password from the environment."""
    script = KIT / "init.sh"
    subprocess.run(["sh", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert "/rmetrics/schema.sql" in text
    assert "/rmetrics/reader.sql" in text
    assert "GRAFANA_PG_PASSWORD" in text


def test_the_command_writes_the_kit_and_then_leaves_it_alone(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The zone of the rules reaches the dashboards; a second run changes nothing and says so."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    business = project.rules / "business.toml"
    business.write_text(
        business.read_text(encoding="utf-8").replace("America/New_York", "Europe/Riga"), encoding="utf-8"
    )
    folder = tmp_path / "kit"
    assert run(["grafana", str(folder), "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert len(first["changed"]) == 10
    assert json.loads((folder / "dashboards" / "month.json").read_text(encoding="utf-8"))["timezone"] == "Europe/Riga"
    assert run(["grafana", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder} is up to date.\n"
    assert run(["grafana", str(folder), "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_a_folder_that_cannot_be_written_is_an_error_of_the_user(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run(["grafana", str(tmp_path / "file")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_schema_roles_prints_the_script(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text, as JSON, and not together with --apply."""
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RMETRICS_PG_SCHEMA", "metrics")
    assert run(["schema", "--roles"]) == 0
    assert capsys.readouterr().out == roles_script("metrics")
    assert run(["schema", "--roles", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"sql": roles_script("metrics")}
    assert run(["schema", "--roles", "--apply"]) == 2
