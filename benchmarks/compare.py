"""What changed between two runs of the benchmark.

    python benchmarks/compare.py OLD.json NEW.json [--strict]

Every figure of both: best wall time, its parts, processor time, peak memory. Warns where the new one takes 10 % more;
with --strict the exit code is 1 then. Says so when the runs were made on different machines or with different versions.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 0.10
NOISE_SECONDS = 0.02  # below that, two runs of the same code differ by more than 10 %


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in both runs.

    Attributes:
        jobs: the size.
        name: of the figure, with the part, ``processor`` or ``memory``.
        old, new: seconds or MiB.
    """

    jobs: int
    name: str
    old: float
    new: float

    @property
    def ratio(self) -> float:
        """How many times the old value the new one is."""
        return self.new / self.old if self.old else 1.0

    @property
    def worse(self) -> bool:
        """Whether it takes at least 10 % more, and not just a few milliseconds."""
        return self.ratio >= 1 + LIMIT and self.new - self.old > NOISE_SECONDS


def changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """Every figure that both runs have, in the order of the new one."""
    before = {(s["jobs"], n): f for s in old["sizes"] for n, f in s["figures"].items()}
    for size in new["sizes"]:
        for name, figure in size["figures"].items():
            earlier = before.get((size["jobs"], name))
            if earlier is None:
                continue
            yield Change(size["jobs"], name, min(earlier["wall"]), min(figure["wall"]))
            for part, values in figure.get("parts", {}).items():
                if part in earlier.get("parts", {}):
                    yield Change(size["jobs"], f"{name}: {part}", min(earlier["parts"][part]), min(values))
            yield Change(size["jobs"], f"{name}: processor", min(earlier["cpu"]), min(figure["cpu"]))
            yield Change(size["jobs"], f"{name}: memory", max(earlier["rss"]) / 2**20, max(figure["rss"]) / 2**20)


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Why the runs cannot be compared as they stand."""
    for what in ("machine", "versions"):
        names = sorted({*old[what], *new[what]})
        told = [f"{n} {old[what].get(n)} / {new[what].get(n)}" for n in names if old[what].get(n) != new[what].get(n)]
        if told:
            yield f"the runs differ in {what}: " + ", ".join(told)
    if old["wide"] != new["wide"]:
        yield "the jobs exports of one run have every column of the CRM, those of the other have not"


def only_in_one(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Figures that only one of the runs has."""
    before, after = ({f"{s['jobs']:,} {n}" for s in run["sizes"] for n in s["figures"]} for run in (old, new))
    for label, names in (("old", before - after), ("new", after - before)):
        if names:
            yield f"only in the {label} run: " + ", ".join(sorted(names))


def main(arguments: list[str] | None = None) -> int:
    """Prints the comparison; 1 with --strict where anything is worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a figure is 10 %% worse")
    options = parser.parse_args(arguments)
    old, new = (json.loads(p.read_text(encoding="utf-8")) for p in (options.old, options.new))
    for line in differences(old, new):
        print(f"note: {line}")
    print(f"{'jobs':>12}  {'figure':52} {'old':>10} {'new':>10} {'new/old':>8}")
    found = list(changes(old, new))
    for change in found:
        mark = "  WORSE" if change.worse else ""
        print(f"{change.jobs:12,}  {change.name:52} {change.old:10.3f} {change.new:10.3f} {change.ratio:8.2f}{mark}")
    for line in only_in_one(old, new):
        print(f"note: {line}")
    worse = [c for c in found if c.worse]
    print(f"{len(found)} figures compared, {len(worse)} at least {LIMIT:.0%} worse")
    return 1 if options.strict and worse else 0


if __name__ == "__main__":
    sys.exit(main())
