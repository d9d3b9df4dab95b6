"""What was to be reached, and whether it was: computed from the figures of one run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

GIB = 2**30
STAGES = ("land", "type", "compute", "check", "publish")
_FIRST, _DAY = "rmetrics/first sync", "rmetrics/one more day"
_BARE, _HELP = "publish/COPY into bare tables", "rmetrics/help"
_LARGE = 5_000_000  # jobs, at which most goals are set
_LAKE_BEFORE = 1.2e9  # bytes of the lake of 5 million jobs before exports were kept as they came


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and what was measured.

    Attributes:
        words: what was to be reached.
        measured: what was, with the size it was measured at.
        met: None where it was not measured.
    """

    words: str
    measured: str
    met: bool | None


def best(size: dict[str, Any], name: str) -> float | None:
    """The shortest wall time of a figure, in seconds; None where it was not measured."""
    figure = size["figures"].get(name)
    return min(figure["wall"]) if figure else None


def part(size: dict[str, Any], name: str, *parts: str) -> float | None:
    """The shortest sum of some parts of a figure; None where a part was not measured."""
    measured = size["figures"].get(name, {}).get("parts", {})
    if not all(p in measured for p in parts):
        return None
    return float(min(sum(values) for values in zip(*(measured[p] for p in parts), strict=True)))


def own_seconds(size: dict[str, Any]) -> float | None:
    """Of rmetrics, from exports to metrics: land, type, compute of a first sync."""
    return part(size, _FIRST, "land", "type", "compute")


def peer_seconds(size: dict[str, Any], name: str) -> float | None:
    """A peer from exports to metrics; the process's wall time, or its own clock where it also fetches the answer."""
    own = part(size, name, "seconds")
    return own if own is not None else best(size, name)


def rate(size: dict[str, Any], name: str, clock: str) -> float | None:
    """Rows in a second."""
    seconds, rows = part(size, name, clock), size["figures"].get(name, {}).get("rows")
    return rows / seconds if seconds and rows else None


def peak(size: dict[str, Any]) -> int | None:
    """The most memory any command of rmetrics took."""
    peaks = [max(f["rss"]) for n, f in size["figures"].items() if n.startswith("rmetrics/")]
    return max(peaks, default=None)


def journeys_share(size: dict[str, Any]) -> float | None:
    """How much longer exports to metrics take because leads are followed to their jobs: 1.25 is a quarter."""
    own, journeys = own_seconds(size), part(size, "journeys/rmetrics", "seconds")
    return own / (own - journeys) if own and journeys and own > journeys else None


def goals(results: dict[str, Any]) -> Iterator[Goal]:
    """All goals: those of each size with peers, then those of the largest sizes, then those of other shapes."""
    sizes = sorted(results["sizes"], key=lambda s: int(s["jobs"]))
    with_peers = [s for s in sizes if any(n.startswith("peer/") for n in s["figures"])]
    for size in with_peers:
        duckdb = peer_seconds(size, "peer/DuckDB SQL")
        words = f"exports to metrics, {size['jobs']:,} jobs: at most 0.9 times hand-written DuckDB"
        yield _ratio(words, own_seconds(size), duckdb, size, at_most=0.9)
    if with_peers:
        yield from _against_peers(with_peers[-1], _largest_with(sizes, _BARE))
    yield from _large(sizes)
    yield from _shapes(results.get("shapes", {}), sizes)


