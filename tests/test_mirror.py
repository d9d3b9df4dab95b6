"""Tests mirror ``src``: every package has a folder of the same path here, with tests in it, some of them ordinary."""

import ast
from pathlib import Path

from support import ROOT

RARE = {"pytest.mark.deep", "pytest.mark.slow", "pytest.mark.scale", "pytest.mark.spark"}
PACKAGES = sorted(
    p.parent.relative_to(ROOT / "src" / "rmetrics") for p in (ROOT / "src" / "rmetrics").rglob("__init__.py")
)


def is_rare(marks: ast.expr) -> bool:
    """Whether a decorator, or what a module says of all its tests, keeps them from ``make test``."""
    written = [ast.unparse(node) for node in (marks, *getattr(marks, "elts", ()))]
    return any(mark in RARE or mark.startswith("pytest.mark.ordinary(0") for mark in written)


def has_ordinary_tests(path: Path) -> bool:
    """Whether a file has a test that ``make test`` runs."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if any(isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "pytestmark" and is_rare(n.value) for n in body):
        return False
    tests = (n for n in body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_"))
    return any(not any(map(is_rare, test.decorator_list)) for test in tests)


def test_every_package_has_a_folder_of_tests() -> None:
    assert len(PACKAGES) > 25
    assert [str(p) for p in PACKAGES if not any((ROOT / "tests" / p).glob("test_*.py"))] == []


def test_every_package_has_ordinary_tests() -> None:
    lacking = [p for p in PACKAGES if not any(map(has_ordinary_tests, sorted((ROOT / "tests" / p).glob("test_*.py"))))]
    assert [str(p) for p in lacking] == []
