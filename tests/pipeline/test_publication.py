"""Publishing while the engines are compared: no check outlives its run."""

import time
from concurrent.futures import Future
from pathlib import Path

import duckdb
import pytest

from rmetrics.pipeline.publication import _meanwhile
from rmetrics.sandbox.connection import sandbox


def test_a_check_that_is_no_longer_of_use_is_ended(tmp_path: Path) -> None:
    connections = list[duckdb.DuckDBPyConnection]()

    def forever() -> None:
        connections.append(sandbox([], temp=tmp_path))
        connections[0].execute("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b")

    def publishing() -> None:
        with _meanwhile(forever) as check:
            found.append(check)
            while not connections:
                time.sleep(0.01)
            raise RuntimeError("the server is gone")

    started, found = time.monotonic(), list[Future[None]]()
    with pytest.raises(RuntimeError, match="the server is gone"):
        publishing()
    assert time.monotonic() - started < 60
    assert isinstance(found[0].exception(), duckdb.InterruptException)
