"""One simulated company with its project folder: time passes, things happen, a sync runs, everything is compared.

A world is a seed. Each step lets some days pass, lets a few ``events.EVENTS`` happen to the inbox and the rules, runs
``rmetrics sync`` through one of ``events.TROUBLES`` (mostly none), and compares every published figure with the truth.
``log`` tells what happened when.
"""

import contextlib
import datetime as dt
import hashlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from adbc_driver_postgresql import dbapi

from rmetrics.cli import run
from simulator import truth
from simulator.company import CORRECTIONS, Company
from simulator.exports import Form, Layout, delivery, written
from simulator.rulebook import Rulebook, shipped, write_rules
from simulator.truth import MEASURES, Delivery, Figures, Landed, Row
from support import Project

FIRST_DAY = dt.date(2024, 8, 20)
ZONE = ZoneInfo("America/New_York")
COUNTED_TABLES = ("jobs", "payments", "elocals_leads", "proref_leads")
_PUBLISHED = (
    *(f"SELECT {period}, source, segment, {', '.join(MEASURES)} FROM {table}_metrics"
      for table, period in (("daily", "date"), ("monthly", "month"))),
    "SELECT month, source, segment, target_repairs, target_revenue40 FROM targets",
    *(f"SELECT count(*) FROM {table}" for table in COUNTED_TABLES),
)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """An export that was made but has not arrived: its name, bytes, modification time and contents."""

    name: str
    content: bytes
    modified: int
    holds: Delivery


