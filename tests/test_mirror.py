"""Tests mirror ``src``: every package has a folder of the same path here, with tests in it."""

from support import ROOT


def test_every_package_has_a_folder_of_tests() -> None:
    packages = [
        p.parent.relative_to(ROOT / "src" / "rmetrics") for p in (ROOT / "src" / "rmetrics").rglob("__init__.py")
    ]
    assert len(packages) > 25
    assert [str(p) for p in sorted(packages) if not any((ROOT / "tests" / p).glob("test_*.py"))] == []
