"""Validation of the tables of the rules against each other."""

from collections.abc import Collection, Mapping

from rmetrics.errors import RuleProblem
from rmetrics.rules.conditions import read_condition
from rmetrics.rules.date_forms import form_problem
from rmetrics.rules.disputes import lead_row
from rmetrics.rules.expressions.typing import Row
from rmetrics.rules.feeds import ROW_ID, Column, ColumnType, Feed, Variant, When
from rmetrics.rules.identifiers import IDENTIFIER, IDENTIFIER_RULE, OWN_TABLES, is_reserved
from rmetrics.rules.measure_problems import MeasureProblems
from rmetrics.rules.model import ALL, UNATTRIBUTED, Cost, FeedLeads, Place, Rules, Source
from rmetrics.rules.names import CALLS, JOB_KEY, JOBS, PAYMENTS, TARGETS, normal_source
from rmetrics.rules.notifications import check_messages
from rmetrics.rules.return_problems import check_returns
from rmetrics.rules.rows import feed_row, filled_columns, job_columns, job_row, mapped_row
from rmetrics.rules.suggest import did_you_mean
from rmetrics.rules.variants import with_variant

# The columns that the metrics require of core feeds; all others are optional.
CORE_COLUMNS: Mapping[str, frozenset[str]] = {
    JOBS: frozenset({"job_id", "type", "source_raw", "created_at"}),
    PAYMENTS: frozenset({"payment_id", "job_ref", "paid_at", "amount"}),
    CALLS: frozenset({"call_id", "started_at"}),
    TARGETS: frozenset({"month", "source", "segment"}),
}
# Columns that rmetrics itself adds to a feed's rows.
_ADDED: Mapping[str, frozenset[str]] = {
    JOBS: frozenset(
        {"source", "segment", "metric_date", "paid", "is_unit", "is_repair", "source_matched", "matched_by", "touch_id"}
    ),
    CALLS: frozenset({"source", "class", "answered_within_s"}),
}
_TEXTS = (ColumnType.TEXT, ColumnType.PHONE, ColumnType.CURRENCY)
_DAYS = (ColumnType.DATE, ColumnType.MONTH)


def validate(rules: Rules, broken: frozenset[str] = frozenset()) -> tuple[list[RuleProblem], list[RuleProblem]]:
    """Returns the problems that stop a run, and the warnings, both with file, line and key.

    Args:
        rules: all tables that loaded.
        broken: dotted keys of the tables that did not load; references to them are not checked. "*": any table may be
            missing.
    """
    check = _Validation(rules, broken)
    for name, feed in rules.feeds.items():
        check.feed(name, feed)
    check.jobs()
    check.calls()
    check.sources()
    check.journeys()
    check.measures()
    check.pulls()
    feeds = rules.feeds if "*" not in broken else {*rules.feeds, *rules.brief.feeds}
    check_messages(rules.notify, rules.alerts, rules.brief, feeds, check.zone, check.report)
    return check.problems, check.warnings


