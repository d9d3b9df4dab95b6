"""What a limit of memory allows."""

import pytest

from rmetrics import memory
from rmetrics.memory import DEFAULT_MEMORY, duckdb_limit, duckdb_limits, rows_at_once
from rmetrics.settings import Settings, memory_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4_000_000_000), ("4 GiB", 4 * 1024**3), ("1.5GiB", 1_610_612_736), ("800MB", 800_000_000)],
)
def test_a_limit_is_read_in_its_unit(text: str, size: int) -> None:
    assert memory_of(Settings(memory_limit=text)) == size


def test_without_a_setting_it_is_four_gibibytes() -> None:
    assert memory_of(Settings(memory_limit=None)) == DEFAULT_MEMORY == 4 * 1024**3


def test_the_second_engine_gets_what_is_left_but_a_quarter_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 1024**3
    for used, share in ((gib // 4, "2048MiB"), (5 * gib // 2, "1280MiB"), (4 * gib, "1024MiB")):
        monkeypatch.setattr(memory, "_resident", lambda used=used: used)
        assert duckdb_limit(4 * gib) == share
    monkeypatch.undo()
    assert 1024 <= int(duckdb_limit(4 * gib).removesuffix("MiB")) <= 2048


def test_where_it_must_finish_it_gets_twice_as_much_each_time_and_then_all(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 1024**3
    monkeypatch.setattr(memory, "_resident", lambda: 2 * gib)
    monkeypatch.setattr(memory, "_machine", lambda: 16 * gib)
    assert list(duckdb_limits(2 * gib, 0)) == ["512MiB", "1024MiB", "2048MiB", "4096MiB", None]
    assert list(duckdb_limits(2 * gib, gib // 8)) == ["2048MiB", "4096MiB", None]  # less would be tried in vain
    for small in (0, gib, 2 * gib):  # of an unknown size, or a small one: the limit is tried all the same
        monkeypatch.setattr(memory, "_machine", lambda small=small: small)
        assert list(duckdb_limits(2 * gib, 0)) == ["512MiB", None]


def test_more_memory_takes_more_rows_at_a_time() -> None:
    assert rows_at_once(0) < rows_at_once(DEFAULT_MEMORY) < rows_at_once(2 * DEFAULT_MEMORY)
