"""One class per word: whoever reads a name knows which class is meant."""

import ast
from collections import defaultdict

from support import ROOT

TWINS = frozenset[str]()  # names that both engines may use, once for the first and once for the second


def test_no_two_public_classes_share_a_name() -> None:
    found = defaultdict[str, list[str]](list)
    for path in sorted((ROOT / "src" / "rmetrics").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in TWINS:
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert len(found) > 300
    assert {name: places for name, places in found.items() if len(places) > 1} == {}
