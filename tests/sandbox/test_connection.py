"""The sandbox reads its files and nothing else; only_select lets nothing but a reading SELECT pass."""

import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rmetrics.errors import LakeError, SettingsError
from rmetrics.sandbox.connection import Opened, duckdb_errors, only_select, sandbox


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "it's [a] lake*"
    folder.mkdir()
    for name in ("allowed", "other"):
        pq.write_table(pa.table({"x": [1, 2, 3]}), folder / f"{name}.parquet")
    (tmp_path / "secret.csv").write_text("password\n12345\n", encoding="utf-8")
    (folder / "link.parquet").symlink_to(tmp_path / "secret.csv")
    return folder


@pytest.fixture
def connection(lake: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    made = sandbox([lake / "allowed.parquet"], temp=tmp_path / "temp", memory_limit="200MB", threads=1)
    yield made
    made.close()


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def test_allowed_file_is_read(connection: duckdb.DuckDBPyConnection, lake: Path) -> None:
    sql = f"SELECT sum(x) FROM read_parquet({quoted(lake / 'allowed.parquet')})"
    only_select(connection, sql)
    assert connection.execute(sql).fetchone() == (6,)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_parquet({lake}/other.parquet)",
        "SELECT * FROM read_parquet({lake}/../secret.csv)",
        "SELECT * FROM read_csv({lake}/link.parquet)",
        "SELECT * FROM read_csv({lake}/../secret.csv)",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet({lake}/*.parquet)",
        "SELECT * FROM sniff_csv('/etc/passwd')",
        "SELECT getenv('HOME')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "COPY (SELECT 1) TO {lake}/new.parquet",
        "ATTACH {lake}/new.db",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET allowed_paths = ['/etc/passwd']",
        "SET threads = 8",
        "RESET temp_directory",
        "EXPORT DATABASE {lake}/out",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT * FROM local_variable",
    ],
)
def test_engine_refuses_what_was_not_given(connection: duckdb.DuckDBPyConnection, lake: Path, sql: str) -> None:
    local_variable = pa.table({"secret": [1]})
    assert local_variable.num_rows == 1
    folder = str(lake).replace("'", "''")
    for name in ("other.parquet", "../secret.csv", "link.parquet", "*.parquet", "new.parquet", "new.db", "out"):
        sql = sql.replace("{lake}/" + name, f"'{folder}/{name}'")
    with pytest.raises(duckdb.Error):
        connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "",
        " ; ",
        "SELEC 1",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO 'x' (use_tmp_file false)",
        "ATTACH 'x'",
        "INSTALL httpfs",
        "SET threads = 2",
        "PRAGMA version",
        "CALL pragma_version()",
        "CREATE TABLE t (x INT)",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT * FROM enable_logging(storage = 'file', storage_config = {'path': '/tmp/x'})",
        "WITH q AS (FROM enable_logging()) SELECT * FROM q",
        "SELECT (SELECT count(*) FROM Disable_Logging())",
        "SELECT * FROM query('SELECT * FROM enable_logging()')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM json_execute_serialized_sql('{}')",
        "SELECT write_log('x')",
        "SELECT * FROM checkpoint()",
        "SELECT 1 \x00",
    ],
)
def test_statement_that_does_more_than_read_is_refused(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(SettingsError):
        only_select(connection, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 -- and no more",
        "WITH q AS (SELECT unnest([1, 2]) AS x) SELECT sum(x) FROM q;",
        "FROM range(3)",
        "VALUES (1), (2)",
        "SELECT lower('A'), count(*) OVER () FROM generate_series(1, 3) t(x) WHERE x IN (SELECT 1)",
        "DESCRIBE SELECT 1",
    ],
)
def test_plain_select_passes(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    only_select(connection, sql)
    assert connection.execute(sql).fetchall()


def test_spilled_data_is_private_and_goes_with_the_connection(lake: Path, tmp_path: Path) -> None:
    temp = tmp_path / "spill"
    made = sandbox([lake / "allowed.parquet"], temp=temp, memory_limit="50MB", threads=1)
    made.execute(
        "CREATE TABLE big AS SELECT range AS x, CAST(range AS VARCHAR) || repeat('x', 40) AS y FROM range(2000000)"
    )
    (folder,) = temp.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()), "the table does not fit into 50 MB"
    made.close()
    del made
    assert list(temp.iterdir()) == []


def test_days_are_not_shifted_by_the_machines_zone(connection: duckdb.DuckDBPyConnection) -> None:
    assert connection.execute("SELECT current_setting('TimeZone')").fetchone() == ("UTC",)


def test_bad_limits_are_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lots"):
        sandbox([], temp=tmp_path, memory_limit="lots")
    with pytest.raises(SettingsError):
        sandbox([], temp=tmp_path, threads=0)


def test_temp_that_is_a_file_is_a_lake_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeError):
        sandbox([], temp=tmp_path / "file")


@pytest.mark.parametrize(
    "error", [e for e in vars(duckdb).values() if isinstance(e, type) and issubclass(e, duckdb.Error)]
)
def test_every_error_is_translated_without_data(error: type[duckdb.Error]) -> None:
    about_files = issubclass(error, (duckdb.IOException, duckdb.PermissionException, duckdb.HTTPException))
    with pytest.raises(LakeError) as caught, duckdb_errors("read"):
        raise error("Could not convert +12025550123")
    assert ("+1202" in caught.value.message) == about_files


def test_only_the_work_that_is_meant_is_interrupted(tmp_path: Path) -> None:
    meant, began = Opened(), threading.Barrier(3)

    def counted(note: AbstractContextManager[None], rows: int) -> int:
        with note:
            made = sandbox([], temp=tmp_path / "temp", threads=1)
        try:
            began.wait(10)
            found = made.execute(f"SELECT count(*) FROM range({rows}) a WHERE hash(range) <> 7").fetchone()
            return int(found[0]) if found else 0
        finally:
            made.close()

    with ThreadPoolExecutor(2) as pool:
        ended = pool.submit(counted, meant.noted(), 10**12)  # would take an hour
        other = pool.submit(counted, nullcontext(), 3 * 10**6)
        began.wait(10)
        while not ended.done():
            meant.interrupt()
            time.sleep(0.01)
        with pytest.raises(duckdb.InterruptException):
            ended.result()
        assert other.result() == 3 * 10**6
