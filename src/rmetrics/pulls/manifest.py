"""The manifest of a pulled file: the request, its time, the result, and the proof that it is complete.

``NAME.manifest.json`` lies next to ``NAME``; the inbox ignores ``.json``. A manifest without a file records a pull that
proved that there were no rows.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rmetrics.concealed import concealed

SUFFIX = ".manifest.json"
FOLDER = "pulls"  # subfolder of the inbox for pulled files, with a folder for each pull
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One pulled file.

    Attributes:
        file: its name; None if there were no rows.
        asked_at: time of the request, in UTC.
        day: the business day up to which pulls have no gap; the next pull starts from the overlap before it.
        request: the declaration's address and parameters with placeholders, never their values.
        source: for a file from elsewhere: its name, size and time there.
        proof: reasons why it is complete, one sentence each.
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
        """``day`` as a date."""
        return dt.date.fromisoformat(self.day)

    def document(self) -> bytes:
        """Returns the manifest as JSON, with secrets concealed."""
        return concealed(json.dumps(asdict(self), ensure_ascii=False, indent=2)).encode() + b"\n"


def manifests(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """Yields the manifests in a pull's folder, by name; skips files that are not valid manifests."""
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