class World:
    """A company's project.

    Attributes:
        company: what the CRM and the vendors know.
        book: the rules; ``edit`` changes them and the TOML.
        contents: what each content that was ever in the inbox holds, by SHA-256; None for what is no export.
        landed: what has landed, by SHA-256.
        withdrawn: what was taken back, by SHA-256.
        counting: what counted at the last sync.
        seen: the content that each name in the inbox had at the last sync; empty where the lake has forgotten it.
        waiting: late exports, older than they will seem.
        removed: files that were taken out of the inbox: name, bytes, time.
    """

    def __init__(self, seed: int, project: Project, killed: Callable[[Project, int], int]) -> None:
        self.seed, self.project, self.killed = seed, project, killed
        self.rng = random.Random(seed)  # noqa: S311 - a repeatable world
        self.company = Company(self.rng, bare=self.rng.random() < 0.3)
        self.book: Rulebook = shipped()
        self.today, self.month = FIRST_DAY, FIRST_DAY.replace(day=1)
        self.contents: dict[str, Delivery | None] = {}
        self.landed: dict[str, Landed] = {}
        self.withdrawn: set[str] = set()
        self.counting: list[Landed] = []
        self.seen: dict[str, tuple[str, int]] = {}
        self.waiting: list[Waiting] = []
        self.removed: list[Waiting] = []
        self.repairs: list[Waiting] = []
        self.shown: Figures = {}
        self.log: list[str] = []
        self.syncs = self._clock = self._files = 0

    # -- what events do

    def note(self, text: str) -> None:
        """Writes a line of the log."""
        self.log.append(f"{self.today} before sync {self.syncs + 1}: {text}")

    def now(self) -> int:
        """A modification time in seconds, later than every earlier one: the next morning."""
        morning = dt.datetime.combine(self.today + dt.timedelta(days=1), dt.time(6), ZONE)
        self._clock = max(self._clock + 7, int(morning.timestamp()))
        return self._clock

    def name(self, stem: str, form: Form) -> str:
        """A file name that was not used before."""
        self._files += 1
        return f"{stem} ({self._files}){form.suffix}"

    def export(
        self, stem: str, layout: Layout, form: Form, rows: Sequence[Row], *, faulty: Sequence[Row] = (), name: str = ""
    ) -> str:
        """Writes an export into the inbox; returns its name."""
        if not rows:
            return ""
        name = name or self.name(stem, form)
        self.put(name, written(layout, form, rows, faulty), delivery(layout, rows, rejected=len(faulty)))
        self.note(f"{name}: {len(rows)} rows of {layout.feed}, {form.name}, {len(faulty)} faulty")
        return name

    def put(self, name: str, content: bytes, holds: Delivery | None, modified: int | None = None) -> None:
        """Puts a file into the inbox."""
        path = self.project.inbox / name
        path.write_bytes(content)
        at = self.now() if modified is None else modified
        os.utime(path, (at, at))
        self.contents[hashlib.sha256(content).hexdigest()] = holds

    def files(self) -> list[Path]:
        """The exports in the inbox, in order."""
        return sorted(p for p in self.project.inbox.iterdir() if self.contents.get(sha_of(p)) is not None)

    def edit(self, book: Rulebook) -> None:
        """Changes the rules and their TOML."""
        self.book = book
        write_rules(book, self.project.rules)

    # -- a step

    def pass_days(self, days: int) -> None:
        """Lets days pass, and some of the past be corrected."""
        for _ in range(days):
            self.today += dt.timedelta(days=1)
            self.company.day(self.today)
            if self.today.replace(day=1) != self.month:
                self.month = self.today.replace(day=1)
                self.company.new_month(self.month)
        for _ in range(self.rng.randrange(4)):
            with contextlib.suppress(IndexError):  # nothing of that kind yet
                self.note(self.rng.choice(CORRECTIONS)(self.company))

    def arrive(self) -> dict[str, Landed]:
        """What will have landed after a sync: what had, and the inbox as it is now.

        Known content becomes newer where it replaced other content under the same name, and where it came as another
        file or under a newer time, unless several contents of a feed came so at once.
        """
        landed = dict(self.landed)
        inbox = [(path, sha_of(path), path.stat().st_mtime_ns) for path in self.project.inbox.iterdir()]
        inbox.sort(key=lambda x: (x[2], x[0].name))
        for path, sha, modified in inbox:
            if sha not in landed and (holds := self.contents.get(sha)):
                landed[sha] = Landed(holds, (modified, path.name))
        came: dict[str, dict[str, int]] = {}
        for path, sha, modified in inbox:
            if sha not in landed:
                continue
            replaced, before = self.seen.get(path.name, ("", 0))
            if replaced in landed and replaced != sha:
                if modified > landed[sha].age[0]:
                    landed[sha] = replace(landed[sha], age=(modified, landed[sha].age[1]))
            elif (replaced, before) != (sha, modified) and modified > landed[sha].age[0]:
                came.setdefault(landed[sha].delivery.feed, {})[sha] = modified
        for contents in came.values():
            if len(contents) == 1:
                ((sha, modified),) = contents.items()
                landed[sha] = replace(landed[sha], age=(modified, landed[sha].age[1]))
        return landed

    def sync(self, *options: str) -> None:
        """One sync that must succeed, and the comparison of every figure; ``syncs.look`` compares the other commands."""
        landed = self.arrive()
        result = self.command("sync", *options)
        self.syncs += 1
        self.landed = landed
        self.seen = self.look()
        self.counting, self.shown = self.in_force(landed), self.truth()
        self._compare_files(result)
        self.compare()

    def look(self) -> dict[str, tuple[str, int]]:
        """The files of the inbox: content and time by name."""
        return {path.name: (sha_of(path), path.stat().st_mtime_ns) for path in self.project.inbox.iterdir()}

    def truth(self, landed: dict[str, Landed] | None = None) -> Figures:
        """The figures per day that must be published."""
        return truth.daily(self.in_force(self.landed if landed is None else landed), self.book)

    def in_force(self, landed: dict[str, Landed]) -> list[Landed]:
        """The exports that count, without those that were withdrawn."""
        return [export for sha, export in landed.items() if sha not in self.withdrawn]

    def decide(self, what: str, sha: str) -> None:
        """Withdraws or restores a landed export, by its name where only it is called so."""
        name = self.landed[sha].age[1]
        alone = sum(x.age[1] == name for x in self.landed.values()) == 1
        told = self.command("exports", what, name if alone and self.rng.random() < 0.5 else sha[:12])
        assert told["changed"], told
        self.withdrawn ^= {sha}
        self.note(f"{what} {name}, {sha[:12]}")

    def command(self, *arguments: str, code: int = 0) -> Any:
        """Runs a command line with ``--json``; returns what it printed."""
        exit_code, out, told = self.line(*arguments, "--json")
        assert exit_code == code, f"rmetrics {' '.join(arguments)}: exit {exit_code}\n{told}\n{out[-3000:]}"
        return json.loads(out) if out.strip() else None

    def line(self, *arguments: str) -> tuple[int, str, str]:
        """Runs a command line in this process: exit code, stdout, stderr."""
        out, told = io.StringIO(), io.StringIO()
        with self._environment(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
            code = run(list(arguments))
        return code, out.getvalue(), told.getvalue()

    @contextlib.contextmanager
    def _environment(self) -> Iterator[None]:
        before, mask = dict(os.environ), os.umask(0o022)
        os.environ.clear()
        os.environ.update(self.project.environment)
        try:
            with contextlib.chdir(self.project.root):
                yield
        finally:
            os.umask(mask)
            os.environ.clear()
            os.environ.update(before)

    # -- comparisons

    def compare(self) -> None:
        """Every published figure, the months as sums of days, the targets and the number of rows."""
        days, months, goals, *counts = _queried(self.project.dsn, *_PUBLISHED)
        assert not (odd := differing(_figures(days), self.shown)), odd
        assert not (odd := differing(_figures(months), self.months())), odd
        published = {(m, s, g): tuple(None if x is None else Decimal(x) for x in r) for m, s, g, *r in goals}
        assert published == truth.targets(self.counting)
        for table, [(count,)] in zip(COUNTED_TABLES, counts, strict=True):
            assert count == len(truth.newest(self.counting, table)), table

    def _compare_files(self, result: dict[str, Any]) -> None:
        for file in result["files"]:
            path = self.project.inbox / file["file"]
            holds = self.contents[sha_of(path)]
            if holds is None:
                assert file["status"] == "refused", file
                continue
            assert file["status"] in {"landed", "unchanged"}, file
            assert file["feed"] == holds.feed, file
            if sha_of(path) in self.withdrawn:
                assert (file["rows"], "withdrawn" in file["reason"]) == (0, True), file
                continue
            assert (file["rejected"], file["totals"]) == (holds.rejected, holds.totals), file
            assert file["rows"] == len(holds.rows) + holds.rejected + holds.totals, file
            assert file["rows"] == sum(file[n] for n in ("accepted", "rejected", "superseded", "totals")), file

    def months(self) -> Figures:
        """The truth per month."""
        return truth.monthly(self.shown)

    def some_month(self) -> dt.date | None:
        """A month that has figures."""
        months = sorted({k[0] for k in self.months()})
        return self.rng.choice(months) if months else None

    def new_postgres(self) -> None:
        """Takes everything away that is published."""
        tables = "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"
        from published import run as run_sql

        run_sql(self.project.dsn, *tables)

    def no_caches(self) -> None:
        """Deletes everything in the lake but the raw layer."""
        lake = self.project.root / "data" / "lake"
        for path in lake.iterdir() if lake.exists() else ():
            if path.name != "raw":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.seen = {}


def sha_of(path: Path) -> str:
    """The hash that names a content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differing(found: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> dict[Any, Any]:
    """What was found and what was wanted, by key, where the two differ."""
    keys = {*found, *wanted}
    return {k: (found.get(k), wanted.get(k)) for k in keys if found.get(k) != wanted.get(k)}


def _queried(dsn: str, *queries: str) -> list[list[tuple[Any, ...]]]:
    """The rows of some queries over one connection: to connect takes longer than to ask. Numerics are text."""
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        answers = []
        for sql in queries:
            cursor.execute(sql)
            answers.append([tuple(r) for r in cursor.fetchall()])
        return answers


def _figures(rows: Sequence[tuple[Any, ...]]) -> Figures:
    return {(day, s, g): dict(zip(MEASURES, map(Decimal, values), strict=True)) for day, s, g, *values in rows}


__all__ = ["FIRST_DAY", "Waiting", "World", "differing", "sha_of"]
