"""Landed exports that are lost or damaged: how they are found, reported and replaced.

The raw layer is the source of truth and can only be rebuilt from the exports. A sync therefore checks every landed file
before it uses any. A damaged one lands again if its export is still in the inbox, and otherwise stops the run.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from rmetrics.errors import LakeError, withdrawal_hint
from rmetrics.lake import CORRUPT, LANDED, MISSING, Damage, Lake, RawFile

_SHOWN = 5


def lost_exports(lake: Lake, intact: Collection[RawFile], damaged: Sequence[Damage]) -> list[Damage]:
    """Returns every landed export whose file is missing or damaged.

    A withdrawn export is not needed, so its damage does not count as a loss.
    """
    decided = lake.decisions()
    earlier = lake.earlier_exports()
    known = {s: e for s, e in lake.load_json(LANDED).get("exports", {}).items() if s not in earlier}
    intact_hashes = {f.sha256 for f in intact}
    needed = [d for d in damaged if not decided.get(d.sha256, {}).get("withdrawn")]
    found = [
        d if d.export else replace(d, export=known.get(d.sha256, {}).get("name", ""))
        for d in needed
        if d.sha256 not in intact_hashes
    ]
    named = intact_hashes | {d.sha256 for d in found}
    missing = [
        Damage(lake.raw / e["feed"] / f"{sha256}.parquet", MISSING, e["feed"], sha256, e["name"])
        for sha256, e in known.items()
        if sha256 not in named and not decided.get(sha256, {}).get("withdrawn")
    ]
    return [*found, *missing]


def settle_damage(lake: Lake, intact: Collection[RawFile], damaged: Sequence[Damage], *, force: bool) -> None:
    """Stops the run if an export is lost; removes damaged files that have landed again, and leftovers of killed runs.

    Args:
        lake: under its lock, after landing.
        intact: all landed exports as they are now.
        damaged: the damage found before landing.
        force: go on without exports whose files are gone.

    Raises:
        LakeError: an export is damaged, or gone without ``force``; names every file and the export to put back.
    """
    lost = [d for d in lost_exports(lake, intact, damaged) if not (force and d.missing)]
    if lost:
        raise lost_error(lost)
    lake.settle_raw(intact, damaged, {s for s, facts in lake.decisions().items() if facts.get("withdrawn")})


def lost_error(lost: Sequence[Damage]) -> LakeError:
    """Returns the error that lists the damage and the remedy."""
    lines = [f"{d.path}: {d.what}" for d in lost[:_SHOWN]]
    if len(lost) > _SHOWN:
        lines.append(f"and {len(lost) - _SHOWN} more; `rmetrics doctor --verify` lists them all")
    first = f"{len(lost)} files of the lake are damaged:\n  " if len(lost) > 1 else "the lake is damaged: "
    return LakeError(first + "\n  ".join(lines), repair_hint(lost))


def repair_hint(lost: Sequence[Damage]) -> str:
    """Returns the remedy: the exports to put back, and the alternatives."""
    named = sorted({d.export for d in lost if d.export})
    names = ", ".join(repr(n) for n in named[:_SHOWN]) + (
        f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    )
    back = (
        f"Put the export{'s' if len(named) > 1 else ''} {names} back into the inbox"
        if named
        else ("Put the export it was made from back into the inbox")
    )
    force = ", or pass --force to remove their rows" if all(d.missing for d in lost) else ""
    # `withdraw` finds an export by its record and its file, so both must be there.
    without = withdrawal_hint(named) if all(d.what == CORRUPT for d in lost) else ""
    return f"{back} (or restore the file from a backup of raw/) and sync again{force}. Nothing was published." + (
        f" {without}" if without else ""
    )


__all__ = ["lost_error", "lost_exports", "repair_hint", "settle_damage"]
