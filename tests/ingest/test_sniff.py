"""What the bytes are: archives that unpack without end, and disks that fail."""

import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ingest.builders import workbook
from ingest.reading import read
from rmetrics.ingest import sniff


def test_a_gz_bomb_is_refused_before_it_fills_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniff, "MAX_UNPACKED", 2**24)
    path = tmp_path / "payments.csv.gz"
    path.write_bytes(gzip.compress(b"Job #,Date,Amount\n" + b"\n" * 2**26))
    assert "far more than an export would" in read(path).refused


def test_a_well_packed_export_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniff, "MAX_UNPACKED", 2**12)
    path = tmp_path / "payments.csv.gz"
    rows = "".join(f"{i},2025-12-16,{i}.5\n" for i in range(2000))
    path.write_bytes(gzip.compress(b"Job #,Date,Amount\n" + rows.encode()))
    assert read(path).accepted.height == 2000


def test_a_failing_disk_refuses_the_file_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "payments.csv"
    path.write_text("Job #,Date,Amount\n17,2025-12-16,95\n")

    def failing(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "open", failing)  # where bytes come from
    assert "Input/output error; check the disk" in read(path).refused


def test_the_workbook_reader_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    real = subprocess.run

    def spy(*args: Any, **options: Any) -> Any:
        seen.update(options["env"])
        return real(*args, **options)

    monkeypatch.setenv("RMETRICS_POSTGRES_DSN", "postgresql://user:secret@host/db")
    monkeypatch.setattr("subprocess.run", spy)
    path = tmp_path / "payments.xlsx"
    path.write_bytes(workbook({"Sheet1": [["Job #", "Date", "Amount"], [17, "2025-12-16", 95]]}))
    assert read(path).accepted.height == 1
    assert "PATH" in seen
    assert not [name for name in seen if name.startswith("RMETRICS")]


def test_workbook_text_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = tmp_path / "payments.xlsx"
    path.write_bytes(workbook({"Sheet1": [["Job #", "Date", "Amount"], [17, "2025-12-16", 95]]}))
    assert read(path).accepted.height == 1
    assert list(scratch.iterdir()) == []
