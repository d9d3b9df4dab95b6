"""A project with one declared pull; nobody waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from pulls.declared import Declared


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declared:
    """A project folder, which is the working folder."""
    return Declared(tmp_path / "project", monkeypatch)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6, cap=True):
        yield
