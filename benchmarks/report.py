"""Writes docs/benchmarks.md and its charts from the figures of one run.

    python benchmarks/report.py [benchmarks/results/large.json]

Every number in the document comes from that file; findings written by hand stand in benchmarks/notes.md and are put at
the end.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from charts import bars, lines
from goals import STAGES, best, goals, journeys_share, own_seconds, part, peak, peer_seconds, rate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DOCS = ROOT / "docs"
RESULTS = HERE / "results"
MIB = 2**20

WHAT = {
    "peer/DuckDB SQL": "one script of SQL, typed tables kept in a database file; no lossless raw layer, no "
                       "rejected rows, no counts per export, no second opinion",
    "peer/dbt-duckdb": "the same SQL as models of dbt; the same things missing",
    "peer/pandas": "vectorised, only the columns needed, Arrow strings, money as whole cents; everything in memory, "
                   "nothing kept",
    "peer/Postgres COPY and SQL": "text through COPY into unlogged tables, typed and added up by the server; the "
                                  "server's memory is not counted",
}  # fmt: skip


def seconds(value: float | None) -> str:
    """Seconds with three digits that mean something."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def mib(value: float | None) -> str:
    """Bytes as MiB."""
    return "-" if value is None else f"{value / MIB:,.0f} MiB"


