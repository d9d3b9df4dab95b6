"""``rmetrics status``: the known state of a project, without computing anything."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmetrics.errors import RmetricsError
from rmetrics.opening import database_of, open_lake
from rmetrics.postgres.connection import Server, Session, connect
from rmetrics.postgres.ddl import has_all
from rmetrics.postgres.publish.group import PublishedCompany, published_companies
from rmetrics.postgres.run_log import LoggedRun, latest_runs
from rmetrics.postgres.server import existing_server
from rmetrics.pulls.record import pull_records
from rmetrics.rules import load_rules
from rmetrics.schedule.record import installed_in, last_run_of, trouble
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """Freshness of a feed."""

    feed: str
    exports: int
    rows: int
    last_date: dt.date | None
    last_export_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class PullStatus:
    """A declared pull: when it was last tried and last proved complete, and its trouble; empty if there is none."""

    name: str
    tried_at: dt.datetime | None
    complete_at: dt.datetime | None
    trouble: str


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """The daily run: its scheduler and time, when it last began, and its trouble; empty if there is none."""

    kind: str
    at: str
    ran_at: dt.datetime | None
    trouble: str


@dataclass(frozen=True, slots=True)
class StatusResult:
    """The known state of a project.

    Attributes:
        schedule: None if none is installed.
        companies: those of a group as published; of one company, only its own.
    """

    feeds: tuple[FeedStatus, ...]
    runs: tuple[LoggedRun, ...]
    tables: Mapping[str, int]
    server: str
    detail: Mapping[str, Any] = field(default_factory=dict)
    pulls: tuple[PullStatus, ...] = ()
    schedule: ScheduleStatus | None = None
    companies: tuple[PublishedCompany, ...] = ()


def status(settings: Settings, *, runs: int = 10) -> StatusResult:
    """Returns the last runs, freshness by feed and rows by table, as recorded in the database.

    Raises:
        PostgresError: the server cannot be reached.
    """
    known = _published(settings, runs)
    return replace(known, pulls=_pulls(settings), schedule=_schedule(settings))


def _pulls(settings: Settings) -> tuple[PullStatus, ...]:
    try:
        declared = load_rules(settings.rules_dir, settings.company).pulls
    except RmetricsError:  # every other command reports what is wrong with the rules
        return ()
    now = dt.datetime.now(dt.UTC)
    records = pull_records(settings.data_dir, declared)
    return tuple(PullStatus(r.name, r.tried_at, r.complete_at, r.trouble(now)) for r in records)


def _schedule(settings: Settings) -> ScheduleStatus | None:
    installed, ran = installed_in(settings.data_dir), last_run_of(settings.data_dir)
    if installed is None:
        return None
    wrong = trouble(installed, ran, dt.datetime.now(dt.UTC))
    return ScheduleStatus(installed.kind, installed.at, ran.started_at if ran else None, wrong)


def _published(settings: Settings, runs: int) -> StatusResult:
    landed = len(open_lake(settings).raw_files())
    with existing_server(database_of(settings)) as target:
        if target is None:
            return StatusResult((), (), {}, "nothing is published yet", {"exports_landed": landed})
        return _status(target, settings, runs, landed)


def _status(server: Server, settings: Settings, runs: int, landed: int) -> StatusResult:
    of_group = _of_group(server, settings.group_schema, settings.company) if settings.group_schema else None
    with connect(server, schema=settings.pg_schema) as session:
        companies = tuple(published_companies(session)) if of_group is None else of_group
        if not has_all(session, ["sync_runs", "feed_status", "published_parts"]):
            label = server.label if companies else f"{server.label}: nothing is published yet"
            return StatusResult((), (), {}, label, {"exports_landed": landed}, companies=companies)
        return StatusResult(
            feeds=tuple(FeedStatus(*row) for row in session.query(
                "SELECT feed, exports, rows, last_date, last_export_at FROM feed_status ORDER BY feed"
            )),
            runs=latest_runs(session, runs),
            tables={name: int(rows) for name, rows in _tables(session)},
            server=server.label,
            detail={"exports_landed": landed},
            companies=companies,
        )  # fmt: skip


def _of_group(server: Server, schema: str, company: str | None) -> tuple[PublishedCompany, ...]:
    """Returns one company's row of the group's tables, which are in a schema of their own."""
    with connect(server, schema=schema) as session:
        return tuple(c for c in published_companies(session) if c.company == company)


def _tables(session: Session) -> list[tuple[str, int]]:
    rows = session.query(
        "SELECT table_name, sum(rows)::bigint FROM published_parts GROUP BY table_name ORDER BY table_name"
    )
    return [(str(name), int(count)) for name, count in rows]
