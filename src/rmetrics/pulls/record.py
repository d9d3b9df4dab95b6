"""The record of each pull's last attempt and last complete one: a small file in the data folder.

The manifests next to the pulled files document successful pulls; this record also covers failed ones.
"""

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rmetrics.concealed import concealed
from rmetrics.files import PRIVATE_FOLDER, replace_private

_FILE = "pulls.json"
OVERDUE = dt.timedelta(hours=26)  # a day, plus the delay that a daily run may have


@dataclass(frozen=True, slots=True)
class PullRecord:
    """The state of a declared pull.

    Attributes:
        tried_at: time of the last attempt; None: never.
        complete_at: time of the last attempt proved complete, with or without rows; None: never.
        why: why the last attempt was not complete; empty if it was.
    """

    name: str
    tried_at: dt.datetime | None = None
    complete_at: dt.datetime | None = None
    why: str = ""

    def trouble(self, now: dt.datetime) -> str:
        """Describes what is wrong with the pull; empty if nothing is."""
        if self.tried_at is None:
            return "it has never run"
        last = f"last complete {self.complete_at:%Y-%m-%d %H:%M} UTC" if self.complete_at else "never complete"
        if self.why:
            return f"not complete on {self.tried_at:%Y-%m-%d %H:%M} UTC ({last}): {self.why}"
        if self.complete_at is None or now - self.complete_at > OVERDUE:
            return f"overdue: {last}"
        return ""


def pull_records(data: Path, names: Iterable[str]) -> tuple[PullRecord, ...]:
    """Returns the states of the named pulls, in the same order.

    Args:
        data: the data folder.
        names: names of the declared pulls.
    """
    kept = _kept(data)
    return tuple(_record(name, kept.get(name)) for name in names)


def note_pull(data: Path, name: str, at: dt.datetime, why: str) -> None:
    """Records an attempt. The caller holds the lock of pulls.

    Args:
        data: the data folder.
        name: the pull's name.
        at: when the attempt started.
        why: why it is not complete; empty if it is.

    Raises:
        OSError: the file cannot be written.
    """
    kept = _kept(data)
    known = replace(_record(name, kept.get(name)), tried_at=at, why=concealed(why))
    known = known if why else replace(known, complete_at=at)
    data.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    replace_private(data / _FILE, json.dumps({**kept, name: asdict(known)}, default=str, indent=2).encode())


def _kept(data: Path) -> dict[str, Any]:
    try:
        kept = json.loads((data / _FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _record(name: str, kept: Any) -> PullRecord:
    try:
        tried, complete = (dt.datetime.fromisoformat(kept[n]) if kept[n] else None for n in ("tried_at", "complete_at"))
        return PullRecord(name, tried, complete, str(kept["why"]))
    except (KeyError, TypeError, ValueError):
        return PullRecord(name)


__all__ = ["OVERDUE", "PullRecord", "note_pull", "pull_records"]
