"""Every example of ``docs/rules.md`` is run. ``UPDATE_SNAPSHOTS=1`` writes what commands print into the page."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from rmetrics.cli import run
from rmetrics.errors import RulesError
from rmetrics.rules import load_rules
from rmetrics.rules.expressions.functions import FUNCTIONS
from rmetrics.rules.expressions.tokens import KEYWORDS, MOMENTS, SIGNS
from rmetrics.rules.feeds import Column, Feed, Variant, VariantColumn, When
from rmetrics.rules.model import Cost, Source
from small_company import jobs
from support import Project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block: what kind it says it is, its text, and the line it begins on."""

    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}"


BLOCKS = [
    Block(m[1], m[2], PAGE[: m.start()].count("\n") + 1)
    for m in re.finditer(r"^```([\w ]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
WRONG = [(b, BLOCKS[i + 1]) for i, b in enumerate(BLOCKS) if b.kind == "toml wrong"]


def with_example(block: Block, folder: Path) -> Path:
    """The shipped rules with an example in the file its first line names."""
    shutil.copytree(ROOT / "rules", folder)
    place, _, instead = block.text.splitlines()[0].removeprefix("# rules/").partition(", instead of ")
    path = folder / place
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if instead:
        own = re.escape(instead.strip("[]"))
        before, count = re.subn(rf"^\[{own}\]\n(?:(?!^\[(?!\[?{own})).*\n)*", "", before, flags=re.MULTILINE)
        assert count == 1
    path.write_text(before + ("\n" if before else "") + block.text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind == "toml"], ids=str)
def test_example_loads_without_a_warning(block: Block, tmp_path: Path) -> None:
    rules = load_rules(with_example(block, tmp_path / "rules"))
    assert rules.warnings == ()
    assert rules.digest != load_rules(ROOT / "rules").digest or "[revenue]" in block.text


@pytest.mark.parametrize(("block", "told"), WRONG, ids=str)
def test_wrong_example_says_what_the_page_says(block: Block, told: Block, tmp_path: Path) -> None:
    folder = with_example(block, tmp_path / "rules")
    with pytest.raises(RulesError) as caught:
        load_rules(folder)
    assert [str(p).removeprefix(f"{folder}/") for p in caught.value.problems] == told.text.splitlines()


def test_every_key_of_the_grammar_is_named() -> None:
    for model in (Feed, Column, Source, Cost, Variant, VariantColumn, When):
        for name, field in model.model_fields.items():
            key = field.alias or name
            assert re.search(rf"\b{key}\b", PAGE), f"{model.__name__}.{key}"


def test_every_function_on_offer_is_listed_with_its_meaning_and_null() -> None:
    listed = {
        m[1]: (m[2], m[3]) for m in re.finditer(r"^\| `(\w+\([^`]*\))` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    }
    assert listed == {f.form: (f.meaning, f.blank) for f in FUNCTIONS.values()}


def test_every_sign_and_keyword_on_offer_is_listed() -> None:
    conditions = PAGE[PAGE.index("## Conditions") : PAGE.index("## Feeds")]
    code = " ".join(re.findall(r"`([^`]+)`", conditions)).replace("\\|", "|")
    for word in KEYWORDS | SIGNS | {"ESCAPE", *MOMENTS}:
        assert word in code, word


def plain(text: str, project: Project) -> list[str]:
    """Output without what differs from run to run: ids, times, the server, padding."""
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{8}", "RUN", text)
    text = re.sub(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?= UTC)", "TIME", text)
    text = re.sub(r"(published on ).*\.$", r"\1SERVER.", text, flags=re.MULTILINE)
    text = text.replace(f"{project.root}/", "")
    return [line.rstrip() for line in text.strip().splitlines()]


@pytest.mark.deep
def test_the_walk_through_runs_as_printed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RMETRICS_RULES_DIR", "rules")
    project.put("Import-1.csv", jobs((1, "COD Repair", "Rely", "11/04/2024")))
    project.sync()
    ran = 0
    for block in BLOCKS:
        if block.kind == "csv":
            project.put("Fixly bookings.csv", block.text)
        elif block.kind == "toml edit":
            path = project.rules / "fixly.toml"
            text = path.read_text(encoding="utf-8")
            path.write_text(text[: text.index("[sources.Fixly]")] + block.text, encoding="utf-8")
        elif block.kind == "console":
            for part in re.split(r"^\$ rmetrics ", block.text, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                capsys.readouterr()
                words = [w.strip('"') for w in re.findall(r'"[^"]+"|\S+', command)]
                assert run(words) == 0
                told = plain(capsys.readouterr().out, project)
                if os.environ.get("UPDATE_SNAPSHOTS"):
                    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
                    new = page.replace(
                        f"$ rmetrics {command}\n{printed}", f"$ rmetrics {command}\n" + "".join(f"{t}\n" for t in told)
                    )
                    (ROOT / "docs" / "rules.md").write_text(new, encoding="utf-8")
                else:
                    assert told == plain(printed, project), command
                ran += 1
    assert ran == 6
