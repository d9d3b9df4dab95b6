"""Syncs that do not ask the second engine, which takes two fifths of a small sync: for tests that are not about figures.

What such a test expects is written in it, and the second engine has tests of its own. Deep tests and ``make test-long``
ask it always, and so does every command line, project of a module and template.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rmetrics.pipeline import companies, publication
from rmetrics.pipeline.verify.cross_check import agree
from rmetrics.usecases import sync

_ASKING = (companies, publication, sync)


@contextmanager
def asked(*, really: bool = True) -> Iterator[None]:
    """Syncs of this process ask the second engine, or publish without its answer."""
    with pytest.MonkeyPatch.context() as patch:
        for module in _ASKING:
            patch.setattr(module, "agree", agree if really else _unasked)
        yield


def _unasked(*_: object) -> tuple[str, tuple[()]]:
    return "the second engine was not asked", ()
