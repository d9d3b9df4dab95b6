"""The questions of data quality, in SQL over the second engine's recomputed tables."""

from collections.abc import Iterator, Sequence

import duckdb

from rmetrics.checks.costs import IDLE_MONTHS
from rmetrics.checks.feeds import LINES
from rmetrics.checks.key_questions import about_keys, key_of
from rmetrics.checks.phones import phone_keys
from rmetrics.checks.questions import QualityQuestion
from rmetrics.checks.windows import mostly_unconfirmed
from rmetrics.findings import Severity
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.model import FeedLeads, Rules
from rmetrics.rules.names import JOBS, PAYMENTS, TARGETS
from rmetrics.rules.rows import feed_row
from rmetrics.sandbox.quoting import holds, ident, text, within, work

SILENT_DAYS = 14


GAP_DAYS = 7


SAME_PHONE_DAYS = 30


CAPS = (1_000, 5_000, 10_000)  # row counts at which vendors cut their exports


def shipped(rules: Rules) -> Iterator[QualityQuestion]:
    """Yields the shipped questions that apply to these rules."""
    yield from _payments(rules)
    yield from _sources(rules)
    yield from _spend(rules)
    yield from _silent(rules)
    yield from _exports(rules)
    yield from about_keys(rules)
    yield _isolated_month()
    yield from _phones(rules)
    if rules.journeys.longest():
        yield _windows()


def _windows() -> QualityQuestion:
    return QualityQuestion(
        "window-hardly-confirmed",
        Severity.WARNING,
        mostly_unconfirmed(),
        "the window of a source adds jobs of later days, most of which have another source in the CRM: they may "
        "belong to returning customers",
        "Compare windows with rmetrics journeys --sensitivity, then narrow it in rules/journeys.toml.",
        order="source",
    )


def _payments(rules: Rules) -> Iterator[QualityQuestion]:
    feed, jobs = rules.feeds[PAYMENTS], rules.feeds[JOBS]
    if feed.job is not None:
        date, column = ident(feed.business_date), ident(feed.job.column)
        alone = f"SELECT _pos FROM {work('payment_links')} WHERE job IS NULL"
        yield QualityQuestion(
            "payment-without-job",
            Severity.WARNING,
            f"SELECT {key_of(feed, 'p')} AS payment, {column} AS job, {date} AS day, amount "
            f"FROM {work(f'rows_{PAYMENTS}')} p WHERE _pos IN ({alone})",
            "payments of jobs that are not in the data count as Unattributed",
            "Export the jobs of these days again, or correct the job number of the payment in the CRM.",
            order="day, payment",
        )
    if "amount_paid" in jobs.columns and jobs.columns["amount_paid"].type is ColumnType.MONEY:
        yield QualityQuestion(
            "paid-differs-from-crm",
            Severity.INFO,
            "SELECT job_id, amount_paid, paid, amount_paid - paid AS difference FROM job_facts "
            "WHERE amount_paid <> paid",
            "payments of jobs differ from the amount in the export of jobs (amount_paid)",
            "Revenue comes from payments: check whether an export of payments is missing, or a refund was not "
            "exported.",
            order="abs(amount_paid - paid) DESC, job_id",
        )
    yield QualityQuestion(
        "refunds-above-payments",
        Severity.WARNING,
        "SELECT job_id, metric_date, source, paid FROM job_facts WHERE paid < 0",
        "refunds of jobs exceed their payments",
        "Check the payments of the job: a payment may be missing from the exports, or a refund may be in them twice.",
        order="paid, job_id",
    )


