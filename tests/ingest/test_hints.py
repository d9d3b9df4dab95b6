"""Hints on renamed columns: the cells must fit, and nothing that repeats is ever proposed as a key."""

from pathlib import Path

import pytest

from rmetrics.ingest.read import open_export
from rmetrics.pipeline.landing.placement import chosen
from rmetrics.rules import load_rules

FEEDS = load_rules(Path(__file__).parents[2] / "rules").feeds


def notes(tmp_path: Path, name: str, text: str) -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    export = open_export(path, name, FEEDS)
    fit, why = chosen(export.fits, export.layout.headers, FEEDS, name, export.sample)
    return why if fit is None else "; ".join(export.layout.notes)


PAYMENTS = "Transaction {},Job #,Date,Amount\n{}"


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("type", ("charge", "charge", "refund")),
        ("type", ("charge", "refund", "void")),  # different in every row of a short file, and no ids
        ("type", ("charge",)),
        ("IDs", ("P1", "P1", "P2")),
    ],
)
def test_no_key_from_what_repeats_or_is_no_id(tmp_path: Path, word: str, values: tuple[str, ...]) -> None:
    rows = "".join(f"{v},{i},11/0{i + 1}/2024,{i}.00\n" for i, v in enumerate(values))
    assert "payment_id" not in notes(tmp_path, "payments.csv", PAYMENTS.format(word, rows))


def test_a_key_that_is_one_is_still_proposed(tmp_path: Path) -> None:
    rows = "".join(f"P{i},{i},11/0{i + 1}/2024,{i}.00\n" for i in range(3))
    assert "if it is now 'Transaction IDs'" in notes(tmp_path, "payments.csv", PAYMENTS.format("IDs", rows))


@pytest.mark.parametrize(("cells", "proposed"), [(("11/05/2024", "11/06/2024"), True), (("Ann", "Bob"), False)])
def test_a_required_column_needs_cells_of_its_type(tmp_path: Path, cells: tuple[str, ...], proposed: bool) -> None:
    rows = "".join(f"{i},{cell},{i}.00,cash\n" for i, cell in enumerate(cells))
    told = notes(tmp_path, "payments.csv", f"Job #,Payment Date and time,Amount,Method\n{rows}")
    assert "no header for paid_at" in told
    assert ("perhaps renamed to 'Payment Date and time'" in told) is proposed