class _Validation:
    def __init__(self, rules: Rules, broken: frozenset[str]) -> None:
        self.rules, self.broken = rules, broken
        self.zone = rules.business.timezone
        self.problems: list[RuleProblem] = []
        self.warnings: list[RuleProblem] = []

    def report(self, key: str, message: str, *, warn: bool = False) -> None:
        probe = key
        while probe and probe not in self.rules.places:
            probe = probe.rpartition(".")[0]
        place = self.rules.places.get(probe, Place(self.rules.folder, 0))
        (self.warnings if warn else self.problems).append(RuleProblem(place.path, place.line, key, message))

    def measures(self) -> None:
        """Checks measures, dimensions and returns, including their names."""
        rules = self.rules
        groups = {"measures": rules.measures, "dimensions": rules.dimensions, "returns": rules.returns}
        for group, names in groups.items():
            for name in names:
                self.identifier(f"{group}.{name}", name, group.removesuffix("s"))
        if self.usable(JOBS):
            check_returns(rules, _ADDED[JOBS], self.report, self.condition)
        MeasureProblems(self.rules, self.broken, self.usable, self.report, self.condition).check()

    def pulls(self) -> None:
        """Requires the feed of each pull to exist."""
        for name, pull in self.rules.pulls.items():
            known_feed = pull.feed in self.rules.feeds or {"*", f"feeds.{pull.feed}"} & self.broken
            if not known_feed:
                known = did_you_mean(pull.feed, self.rules.feeds)
                self.report(f"pulls.{name}.feed", f"there is no feed {pull.feed!r}{known}")

    def journeys(self) -> None:
        """Requires the sources with their own journeys to exist: declared, or named by calls."""
        known = [*self.rules.sources, *(s.name for _, calls in self.rules.calls.versions for s in calls.sources)]
        for name in self.rules.journeys.sources:
            if name not in known and not {"*", f"sources.{name}", "calls"} & self.broken:
                self.report(f"journeys.sources.{name}", f"there is no source {name!r}{did_you_mean(name, known)}")

    def condition(
        self,
        key: str,
        text: str,
        row: Row,
        *,
        kind: ColumnType | None = None,
        filled: Collection[str] = (),
    ) -> None:
        """Checks a condition, or the expression of a derived column of type ``kind``; ``filled``: never blank."""
        reading = read_condition(text, row, kind=kind)
        if reading.problem:
            self.report(key, reading.problem)
        for part in reading.never:
            self.report(key, part, warn=True)
        for operator, column in reading.blank_unsafe:
            if column not in filled:
                instead = f"{column} IS DISTINCT FROM ..." if operator == "<>" else f"... OR {column} IS NULL"
                message = f"{operator} excludes rows where {column} is blank; if they count, write {instead}"
                self.report(key, message, warn=True)

    def identifier(self, key: str, name: str, what: str) -> None:
        if not IDENTIFIER.fullmatch(name):
            self.report(key, IDENTIFIER_RULE)
        elif is_reserved(name):
            self.report(key, f"{name!r} is a reserved word of PostgreSQL; choose another {what} name")

    # -- feeds

    def feed(self, name: str, feed: Feed) -> None:
        at = f"feeds.{name}"
        self.identifier(at, name, "feed")
        if name in OWN_TABLES:
            self.report(at, f"{name!r} is a table of rmetrics; choose another feed name")
        self._names(at, name, feed)
        for missing in sorted(CORE_COLUMNS.get(name, frozenset()) - set(feed.columns)):
            self.report(at, f"the metrics need the column {missing!r} of this feed")
        if name == JOBS and feed.key != (JOB_KEY,):
            why = "payments, calls and metrics refer to jobs by it"
            self.report(f"{at}.key", f"is {list(feed.key)}, but must be ['{JOB_KEY}']: {why}")
        if name == JOBS and "source_raw" in feed.columns:
            self._is_text(f"{at}.columns.source_raw.type", feed, "source_raw", "")
        self._named_columns(at, feed)
        self._formats(at, feed)
        self._headers(at, feed)
        self._variants(at, feed)
        mapped = mapped_row(feed, self.zone)
        for column, spec in feed.derived.items():
            place = f"{at}.columns.{column}.sql"
            self.condition(place, spec.sql or "", mapped, kind=spec.type, filled=set(feed.mapped))
        if not self.usable(name):
            return
        for i, (_, where) in enumerate(self.rules.feed_where[name].versions):
            if where is not None:
                place = f"{at}.where" if i == 0 else f"{at}.changes.{i - 1}.where"
                self.condition(place, where, feed_row(feed, self.zone), filled=filled_columns(feed))

    def usable(self, name: str) -> bool:
        """Whether conditions over a feed's rows can be checked: the feed loaded, and its date column exists."""
        return name in self.rules.feeds and self.rules.feeds[name].date in self.rules.feeds[name].columns

    def _names(self, at: str, name: str, feed: Feed) -> None:
        added = {"counted", ROW_ID, *_ADDED.get(name, ())} | ({"job_id"} if feed.job and name != JOBS else set())
        for column, spec in feed.columns.items():
            self.identifier(f"{at}.columns.{column}", column, "column")
            if column in added:
                self.report(
                    f"{at}.columns.{column}", f"rmetrics itself adds {column!r} to this feed; choose another name"
                )
            if self.usable(name) and feed.date != column == feed.business_date and spec.type not in _DAYS:
                self.report(
                    f"{at}.columns.{column}",
                    f"{column!r} is the column for the business day of {feed.date!r}; choose another name, or set "
                    "local_date",
                )
        for column in feed.publish_by or feed.key:
            if column in feed.columns and not feed.columns[column].publish:
                self.report(
                    f"{at}.columns.{column}",
                    "is part of the key, and the key is published: remove publish = false, or remove the column from "
                    "the key and list under identity the columns that identify a row",
                )
        if feed.local_date is not None:
            self.identifier(f"{at}.local_date", feed.local_date, "column")
            dated = feed.columns.get(feed.date)
            if dated is not None and dated.type in _DAYS and feed.local_date != feed.date:
                self.report(f"{at}.local_date", f"{feed.date!r} is the business day already: remove this line")
            if dated is not None and dated.type not in _DAYS and feed.local_date == feed.date:
                self.report(f"{at}.local_date", f"{feed.date!r} is a time; choose another name for the business day")

    def _named_columns(self, at: str, feed: Feed) -> None:
        if feed.date not in feed.columns:
            self.report(
                f"{at}.date", f"names no column of the feed: {feed.date!r}{did_you_mean(feed.date, feed.columns)}"
            )
        elif feed.columns[feed.date].type not in (ColumnType.TIMESTAMP, *_DAYS):
            self.report(f"{at}.date", f"{feed.date!r} is {feed.columns[feed.date].type}, not timestamp, date or month")
        for key in ("key", "identity", "publish_by", "one_of", "needs"):
            for column in getattr(feed, key):
                if column not in feed.mapped:
                    self.report(f"{at}.{key}", f"names no mapped column: {column!r}{did_you_mean(column, feed.mapped)}")
        for column in feed.publish_by:
            if column in feed.mapped and feed.mapped[column].type is ColumnType.MONEY:
                self.report(f"{at}.publish_by", f"{column!r} is money, which is added up: leave it out")
        kinds = [feed.mapped[k].type for k in feed.key if k in feed.mapped]
        if feed.identity and (len(feed.key) > 1 or not set(kinds) <= set(_TEXTS)):
            self.report(f"{at}.identity", "requires a key of one text column, or none")
        if feed.repeats == "sum" and not any(c.type is ColumnType.MONEY for c in feed.mapped.values()):
            self.report(f"{at}.repeats", '"sum" needs a money column to add up')
        self._job_link(at, feed)

    def _job_link(self, at: str, feed: Feed) -> None:
        jobs = self.rules.feeds.get(JOBS)
        if feed.job is None or jobs is None:
            return
        if feed is jobs:
            self.report(f"{at}.job", "a job names no other job: remove this line")
            return
        self._is_text(f"{at}.job.column", feed, feed.job.column, "")
        for column in feed.job.match:
            self._is_text(f"{at}.job.match", jobs, column, f" of {JOBS}")

    def _is_text(self, at: str, feed: Feed, column: str, whose: str) -> None:
        found = feed.columns.get(column)
        if found is None:
            self.report(at, f"names no column{whose}: {column!r}{did_you_mean(column, feed.columns)}")
        elif found.type not in _TEXTS:
            self.report(at, f"must be a text column, but {column!r} is {found.type}")

    def _formats(self, at: str, feed: Feed) -> None:
        for name, column in feed.columns.items():
            self._column_keys(f"{at}.columns.{name}", column, months=_shares_month_header(feed, column))
            if name in feed.key and not (column.required or feed.identity or feed.repeats == "sum" or column.default):
                self.report(f"{at}.columns.{name}", "is part of the key: write required = true")

    def _column_keys(self, at: str, column: Column, *, months: bool) -> None:
        """Reports keys that do not apply to the column's type; ``months``: its cells may be whole months."""
        dated = column.type in (ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.MONTH)
        if column.formats and not dated:
            self.report(f"{at}.formats", f"a {column.type} column has no formats")
        for text in column.formats if dated else ():
            if problem := form_problem(text, column.type, whole_months=months):
                self.report(f"{at}.formats", problem)
        for key, of_type in (("scale", ColumnType.MONEY), ("minus", ColumnType.MONEY), ("values", ColumnType.TEXT)):
            given = column.scale != 1 if key == "scale" else getattr(column, key)
            if given and column.type is not of_type:
                self.report(f"{at}.{key}", f"requires a {of_type} column; this one is {column.type}")
        for key in ("constant", "default"):
            if getattr(column, key) is not None and column.type is not ColumnType.TEXT:
                self.report(f"{at}.{key}", f"requires a text column; this one is {column.type}")

    # -- variants

    def _variants(self, at: str, feed: Feed) -> None:
        for i, variant in enumerate(feed.variants):
            place = f"{at}.variants.{i}"
            for column in variant.columns:
                self._variant_column(place, feed, column)
            lists = {"identity": variant.identity or (), "one_of": variant.one_of or ()}
            for key, names in lists.items():
                for column in names:
                    if column not in feed.mapped:
                        near = did_you_mean(column, feed.mapped)
                        self.report(f"{place}.{key}", f"names no mapped column: {column!r}{near}")
            self._variant_as_read(place, feed, variant)
            for j, earlier in enumerate(feed.variants[:i]):
                if _overlap(earlier.when, variant.when):
                    first = f"{feed.variant_name(j)!r} ({self.rules.place(f'{at}.variants.{j}')})"
                    message = f"every file of it would also be a file of {first}; add without = [...] to one of them"
                    self.report(f"{place}.when", message)

    def _variant_column(self, place: str, feed: Feed, column: str) -> None:
        if column not in feed.columns:
            near = did_you_mean(column, feed.mapped)
            self.report(f"{place}.columns.{column}", f"the feed has no column {column!r}{near}")
        elif column not in feed.mapped:
            self.report(f"{place}.columns.{column}", "is computed by sql from other columns: change those instead")

    def _variant_as_read(self, place: str, feed: Feed, variant: Variant) -> None:
        """Checks that a feed as read through a variant is as consistent as the feed itself must be."""
        read = with_variant(feed, variant)
        for name in variant.columns:
            if name in read.mapped:
                changed = read.mapped[name]
                self._column_keys(f"{place}.columns.{name}", changed, months=_shares_month_header(read, changed))
        for name in feed.key:
            column = read.mapped.get(name)
            needed = column and (column.required or read.identity or feed.repeats == "sum" or column.default)
            if column is not None and not needed and not column.constant:
                self.report(f"{place}.columns.{name}", "is part of the key: it must also be required here")
        if variant.identity is not None and not feed.identity:
            self.report(f"{place}.identity", "the feed has a key and no identity, which its variants share")
        dated = read.mapped.get(feed.date)
        if dated is not None and not dated.required and feed.mapped[feed.date].required:
            self.report(f"{place}.columns.{feed.date}", "gives the day of a row: it must also be required here")

    def _headers(self, at: str, feed: Feed) -> None:
        if not feed.files:
            self.report(f"{at}.files", 'is empty: add at least one glob such as "leads*"')
        if not any(c.required for c in feed.mapped.values()):
            self.report(f"{at}.columns", "no column is required: a feed is recognised by its required columns' headers")

    # -- jobs, revenue, calls

    def jobs(self) -> None:
        rules = self.rules
        for needed in (JOBS, PAYMENTS):
            if needed not in rules.feeds and not self.broken & {"*", f"feeds.{needed}"}:
                self.report("feeds", f"the feed [feeds.{needed}] is missing")
        if not self.usable(JOBS):
            return
        columns, row = job_columns(rules), job_row(rules)
        dates = (ColumnType.TIMESTAMP, ColumnType.DATE)
        for i, (_, jobs) in enumerate(rules.jobs.versions):
            at = "jobs" if i == 0 else f"jobs.changes.{i - 1}"
            if jobs.date not in rules.feeds[JOBS].columns or columns[jobs.date] not in dates:
                known = [n for n, t in columns.items() if t in dates and n != "metric_date"]
                self.report(
                    f"{at}.date", f"must be a date column of jobs, found {jobs.date!r}{did_you_mean(jobs.date, known)}"
                )
            filled = filled_columns(rules.feeds[JOBS]) | {"paid", "source"}
            self.condition(f"{at}.unit", jobs.unit, row, filled=filled)
            self.condition(f"{at}.repair", jobs.repair, row, filled=filled)
            for j, segment in enumerate(jobs.segments):
                self.condition(f"{at}.segments.{j}.where", segment.where, row, filled=filled)

    def calls(self) -> None:
        rules = self.rules
        for i, (_, calls) in enumerate(rules.calls.versions):
            at = "calls" if i == 0 else f"calls.changes.{i - 1}"
            if (
                (calls.sources or calls.not_customer)
                and CALLS not in rules.feeds
                and not self.broken & {"*", f"feeds.{CALLS}"}
            ):
                self.report(at, f"the feed [feeds.{CALLS}] is missing")
            if not self.usable(CALLS):
                continue
            for j, label in enumerate(calls.sources):
                feed = rules.feeds[CALLS]
                place = f"{at}.sources.{j}.where"
                self.condition(place, label.where, feed_row(feed, self.zone), filled=filled_columns(feed))
            if calls.not_customer is not None:
                row = feed_row(rules.feeds[CALLS], self.zone)
                self.condition(f"{at}.not_customer", calls.not_customer, row, filled=filled_columns(rules.feeds[CALLS]))

    # -- sources

    def sources(self) -> None:
        claimed: dict[str, str] = {}
        for name, dated in self.rules.sources.items():
            if (
                name.strip() != name
                or not name
                or normal_source(name) in {normal_source(ALL), normal_source(UNATTRIBUTED)}
            ):
                self.report(
                    f"sources.{name}", f"{name!r} is not allowed for a source ({ALL}, {UNATTRIBUTED} are reserved)"
                )
            for spelling in (name, *dated.latest.aliases):
                owner = claimed.setdefault(normal_source(spelling), name)
                if owner != name:
                    where = self.rules.place(f"sources.{owner}")
                    self.report(
                        f"sources.{name}.aliases",
                        f"{spelling!r} is also a spelling of {owner!r} ({where}); it can belong to one of them only",
                    )
            for i, (_, source) in enumerate(dated.versions):
                at = f"sources.{name}" if i == 0 else f"sources.{name}.changes.{i - 1}"
                self._source(at, source)

    def _source(self, at: str, source: Source) -> None:
        known = self.rules.segment_order
        if source.segment not in known and not self.broken & {"*", "jobs"}:
            self.report(
                f"{at}.segment",
                f"no such segment: {source.segment!r}; there are {', '.join(known)}"
                f"{did_you_mean(source.segment, known, near=True)}",
            )
        if isinstance(source.leads, FeedLeads):
            self._feed_rows(f"{at}.leads", source.leads.feed, source.leads.where)
        self._disputes(at, source)
        for i, cost in enumerate(source.cost):
            if cost.feed is not None:
                self._feed_cost(f"{at}.cost" if len(source.cost) == 1 else f"{at}.cost.{i}", cost)

    def _disputes(self, at: str, source: Source) -> None:
        """Requires leads from a feed's rows for terms; their conditions use the facts of a lead."""
        if not isinstance(source.leads, FeedLeads):
            if source.disputes:
                self.report(f"{at}.disputes", 'requires leads = { feed = "..." }: claims refer to rows of the vendor')
            return
        feed = source.leads.feed
        if not self.usable(feed):
            return
        row, filled = lead_row(self.rules, feed), filled_columns(self.rules.feeds[feed])
        for i, term in enumerate(source.disputes):
            self.condition(f"{at}.disputes.{i}.where", term.where, row, filled=filled)
        own = feed_row(self.rules.feeds[feed], self.zone)
        for key in ("granted", "refused"):
            if (text := getattr(source.answers, key)) is not None:
                self.condition(f"{at}.answers.{key}", text, own, filled=filled)

    def _feed_rows(self, at: str, name: str, where: str | None) -> bool:
        """Checks a condition over a feed; returns whether the feed can be checked further."""
        if name not in self.rules.feeds and not self.broken & {"*", f"feeds.{name}"}:
            self.report(f"{at}.feed", f"no such feed: {name!r}{did_you_mean(name, self.rules.feeds)}")
        if not self.usable(name):
            return False
        if where is not None:
            feed = self.rules.feeds[name]
            self.condition(f"{at}.where", where, feed_row(feed, self.zone), filled=filled_columns(feed))
        return True

    def _feed_cost(self, at: str, cost: Cost) -> None:
        if cost.feed is None or not self._feed_rows(at, cost.feed, cost.where):
            return
        columns = self.rules.feeds[cost.feed].columns
        money = [n for n, c in columns.items() if c.type is ColumnType.MONEY]
        if cost.sum not in money:
            self.report(
                f"{at}.sum", f"names no money column of {cost.feed}: {cost.sum!r}{did_you_mean(cost.sum or '', money)}"
            )


def _overlap(one: When, other: When) -> bool:
    """Whether one condition matches every file that the other matches, as far as this is known without a file."""
    return _covers(one, other) or _covers(other, one)


def _covers(wide: When, narrow: When) -> bool:
    def names(headers: tuple[str, ...]) -> set[str]:
        return {" ".join(h.split()).casefold() for h in headers}

    sure = names(narrow.headers)
    any_sure = not wide.any or bool(names(wide.any) & sure) or set() != names(narrow.any) <= names(wide.any)
    return (
        names(wide.headers) <= sure
        and any_sure
        and names(wide.without) <= names(narrow.without)
        and (not wide.files or set() != names(narrow.files) <= names(wide.files))
    )


def _shares_month_header(feed: Feed, column: Column) -> bool:
    """Whether a month column is read from the same header."""
    return any(o.type is ColumnType.MONTH and set(o.from_) & set(column.from_) for o in feed.mapped.values())


__all__ = ["validate"]
