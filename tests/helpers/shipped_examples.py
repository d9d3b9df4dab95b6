"""The shipped examples of own measures and dimensions, copied beside the shipped rules as an owner would."""

import re
import shutil
from pathlib import Path

from support import ROOT

EXAMPLES = ROOT / "rules" / "examples"
ASKED = re.compile(
    r"^#   (\w+ = \{ type = .*)$", re.MULTILINE
)  # the line that an example needs in the shipped jobs feed


def own_measures() -> list[str]:
    """The names of the examples that declare measures or dimensions."""
    declares = re.compile(r"^\[(measures|dimensions)\.", re.MULTILINE)
    return sorted(p.stem for p in EXAMPLES.glob("*.toml") if declares.search(p.read_text()))


def copy_examples(names: list[str], rules: Path) -> None:
    """Copies examples into a folder of rules, and does what their comments ask for.

    Args:
        names: of the examples, without ``.toml``.
        rules: a folder with the shipped rules.
    """
    for name in names:
        shutil.copy(EXAMPLES / f"{name}.toml", rules)
        for line in ASKED.findall((EXAMPLES / f"{name}.toml").read_text()):
            _add_column(rules / "feeds.toml", line)


def _add_column(feeds: Path, line: str) -> None:
    head = "[feeds.jobs.columns]\n"
    before = feeds.read_text()
    assert head in before, "the shipped rules have no columns of jobs"
    feeds.write_text(before.replace(head, f"{head}{line}\n", 1))
