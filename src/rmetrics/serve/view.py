"""A fixed version of a project that stays readable while other commands run.

The files of the lake are linked into a temporary folder: files that a later sync replaces or sweeps stay readable
here, and all figures of a view come from one computation. Nothing is written to the project.
"""

import contextlib
import datetime as dt
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import polars as pl

from rmetrics.errors import BusyError, LakeError
from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.explainer import Explainer, explainer_of
from rmetrics.explain.explanation import Explanation
from rmetrics.explain.funnel_figures import computed_days
from rmetrics.explain.members import Members, explain_member, explain_members
from rmetrics.explain.own_measures import own_scales, with_own_columns
from rmetrics.html_report.data import PageData
from rmetrics.lake import DECISIONS, LANDED, Lake
from rmetrics.lake.scratch import scratch_lake
from rmetrics.lake.snapshot import STATE, load
from rmetrics.locks import held
from rmetrics.opening import open_lake, open_project
from rmetrics.pipeline.asked import MonthRange
from rmetrics.pipeline.project import Project
from rmetrics.pipeline.workspace import Workspace, opened
from rmetrics.postgres.compare import published_session
from rmetrics.rules.files import rule_files
from rmetrics.settings import Settings
from rmetrics.tables import DAILY, JOURNEY_METRICS, JOURNEYS, MEASURE_DAILY
from rmetrics.usecases.report import page_data

T = TypeVar("T")
_TRIES = 5
_MONTHS_OPEN = 6  # each holds a month's rows and a connection to the second engine


def mark(settings: Settings) -> str:
    """Returns a digest that changes whenever figures may: new computation, edited rules, an export withdrawn."""
    lake = open_lake(settings)
    records = (f"{STATE}.json", f"{lake.raw.name}/{DECISIONS}")
    versions = [entry.version if (entry := lake.store.head(name)) else "-" for name in records]
    files = map(_state_of, rule_files(settings.rules_dir))
    return hashlib.sha256("\n".join([*versions, *files]).encode()).hexdigest()[:16]


def _state_of(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path.name} -"
    return f"{path.name} {found.st_ino} {found.st_size} {found.st_mtime_ns}"


def sync_runs(settings: Settings) -> bool:
    """Whether another process holds the lake's lock; False where the system cannot report it."""
    return held(settings.lake_dir / "lock")


