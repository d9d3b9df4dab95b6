"""Typed rows as input for the second engine: files, with the rank of each export in a file that holds several."""

from collections.abc import Iterable, Mapping, Sequence

from rmetrics.checks.recompute import TypedInput
from rmetrics.lake import Lake, TypedFile


def typed_inputs(lake: Lake, typed: Mapping[str, Sequence[tuple[TypedFile, int]]]) -> dict[str, list[TypedInput]]:
    """Returns the typed rows of exports by feed, each export with its rank."""
    return {name: inputs_of(lake, files) for name, files in typed.items()}


def inputs_of(lake: Lake, files: Iterable[tuple[TypedFile, int]]) -> list[TypedInput]:
    """Returns the typed rows of exports of one feed, each with its rank."""
    packs: dict[str, tuple[TypedFile, dict[int, int]]] = {}
    packed = dict[str, int]()
    found = list[TypedInput]()
    for file, rank in files:
        if file.packed:
            packs.setdefault(file.name, (file, {}))[1][file.number] = rank
            packed[file.name] = packed.get(file.name, 0) + file.rows
        else:
            found.append(TypedInput(lake.location(file), file.columns, rank, rows=file.rows))
    found += [TypedInput(lake.location(f), f.columns, None, ranks, packed[f.name]) for f, ranks in packs.values()]
    return found


__all__ = ["inputs_of", "typed_inputs"]
