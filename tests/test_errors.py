"""Which errors of the system become one of ours, and what they say."""

import errno

import pytest

from rmetrics.errors import LakeError, of_the_system


@pytest.mark.parametrize(("error", "message", "hint"), [
    (OSError(errno.ENOSPC, "x", "/lake/a"), "cannot open /lake/a: No space left on device", "the disk"),
    (OSError(errno.EMFILE, "x", "/lake/a"), "cannot open /lake/a: Too many open files", "ulimit -n"),
    (OSError("Too many open files (os error 24): /lake/a b.parquet"), "cannot open /lake/a b.parquet: Too many", "ulimit -n"),
    (PermissionError("Permission denied (os error 13): /lake/a"), "cannot open /lake/a: Permission denied", "permissions"),
    (OSError("Input/output error (os error 5)"), "cannot open a file: Input/output error", "the disk"),
])  # fmt: skip
def test_what_a_system_refuses_is_told(error: OSError, message: str, hint: str) -> None:
    told = of_the_system(error)
    assert isinstance(told, LakeError)
    assert told.message.startswith(message)
    assert hint in told.hint


@pytest.mark.parametrize("error", [
    OSError("No such file or directory (os error 2): /lake/a"),  # a file that should be there is a bug
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/lake/a"),
    OSError("something else"),
    ValueError("(os error 24)"),
])  # fmt: skip
def test_anything_else_is_a_bug(error: Exception) -> None:
    assert of_the_system(error) is None
