"""The manifest beside a pulled file: what was asked, when, what came, and what proves that it is all.

``NAME.manifest.json`` stands beside ``NAME``; the inbox passes over ``.json``. A manifest without a file is that of a
pull that proved that there was nothing.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rmetrics.concealed import concealed

SUFFIX = ".manifest.json"
FOLDER = "pulls"  # of the inbox: where pulled files go, a folder for each pull
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One pulled file.

    Attributes:
        file: its name; None where there were no rows.
        asked_at: when, in UTC.
        day: the business day up to which no day is left out: the next pull asks from the overlap before it.
        request: the declaration's address and parameters, with placeholders: never what they stand for.
        source: of a file: its name, size and time where it came from.
        proof: what shows that it is all, one sentence each.
    """

    pull: str
    kind: str
    feed: str
    file: str | None
    asked_at: str
    day: str
    since: str | None
    rows: int | None
    pages: int | None
    total: int | None
    sha256: str | None
    size: int
    request: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    proof: tuple[str, ...] = ()
    version: str = ""
    format: int = FORMAT

    @property
    def good_day(self) -> dt.date:
        """The day as a date."""
        return dt.date.fromisoformat(self.day)

    def document(self) -> bytes:
        """The manifest as JSON."""
        return concealed(json.dumps(asdict(self), ensure_ascii=False, indent=2)).encode() + b"\n"


def manifests(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """Yields the manifests of a pull's folder by name. What is no manifest of ours is passed over."""
    if not folder.is_dir():
        return
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            read = json.loads(path.read_bytes())
            read["proof"] = tuple(read["proof"])
            manifest = Manifest(**read)
            _ = manifest.good_day
        except (OSError, ValueError, TypeError, KeyError):
            continue
        yield path, manifest
