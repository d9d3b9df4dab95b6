"""What ``docs/pulls.md`` says is so."""

import re
from pathlib import Path

import pytest

from rmetrics.rules import load_rules
from rmetrics.rules.pulls import KINDS, Paging
from support import ROOT, new_project

PAGE = (ROOT / "docs" / "pulls.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS, ids=range(len(BLOCKS)))
def test_every_example_loads(text: str, tmp_path: Path) -> None:
    project = new_project(tmp_path / "project", "")
    (project.rules / "pulls.toml").write_text(text)
    assert load_rules(project.rules).pulls


def test_every_key_is_explained() -> None:
    keys = {f.alias or n for kind in KINDS.values() for n, f in kind.model_fields.items()} | set(Paging.model_fields)
    assert [k for k in sorted(keys) if not re.search(rf"`[^`\n]*\b{k}\b[^`\n]*`|^#? ?{k} +=", PAGE, re.MULTILINE)] == []


def test_every_shipped_pull_is_named_and_off() -> None:
    shipped = sorted(p.name for p in (ROOT / "rules" / "examples").glob("pull_*.toml"))
    assert len(shipped) == 8
    assert load_rules(ROOT / "rules").pulls == {}
