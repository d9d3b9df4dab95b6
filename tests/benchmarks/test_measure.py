"""What a command is said to take."""

import sys
from pathlib import Path

import pytest
from measure import BenchmarkError, Figure, measured

MIB = 2**20


def test_memory_is_the_commands_own_and_not_the_benchmarks(tmp_path: Path) -> None:
    ballast = bytearray(300 * MIB)
    small = measured([sys.executable, "-S", "-c", "print('here')"], cwd=tmp_path)
    del ballast
    assert small.rss < 100 * MIB
    assert small.output == "here\n"


def test_memory_and_processor_time_of_children_count(tmp_path: Path) -> None:
    inner = "b = b'x' * (200 << 20); sum(range(3_000_000))"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {inner!r}], check=True)"
    run = measured([sys.executable, "-c", outer], cwd=tmp_path)
    assert run.rss > 190 * MIB
    assert run.cpu > 0.02


def test_a_command_that_fails_ends_the_benchmark_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="ended with 3:\nno more"):
        measured([sys.executable, "-c", "import sys; print('no more', file=sys.stderr); sys.exit(3)"], cwd=tmp_path)
    allowed = measured([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path, allowed=(0, 3))
    assert allowed.output == ""
    with pytest.raises(BenchmarkError, match="127"):
        measured([tmp_path / "there is none"], cwd=tmp_path)


def test_every_round_is_kept(tmp_path: Path) -> None:
    figure = Figure()
    for seconds in (1.0, 2.0):
        figure.add(measured([sys.executable, "-S", "-c", ""], cwd=tmp_path), {"land": seconds})
    plain = figure.plain()
    assert plain["parts"] == {"land": [1.0, 2.0]}
    assert len(plain["wall"]) == len(plain["cpu"]) == len(plain["rss"]) == 2
    assert "rows" not in plain
