"""Opens what the settings name, for the use cases: nothing below them knows the settings.

Imports nothing that is slow to load: a sync with nothing to do starts here, too.
"""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rmetrics.pipeline.unchanged import SyncPlaces
from rmetrics.settings import Settings, memory_of

if TYPE_CHECKING:
    from rmetrics.lake import Lake
    from rmetrics.pipeline.landing.bucket_inbox import InboxAt
    from rmetrics.pipeline.project import Places, Project
    from rmetrics.postgres.server import Database
    from rmetrics.spark.runner import SparkRunner


def open_project(settings: Settings) -> "Project":
    """Returns the project of these settings, or the one company that they name.

    Raises:
        RulesError: the rules do not load.
        SettingsError: the address of a bucket is invalid, or the package for buckets is not installed.
    """
    return places_of(settings).open()


def places_of(settings: Settings) -> "Places":
    """Returns the project's places, for a use case that loads no rules, or loads them itself."""
    from rmetrics.lake import LakeAt
    from rmetrics.pipeline.project import Places

    return Places(
        rules_dir=settings.rules_dir,
        lake=LakeAt(settings.lake_dir, settings.lake_url, settings.s3_endpoint),
        inbox=inbox_at(settings),
        database=database_of(settings),
        memory=memory_of(settings),
        company=settings.company,
        group_schema=settings.group_schema,
    )


def open_lake(settings: Settings) -> "Lake":
    """Returns the project's lake, in its data folder or in a bucket; makes no request yet.

    Raises:
        SettingsError: the bucket's address is invalid, or the package for buckets is not installed.
    """
    return places_of(settings).lake.open()


def inbox_at(settings: Settings) -> "InboxAt":
    """Returns the location of the exports."""
    from rmetrics.pipeline.landing.bucket_inbox import InboxAt

    return InboxAt(settings.inbox_dir, settings.inbox_url, settings.s3_endpoint)


def database_of(settings: Settings) -> "Database":
    """Returns the location of the published tables."""
    from rmetrics.postgres.server import Database

    return Database(settings.pg_schema, settings.server_dir, settings.dsn)


def sync_places(settings: Settings) -> SyncPlaces:
    """Returns the places whose state shows whether a sync has something to do."""
    return SyncPlaces(
        rules_dir=settings.rules_dir,
        inbox_dir=settings.inbox_dir,
        lake_dir=settings.lake_dir,
        server_dir=settings.server_dir,
        schema=settings.pg_schema,
        memory=memory_of(settings),
        local=not (settings.data_url or settings.inbox_url),
        dsn=settings.dsn,
    )


@contextlib.contextmanager
def open_runner(settings: Settings) -> "Iterator[SparkRunner | None]":
    """Yields Spark if the settings name it as the engine; None if this machine computes."""
    if settings.engine == "local":
        yield None
        return
    from rmetrics.spark.runner import open_spark

    with open_spark(settings.spark, settings.lake_dir / "spark") as runner:
        yield runner


__all__ = [
    "database_of",
    "inbox_at",
    "open_lake",
    "open_project",
    "open_runner",
    "places_of",
    "sync_places",
]
