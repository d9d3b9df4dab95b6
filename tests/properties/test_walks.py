"""A published project lives on: rules are edited and taken back, exports come, are withdrawn and restored.

After every step each command works or refuses in our words, what is published is what a sync from nothing publishes,
and ``plan`` has said what would change.
"""

import copy
import json
import random
import shutil
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from own_rules import OWN
from random_edits import another_export, valid_edit, written
from rmetrics.cli import run
from rmetrics.rules import load_rules
from rmetrics.rules.files import read_tree
from rmetrics.tables import MONTHLY, metric_table, published_tables
from support import ROOT, Project, fresh_database, new_project
from templates import Templates

EXPORTS = ROOT / "tests" / "handworked" / "exports"
SEEDS = range(60)
UNPUBLISHABLE = "its former type", "must not be NULL, but the rules do not fill it"
OTHER_COMMANDS = (
    ["metrics"], ["metrics", "--by", "week"], ["metrics", "--by", "quarter"], ["journeys"], ["history"], ["disputes"],
    ["calls"], ["status"], ["rules"], ["brief"], ["rejected"], ["exports"], ["report"], ["doctor"], ["schema"],
)  # fmt: skip

Said = Callable[..., tuple[int, Any]]
Figures = dict[tuple[str, ...], Decimal]


def all_rules(folder: Path) -> dict[str, Any]:
    """The shipped rules with own measures, dimensions and returns, as one table."""
    shutil.copytree(ROOT / "rules", folder, dirs_exist_ok=True)
    (folder / "own.toml").write_text(OWN, encoding="utf-8")
    return dict(read_tree(folder).tables)


def hand_worked(project: Project) -> None:
    """Publishes the exports worked by hand."""
    shutil.copytree(EXPORTS, project.inbox, dirs_exist_ok=True)
    written(all_rules(project.rules), project.rules)
    project.sync()


def contents(project: Project) -> dict[str, Any]:
    """The rows of every published table of the rules, as text in some order."""
    found = dict[str, Any]()
    for table in published_tables(load_rules(project.rules)):
        names = ", ".join(f'"{n}"' for n in table.names)
        found[table.name] = project.rows(f'SELECT ({names})::text FROM "{table.name}" ORDER BY 1')
    return found


def figures(project: Project) -> Figures:
    """The published monthly figures that are not 0."""
    names = [c.name for c in metric_table(MONTHLY).columns if c.type.startswith(("numeric", "bigint"))]
    columns = ", ".join(f"{n}::text" for n in names)
    found = project.rows(f"SELECT month::text, source, segment, {columns} FROM monthly_metrics")
    values = {(*row[:3], n): Decimal(v) for row in found for n, v in zip(names, row[3:], strict=True)}
    return {k: v for k, v in values.items() if v}


def changed(before: Figures, after: Figures) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """What differs between two states, and its value in each."""
    pairs = {k: (before.get(k, Decimal(0)), after.get(k, Decimal(0))) for k in {*before, *after}}
    return {k: (a, b) for k, (a, b) in pairs.items() if a != b}


def planned(changes: list[Mapping[str, Any]]) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    """What ``plan`` says of the figures of ``monthly_metrics``."""
    keyed = {tuple(c[k] for k in ("month", "source", "segment", "metric")): c for c in changes}
    pairs = {k: (Decimal(c["before"] or 0), Decimal(c["after"] or 0)) for k, c in keyed.items()}
    return {k: (a, b) for k, (a, b) in pairs.items() if k[-1] in metric_table(MONTHLY).names and a != b}


