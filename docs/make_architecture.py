"""Draws docs/architecture.svg: the packages of rmetrics in their layers, and what each imports.

.venv/bin/python docs/make_architecture.py

Layers come from the contract in pyproject.toml, arrows from the imports in the code. An arrow is left out where a
longer way says the same: if `cli` imports `usecases` and `usecases` imports `pipeline`, no arrow leads from `cli` to
`pipeline`. Modules that only hold small values, and the modules that everybody imports, have no arrows.
"""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "rmetrics"
TARGET = ROOT / "docs" / "architecture.svg"

WIDTH, ROW, BOX_HEIGHT, MARGIN = 1040, 78, 34, 24
BASE = 3  # the lowest layers, whose modules everybody imports: shown without arrows


def layers() -> list[list[str]]:
    """The layers of the contract, top to bottom, each with its modules in the order of the contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rows = next(c for c in contracts if c.get("containers") == ["rmetrics"])["layers"]
    return [[name.strip() for name in re.split(r"[|:]", row)] for row in rows]


def modules() -> dict[str, list[Path]]:
    """The files of each top-level module or package."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found[top].append(path)
    return found


def imports() -> dict[str, set[str]]:
    """Which top-level modules each of them imports."""
    found: dict[str, set[str]] = {}
    for top, paths in modules().items():
        named = set[str]()
        for path in paths:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rmetrics."):
                    named.add(node.module.split(".")[1])
                elif isinstance(node, ast.ImportFrom) and node.module == "rmetrics":
                    named |= {a.name for a in node.names}
        found[top] = named & set(modules()) - {top}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that no longer way replaces."""

    def reach(start: str, seen: set[str]) -> set[str]:
        for near in graph.get(start, set()):
            if near not in seen:
                seen.add(near)
                reach(near, seen)
        return seen

    return {
        top: {n for n in near if not any(n in reach(other, {other}) for other in near - {n})}
        for top, near in graph.items()
    }


def picture() -> str:
    """The SVG as text."""
    rows = [row for row in layers() if row != ["__main__"]]
    place: dict[str, tuple[float, float, float]] = {}
    boxes, arrows = [], []
    for y, row in enumerate(rows):
        width = (WIDTH - 2 * MARGIN) / len(row)
        for x, name in enumerate(row):
            wide = min(width - 12, 190)
            middle = MARGIN + width * (x + 0.5)
            top = MARGIN + y * ROW
            place[name] = (middle, top, wide)
            boxes.append(
                f'<rect x="{middle - wide / 2:.0f}" y="{top}" width="{wide:.0f}" height="{BOX_HEIGHT}" rx="6"/>'
                f'<text x="{middle:.0f}" y="{top + 22}">{escape(name)}</text>'
            )
    base = {name for row in rows[-BASE:] for name in row}
    for name, near in reduced(imports()).items():
        for other in sorted(near - base):
            if name in place and name not in base and other in place:
                (x1, y1, _), (x2, y2, _) = place[name], place[other]
                y1 += BOX_HEIGHT
                bend = (y2 - y1) / 2 if y2 > y1 else 40
                arrows.append(
                    f'<path d="M{x1:.0f},{y1} C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2}"/>'
                )
    height = 2 * MARGIN + len(rows) * ROW - (ROW - BOX_HEIGHT)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" \
aria-label="The packages of rmetrics in their layers; imports point down.">
<style>
rect {{ fill: #f4f6f8; stroke: #5b6b7b; }}
path {{ fill: none; stroke: #9aa7b4; stroke-width: 1.2; }}
text {{ font: 600 14px system-ui, sans-serif; text-anchor: middle; fill: #1d2733; }}
</style>
<rect x="0" y="0" width="{WIDTH}" height="{height}" style="fill: #ffffff; stroke: none"/>
{chr(10).join(arrows)}
{chr(10).join(boxes)}
</svg>
"""


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