@dataclass(slots=True)
class View:
    """One version of a project.

    Attributes:
        project: the project over the linked copy of its lake.
        mark: the result of ``mark`` when the view was opened.
        lake: the workspace over the linked files; see ``opened``.
        waiting: names of exports that have landed but are not in any computation yet.
    """

    project: Project
    mark: str
    lake: Workspace
    waiting: tuple[str, ...]
    _pages: dict[dt.date | None, PageData] = field(default_factory=dict)
    _open: OrderedDict[dt.date, tuple[Explainer, contextlib.ExitStack]] = field(default_factory=OrderedDict)
    _one: threading.RLock = field(default_factory=threading.RLock)
    _reading: threading.Lock = field(default_factory=threading.Lock)  # pages need not wait for an explanation

    def page(self, month: dt.date | None = None) -> PageData:
        """Returns the page data of a month, by default the newest.

        Raises:
            LakeError: no row of the data counts in any month.
            SettingsError: the month has no data.
        """
        with self._reading:
            if month not in self._pages:
                made = page_data(self.lake, MonthRange(last=month, one=True))
                self._pages[month] = self._pages[made.month] = made
            return self._pages[month]

    def days(self, month: dt.date) -> pl.DataFrame:
        """Returns a month's rows of ``daily_metrics``, with a column for each of the company's own measures."""

        def of_month(name: str) -> pl.DataFrame:
            return load(self.lake.lake).scan(name).filter(pl.col("date").dt.month_start() == month).collect()

        rules = self.lake.rules
        return with_own_columns(of_month(DAILY), of_month(MEASURE_DAILY), rules, list(own_scales(rules)))

    def journey_days(self, asked: Query) -> pl.DataFrame:
        """Returns the figures of journeys by day and source; see ``explain.funnel_figures``."""
        return computed_days(load(self.lake.lake).scan(JOURNEYS), asked)

    def journey_months(self) -> pl.DataFrame:
        """Returns the rows of ``journey_metrics``."""
        return load(self.lake.lake).scan(JOURNEY_METRICS).collect()

    @contextlib.contextmanager
    def explainer(self, month: dt.date) -> Iterator[Explainer]:
        """Yields a month's explainer, without the database; to one thread at a time: it has a single DuckDB connection.

        Raises:
            SettingsError: the month has no data.
            LakeError: a file of the lake is damaged.
        """
        with self._one:
            if month not in self._open:
                stack = contextlib.ExitStack()
                made = stack.enter_context(explainer_of(self.lake, self.project.memory, month=month))
                self._open[month] = made, stack
            self._open.move_to_end(month)
            while len(self._open) > _MONTHS_OPEN:
                _, (_, oldest) = self._open.popitem(last=False)
                oldest.close()
            yield self._open[month][0]

    def explanation(self, asked: Query, metrics: tuple[str, ...] = MEASURES, *, offline: bool = False) -> Explanation:
        """Explains a figure and compares it with the published one.

        Raises:
            SettingsError: the month has no data.
            LakeError: a file of the lake is damaged.
            PostgresError: the database cannot be reached.
        """
        return self._with_published(asked, lambda one: one.explain(asked, metrics), offline)

    def member(
        self, asked: Query, dimension: str, member: str, metrics: tuple[str, ...], *, offline: bool = False
    ) -> Explanation:
        """Explains the figures of one member of a dimension; see ``explanation``."""
        return self._with_published(asked, lambda one: explain_member(one, asked, dimension, member, metrics), offline)

    def members(self, asked: Query, dimension: str, metrics: tuple[str, ...], *, offline: bool = False) -> Members:
        """Explains the figures of every member of a dimension; see ``explanation``."""
        return self._with_published(asked, lambda one: explain_members(one, asked, dimension, metrics), offline)

    def _with_published(self, asked: Query, answer: Callable[[Explainer], T], offline: bool) -> T:  # noqa: FBT001
        with self.explainer(asked.month) as one:
            if offline:
                return answer(one)
            with published_session(self.project.database) as last:
                return answer(one.against(last.session, last.run_id) if last else one)

    def close(self) -> None:
        """Closes the connections; the view must not be used afterwards."""
        with self._one:
            while self._open:
                self._open.popitem()[1][1].close()


@contextlib.contextmanager
def open_view(settings: Settings) -> Iterator[View]:
    """Opens a view of the computation in force.

    Raises:
        LakeError: nothing has been computed yet, or a file is damaged or missing.
        RulesError, SettingsError: the rules do not load.
        BusyError: syncs replace the computation faster than it can be linked.
    """
    lake = open_lake(settings)
    for _ in range(_TRIES):
        before = mark(settings)
        with contextlib.ExitStack() as stack:
            try:
                scratch = stack.enter_context(scratch_lake(lake))
            except BusyError:
                continue
            if mark(settings) != before:  # a sync replaced the computation meanwhile
                continue
            waiting = _without_new(scratch)
            project = open_project(settings).over(scratch)
            view = View(project, before, stack.enter_context(opened(project)), waiting)
            stack.callback(view.close)
            yield view
            return
    raise BusyError("another run has changed the lake in the meantime", "Wait for it to finish, then try again.")


def _without_new(scratch: Lake) -> tuple[str, ...]:
    """Removes from a scratch lake the exports that the computation in force does not include; returns their names."""
    known = {e.sha256 for e in load(scratch).exports}
    if not known:
        raise LakeError("nothing has been computed yet", "Put your exports into the inbox and run: rmetrics sync")
    landed, damaged = scratch.examine_raw()
    new = [raw for raw in landed if raw.sha256 not in known and not raw.withdrawn]
    # The catalog may name exports whose files were not linked, because a sync may be landing them right now. A damaged
    # file that no catalog names is left in: every command reports it.
    unknown = {raw.sha256 for raw in new} | {d.sha256 for d in damaged if d.export and d.sha256 not in known}
    if unknown:
        scratch.exclude(landed, unknown)
    account = scratch.load_json(LANDED).get("exports", {})
    known_exports = known | {raw.sha256 for raw in landed if raw.withdrawn}
    scratch.save_json(
        LANDED, {"exports": {sha256: facts for sha256, facts in account.items() if sha256 in known_exports}}
    )
    return tuple(raw.name for raw in new)


__all__ = ["View", "mark", "open_view", "sync_runs"]
