"""What was to be reached, and whether it was: computed from the figures of one run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

GIB = 2**30
STAGES = ("land", "type", "compute", "check", "publish")


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
    return part(size, "rmetrics/first sync", "land", "type", "compute")


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


def goals(results: dict[str, Any]) -> Iterator[Goal]:
    """All goals."""
    sizes = results["sizes"]
    with_peers = [s for s in sizes if any(n.startswith("peer/") for n in s["figures"])]
    large = max(with_peers, key=lambda s: s["jobs"], default=None)
    last = max(sizes, key=lambda s: s["jobs"])
    if large is not None:
        yield from _against_peers(large)
        yield from _incremental(large, last, sizes)
        yield from _publishing(large)
    memory = peak(last)
    yield _goal("peak memory under 4 GiB (the goal is for 20 million jobs)", memory, lambda v: v < 4 * GIB,
                lambda v: f"{v / GIB:.2f} GiB", last)  # fmt: skip
    for words, name, limit in (
        ("`rmetrics --help` under 0.3 s", "rmetrics/help", 0.3),
        ("`status` under 2 s", "rmetrics/status", 2.0),
        ("`explain` of one month under 2 s", "rmetrics/explain a month", 2.0),
    ):
        yield _seconds(words, best(large or last, name), limit, large or last)


def _against_peers(size: dict[str, Any]) -> Iterator[Goal]:
    own = own_seconds(size)
    duckdb = peer_seconds(size, "peer/DuckDB SQL")
    yield _ratio("exports to metrics: at most 1.2 times the hand-written DuckDB SQL", own, duckdb, size, at_most=1.2)
    for name in ("pandas", "dbt-duckdb", "Postgres COPY and SQL"):
        theirs = peer_seconds(size, f"peer/{name}")
        yield _ratio(f"exports to metrics: at least 4 times faster than {name}", theirs, own, size, at_least=4)
    compute = part(size, "rmetrics/first sync", "compute")
    lake = part(size, "lake/DuckDB SQL", "metrics")
    yield _ratio("typed lake to metrics: not slower than DuckDB's SQL", compute, lake, size, at_most=1)


def _incremental(size: dict[str, Any], last: dict[str, Any], sizes: list[dict[str, Any]]) -> Iterator[Goal]:
    yield _seconds(
        "a sync with nothing new under 1 s, whatever the size", best(last, "rmetrics/nothing new"), 1.0, last
    )
    day, full = best(size, "rmetrics/one more day"), best(size, "rmetrics/full rebuild")
    share = day / full if day and full else None
    yield _goal("one more day: at most 8 % of the full rebuild", share, lambda v: v <= 0.08, lambda v: f"{v:.1%}", size)
    for whole in sorted(sizes, key=lambda s: -s["jobs"]):
        quarter = next((s for s in sizes if s["jobs"] * 4 == whole["jobs"]), None)
        if quarter:
            words = f"one more day on a history 4 times as long as {quarter['jobs']:,} jobs: within 1.5 times"
            pair = best(whole, "rmetrics/one more day"), best(quarter, "rmetrics/one more day")
            yield _ratio(words, *pair, whole, at_most=1.5)
            break


def _publishing(size: dict[str, Any]) -> Iterator[Goal]:
    own, bare = rate(size, "rmetrics/first sync", "publish"), rate(size, "publish/bare ADBC", "seconds")
    share = own / bare if own and bare else None
    yield _goal("publishing: at least 80 % of the rate of bare ADBC ingest into the same tables", share,
                lambda v: v >= 0.8, lambda v: f"{v:.0%}", size)  # fmt: skip
    yield _seconds("a small change publishes in under 1 s", part(size, "rmetrics/one more day", "publish"), 1.0, size)


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