def _largest_with(sizes: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The largest size at which a figure was measured, for not all are at every size; else the largest."""
    return next((s for s in reversed(sizes) if name in s["figures"]), sizes[-1])


def _against_peers(size: dict[str, Any], published: dict[str, Any]) -> Iterator[Goal]:
    own, duckdb = own_seconds(size), peer_seconds(size, "peer/DuckDB SQL")
    dbt = peer_seconds(size, "peer/dbt-duckdb")
    yield _ratio("exports to metrics: faster than dbt-duckdb", dbt, own, size, at_least=1)
    for name in ("pandas", "Postgres COPY and SQL"):
        theirs = peer_seconds(size, f"peer/{name}")
        yield _ratio(f"exports to metrics: at least 4 times faster than {name}", theirs, own, size, at_least=4)
    words = "a whole first sync: at most 2.0 times DuckDB's exports to metrics alone"
    yield _ratio(words, best(size, _FIRST), duckdb, size, at_most=2)
    bare, publish = part(published, _BARE, "seconds"), part(published, _FIRST, "publish")
    words = "publishing: at most 2.0 times a COPY of the same rows into bare tables"
    yield _ratio(words, publish, bare, published, at_most=2)
    share = journeys_share(size)
    words = "following leads to jobs, in one bucket: exports to metrics take at most a quarter longer"
    yield _goal(words, share, lambda v: v <= 1.25, lambda v: f"{v - 1:.0%} longer", size)


def _large(sizes: list[dict[str, Any]]) -> Iterator[Goal]:
    """Goals of large sizes, some of which are set for 5 million jobs, others for the largest."""
    last, helped = sizes[-1], _largest_with(sizes, _HELP)
    usual = next((s for s in reversed(sizes) if s["jobs"] <= _LARGE), last)
    for size in [usual] if usual is last else [usual, last]:
        day = 5.0 if size["jobs"] > _LARGE else 2.0
        yield _seconds(f"one more day, the server running: at most {day:g} s", best(size, _DAY), day, size)
    yield _goal("peak memory of every command: under 2.5 GiB (the goal is for 20 million jobs)", peak(last),
                lambda v: v < 2.5 * GIB, lambda v: f"{v / GIB:.2f} GiB", last)  # fmt: skip
    for words, name, limit, size in (
        ("`explain` of a month under 1.5 s", "rmetrics/explain a month", 1.5, usual),
        ("`plan` of an edited price under 15 s", "rmetrics/plan of an edited price", 15.0, usual),
        ("a sync with nothing new, the server running, under 0.5 s", "rmetrics/nothing new", 0.5, last),
    ):
        yield _seconds(words, best(size, name), limit, size)
    yield _seconds("`rmetrics --help` under 0.3 s", best(helped, _HELP), 0.3, helped)
    held = usual.get("lake_bytes") or None
    share = held / (_LAKE_BEFORE * usual["jobs"] / _LARGE) if held else None
    words = "the lake on disk: at most 0.6 times what it was when every cell was kept as text"
    yield _goal(words, share, lambda v: v <= 0.6, lambda v: f"{v:.2f} times", usual)


def _shapes(found: dict[str, Any], sizes: list[dict[str, Any]]) -> Iterator[Goal]:
    """Other shapes, each with its server started and stopped by the command."""
    small = next((s for s in sizes if s["jobs"] == 100_000), None)
    if small is not None:
        yield _seconds("first sync of 100,000 jobs under 5 s", best(small, _FIRST), 5.0, small)
    for words, name, limit in (
        ("the sample's first sync under 2.5 s", "sample/first sync", 2.5),
        ("the sample again, nothing new, under 0.4 s", "sample/nothing new", 0.4),
        ("a cron box after five years (3,650 exports), first sync under 15 s", "cron box/first sync", 15.0),
        ("the same, nothing new, under 0.6 s", "cron box/nothing new", 0.6),
        ("the same, one more export, under 1.5 s", "cron box/one more export", 1.5),
        ("365 daily exports of a growing list, first sync under 10 s", "daily re-exports/first sync", 10.0),
        ("the same, one more export, under 2 s", "daily re-exports/one more export", 2.0),
    ):
        value = min(found[name]["wall"]) if name in found else None
        yield Goal(
            words, "not measured" if value is None else f"{value:.2f} s", None if value is None else value < limit
        )
    if (files := found.get("cron box/files in the lake")) is not None:
        words = "the same: at most one file per export and a few hundred beside them"
        yield Goal(words, f"{files['rows']:,} files", files["rows"] <= 3_650 + 300)


def _goal(
    words: str, value: float | None, met: Callable[[Any], bool], shown: Callable[[Any], str], size: dict[str, Any]
) -> Goal:
    if value is None:
        return Goal(words, "not measured", None)
    return Goal(words, f"{shown(value)} at {size['jobs']:,} jobs", met(value))


def _seconds(words: str, value: float | None, limit: float, size: dict[str, Any]) -> Goal:
    return _goal(words, value, lambda v: v < limit, lambda v: f"{v:.2f} s", size)


def _ratio(
    words: str,
    above: float | None,
    below: float | None,
    size: dict[str, Any],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Goal:
    value = above / below if above and below else None

    def met(ratio: float) -> bool:
        return (at_most is None or ratio <= at_most) and (at_least is None or ratio >= at_least)

    return _goal(words, value, met, lambda v: f"{v:.2f} times", size)
