"""The picture of the architecture shows the code as it is."""

import re

import make_architecture as architecture

from support import ROOT


def test_the_picture_is_current() -> None:
    assert architecture.TARGET.read_text(encoding="utf-8") == architecture.picture()


def test_every_module_has_a_place_in_the_layers() -> None:
    placed = {name for row in architecture.layers() for name in row}
    assert set(architecture.modules()) - {"__init__"} == placed


def test_files_that_the_map_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8") + (ROOT / "CONTRIBUTING.md").read_text(
        encoding="utf-8"
    )
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?)`", text))
    missing = [
        n
        for n in named
        if "<" not in n
        and not any((base / n).exists() for base in (ROOT, ROOT / "src" / "rmetrics", ROOT / "data" / "lake"))
    ]
    assert [n for n in missing if not n.startswith("data/")] == []
