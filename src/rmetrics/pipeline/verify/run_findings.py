"""Findings about the data a run worked with."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import polars as pl

from rmetrics.findings import BY_HAND, NEWLY_ACCEPTED, WITHDRAWN, Finding, Severity, count
from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.metrics.jobs import declared_names
from rmetrics.money import dollars
from rmetrics.pipeline.compute.compute import Computed
from rmetrics.pipeline.compute.local import stored_tallies
from rmetrics.pipeline.explanations import Explanations
from rmetrics.pipeline.landing.inbox import InboxFile
from rmetrics.pipeline.landing.quarantine import RejectedRow
from rmetrics.pipeline.verify.export_findings import export_findings
from rmetrics.postgres.publish import OutsideWrites
from rmetrics.rules import Rules
from rmetrics.rules.measure_tables import FREE_TEXT, MAX_MEMBERS, NONE, REST
from rmetrics.rules.names import TARGETS
from rmetrics.tables import DAILY, MONTHLY


def run_findings(
    lake: Lake, rules: Rules, computed: Computed, seen: list[InboxFile], explanations: Explanations
) -> tuple[Finding, ...]:
    """Returns the findings of a sync, most severe first; if one part fails, the others are still made."""
    found: list[Finding] = []
    for what, findings in (
        ("the findings about files", lambda: list(_files(rules, computed, seen))),
        ("the findings about the lake", lambda: list(_earlier(lake, computed))),
        ("the comparison of exports", lambda: list(export_findings(lake, rules, computed))),
        ("the findings about rows", lambda: list(_rows(lake, rules))),
        ("the findings about dimensions", lambda: list(_free_text(computed, rules))),
        ("the findings about phone numbers", lambda: list(_phones(computed))),
        ("the warnings about rules", lambda: [Finding("rule", Severity.INFO, str(w), 0) for w in rules.warnings]),
    ):
        found += explanations.of(what, findings, [])
    order = list(Severity)
    return tuple(sorted(found, key=lambda f: order.index(f.severity)))


def _free_text(computed: Computed, rules: Rules) -> Iterator[Finding]:
    """Yields dimensions with thousands of members and no ``most``: free text rather than categories.

    The published members are right, the largest by name and the others together, so the run goes on: one more export
    must not stop a company's figures. It remains an error until somebody decides.
    """
    if not any(d.most is None for d in rules.dimensions.values()):
        return
    tally = stored_tallies(computed.snapshot).members.filter(pl.col("member") != NONE)
    counts = tally.group_by("dimension").agg(pl.col("member").n_unique()).filter(pl.col("member") > FREE_TEXT)
    for name, members in counts.sort("dimension").collect().iter_rows():
        if name in rules.dimensions and rules.dimensions[name].most is None:
            message = (
                f"{rules.place(f'dimensions.{name}')}: dimension {name} has {members:,} members, more than "
                f"{FREE_TEXT:,}: it appears to be free text; {MAX_MEMBERS} are kept by name, the others are {REST}. "
                f"Choose another column, or set most = {MAX_MEMBERS} if this is intended"
            )
            yield Finding("free-text", Severity.ERROR, message, members)


def _earlier(lake: Lake, computed: Computed) -> Iterator[Finding]:
    """Yields a finding about exports that landed in the form of an earlier version."""
    earlier = lake.earlier_exports()
    if not earlier:
        return
    landed = {p.raw.sha256 for p in computed.placed} | {r.sha256 for r in (*computed.unplaced, *computed.withdrawn)}
    missing = len(earlier - landed)
    back = (
        f"; {count(missing, 'export')} among them are not in the inbox, so their rows are missing: put them back"
        if missing
        else "; all of them have landed again from the inbox"
    )
    message = (
        f"{lake.raw} holds {count(len(earlier), 'export')} in the format of an earlier version, with a .json next to "
        "each "
        f"file: they are kept but not read{back}"
    )
    yield Finding("earlier-lake", Severity.INFO, message, 0)


def _files(rules: Rules, computed: Computed, seen: list[InboxFile]) -> Iterator[Finding]:
    newest = {(p.raw.name, p.feed): p.raw.sha256 for p in computed.placed}  # a corrected file replaces an earlier one
    counts = [computed.counts[sha256] for sha256 in newest.values()]
    rejected = sum(c.rejected for c in counts)
    if rejected:
        files = sum(1 for c in counts if c.rejected)
        message = (
            f"{count(rejected, 'row')} in {count(files, 'file')} could not be read; see them with `rmetrics rejected`"
        )
        yield Finding("rejected-rows", Severity.WARNING, message, rejected)
    refused = [s for s in seen if s.refused]
    if refused:
        message = f"{count(len(refused), 'file')} in the inbox could not be used"
        yield Finding("refused-files", Severity.WARNING, message, len(refused))
    asking = [s for s in seen if s.delivered and s.sha256 in {r.sha256 for r in computed.withdrawn}]
    for file in asking:
        message = f"{file.name} has the content of an export that was {file.note}"
        yield Finding(WITHDRAWN, Severity.WARNING, message, 0)
    for raw in computed.unplaced:
        if raw.feed not in rules.feeds:
            message = (
                f"{raw.name} landed as {raw.feed}, which the rules no longer declare: its {count(raw.rows, 'row')} are "
                "kept in the lake and do not count until a feed fits them"
            )
            yield Finding("undeclared-feed", Severity.WARNING, message, raw.rows)
            continue
        message = (
            f"{raw.name} landed as {raw.feed}, but no longer fits any feed: its {count(raw.rows, 'row')} are kept in "
            "the "
            f"lake and do not count; correct [feeds.{raw.feed}]"
        )
        yield Finding("unplaced-export", Severity.ERROR, message, raw.rows)


def newly_accepted_findings(rows: Sequence[RejectedRow]) -> tuple[Finding, ...]:
    """Returns the finding for rows that an earlier run rejected and this one reads."""
    if not rows:
        return ()
    places = ", ".join(f"{r.file} line {r.line}" for r in rows[:5]) + (", ..." if len(rows) > 5 else "")
    return (
        Finding(
            NEWLY_ACCEPTED, Severity.INFO, f"{count(len(rows), 'rejected row')} can now be read: {places}", len(rows)
        ),
    )


def outside_write_findings(written: Sequence[OutsideWrites]) -> Iterator[Finding]:
    """Yields findings about rows that others wrote into published tables, with the right place for them."""
    for table in written:
        if table.removed:
            message = (
                f"{count(table.removed, 'row')} of {table.table} came from no export and {_was(table.removed)} removed "
                f"(first: {table.first}), because a sync makes tables match the exports; {_instead(table.table)}"
            )
            yield Finding(BY_HAND, Severity.WARNING, message, table.removed)
        if table.restored:
            message = (
                f"{count(table.restored, 'row')} of {table.table} had been changed or deleted in the database and "
                f"{_was(table.restored)} restored from the exports; {_instead(table.table)}"
            )
            yield Finding(BY_HAND, Severity.WARNING, message, table.restored)


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _instead(table: str) -> str:
    if table == TARGETS:
        return (
            "put targets into the inbox: rmetrics target set 2026-01 --repairs 30, or a sheet like targets.example.csv"
        )
    if table in {DAILY, MONTHLY}:
        return "figures are computed: correct the export in the inbox, or the rule"
    return f"put such rows into an export of {table} in the inbox"


def _rows(lake: Lake, rules: Rules) -> Iterator[Finding]:
    tallies = stored_tallies(load(lake))
    jobs, paid = tallies.activity, tallies.revenue
    known = {*rules.sources, *declared_names(rules).values()}
    own = (
        jobs.filter(~pl.col("source").is_in(list(known)))
        .group_by("source")
        .agg(pl.col("jobs").sum())
        .sort("jobs", "source", descending=[True, False])
    )
    undated = jobs.filter(pl.col("date").is_null()).select(pl.col("jobs").sum())
    sums = pl.col("payments").sum(), dollars(pl.col("gross_cents").sum()).alias("amount")
    orphans = paid.filter(~pl.col("known")).select(sums)
    lost = paid.filter(pl.col("date").is_null()).select(sums)
    sources, dateless, without_job, dateless_pay = pl.collect_all([own, undated, orphans, lost])
    if sources.height:
        names = ", ".join(f"{s} ({n})" for s, n in sources.head(8).iter_rows())
        number = int(sources["jobs"].sum())
        yield Finding(
            "undeclared-source",
            Severity.WARNING,
            f"{count(number, 'job')} of sources that no rule declares: {names}; their jobs and revenue count, but "
            "leads and cost are 0 until [sources.NAME] declares them",
            number,
        )
    if number := dateless.item():
        message = f"{count(number, 'job')} without {rules.jobs.latest.date} count on no day; see [jobs] date"
        yield Finding("job-without-date", Severity.WARNING, message, number)
    if number := without_job["payments"].item():
        message = (
            f"{count(number, 'payment')} ({_money(without_job)}) of jobs that are not in the data count as Unattributed"
        )
        yield Finding("payment-without-job", Severity.WARNING, message, number)
    if number := dateless_pay["payments"].item():
        message = f"{count(number, 'payment')} ({_money(dateless_pay)}) have no date and count nowhere"
        yield Finding("revenue-without-date", Severity.ERROR, message, number)


def _phones(computed: Computed) -> Iterator[Finding]:
    """Yields a finding about phone cells with placeholders, which match no customer."""
    by_feed = {name: sum(f.no_numbers for f, _ in files) for name, files in computed.typed.items()}
    if number := sum(by_feed.values()):
        where = ", ".join(f"{name} ({cells:,})" for name, cells in by_feed.items() if cells)
        message = (
            f"{count(number, 'phone cell')} hold a placeholder such as 0000000000 and count as blank: {where}; no "
            "customer is matched by these"
        )
        yield Finding("placeholder-phones", Severity.INFO, message, number)


def _money(frame: pl.DataFrame) -> str:
    amount = frame["amount"].item()
    return f"{amount if isinstance(amount, Decimal) else Decimal(0):,.2f}"


def rebuilt(computed: Computed) -> Iterator[Finding]:
    """Yields a finding about files of the lake that had to be rebuilt."""
    if computed.rebuilt:
        count, first = len(computed.rebuilt), computed.rebuilt[0]
        more = f" and {count - 1} more" if count > 1 else ""
        message = (
            f"damaged in the lake: {first}{more} (checksum failed); rebuilt from the exports, no figure depends on it"
        )
        yield Finding("damaged-cache", Severity.WARNING, message, count)


def merged(findings: tuple[Finding, ...], quality: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Merges both, most severe first; drops the second engine's findings whose code the run already reports."""
    order, known = list(Severity), {f.code for f in findings}
    both = (*findings, *(f for f in quality if f.code not in known))
    return tuple(sorted(both, key=lambda f: order.index(f.severity)))
