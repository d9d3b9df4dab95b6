"""The second engine on Spark asks again where something was lost, and not where the answer would be the same."""

import contextlib
from pathlib import Path

import pytest

from rmetrics.checks.compare import CrossCheck
from rmetrics.errors import EngineError
from rmetrics.rules import load_rules
from support import ROOT

pytestmark = pytest.mark.spark

pytest.importorskip("pyspark", reason="the extra rmetrics[spark] is not installed")


@pytest.mark.parametrize(
    ("message", "tries"),
    [("CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND", 2), ("java.lang.StackOverflowError", 1), (None, 1)],
    ids=["lost", "too-deep", "not-understood"],
)
def test_what_was_lost_is_asked_again_once(monkeypatch: pytest.MonkeyPatch, message: str | None, tries: int) -> None:
    from pyspark.errors import AnalysisException

    from rmetrics.spark import second
    from rmetrics.spark.session import spark_errors

    asked = list[None]()

    def once(*_: object) -> CrossCheck:
        asked.append(None)
        if len(asked) == 1:
            with spark_errors("recompute the metrics"):
                raise RuntimeError(message) if message else AnalysisException("no such column")
        return CrossCheck(0, ())

    monkeypatch.setattr(second, "_once", once)
    refused = pytest.raises(EngineError, match="Spark could not recompute the metrics")
    with refused if tries == 1 else contextlib.nullcontext():
        second.cross_check_on(None, {}, Path("d"), Path("m"), load_rules(ROOT / "rules"), None)
    assert len(asked) == tries
