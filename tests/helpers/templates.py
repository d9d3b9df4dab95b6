"""Published projects to copy: what a test edits is a copy of folder and database, which is much quicker than a sync.

A copy is not in all things the project that was published. Its files have other inodes, so a sync looks at each again;
and PostgreSQL counts the rows written to a table from nothing, as after a restore, so a sync does not notice that a
value was changed by hand. A test of either makes its own project.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import Project, fresh_database, new_project


@dataclass(frozen=True)
class Template:
    """A project that is filled and published once.

    Attributes:
        project: to be read only.
    """

    project: Project
    pg_uri: str

    @contextmanager
    def copy(self, folder: Path) -> Iterator[Project]:
        """A project of its own with the same exports, lake and database; files keep their times."""
        with fresh_database(self.pg_uri, copy_of=self.project.dsn) as dsn:
            made = folder / f"copy-{uuid.uuid4().hex[:8]}"
            shutil.copytree(self.project.root, made)
            yield Project(made, dsn, self.project.minutes)


@contextmanager
def template(pg_uri: str, folder: Path, fill: Callable[[Project], object]) -> Iterator[Template]:
    """A project with the shipped rules, made and published by ``fill``."""
    with fresh_database(pg_uri, ready=True) as dsn:
        project = new_project(folder / "template", dsn)
        fill(project)
        yield Template(project, pg_uri)
