"""A project opened by a use case: what the settings say, as values, and the lake and the rules that it works with."""

from dataclasses import dataclass, replace
from pathlib import Path

from rmetrics.lake import Lake, LakeAt
from rmetrics.pipeline.landing.bucket_inbox import InboxAt
from rmetrics.postgres.server import Database
from rmetrics.rules import Rules, load_rules


@dataclass(frozen=True, slots=True)
class Places:
    """Where a project is, or one company of a group; nothing is opened yet.

    Attributes:
        rules_dir: the rules, of all companies.
        lake, inbox, database: the locations of these.
        memory: the limit of a run in bytes.
        company: the company's name; None without a group.
        group_schema: the schema of the group that the company belongs to; None without a group.
    """

    rules_dir: Path
    lake: LakeAt
    inbox: InboxAt
    database: Database
    memory: int
    company: str | None = None
    group_schema: str | None = None

    def open(self) -> "Project":
        """Loads the rules and opens the lake; makes no request to a bucket yet.

        Raises:
            RulesError: the rules do not load.
            SettingsError: the address of a bucket is invalid, or the package for buckets is not installed.
        """
        rules = load_rules(self.rules_dir, self.company)
        return Project(self, self.lake.open(), rules)

    def portable_settings(self) -> "Places":
        """Returns the same places for a process elsewhere: absolute paths, and no DSN."""
        return replace(
            self,
            rules_dir=self.rules_dir.resolve(),
            lake=replace(self.lake, root=self.lake.root.resolve()),
            inbox=self.inbox.here(),
            database=replace(self.database, folder=self.database.folder.resolve(), dsn=None),
        )


@dataclass(frozen=True, slots=True)
class Project:
    """A project and what it works with.

    Attributes:
        places: where it is.
        lake: its own, or a scratch lake in a trial.
        rules: in force.
    """

    places: Places
    lake: Lake
    rules: Rules

    @property
    def inbox(self) -> InboxAt:
        """The location of the exports."""
        return self.places.inbox

    @property
    def database(self) -> Database:
        """Where the figures are published."""
        return self.places.database

    @property
    def memory(self) -> int:
        """The limit of a run in bytes."""
        return self.places.memory

    def over(self, lake: Lake) -> "Project":
        """Returns the project with another lake, for instance a scratch lake."""
        return replace(self, lake=lake)


__all__ = ["Places", "Project"]
