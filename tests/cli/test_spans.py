"""Spans of months on the command line: --from, --to and --ytd, which history and report have."""

import json
from pathlib import Path

import pytest

import small_company
from command_line import Line, in_process
from published import Published
from rmetrics.cli import run
from support import Project


@pytest.fixture
def line(sample: Published, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """One run of the program in the project of the sample."""
    assert sample.project is not None
    return in_process(sample.project, monkeypatch, capsys)


@pytest.mark.deep
def test_history_tells_a_span_and_the_year_to_date(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    for n, spend in enumerate(("100", "200")):
        sheet = [(f"{m}", spend) for m in ("2023-12", "2024-01", "2024-02", "2024-03")]
        project.put(f"ads spend {n}.csv", small_company.spend(*sheet))
        project.sync()

    def months(*arguments: str) -> list[str]:
        capsys.readouterr()
        assert run(["history", *arguments, "--json"]) == 0
        return [c["month"][:7] for c in json.loads(capsys.readouterr().out)["changes"]]

    assert months() == ["2024-03"]
    assert months("--from", "2024-02") == ["2024-02", "2024-03"]
    assert months("--to", "2024-01") == ["2023-12", "2024-01"]
    assert months("--from", "2024-01", "--to", "2024-02") == ["2024-01", "2024-02"]
    assert months("--ytd") == ["2024-01", "2024-02", "2024-03"]
    assert months("--ytd", "--to", "2023-12") == ["2023-12"]
    for wrong in (("--from", "2024-03", "--to", "2024-01"), ("--from", "2025-01"), ("--ytd", "--month", "2024-01")):
        assert run(["history", *wrong]) == 2


@pytest.mark.deep
def test_the_page_is_limited_to_a_span(line: Line, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = line("report", "--from", "2024-07", "--to", "2024-09", "-o", str(page))
    assert "September 2024" in done.stdout
    whole = tmp_path / "whole.html"
    assert line("report", "--month", "2024-09", "-o", str(whole)).returncode == 0
    assert "2024-03" in whole.read_text()
    assert "2024-03" not in page.read_text().replace("vega", "")
    assert line("report", "--from", "2031-01", "-o", str(page)).returncode == 2
