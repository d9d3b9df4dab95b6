"""The comparison of two runs."""

import json
from pathlib import Path
from typing import Any

import pytest
from compare import main

from made_figures import figure, results, size


def compared(folder: Path, old: dict[str, Any], new: dict[str, Any], *options: str) -> int:
    for name, run in (("old", old), ("new", new)):
        (folder / name).write_text(json.dumps(run))
    return main([str(folder / "old"), str(folder / "new"), *options])


def test_the_same_run_is_not_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared(tmp_path, results(size(100)), results(size(100)), "--strict") == 0
    assert "0 at least 10% worse" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "worse"),
    [(figure(22.0), True), (figure(21.9), False), (figure(20.0, rss=110 * 2**20), True), (figure(30.0, 19.0), False)],
)
def test_ten_percent_more_time_or_memory_is_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], worse: bool
) -> None:
    assert compared(tmp_path, results(size(100)), results(size(100, **{"peer/pandas": changed})), "--strict") == worse
    assert ("WORSE" in capsys.readouterr().out) == worse


def test_without_strict_it_only_warns(tmp_path: Path) -> None:
    assert compared(tmp_path, results(size(100)), results(size(100, **{"peer/pandas": figure(99.0)}))) == 0


def test_milliseconds_are_noise(tmp_path: Path) -> None:
    assert (
        compared(tmp_path, results(size(100)), results(size(100, **{"rmetrics/help": figure(0.115)})), "--strict") == 0
    )


def test_other_machines_and_missing_figures_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = results(size(100))
    new["machine"] = {**new["machine"], "cores": 4}
    del new["sizes"][0]["figures"]["peer/pandas"]
    compared(tmp_path, results(size(100)), new)
    out = capsys.readouterr().out
    assert "cores 2 / 4" in out
    assert "only in the old run: 100 peer/pandas" in out