def _sources(rules: Rules) -> Iterator[QualityQuestion]:
    declared = ", ".join(text(s) for s in rules.sources) or "NULL"
    yield QualityQuestion(
        "undeclared-source",
        Severity.WARNING,
        f"SELECT source, count(*) AS jobs, max(metric_date) AS last_day FROM job_facts "
        f"WHERE source NOT IN ({declared}, 'Unattributed') GROUP BY source",
        "sources that no rule declares: their jobs and revenue count, but leads and cost are 0",
        "Declare each in sources.toml, or add the spelling to the aliases of its source.",
        order="jobs DESC, source",
    )
    yield QualityQuestion(
        "job-without-date",
        Severity.WARNING,
        "SELECT job_id, source, type FROM job_facts WHERE metric_date IS NULL",
        "jobs without a date count on no day",
        "See [jobs] date in the rules, and enter the date in the CRM.",
        order="job_id",
    )


def _spend(rules: Rules) -> Iterator[QualityQuestion]:
    for name, dated in rules.sources.items():
        for cost in {c for _, s in dated.versions for c in s.cost if c.feed and c.spread}:
            feed = rules.feeds[cost.feed or ""]
            row = feed_row(feed, rules.business.timezone)
            fits = f" AND {holds(cost.where, row)}" if cost.where else ""
            months = (
                f"SELECT CAST(date_trunc('month', {ident(feed.business_date)}) AS DATE) AS month, "
                f"sum({ident(cost.sum or '')}) AS spend FROM {ident(cost.feed or '')} "
                f"WHERE counted{fits} GROUP BY 1 HAVING sum({ident(cost.sum or '')}) <> 0"
            )
            leads = f"SELECT month, sum(leads) AS leads FROM monthly_metrics WHERE source = {text(name)} GROUP BY 1"
            yield QualityQuestion(
                "month-without-spend",
                Severity.WARNING,
                f"SELECT {text(name)} AS source, l.month, l.leads FROM ({leads}) l ANTI JOIN ({months}) s "
                f"ON s.month = l.month WHERE l.leads > 0 AND l.month >= (SELECT min(month) FROM ({months}))",
                f"months of {name} have leads but no spend: their cost per lead appears lower than it is",
                f"Put an export of {cost.feed} for these months into the inbox.",
                order="month",
            )
            yield QualityQuestion(
                "spend-without-leads",
                Severity.WARNING,
                f"SELECT {text(name)} AS source, s.month, s.spend FROM ({months}) s LEFT JOIN ({leads}) l "
                f"ON l.month = s.month WHERE coalesce(l.leads, 0) = 0",
                f"months of {name} have spend but no leads",
                "Check whether the export of leads for these months is missing, or the source has a new spelling.",
                order="month",
            )
            dates = [k for k in feed.key if k != feed.date and feed.columns[k].type is ColumnType.DATE]
            if dates:
                month = f"CAST(date_trunc('month', {ident(feed.business_date)}) AS DATE)"
                amount, day = f"sum({ident(cost.sum or '')})", ident(dates[0])
                yield QualityQuestion(
                    "spend-counted-twice",
                    Severity.WARNING,
                    f"SELECT {month} AS month, {amount} FILTER ({day} IS NULL) AS by_month, "
                    f"{amount} FILTER ({day} IS NOT NULL) AS by_day "
                    f"FROM {ident(cost.feed or '')} WHERE counted{fits} GROUP BY 1 "
                    f"HAVING by_month <> 0 AND by_day <> 0",
                    f"months of {cost.feed} have spend both for the month and by day: both count",
                    "Remove the month from the sheet, or the days from the report.",
                    order="month",
                )


def _lead_feeds(rules: Rules) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, dated in rules.sources.items():
        leads = dated.latest.leads
        if isinstance(leads, FeedLeads):
            found.setdefault(leads.feed, []).append(name)
    return found