def count(jobs: float) -> str:
    """A number of jobs in short."""
    return f"{jobs / 1e6:g} M" if jobs >= 1_000_000 else f"{jobs / 1e3:g} k"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown; the first column to the left, the others to the right."""
    lines_ = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines_)


def spread(figure: dict[str, Any]) -> str:
    """The wall times of a figure: the best, and the range where there is one."""
    low, high = min(figure["wall"]), max(figure["wall"])
    return seconds(low) if len(figure["wall"]) == 1 else f"{seconds(low)} ({low:.2f}-{high:.2f})"


# -- the parts of the document


def machine_part(results: dict[str, Any]) -> str:
    """Where and with what it was measured."""
    machine = results["machine"]
    versions = ", ".join(f"{n} {v}" for n, v in results["versions"].items())
    return (
        f"{machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB of memory, "
        f"{machine['system']}, {machine['filesystem']}. {_revisions(results)} "
        f"Cache: {results['cache']}.\n"
        f"{_limits(results)}{'All columns of the CRM in the jobs exports. ' if results['wide'] else ''}\n{versions}."
    )


def _revisions(results: dict[str, Any]) -> str:
    """Which revision was measured, and when; by size where sizes were added later."""
    measured: dict[tuple[str, str], list[str]] = {}
    for size in results["sizes"]:
        key = size.get("revision", results["revision"]), size.get("at", results["at"])
        measured.setdefault(key, []).append(f"{size['jobs']:,}")
    if len(measured) < 2:
        return f"Revision `{results['revision']}`, {results['at']}."
    return " ".join(f"Revision `{r}`, {at}: {', '.join(jobs)} jobs." for (r, at), jobs in measured.items())


def _limits(results: dict[str, Any]) -> str:
    """The memory limits that were set, by size."""
    limited = [f"{s['memory_limit']} at {s['jobs']:,} jobs" for s in results["sizes"] if s.get("memory_limit")]
    return f"`RMETRICS_MEMORY_LIMIT` was {', '.join(limited)}. " if limited else ""


def goals_part(results: dict[str, Any]) -> str:
    """The table of goals."""
    words = {True: "met", False: "**missed**", None: "-"}
    return table(["goal", "measured", ""], ([g.words, g.measured, words[g.met]] for g in goals(results)))


def metrics_part(size: dict[str, Any]) -> str:
    """From exports to metrics: rmetrics against its peers."""
    own = own_seconds(size)
    first = size["figures"]["rmetrics/first sync"]
    memory = mib(max(first["rss"]))
    rows = [
        ["rmetrics, a whole first sync", spread(first), _times(best(size, "rmetrics/first sync"), own),
         seconds(min(first["cpu"])), memory, "checked by a second engine, published, read back"],
    ]  # fmt: skip
    if own is not None:
        what = "raw and typed rows kept, rejects with reasons, counts per export"
        rows.insert(0, ["**rmetrics** (land, type, compute)", seconds(own), "1.0", "-", memory, what])
    peers = sorted((n for n in size["figures"] if n.startswith("peer/")), key=lambda n: peer_seconds(size, n) or 0)
    for name in peers:
        figure, theirs = size["figures"][name], peer_seconds(size, name)
        rows.append([
            name.partition("/")[2], seconds(theirs), _times(theirs, own), seconds(min(figure["cpu"])),
            mib(max(figure["rss"])), WHAT[name],
        ])  # fmt: skip
    return table(["", "time", "times rmetrics", "processor", "peak memory", "what it does"], rows)


def stages_part(size: dict[str, Any]) -> str:
    """Where the time of a first sync goes, and how far it is from the floor."""
    stages = [(s, part(size, "rmetrics/first sync", s)) for s in STAGES]
    if all(v is None for _, v in stages):
        return "This run did not record the stages of a sync."
    whole = best(size, "rmetrics/first sync") or 1
    rows = [[s, seconds(v), f"{v / whole:.0%}"] for s, v in stages if v is not None]
    rows.append(["all, with start and summary", seconds(whole), "100%"])
    text = table(["stage of a first sync", "best", "share of the whole"], rows)
    floors = [
        [_less(name), seconds(best(size, name)), f"{(f.get('rows') or 0) / (best(size, name) or 1):,.0f}"]
        for name, f in size["figures"].items()
        if name.startswith(("floor/", "landing/"))
    ]
    if floors:
        text += "\n\n" + table(["what the machine needs for less", "best", "rows a second"], floors)
    compute, lake = part(size, "rmetrics/first sync", "compute"), part(size, "lake/DuckDB SQL", "metrics")
    if compute and lake:
        text += f"\n\nTyped rows to metrics: rmetrics {seconds(compute)}, the same in DuckDB's SQL {seconds(lake)}."
    return text


def _less(name: str) -> str:
    kind, _, what = name.partition("/")
    return f"{what}, landing only: to be compared with the stage land" if kind == "landing" else f"bare read: {what}"


def hourly_part(sizes: list[dict[str, Any]]) -> str:
    """What a small change costs."""
    rows = []
    for size in sizes:
        day, full = best(size, "rmetrics/one more day"), best(size, "rmetrics/full rebuild")
        rows.append([
            f"{size['jobs']:,}", seconds(best(size, "rmetrics/nothing new")), seconds(day),
            seconds(part(size, "rmetrics/one more day", "publish")), seconds(full),
            f"{day / full:.1%}" if day and full else "-",
        ])  # fmt: skip
    head = ["jobs", "nothing new", "one more day", "of it publishing", "full rebuild", "day / full"]
    return table(head, rows)


def journeys_part(size: dict[str, Any]) -> str:
    """What it costs to follow leads to jobs."""
    own, share = part(size, "journeys/rmetrics", "seconds"), journeys_share(size)
    floor = part(size, "journeys/DuckDB ASOF join", "seconds")
    if own is None or floor is None or share is None:
        return "This run did not measure it."
    touches = size["figures"]["journeys/rmetrics"]["rows"]
    return (
        f"{touches:,} leads and calls and {size['jobs']:,} jobs: {seconds(own)}, with which exports to metrics take "
        f"{share - 1:.0%} longer. A plain ASOF join of DuckDB over tables that are ready takes {seconds(floor)} for "
        f"the same matches: without extensions and shared numbers, links of the CRM, windows by source, what became of "
        f"each lead and its money."
    )


def shapes_part(found: dict[str, Any]) -> str:
    """Companies of other shapes."""
    names = dict.fromkeys(name.partition("/")[0] for name in found)
    whats = ("first sync", "nothing new", "one more export")
    rows = [
        [name, f"{found[f'{name}/first sync']['rows']:,}",
         *(seconds(min(found[f"{name}/{w}"]["wall"])) for w in whats),
         mib(max(max(found[f"{name}/{w}"]["rss"]) for w in whats)), f"{found[f'{name}/files in the lake']['rows']:,}"]
        for name in names
    ]  # fmt: skip
    return table(["", "exports", *whats, "peak memory", "files in the lake"], rows) if rows else "Not measured."


def publishing_part(size: dict[str, Any]) -> str:
    """Rows a second into the same tables."""
    found = {"rmetrics (with staging, comparison, read-back)": rate(size, "rmetrics/first sync", "publish")}
    for name in size["figures"]:
        if name.startswith("publish/"):
            found[name.partition("/")[2]] = rate(size, name, "seconds")
    rows_of = {n.partition("/")[2]: f.get("rows") for n, f in size["figures"].items()}
    first = rows_of["first sync"]
    rows = [
        [name, f"{value:,.0f}" if value else "-", f"{rows_of.get(name, first) or 0:,}"]
        for name, value in sorted(found.items(), key=lambda item: -(item[1] or 0))
    ]
    return table(["", "rows a second", "rows written"], rows)


def small_part(sizes: list[dict[str, Any]]) -> str:
    """Commands that answer at once, by size."""
    names = ["help", "status", "explain a month", "nothing new", "plan of an edited price"]
    rows = [[f"{s['jobs']:,}", *(seconds(best(s, f"rmetrics/{n}")) for n in names), mib(peak(s))] for s in sizes]
    return table(["jobs", *names, "peak memory of all"], rows)


def scaling_part(sizes: list[dict[str, Any]]) -> str:
    """Every size."""
    rows = [
        [f"{s['jobs']:,}", f"{s['export_bytes'] / MIB:,.0f} MiB in {s['export_files']} files",
         f"{sum(s['rows'].values()):,}",
         spread(s["figures"]["rmetrics/first sync"]), mib(max(s["figures"]["rmetrics/first sync"]["rss"])),
         mib(s.get("lake_bytes") or None)]
        for s in sizes
    ]  # fmt: skip
    return table(["jobs", "exports", "rows kept", "first sync", "peak memory", "lake on disk"], rows)


def _times(value: float | None, own: float | None) -> str:
    return f"{value / own:.1f}" if value and own else "-"


# -- charts


def charts(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The charts by file name."""
    sizes = results["sizes"]
    size = _main(sizes)
    title = f"at {size['jobs']:,} jobs"
    times = {n.partition("/")[2]: t for n in size["figures"] if n.startswith("peer/") and (t := peer_seconds(size, n))}
    own = own_seconds(size)
    if own:
        times["rmetrics (land, type, compute)"] = own
    times["rmetrics, a whole first sync"] = best(size, "rmetrics/first sync") or 0
    yield "benchmark-time.svg", bars(f"Exports to metrics {title}, seconds", times, seconds)
    memory = {n.partition("/")[2]: max(f["rss"]) for n, f in size["figures"].items() if n.startswith("peer/")}
    memory["rmetrics, a whole first sync"] = max(size["figures"]["rmetrics/first sync"]["rss"])
    yield "benchmark-memory.svg", bars(f"Peak memory {title}", memory, mib)
    yield "benchmark-scaling.svg", lines("Time by length of the history (both axes logarithmic)", _by_size(sizes),
                                         count, lambda v: f"{v:g} s")  # fmt: skip
    yield (
        "benchmark-scaling-memory.svg",
        lines(
            "Peak memory by length of the history (both axes logarithmic)",
            _by_size(sizes, memory=True),
            count,
            lambda v: f"{v:,.0f} MiB",
        ),
    )


