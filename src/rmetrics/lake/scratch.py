"""A lake to try things in: it sees what the real one holds and is thrown away."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rmetrics.errors import BusyError
from rmetrics.lake import Lake


@contextlib.contextmanager
def scratch_lake(lake: Lake, *, results: bool = True) -> Iterator[Lake]:
    """A lake in a temporary folder whose files are links to the real one's.

    Lake files are replaced, never changed in place, so nothing written here reaches the real lake.

    Args:
        lake: the real one; it is only read.
        results: link what was computed and remembered as well, so that what did not change need not be made again.

    Raises:
        BusyError: another run changed the lake while it was being looked at.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        scratch = Lake(Path(folder) / "lake")
        scratch.prepare()
        names = ("raw", "typed", *(("metrics", "rules") if results else ()))
        try:
            for name in names:
                if (lake.root / name).is_dir():
                    shutil.copytree(lake.root / name, scratch.root / name, copy_function=_put, dirs_exist_ok=True)
            for record in ("landed.json", "checked.json", *(("inbox.json", "state.json") if results else ())):
                if (lake.root / record).is_file():
                    _put(str(lake.root / record), str(scratch.root / record))
        except (shutil.Error, FileNotFoundError) as error:
            raise BusyError("another run changed the lake meanwhile", "Wait for it to end, then run again.") from error
        yield scratch


def _put(source: str, target: str) -> None:
    """A link; a copy of a record, which is small and replaced by the next run: a link may lead to that one."""
    (shutil.copy2 if source.endswith(".json") else _link)(source, target)


def _link(source: str, target: str) -> None:
    """A link, so that nothing is copied; a copy where the file system knows no links."""
    for way in (os.link, os.symlink):
        try:
            way(Path(source).resolve(), target)
        except OSError:
            continue
        return
    shutil.copy2(source, target)
