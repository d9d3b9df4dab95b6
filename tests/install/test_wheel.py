"""Installed as the README says: the wheel alone, without the lock, with the newest and the oldest versions it allows.

Each environment must give the figures that the tests' own environment gives, for exports of every kind. The newest
versions are today's, so this test also notices a release that breaks us while the lock still holds an older one.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from support import ROOT

UV = Path(sys.executable).with_name("uv")
EXPORTS = ROOT / "tests" / "handworked" / "exports"
FIGURES = "SELECT * FROM daily_metrics ORDER BY date, source, segment"


def run(*arguments: str | Path, folder: Path = ROOT, seconds: float = 240) -> subprocess.CompletedProcess[str]:
    """A program's output, whatever its exit code; without the settings of the tests' own environment."""
    kept: Mapping[str, str] = {
        k: v for k, v in os.environ.items() if not k.startswith(("RMETRICS_", "VIRTUAL_ENV", "PYTHON"))
    }
    return subprocess.run(
        list(map(str, arguments)), cwd=folder, env=kept, capture_output=True, text=True, timeout=seconds, check=False
    )


def fine(*arguments: str | Path, folder: Path = ROOT) -> str:
    """The standard output of a program that must end with 0."""
    done = run(*arguments, folder=folder)
    assert done.returncode == 0, f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    fine(UV, "build", "-q", "--wheel", "--no-build-isolation", "--python", sys.executable, "-o", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def requirements(folder: Path, resolution: str) -> Path:
    """The versions that this resolution of our own ranges chooses; skips where the package index cannot be reached."""
    chosen = folder / f"{resolution}.txt"
    done = run(
        UV, "pip", "compile", ROOT / "pyproject.toml", "--resolution", resolution, "--python", sys.executable,
        "--no-header", "--no-annotate", "-q", "-o", chosen,
    )  # fmt: skip
    if done.returncode and any(w in done.stderr for w in ("Failed to fetch", "error sending request", "dns error")):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return chosen


def installed(folder: Path, wheel: Path, resolution: str) -> Path:
    """A new environment's programs folder, with the wheel and what it needs."""
    chosen, environment = requirements(folder, resolution), folder / "environment"
    fine(UV, "venv", "-q", "--python", sys.executable, environment)
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    fine(UV, "pip", "install", "-q", "--python", programs / "python", "-r", chosen)
    fine(UV, "pip", "install", "-q", "--python", programs / "python", "--no-deps", wheel)
    fine(UV, "pip", "check", "-q", "--python", programs / "python")
    return programs


def answers(rmetrics: Path, project: Path) -> dict[str, Any]:
    """What a project of the hand-worked exports answers: a fresh folder, one sync, a question, all figures."""
    fine(rmetrics, "init", project, folder=project.parent)
    for minute, export in enumerate(sorted(EXPORTS.iterdir())):
        copied = Path(shutil.copy(export, project / "data" / "inbox" / export.name))
        at = 1_735_000_000 + 60 * minute  # a checkout has times of its own
        os.utime(copied, (at, at))
    synced = json.loads(fine(rmetrics, "sync", "--json", folder=project))
    assert synced["status"] == "published"
    told = json.loads(fine(rmetrics, "explain", "--source", "Google", "--month", "2024-11", "--json", folder=project))
    assert told["verdict"] == "match"
    fine(rmetrics, "check", folder=project)
    fine(rmetrics, "report", folder=project)
    figures = json.loads(fine(rmetrics, "sql", FIGURES, "--json", folder=project))
    return {"figures": figures["rows"], "files": synced["files"], "explained": told["metrics"]}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The answers of the tests' own environment."""
    return answers(Path(sys.executable).with_name("rmetrics"), tmp_path_factory.mktemp("here") / "company")


@pytest.mark.slow
@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
def test_the_wheel_gives_the_same_figures(resolution: str, wheel: Path, here: dict[str, Any], tmp_path: Path) -> None:
    programs = installed(tmp_path, wheel, resolution)
    assert len(here["figures"]) > 20
    assert answers(programs / "rmetrics", tmp_path / "company") == here


def test_every_range_has_two_ends_and_holds_the_locked_version() -> None:
    """A range without an upper end promises releases that nobody has tried."""
    ranges = [Requirement(text) for text in (*declared(), *(d for extra in extras().values() for d in extra))]
    locks = ("requirements-dev.txt", "requirements-spark.txt")  # the extras, too; Spark stands in a lock of its own
    lock = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in locks)
    pins = dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock, re.MULTILINE))
    for requirement in ranges:
        ends = {s.operator for s in requirement.specifier}
        assert ends == ({">="} if requirement.name == "tzdata" else {">=", "<"}), requirement  # tzdata is dated
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_the_wheel_asks_for_what_the_project_declares(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        asked = re.findall(r"^Requires-Dist: (.*)$", archive.read(name).decode(), re.MULTILINE)
    always = {str(Requirement(a)) for a in asked if "extra ==" not in a}
    assert always == {str(Requirement(d)) for d in declared()}
    wanted = {str(Requirement(f"{d}; extra == '{name}'")) for name, extra in extras().items() for d in extra}
    assert {str(Requirement(a)) for a in asked if "extra ==" in a} == wanted


def test_the_wheel_carries_rules_and_schema(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("rmetrics/shipped/schema.sql") == (ROOT / "schema.sql").read_bytes()
        for rules in (ROOT / "rules").glob("*.toml"):
            assert archive.read(f"rmetrics/shipped/rules/{rules.name}") == rules.read_bytes()


@pytest.mark.parametrize("resolution", ["highest", "lowest-direct"])
def test_the_ranges_can_be_installed_together(resolution: str, tmp_path: Path) -> None:
    chosen = requirements(tmp_path, resolution).read_text(encoding="utf-8")
    versions = dict(line.split("==") for line in chosen.split() if "==" in line)
    for requirement in map(Requirement, declared()):
        assert requirement.specifier.contains(versions[requirement.name]), requirement


def extras() -> dict[str, list[str]]:
    """The dependencies of each extra as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return dict(project["optional-dependencies"])


def declared() -> list[str]:
    """The dependencies as pyproject.toml has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])
