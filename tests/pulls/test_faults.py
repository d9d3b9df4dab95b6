"""Servers that fail while a list is read: seeded faults, and never a short list or a wrong number in force."""

import csv
import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import stamina

from rmetrics.usecases.pull import PullResult, pull
from support import Project, new_project
from vendor import Asked, Reply, Rows, cursors, jobs, linked, numbered, offsets, serving

KINDS = ("offset", "page", "cursor", "link")
FAULTS = (
    "page dropped", "rows dropped", "page repeated", "rows reordered", "row altered", "cut off", "429 in seconds",
    "429 by date", "500", "login page", "expired token", "total changes", "rows move", "clock jumps", "not JSON", "none",
)  # fmt: skip


@dataclass
class Scenario:
    """One list, how it is declared, and what goes wrong.

    Attributes:
        lasting: the fault comes on the same page of every reading; otherwise on one request.
    """

    name: str
    seed: int
    rows: Rows = field(default_factory=list)
    asked: int = 0
    pages: list[Any] = field(default_factory=list)
    faulty: int = 0

    def __post_init__(self) -> None:
        rng = self.rng = random.Random(self.seed)  # noqa: S311 - repeatable, not secret
        self.kind, self.fault = KINDS[self.seed % len(KINDS)], FAULTS[(self.seed // len(KINDS)) % len(FAULTS)]
        self.size = rng.randint(2, 9)
        self.rows = jobs(rng.randint(1, 4) * self.size + rng.randint(0, self.size - 1))
        self.total = self.kind == "link" or rng.random() < 0.6
        self.unique = self.fault == "rows move" or rng.random() < 0.7
        # What a server leaves out in the same way every time, and without a total, is the list as it has it.
        self.lasting = rng.random() < 0.4 and (self.total or self.fault not in {"page dropped", "rows dropped"})
        if self.fault in {"row altered", "page repeated"}:
            self.lasting = False
        if self.fault == "expired token":
            self.lasting = True
        self.at = rng.randint(1, -(-len(self.rows) // self.size))  # of its pages

    def declared(self, url: str) -> str:
        """The table of its pull."""
        paging = {
            "offset": f'{{ kind = "offset", size = {self.size} }}\nparams = {{ offset = "{{offset}}", records = "{{size}}" }}',
            "page": f'{{ kind = "page", size = {self.size} }}\nparams = {{ page = "{{page}}", per_page = "{{size}}" }}',
            "cursor": '{ kind = "cursor", next = "meta.next" }\nparams = { after = "{cursor}" }',
            "link": '{ kind = "link" }',
        }[self.kind]
        return (
            f'[pulls.{self.name}]\nfeed = "jobs"\nkind = "http"\nurl = "{url}/{self.name}/list"\nrows = "data"\n'
            f'secrets = {{ token = "VENDOR_TOKEN" }}\nheaders = {{ Authorization = "Token {{token}}" }}\n'
            f"paging = {paging}\n"
            + ('total = "meta.total"\n' if self.total else "")
            + ('unique = ["UUID"]\n' if self.unique else "")
        )

    def answer(self, asked: Asked, url: str) -> Reply:
        """The reply to one request, the fault in it."""
        self.asked += 1
        if self.fault == "rows move" and self._hit(asked):
            self._move()
        plain = self._plain(url)(asked)
        self.pages.append(plain.body)
        if self._hit(asked):
            self.faulty += 1
            return self._spoiled(plain)
        return plain

    def _plain(self, url: str) -> Callable[[Asked], Reply]:
        match self.kind:
            case "offset":
                return offsets(self.rows, total=self.total)
            case "page":
                return numbered(self.rows, total=self.total)
            case "cursor":
                return cursors(self.rows, self.size, total=self.total)
            case _:
                return linked(self.rows, self.size, lambda: f"{url}/{self.name}")

    def _hit(self, asked: Asked) -> bool:
        return self._page(asked) == self.at if self.lasting else self.asked == self.at

    def _page(self, asked: Asked) -> int:
        match self.kind:
            case "offset":
                return int(asked.params.get("offset", 0)) // self.size + 1
            case "page":
                return int(asked.params["page"])
            case "cursor":
                return int(asked.params.get("after", "c0")[1:]) // self.size + 1
            case _:
                return int(asked.params.get("start", 0)) // self.size + 1

    def _move(self) -> None:
        """A row goes, or one comes, at the head of the list: what comes after it changes its page."""
        if self.faulty >= 3:  # a list that never rests can be read by nobody
            return
        self.faulty += 1
        if self.rng.random() < 0.5 and len(self.rows) > 1:
            self.rows.pop(0)
        else:
            self.rows.insert(0, jobs(1, first=1000 + self.faulty)[0])

    def _spoiled(self, reply: Reply) -> Reply:  # noqa: C901, PLR0911, PLR0912 - a line for each fault
        rows = list(reply.body["data"])
        day = dt.timedelta(days=1)
        now = dt.datetime.now(dt.UTC)

        def with_rows(some: Rows) -> Reply:
            return Reply(reply.body | {"data": some}, headers=reply.headers)

        match self.fault:
            case "page dropped":
                return with_rows([])
            case "rows dropped":
                return with_rows(rows[: len(rows) // 2])
            case "page repeated":
                return Reply(self.pages[max(0, len(self.pages) - 2)], headers=reply.headers)
            case "rows reordered":
                return with_rows(self.rng.sample(rows, len(rows)))
            case "row altered":
                return with_rows([{**r, "Total": "9.99"} for r in rows])
            case "cut off":
                return Reply(reply.body, headers=reply.headers, cut=len(reply.bytes) // 2)
            case "429 in seconds":
                return Reply({}, 429, {"Retry-After": "0"})
            case "429 by date":
                return Reply({}, 429, {"Retry-After": format_datetime(now, usegmt=True)})
            case "500":
                return Reply(b"oops", 500)
            case "login page":
                return Reply(b"<!DOCTYPE html><html><form>Sign in</form></html>", headers={"Content-Type": "text/html"})
            case "expired token":
                return Reply({"error": "expired"}, 401)
            case "total changes" if self.total:
                meta = {**reply.body["meta"], "total": len(self.rows) + 1}
                return Reply(reply.body | {"meta": meta}, headers=reply.headers)
            case "clock jumps":
                away = day * self.rng.choice([-400, -2, 2, 4000])
                return Reply(reply.body, headers={**reply.headers, "Date": format_datetime(now + away, usegmt=True)})
            case "not JSON":
                return Reply(reply.bytes[:-1] + b",}", headers=reply.headers)
            case _:
                return reply


@dataclass
class Outcome:
    """What became of one scenario."""

    scenario: Scenario
    result: PullResult
    file: Path | None


def tried(root: Path, seeds: range, monkeypatch: pytest.MonkeyPatch) -> Iterator[Outcome]:
    """Pulls all scenarios at once."""
    project: Project = new_project(root, "")
    scenarios = {f"s{n}": Scenario(f"s{n}", n) for n in seeds}
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("VENDOR_TOKEN", "CANARY-4711-secret")
    with serving(lambda asked: scenarios[asked.path.split("/")[1]].answer(asked, vendor.url)) as vendor:
        (project.rules / "pulls.toml").write_text("\n".join(s.declared(vendor.url) for s in scenarios.values()))
        for result in pull(project.settings).pulls:
            files = list((project.inbox / "pulls" / result.name).glob("*.csv"))
            yield Outcome(scenarios[result.name], result, files[0] if files else None)


def judge(outcomes: Iterator[Outcome]) -> Counter[str]:
    """What became of the pulls; fails where a list in force is not the one that the server has."""
    seen: Counter[str] = Counter()
    for outcome in outcomes:
        scenario, result = outcome.scenario, outcome.result
        label = f"{scenario.name} {scenario.kind} {scenario.fault} lasting={scenario.lasting} total={scenario.total}"
        seen[f"{scenario.fault}: {result.status}"] += 1
        seen["struck"] += scenario.fault != "none" and scenario.faulty > 0
        if result.status == "incomplete":
            assert outcome.file is None, label
            assert len(result.message) > 10, label
            continue
        assert outcome.file is not None, label
        with outcome.file.open(newline="", encoding="utf-8") as file:
            got = {r["UUID"]: r for r in csv.DictReader(file)}
        want = {r["UUID"]: {h: str(v) for h, v in r.items()} for r in scenario.rows}
        assert got == want, f"{label}: {len(got)} rows in force, the server has {len(want)}"
        assert sum(Decimal(r["Total"]) for r in got.values()) == sum(Decimal(r["Total"]) for r in scenario.rows)
    return seen


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=6, cap=True):
        yield


@pytest.mark.deep
def test_no_fault_puts_a_short_list_or_a_wrong_number_into_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = judge(tried(tmp_path / "project", range(64), monkeypatch))
    assert seen["struck"] == 60
    assert seen["none: complete"] == 4
    assert seen["expired token: incomplete"] == 4
    assert seen["clock jumps: incomplete"] >= 3


@pytest.mark.slow
def test_a_thousand_faults_put_nothing_wrong_into_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()
    for first in range(64, 1344, 160):
        seen += judge(tried(tmp_path / f"project{first}", range(first, first + 160), monkeypatch))
    assert seen["struck"] >= 1000
    assert sum(n for what, n in seen.items() if what.endswith(": complete")) >= 400