def create_days(connection: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Creates the tables of days that several questions share; needs ``_work.exports``.

    ``_work.export_days``: the first and last day (UTC) of the rows of each export by the feed's own date; no row for an
    export without dates. ``_work.last_days``: the last business day of a feed's rows, and of those that count.
    """
    spans, lasts = list[str](), list[str]()
    for name, feed in rules.feeds.items():
        if name == TARGETS:
            continue
        date = ident(feed.date)
        spans.append(
            f"SELECT {text(name)} AS feed, _pos // {LINES} AS rank, CAST(min({date}) AS DATE) AS first, "
            f"CAST(max({date}) AS DATE) AS last FROM {work(f'all_{name}')} WHERE {date} IS NOT NULL GROUP BY 2"
        )
        lasts.append(
            f"SELECT {text(name)} AS feed, max({ident(feed.business_date)}) AS day, "
            f"max({ident(feed.business_date)}) FILTER (_counted) AS counted FROM {work(f'rows_{name}')}"
        )
    for table, selects in (("export_days", spans), ("last_days", lasts)):
        connection.execute(f"CREATE TABLE {work(table)} AS {' UNION ALL '.join(selects)}")


def _silent(rules: Rules) -> Iterator[QualityQuestion]:
    feeds = {JOBS, PAYMENTS, *_lead_feeds(rules)}
    last = f"SELECT max(counted) FROM {work('last_days')} WHERE feed IN ({', '.join(map(text, sorted(feeds)))})"
    for name, sources in _lead_feeds(rules).items():
        yield QualityQuestion(
            "silent-feed",
            Severity.WARNING,
            f"SELECT feed, day AS last_row, ({last}) AS last_day FROM {work('last_days')} "
            f"WHERE feed = {text(name)} AND last_day - last_row > {SILENT_DAYS}",
            f"no lead of {', '.join(sources)} arrived for more than {SILENT_DAYS} days, while other exports continue",
            f"Put a newer export of {name} into the inbox, or check whether the vendor still delivers.",
        )


def _exports(rules: Rules) -> Iterator[QualityQuestion]:
    caps = ", ".join(str(c) for c in CAPS)
    yield QualityQuestion(
        "export-looks-cut",
        Severity.WARNING,
        f"SELECT name AS file, feed, rows FROM {work('exports')} WHERE rows IN ({caps})",
        "exports have exactly a number of rows that is a known limit of vendors",
        "Export a shorter period at a time: rows beyond the limit are missing.",
        order="feed, file",
    )
    future, monthly = list[str](), list[str]()
    # A local day is at most one later than that of UTC: only exports with a later last day are searched row by row.
    late = (
        f"SELECT e.* FROM {work('exports')} e ANTI JOIN {work('export_days')} d "
        f"ON d.feed = e.feed AND d.rank = e.rank AND d.last <= e.exported"
    )
    for name, feed in rules.feeds.items():
        if name == TARGETS:
            continue
        if feed.columns[feed.date].type is ColumnType.MONTH:
            monthly.append(name)
        day = f"r.{ident(feed.business_date)}"
        future.append(
            f"SELECT {text(name)} AS feed, {key_of(feed, 'r')} AS row, {day} AS day, e.name AS file, e.exported "
            f"FROM {work(f'rows_{name}')} r JOIN ({late}) e ON e.rank = r._pos // {LINES} AND e.feed = {text(name)} "
            f"WHERE {day} > e.exported + 1"
        )
    days = f"CASE WHEN o.feed IN ({', '.join(map(text, monthly)) or 'NULL'}) THEN 31 ELSE {GAP_DAYS} END"
    yield QualityQuestion(
        "gap-between-exports",
        Severity.WARNING,
        f"SELECT o.feed, before AS ends, first AS begins, first - before AS days_between, e.name AS file FROM ("
        f"SELECT *, max(last) OVER (PARTITION BY feed ORDER BY first, last "
        f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM {work('export_days')}) o "
        f"JOIN {work('exports')} e ON e.rank = o.rank AND e.feed = o.feed WHERE first - before > {days}",
        "no export covers the days between two exports",
        "Export the missing period and put it into the inbox.",
        order="feed, begins",
    )
    yield QualityQuestion(
        "date-in-the-future",
        Severity.WARNING,
        f"SELECT * FROM ({' UNION ALL '.join(future)})",
        "rows are dated after the day their export was made",
        "Correct the date where it was entered, and export again.",
        order="feed, day DESC",
    )


def _isolated_month() -> QualityQuestion:
    """Question for a first month followed by a year or more without figures: most likely a mistyped year."""
    figures = "jobs <> 0 OR leads <> 0 OR revenue_gross <> 0"
    return QualityQuestion(
        "lonely-first-month",
        Severity.ERROR,
        f"WITH months AS (SELECT CAST(date_trunc('month', date) AS DATE) AS month, sum(jobs) AS jobs, "
        f"sum(leads) AS leads, sum(revenue_gross) AS revenue, "
        f"string_agg(DISTINCT source, ', ' ORDER BY source) AS source "
        f"FROM daily_metrics WHERE {figures} GROUP BY 1), "
        f"placed AS (SELECT *, lead(month) OVER (ORDER BY month) AS next, "
        f"row_number() OVER (ORDER BY month) AS place FROM months) "
        f"SELECT month, source, jobs, leads, revenue, next AS next_month FROM placed "
        f"WHERE place = 1 AND date_diff('month', month, next) > {IDLE_MONTHS}",
        "the first month is a year or more before every other: a date in it probably has a mistyped year",
        "To see its rows: rmetrics explain --source SOURCE --month MONTH. Correct the date where it was entered, and "
        "export again.",
        order="month",
    )


def _phones(rules: Rules) -> Iterator[QualityQuestion]:
    of_jobs, parts = list[str](), list[str]()
    for name, dated in rules.sources.items():
        for start, until, source in dated.spans():
            if isinstance(source.leads, FeedLeads):
                feed = rules.feeds[source.leads.feed]
                fits = ["counted", within(start, until, ident(feed.business_date))]
                row = feed_row(feed, rules.business.timezone)
                fits += [holds(source.leads.where, row)] if source.leads.where else []
                parts += _leads_by_phone(feed, text(name), ident(source.leads.feed), feed.business_date, fits)
            else:
                fits = [f"source = {text(name)}", within(start, until, "metric_date")]
                fits += {"jobs": [], "units": ["is_unit"], "repairs": ["is_repair"]}[source.leads]
                of_jobs.append(" AND ".join(f"({f})" for f in fits))
    if of_jobs:
        any_of = " OR ".join(f"({fits})" for fits in of_jobs)
        parts += _leads_by_phone(rules.feeds[JOBS], "source", "job_facts", "metric_date", [any_of])
    if parts and len(rules.sources) > 1:
        every = " UNION ALL ".join(parts)
        yield QualityQuestion(
            "one-phone-two-sources",
            Severity.INFO,
            # Few phones are in two sources; only their leads are compared. Hashes take less memory than texts.
            f"WITH every AS MATERIALIZED ({every}), "
            f"leads AS MATERIALIZED (SELECT * FROM every WHERE hash(phone) IN (SELECT hash(phone) FROM every "
            f"GROUP BY ALL HAVING min(hash(source)) <> max(hash(source)))) "
            f"SELECT DISTINCT a.source, a.lead, a.day, b.source AS other_source, b.lead AS other_lead, "
            f"b.day AS other_day "
            f"FROM leads a JOIN leads b ON b.phone = a.phone AND a.source < b.source "
            f"AND abs(date_diff('day', a.day, b.day)) <= {SAME_PHONE_DAYS}",
            f"one phone is a lead of two sources within {SAME_PHONE_DAYS} days: you may pay for it twice",
            "Request a credit from the vendor if the customer was already yours.",
            order="day, lead, other_lead",
        )


def _leads_by_phone(feed: Feed, source: str, table: str, date: str, fits: Sequence[str]) -> Iterator[str]:
    """Yields a SELECT of the leads with a phone, once per number; nothing if the feed has no phone."""
    phones = [n for n, c in feed.columns.items() if c.type is ColumnType.PHONE]
    if phones:
        where = " AND ".join(f"({f})" for f in (*fits, f"{ident(phones[0])} IS NOT NULL"))
        yield (
            f"SELECT {source} AS source, {ident(date)} AS day, unnest({phone_keys(ident(phones[0]))}) AS phone, "
            f"{key_of(feed)} AS lead FROM {table} WHERE {where}"
        )
