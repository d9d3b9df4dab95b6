"""A project with one declared pull, whose secret is a canary."""

import datetime as dt
from pathlib import Path

import pytest

from rmetrics.usecases.pull import PullResult, pull
from support import Project, new_project

CANARY = "CANARY/4711+secret word"
TABLE = """\
[pulls.crm]
feed    = "jobs"
kind    = "http"
url     = "{url}/v1/{{token}}/jobs"
secrets = {{ token = "CRM_TOKEN" }}
headers = {{ Authorization = "Token {{token}}" }}
params  = {{ start_date = "{{since}}", records = "{{size}}", offset = "{{offset}}" }}
paging  = {{ kind = "offset", size = 4 }}
rows    = "data"
total   = "meta.total"
unique  = ["UUID"]
overlap = "14 days"
"""


class Declared:
    """The project, entered."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project: Project = new_project(root, "")
        (self.project.root / ".env").write_text(f'CRM_TOKEN="{CANARY}"\n')
        monkeypatch.chdir(self.project.root)
        for name, value in self.project.environment.items():
            monkeypatch.setenv(name, value)

    @property
    def folder(self) -> Path:
        """Where the pulled files go."""
        return self.project.inbox / "pulls" / "crm"

    @property
    def files(self) -> list[str]:
        """What sync would read of them."""
        return sorted(p.name for p in self.folder.glob("*") if not p.name.startswith(".") and p.suffix != ".json")

    def rules(self, text: str) -> None:
        """Declares the pulls."""
        (self.project.rules / "pulls.toml").write_text(text)

    def pull(self, since: dt.date | None = None) -> PullResult:
        """Pulls the one that is declared."""
        (result,) = pull(self.project.settings, since=since).pulls
        return result
