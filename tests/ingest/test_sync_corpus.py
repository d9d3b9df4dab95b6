"""The corpus through the command line: what a run says of each file, and that every row is accounted for."""

import json
import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from command_line import command_line
from ingest.builders import file_bytes

ROOT = Path(__file__).resolve().parents[2]
CASES = (
    "text/utf-8-bom",
    "text/utf-16-le-tabs",
    "text/cp1251",
    "text/one-damaged-byte-in-utf-8",
    "text/sep-line",
    "text/cr",
    "text/quoted-newlines",
    "text/short-and-long-rows",
    "text/unclosed-quote",
    "text/nul",
    "text/gz",
    "text/preamble-and-totals",
    "text/totals-of-a-sheet",
    "values/money-forms",
    "values/money-refused",
    "values/dates-refused",
    "values/year-from-the-weekday",
    "values/day-first-file-under-a-month-first-feed",
    "files/html",
    "files/empty",
    "files/pdf",
    "files/noise",
    "files/header-only",
    "files/renamed-required-column",
    "files/unknown-file",
    "workbooks/xlsx",
    "workbooks/title-above-and-total-below",
    "workbooks/two-sheets-that-fit",
    "workbooks/one-cell-far-away",
)


def load(name: str) -> dict[str, Any]:
    table, _, key = name.partition("/")
    text = (Path(__file__).parent / "corpus" / f"{table}.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)[key])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a dry run prints, with every case in a folder of its own."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "rules", root / "rules")
    for i, name in enumerate(CASES):
        case = load(name)
        path = root / "data" / "inbox" / name / case["name"]
        path.parent.mkdir(parents=True)
        path.write_bytes(file_bytes(case))
        at = 1_768_917_600 + i  # 20 January 2026, the day the corpus was exported on
        os.utime(path, (at, at))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RMETRICS_")}
    ran = command_line("sync", "--dry-run", "--json", folder=root, environment=environment)
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


@pytest.mark.parametrize("name", CASES)
def test_a_run_says_what_became_of_the_file(name: str, said: dict[str, Any]) -> None:
    case = load(name)
    (file,) = [f for f in said["files"] if f["file"] == f"{name}/{case['name']}"]
    if "refused" in case:
        assert (file["status"], file["rows"]) == ("refused", 0)
        assert case["refused"] in file["reason"]
        return
    assert (file["status"], file["feed"]) == ("landed", case["feed"])
    assert file["rejected"] == len(case.get("rejected", []))
    assert file["totals"] == case.get("totals", 0)
    assert file["accepted"] + file["superseded"] == case["accepted"]
    assert case.get("notes", "") in file["reason"]


def test_every_row_is_accounted_for(said: dict[str, Any]) -> None:
    for file in said["files"]:
        parts = file["accepted"] + file["rejected"] + file["superseded"] + file["totals"]
        assert file["rows"] == parts, file["file"]


def test_every_refusal_says_what_to_do(said: dict[str, Any]) -> None:
    verbs = ("export", "save", "put", "keep", "unpack", "rename", "describe", "delete", "open", "add", "log in", "copy")
    for file in said["files"]:
        if file["status"] == "refused":
            assert any(verb in file["reason"] for verb in verbs), file["reason"]
