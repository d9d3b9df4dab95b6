"""Which files of the lake a published table is made from, and what of them was published last."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rmetrics.contents import Content, Part, month_of
from rmetrics.digests import Remembered
from rmetrics.lake import Lake, file_digest
from rmetrics.periods import NO_PART
from rmetrics.pipeline.parts import FACTS
from rmetrics.rules.validate import JOBS
from rmetrics.snapshot import Snapshot, load
from rmetrics.tables import DAILY, MONTHLY, PgTable

_RECORD = "published"


def table_rows(lake: Lake, table: PgTable) -> pl.LazyFrame:
    """The rows a published table must hold."""
    return load(lake).scan(_computed(table))


def table_contents(lake: Lake, tables: Sequence[PgTable]) -> list[Content]:
    """The rows published tables must hold, by month, each with what it was when it was published last.

    The files of the computation before this one are still there until the next run begins.
    """
    snapshot, files = load(lake), lake.load_json(_RECORD).get("files", {})
    return [_content(snapshot, table, files.get(table.name, {})) for table in tables]


def known_digests(lake: Lake) -> Remembered:
    """What the last publish remembered; empty where that is lost: it is only a cache."""
    digests: Remembered = lake.load_json(_RECORD).get("digests", {})
    return digests


def remember_published(lake: Lake, tables: Sequence[PgTable], digests: Remembered) -> None:
    """Keeps what was published, and from which files."""
    snapshot = load(lake)
    files = {
        table.name: {
            month.isoformat(): [part.file.name, part.file.sha256]
            for month, part in snapshot.parts(_computed(table)).items()
        }
        for table in tables
    }
    lake.save_json(_RECORD, {"digests": digests, "files": files})


def _computed(table: PgTable) -> str:
    return FACTS if table.name == JOBS else table.name


def _content(snapshot: Snapshot, table: PgTable, files: Mapping[str, Sequence[Any]]) -> Content:
    parts = snapshot.parts(_computed(table))
    whole = snapshot.scan(_computed(table))
    identity = hashlib.sha256(" ".join(p.file.sha256 for _, p in sorted(parts.items())).encode()).hexdigest()
    if table.part is None:
        return Content(table, {NO_PART: Part(whole, identity)})
    if table.name in (DAILY, MONTHLY):  # one file each
        months = whole.select(month_of(table)).unique().collect().to_series()
        return Content(table, {m: Part(whole.filter(month_of(table) == m), identity) for m in months})

    def before(month: str, sha256: str) -> Part | None:
        name, earlier = files.get(month, ("", sha256))
        path = snapshot.root / name
        if earlier == sha256 or not path.is_file() or file_digest(path) != earlier:
            return None
        return Part(pl.scan_parquet(path, glob=False), earlier)

    return Content(
        table,
        {
            month: Part(
                pl.scan_parquet(snapshot.root / part.file.name, glob=False),
                part.file.sha256,
                before(month.isoformat(), part.file.sha256),
            )
            for month, part in parts.items()
        },
    )
