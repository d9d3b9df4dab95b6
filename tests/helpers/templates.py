"""Published projects to copy: what a test edits is a copy of folder and database, which is much quicker than a sync.

A copy is not in all things the project that was published. Its files have other inodes, so a sync looks at each again;
and PostgreSQL counts the rows written to a table from nothing, as after a restore, so a sync does not notice that a
value was changed by hand. A test of either makes its own project.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from second_engine import asked
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


class Templates:
    """Templates by what fills them, each made when it is asked for first and kept to the end of the tests."""

    def __init__(self, pg_uri: str, folders: Callable[[str], Path]) -> None:
        self.pg_uri, self.folders = pg_uri, folders
        self._made: dict[Callable[[Project], object], Template] = {}
        self._databases = ExitStack()

    def of(self, fill: Callable[[Project], object]) -> Template:
        """A project with the shipped rules that ``fill``, a function of a module, has made and published."""
        if fill not in self._made:
            dsn = self._databases.enter_context(fresh_database(self.pg_uri, ready=True))
            project = new_project(self.folders(fill.__name__) / "template", dsn)
            with asked():
                fill(project)
            self._made[fill] = Template(project, self.pg_uri)
        return self._made[fill]

    def close(self) -> None:
        """Drops their databases."""
        self._databases.close()