def _by_size(sizes: list[dict[str, Any]], *, memory: bool = False) -> dict[str, list[tuple[float, float]]]:
    """Points of each contender, seconds or MiB by jobs."""
    wanted = {
        "rmetrics, first sync": "rmetrics/first sync", "rmetrics, one more day": "rmetrics/one more day",
        "DuckDB SQL": "peer/DuckDB SQL", "pandas": "peer/pandas", "Postgres": "peer/Postgres COPY and SQL",
        "dbt-duckdb": "peer/dbt-duckdb",
    }  # fmt: skip
    found: dict[str, list[tuple[float, float]]] = {}
    for size in sizes:
        jobs, figures = size["jobs"], size["figures"]
        if not memory and (own := own_seconds(size)):
            found.setdefault("rmetrics, to metrics", []).append((jobs, own))
        for label, name in wanted.items():
            if name in figures:
                value = max(figures[name]["rss"]) / MIB if memory else peer_seconds(size, name)
                found.setdefault(label, []).append((jobs, float(value or 0)))
    return found


def _main(sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """The size the tables are about: the largest at which peers were measured too."""
    with_peers = [s for s in sizes if any(n.startswith("peer/") for n in s["figures"])]
    return max(with_peers or sizes, key=lambda s: s["jobs"])


# -- the document

TEMPLATE = """\
<!-- Written by benchmarks/report.py from benchmarks/results/{name}.json: change those, or benchmarks/notes.md. -->
# How fast, and how much memory

{machine}

Each size in one run, all on one machine. Every contender reads the same generated exports (text, in the real header
forms, with refunds, payments without a job, overlapping exports and cells nobody can read) and must give the same
daily metrics to the cent, for every day, source and segment, before and while it is timed; otherwise the run fails.
Each is a fresh process. Times are the best of the rounds, with the range in brackets; memory is the peak resident size
of the largest process of a contender, processor time that of all its processes. rmetrics is run through its command
line only. PostgreSQL is one server for all, as rmetrics embeds it, running before anything is timed: time spent
waiting for it counts, its own memory and processor time do not.

## Goals

{goals}

A ratio compares two figures of this run. Where a goal names another size than was measured, the size stands beside it.

## From exports to metrics, at {jobs} jobs

{metrics}

![Time](benchmark-time.svg)
![Memory](benchmark-memory.svg)

Nobody but rmetrics keeps a raw layer from which everything can be made again, says of every row what became of it, or
has a second engine agree before anything is published.

## By length of the history

{scaling}

![Time by size](benchmark-scaling.svg)
![Memory by size](benchmark-scaling-memory.svg)

## An hourly sync

One more day of exports: the day's own rows, and updates, refunds and credits that change months all over the history.
After the last one a full rebuild must give the same metrics. What follows was measured at each size.

{hourly}

## Leads followed to jobs

{journeys}

## Other shapes

The sample of this repository; a cron box that dropped two exports of three rows each every day for five years; a list
of jobs exported anew every day of a year. Each on its embedded server, which a command starts and stops: the time
counts.

{shapes}

## Publishing

Into tables with the same keys, indexes and foreign keys. The slow ways are given fewer rows: the rate counts.

{publishing}

## Where the time goes

{stages}

## Commands

{small}

## Run it

`make bench` takes some minutes and writes `benchmarks/results/bench.json`; `make bench-large` takes an hour or more
(sizes: `make bench-large SIZES="100000 1000000"`) and writes `large.json`. Both write this document.
`python benchmarks/compare.py OLD.json NEW.json` tells what changed between two runs.

{notes}"""


def document(results: dict[str, Any], notes: str) -> str:
    """The whole document."""
    sizes = sorted(results["sizes"], key=lambda s: s["jobs"])
    size = _main(sizes)
    return TEMPLATE.format(
        name=results["name"],
        machine=machine_part(results),
        goals=goals_part(results),
        jobs=f"{size['jobs']:,}",
        metrics=metrics_part(size),
        scaling=scaling_part(sizes),
        hourly=hourly_part(sizes),
        journeys=journeys_part(size),
        shapes=shapes_part(results.get("shapes", {})),
        publishing=publishing_part(size),
        stages=stages_part(size),
        small=small_part(sizes),
        notes=notes,
    )


def write(results: dict[str, Any], notes: str, docs: Path) -> None:
    """Writes the document and its charts into a folder."""
    (docs / "benchmarks.md").write_text(document(results, notes), encoding="utf-8")
    for name, svg in charts(results):
        (docs / name).write_text(svg, encoding="utf-8")


def main() -> None:
    """Writes the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    large = RESULTS / "large.json"
    parser.add_argument("results", type=Path, nargs="?", default=large if large.exists() else RESULTS / "bench.json")
    options = parser.parse_args()
    notes = HERE / "notes.md"
    write(json.loads(options.results.read_text()), notes.read_text() if notes.exists() else "", DOCS)


if __name__ == "__main__":
    main()
