"""Hostile names, rules and paths are refused with a clear message, or handled; never a crash, never SQL."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reliability.figures import record
from rmetrics.cli import run
from small_company import jobs
from support import Project

pytestmark = pytest.mark.one_engine

TRIED: set[str] = set()  # by name of the test and its input


@pytest.fixture(autouse=True)
def _counted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Counts the inputs that were tried to the end; a test that fails is no figure."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed == failed:
        TRIED.add(request.node.name)


@pytest.fixture(scope="module", autouse=True)
def _figure() -> Iterator[None]:
    yield
    record("hostile names, rules, schemas, paths and workbooks: refused in words or handled", f"{len(TRIED)} inputs", 0)


NAMES = ['x"; drop table jobs;--', "x" * 64, "источник", "a\\u0000b", "select", "Robert'); DROP TABLE jobs;--"]


def command(project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(project.root)
    return run(list(arguments))


@pytest.fixture
def one_job(project: Project) -> Project:
    project.put("Import-1.csv", jobs((1,)))
    return project


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["feed", "column"])
@pytest.mark.ordinary(4, deep=8)
def test_a_name_that_would_become_sql_is_refused(
    one_job: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, place: str
) -> None:
    quoted = '"' + name.replace('"', '\\"') + '"'
    feed, column = (quoted, "id") if place == "feed" else ("visits", quoted)
    (one_job.rules / "own.toml").write_text(
        f'[feeds.{feed}]\nfiles = ["visits*"]\nkey = ["id"]\ndate = "day"\n[feeds.{feed}.columns]\n'
        f'id = {{ type = "text", from = ["Id"], required = true }}\nday = {{ type = "date", from = ["Day"], required = true }}\n'
        + (f'{column} = {{ type = "text", from = ["X"] }}\n' if place == "column" else ""),
        encoding="utf-8",
    )
    assert command(one_job, monkeypatch, "sync") == 2
    assert "own.toml" in capfd.readouterr().err


@pytest.mark.parametrize("name", [n for n in NAMES if "u0000" not in n])
@pytest.mark.ordinary(0, deep=1)
def test_a_source_of_any_name_is_a_value(one_job: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    (one_job.rules / "own.toml").write_text(f'[sources."{escaped}"]\nleads = "jobs"\n', encoding="utf-8")
    one_job.put("Import-2.csv", jobs((2, "COD Repair", name)))
    assert command(one_job, monkeypatch, "sync", "--quiet") == 0
    assert one_job.rows("SELECT source FROM jobs WHERE job_id = '2'") == [(name,)]


def test_a_rules_file_of_10_mb_is_read_or_refused_in_words(
    one_job: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (one_job.rules / "own.toml").write_text("# " + "x" * 10_000_000 + "\n")
    assert command(one_job, monkeypatch, "sync", "--quiet") in (0, 2)
    assert "Traceback" not in capfd.readouterr().err


def test_a_lake_path_that_is_a_link_is_refused_and_left_alone(
    one_job: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (one_job.root / "data" / "lake").symlink_to(aim)
    assert command(one_job, monkeypatch, "sync") == 4
    assert "symbolic link" in capfd.readouterr().err
    assert list(aim.iterdir()) == []


@pytest.mark.parametrize("schema", ['p"; drop schema public;--', "x" * 64, "Схема"])
def test_a_schema_name_that_is_no_name_is_refused(
    one_job: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], schema: str
) -> None:
    monkeypatch.setenv("RMETRICS_PG_SCHEMA", schema)
    assert command(one_job, monkeypatch, "sync") == 2
    assert "RMETRICS_PG_SCHEMA" in capfd.readouterr().err


def test_formulas_in_cells_stay_text(one_job: Project) -> None:
    one_job.put("Import-2.csv", jobs((2, "=cmd|'/c calc'!A1", "+1+1")))
    one_job.sync()
    assert one_job.rows("SELECT type, source FROM jobs WHERE job_id = '2'") == [("=cmd|'/c calc'!A1", "+1+1")]


def bomb(kind: str) -> bytes:
    """A small file that would fill memory or disk, or that names files outside."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        if kind != "no workbook":
            archive.writestr("[Content_Types].xml", "<Types/>")
        name = "../../../../tmp/rmetrics-outside" if kind == "path outside" else "xl/worksheets/sheet1.xml"
        megabytes = 300 if kind == "zeros" else 1
        with archive.open(name, "w") as file:
            for _ in range(megabytes):
                file.write(bytes(2**20))
        if kind == "nested":
            archive.writestr("xl/worksheets/inner.zip", made.getvalue())
    return made.getvalue()


@pytest.mark.parametrize("kind", ["zeros", "path outside", "no workbook", "nested"])
@pytest.mark.ordinary(0, deep=1)
def test_a_workbook_that_is_a_bomb_is_refused_and_the_others_land(one_job: Project, kind: str) -> None:
    one_job.put("Import-2.xlsx", bomb(kind))
    result = one_job.sync()
    refused = {f.file: f.reason for f in result.files if f.status == "refused"}
    assert set(refused) == {"Import-2.xlsx"}
    assert refused["Import-2.xlsx"]
    assert one_job.rows("SELECT count(*) FROM jobs") == [(1,)]
    assert not Path("/tmp/rmetrics-outside").exists()  # noqa: S108 - where such a path would lead


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Import-\n2.csv", "Job #,Job Type\n"), ("Import-[x]*?.csv", "a,b\n1,2\n"), ("Import-2.csv", "\x00" * 5000),
        ("Import-2.csv", "Job #,Job Type,Source,Created\n" + '"' * 10_001), ("Import-2.csv", "," * 100_000 + "\n"),
        ("Import-2.csv", "Job #,Job Type,Source,Created\n2,COD\x00Repair,Google,Tue Nov 05 2024\n"),
    ],
    ids=["line end in a name", "glob in a name", "nothing but NUL", "unclosed quotes", "100,000 columns", "NUL in a cell"],
)  # fmt: skip
@pytest.mark.ordinary(1)
def test_an_export_of_any_name_and_content_stops_nothing(one_job: Project, name: str, text: str) -> None:
    one_job.put(name, text)
    result = one_job.sync()
    assert result.status == "published"
    assert one_job.rows("SELECT count(*) FROM jobs") == [(1,)]
    told = next(f for f in result.files if f.file == name)
    assert told.reason or told.rejected, "it must be said what became of it"