class Walk:
    """A project, what was done to it, and the commands that follow."""

    def __init__(self, project: Project, of: random.Random, said: Said) -> None:
        self.project, self.of, self.said = project, of, said
        self.shipped = all_rules(project.root / "shipped")
        self.rules, self.done = self.shipped, list[object]()
        self.withdrawn = set[str]()

    def step(self) -> None:
        """Does something that changes figures."""
        kind = self.of.choice(["edit", "edit", "edit", "back", "export", "export", "export", "withdraw", "both"])
        if kind in ("edit", "both"):
            self.rules, made = valid_edit(self.rules, self.of, self.project.rules)
            self.done.append(made)
        if kind == "back":
            self.back()
        if kind in ("export", "both"):
            given = self.of.choice(sorted(EXPORTS.glob("*.csv")))
            text = another_export(given.read_text(encoding="utf-8"), self.of)
            minutes = self.of.choice([None, None, -5, 100_000 + len(self.done)])
            self.done.append(self.project.put(f"{given.stem} {len(self.done)}.csv", text, minutes=minutes).name)
        if kind == "withdraw":
            name = self.of.choice(sorted(p.name for p in self.project.inbox.iterdir()))
            verb = "restore" if name in self.withdrawn else "withdraw"
            if self.said("exports", verb, name)[0] == 0:
                self.withdrawn ^= {name}
                self.done.append(f"{verb} {name}")

    def back(self) -> None:
        """Takes all edits of the rules back."""
        self.rules = copy.deepcopy(self.shipped)
        written(self.rules, self.project.rules)
        self.done.append("rules as shipped")

    def sync(self) -> bool:
        """Plans and syncs; returns whether that was published."""
        before = figures(self.project)
        code, plan = self.said("plan")
        assert code in (0, 3), (self.done, plan)
        code, result = self.said("sync")
        if code == 4 and any(text in str(result) for text in UNPUBLISHABLE):
            self.done.append("cannot be published")
            return False
        assert code in (0, 3), (self.done, result)
        assert changed(before, figures(self.project)) == planned(plan["changes"]), self.done
        return True

    def look(self) -> None:
        """Asks what an owner may ask."""
        months = self.project.rows("SELECT source, to_char(month, 'YYYY-MM') FROM monthly_metrics ORDER BY 1, 2")
        if months:
            source, month = self.of.choice([*months, ("ALL", months[-1][1])])
            code, found = self.said("explain", "--source", source, "--month", month)
            assert (code, found["verdict"]) == (0, "match"), (self.done, source, month, found)
        code, found = self.said("check")
        assert (code in (0, 3), found["cross_check"], set(found["published"].values())) == (True, 0, {0}), self.done
        command = self.of.choice(OTHER_COMMANDS)
        code, found = self.said(*command)
        assert code in (0, 3), (self.done, command, found)
        published = contents(self.project)
        assert self.said("sync", "--full")[0] in (0, 3), self.done
        assert contents(self.project) == published, self.done


@pytest.mark.ordinary(1, deep=2)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_project_that_lives_on_is_as_one_made_from_nothing(
    templates: Templates,
    pg_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    seed: int,
) -> None:
    def work_in(project: Project) -> None:
        monkeypatch.chdir(project.root)
        for name, value in project.environment.items():
            monkeypatch.setenv(name, value)

    def said(*command: str) -> tuple[int, Any]:
        capfd.readouterr()
        code = run([*command, "--json"])
        out, err = capfd.readouterr()
        return code, json.loads(out) if code in (0, 3) and out.startswith(("{", "[")) else out + err

    of = random.Random(seed)  # noqa: S311 - to be repeated
    with templates.of(hand_worked).copy(tmp_path) as project, fresh_database(pg_uri, ready=True) as dsn:
        work_in(project)
        walk = Walk(project, of, said)
        for _ in range(of.randint(2, 6)):
            walk.step()
            published = walk.sync()
            if published and of.random() < 0.5:
                walk.look()
        if not published or of.random() < 0.3:
            walk.back()
            assert walk.sync()

        other = new_project(tmp_path / "other", dsn)
        written(walk.rules, other.rules)
        for path in project.inbox.iterdir():
            if path.name not in walk.withdrawn:
                shutil.copy2(path, other.inbox)
        work_in(other)
        assert said("sync")[0] in (0, 3)
        assert contents(other) == contents(project), walk.done
