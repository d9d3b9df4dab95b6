"""Files as they really come, each with its expected outcome: the tables in ``corpus/``."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ingest.builders import file_bytes
from ingest.reading import read, shipped_rules
from rmetrics.ingest.read import open_export
from rmetrics.pipeline.landing.placement import chosen
from rmetrics.rules import Rules

CORPUS = Path(__file__).parent / "corpus"
CASES: dict[str, dict[str, Any]] = {
    f"{table.stem}/{name}": case
    for table in sorted(CORPUS.glob("*.toml"))
    for name, case in tomllib.loads(table.read_text(encoding="utf-8")).items()
}
READ = {n: c for n, c in CASES.items() if not n.startswith("headers/")}
LONG = {"text/cell-of-50-mb"}


def test_the_corpus_is_large_enough() -> None:
    assert len(READ) >= 60


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=n, marks=[pytest.mark.deep] if n in LONG else []) for n, c in READ.items()]
)
def test_file_gives_what_its_table_says(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / case["name"]
    path.write_bytes(file_bytes(case))
    outcome = read(path, rules=_changed(shipped_rules(), case.get("rules", {})))
    if "refused" in case:
        assert case["refused"] in outcome.refused
        return
    assert outcome.refused == ""
    assert outcome.feed == case["feed"]
    assert [(line, column or "") for line, column, *_ in outcome.rejected] == [
        (line, column) for line, column, _ in case.get("rejected", [])
    ]
    for (*_, reason), (*_, fragment) in zip(outcome.rejected, case.get("rejected", []), strict=True):
        assert fragment in reason
    assert (outcome.accepted.height, outcome.totals) == (case["accepted"], case.get("totals", 0))
    assert case.get("notes", "") in "; ".join(outcome.notes)
    assert bool(outcome.notes) == ("notes" in case)
    for column, values in case.get("values", {}).items():
        assert [str(v) for v in outcome.values(column)] == values


@pytest.mark.parametrize(
    "case", [c for n, c in CASES.items() if n.startswith("headers/")], ids=lambda c: f"{c['name']}-{c['headers'][:20]}"
)
def test_real_header_rows_are_recognised(case: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / case["name"]
    path.write_bytes(file_bytes(case))
    export = open_export(path, path.name, feeds := shipped_rules().feeds)
    fit, why = chosen(export.fits, export.layout.headers, feeds)
    assert (fit.feed if fit else None) == case.get("feed")
    assert case.get("refused", "") in why
    assert export.layout.notes == ()


def _changed(rules: Rules, change: dict[str, Any]) -> Rules:
    """The rules with another encoding, or another form of one column, for payments."""
    if not change:
        return rules
    feed = rules.feeds["payments"]
    if "encoding" in change:
        feed = feed.model_copy(update={"encoding": change["encoding"]})
    if name := change.get("column"):
        update = {k: tuple(v) if isinstance(v, list) else v for k, v in change.items() if k != "column"}
        column = feed.columns[name].model_copy(update=update)
        feed = feed.model_copy(update={"columns": {**feed.columns, name: column}})
    return dataclasses.replace(rules, feeds={**rules.feeds, "payments": feed})
