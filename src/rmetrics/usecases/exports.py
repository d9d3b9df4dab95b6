"""``rmetrics exports``: the landed exports, and the withdrawal of one that landed by mistake.

Nothing is deleted: a withdrawn export stays in the raw layer and stops counting with the next sync.
"""

import datetime as dt
from dataclasses import dataclass

from rmetrics.errors import SettingsError
from rmetrics.lake import RawFile
from rmetrics.opening import open_lake, open_project
from rmetrics.pipeline.landing.placement import place
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings

_MIN_HASH_DIGITS = 8  # minimum digits of a hash that identify an export


@dataclass(frozen=True, slots=True)
class LandedExport:
    """A landed export.

    Attributes:
        feed: the feed it is read as; the one it landed as if it no longer fits any.
        rows: records in the file, including bad ones and totals.
        landed_at, exported_at: UTC; the latter is the file's modification time at its last delivery.
        in_force: whether it counts from the next sync on.
        withdrawn_at: empty if it was not withdrawn.
    """

    name: str
    sha256: str
    feed: str
    rows: int
    landed_at: str
    exported_at: dt.datetime
    in_force: bool
    withdrawn_at: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Result of a withdrawal or its reversal; ``changed`` is false if the export was in that state already."""

    export: LandedExport
    changed: bool


def landed_exports(settings: Settings) -> tuple[LandedExport, ...]:
    """Returns every landed export, oldest first.

    Raises:
        RulesError: the rules do not load.
        LakeError: a record of the lake cannot be read.
    """
    project = open_project(settings)
    rules, raws = project.rules, project.lake.raw_files()
    feeds = {p.raw.sha256: p.feed for p in place(raws, rules)[0]}
    return tuple(_landed(raw, feeds.get(raw.sha256)) for raw in raws)


def _landed(raw: RawFile, feed: str | None) -> LandedExport:
    exported = dt.datetime.fromtimestamp(raw.age[0] / 1e9, dt.UTC)
    return LandedExport(
        raw.name, raw.sha256, feed or raw.feed, raw.rows, raw.landed_at, exported, feed is not None, raw.withdrawn
    )


def withdraw(settings: Settings, which: str) -> Decision:
    """Takes an export out of force from the next sync on.

    Args:
        settings: of the project.
        which: its name in the inbox, or at least eight digits of its hash.

    Raises:
        SettingsError: no export has that name or hash, or several have.
        BusyError: a sync holds the lake.
    """
    return _decide(settings, which, withdraw=True)


def restore(settings: Settings, which: str) -> Decision:
    """Puts a withdrawn export back in force from the next sync on; see ``withdraw``."""
    return _decide(settings, which, withdraw=False)


def _decide(settings: Settings, which: str, *, withdraw: bool) -> Decision:
    lake = open_lake(settings)
    raws = lake.raw_files()
    _find_export(raws, which)
    with lake.locked():
        raw = _find_export(lake.raw_files(), which)
        changed = bool(raw.withdrawn) is not withdraw
        if changed:
            now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            lake.decide(raw.sha256, withdrawn=now if withdraw else "", restored="" if withdraw else now)
    export = next(e for e in landed_exports(settings) if e.sha256 == raw.sha256)
    return Decision(export, changed)


def _find_export(raws: list[RawFile], which: str) -> RawFile:
    """Returns the export that a name or a hash identifies."""
    named = [r for r in raws if r.name == which]
    digits = which.lower()
    if not named and len(digits) >= _MIN_HASH_DIGITS:
        named = [r for r in raws if r.sha256.startswith(digits)]
    if not named:
        raise SettingsError(
            f"no landed export is called {which!r}{did_you_mean(which, {r.name for r in raws}, near=True)}",
            f"Use a name or at least {_MIN_HASH_DIGITS} digits of a hash from `rmetrics exports`.",
        )
    if len(named) > 1:
        hashes = ", ".join(r.sha256[:12] for r in named)
        raise SettingsError(f"{which!r} matches {len(named)} exports: {hashes}", "Use the hash of one of them.")
    return named[0]


__all__ = ["Decision", "LandedExport", "landed_exports", "restore", "withdraw"]
