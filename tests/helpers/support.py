"""What tests are made with: databases, a small project folder, CSV text."""

import datetime as dt
import functools
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import adbc_driver_manager
from adbc_driver_postgresql import dbapi
from pydantic import SecretStr

from rmetrics.lake import Lake
from rmetrics.lake.snapshot import load
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.compute.rows import Rows
from rmetrics.pipeline.summary import SyncResult
from rmetrics.postgres.connection import Server, connect
from rmetrics.postgres.ddl import apply_schema
from rmetrics.rules import load_rules
from rmetrics.settings import Settings
from rmetrics.shipped import schema_script
from rmetrics.usecases.sync import sync

ROOT = Path(__file__).resolve().parents[2]
MIDNIGHT = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


class fresh_database:  # noqa: N801 - reads as the verb it is
    """A database that exists for the length of a ``with`` block.

    Args:
        pg_uri: the server's.
        ready: with the schema already applied, which saves a sync the time; the server copies it from a template.
        copy_of: the URI of a database of the same server that it is a copy of.
    """

    def __init__(self, pg_uri: str, *, ready: bool = False, copy_of: str = "") -> None:
        self.pg_uri, self.ready, self.copy_of, self.name = pg_uri, ready, copy_of, f"test_{uuid.uuid4().hex}"

    def __enter__(self) -> str:
        _let_go(self.copy_of)  # no session may be in what is copied
        source = urlsplit(self.copy_of).path[1:] or (_template(self.pg_uri) if self.ready else "template1")
        # As files: far cheaper than through the log where nothing is flushed to disk.
        _administer(self.pg_uri, f"CREATE DATABASE {self.name} TEMPLATE {source} STRATEGY file_copy")
        return _uri_of(self.pg_uri, self.name)

    def __exit__(self, *_: object) -> None:
        _let_go(_uri_of(self.pg_uri, self.name))
        _administer(self.pg_uri, f"DROP DATABASE {self.name} WITH (FORCE)")


# Connections that were opened, by their URI: the driver asks for the types of the whole catalog each time it connects.
_held: dict[str, Any] = {}


def _uri_of(pg_uri: str, name: str) -> str:
    return pg_uri.replace("/postgres?", f"/{name}?", 1)


def _let_go(uri: str) -> None:
    """Closes the connection to a database, if one was opened."""
    if (held := _held.pop(uri, None)) is not None:
        held.close()


def _connected(uri: str) -> Any:
    """A connection that is kept until its database is dropped; it commits each statement."""
    if uri not in _held:
        _held[uri] = dbapi.connect(uri, autocommit=True)
    return _held[uri]


def _administer(pg_uri: str, sql: str) -> None:
    with _connected(pg_uri).cursor() as cursor:
        cursor.execute(sql)


@functools.cache
def _template(pg_uri: str) -> str:
    """The name of a database with the schema, to copy."""
    _administer(pg_uri, "CREATE DATABASE ready")
    server = Server(_uri_of(pg_uri, "ready"), "the tests' server", embedded=True)
    with connect(server) as session:
        apply_schema(session, schema_script(), "public")
    return "ready"


def rows(uri: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of one query; numerics are text."""
    try:
        with _connected(uri).cursor() as cursor:
            cursor.execute(sql)
            return [tuple(r) for r in cursor.fetchall()]
    except adbc_driver_manager.OperationalError:  # its server was started anew
        _held.pop(uri)
        with _connected(uri).cursor() as cursor:
            cursor.execute(sql)
            return [tuple(r) for r in cursor.fetchall()]


@dataclass
class Project:
    """A project folder with the shipped rules, whose exports are written by the test."""

    root: Path
    dsn: str
    minutes: int = 0  # the age of the newest export that was put

    @property
    def inbox(self) -> Path:
        """Where exports go."""
        return self.root / "data" / "inbox"

    @property
    def rules(self) -> Path:
        """The rules folder: a copy, free to edit."""
        return self.root / "rules"

    @property
    def settings(self) -> Settings:
        """The settings of this project."""
        return Settings(
            _env_file=None,
            postgres_dsn=SecretStr(self.dsn),
            data_dir=self.root / "data",
            inbox_dir=self.inbox,
            rules_dir=self.rules,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a command line in this project."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("RMETRICS_")},
            "RMETRICS_POSTGRES_DSN": self.dsn,
            "RMETRICS_DATA_DIR": str(self.root / "data"),
            "RMETRICS_INBOX_DIR": str(self.inbox),
            "RMETRICS_RULES_DIR": str(self.rules),
        }

    def put(self, name: str, text: str | bytes, *, minutes: int | None = None) -> Path:
        """Writes an export; each is a minute newer than the one before unless ``minutes`` says otherwise."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.minutes += 1
        at = MIDNIGHT.timestamp() + 60 * (self.minutes if minutes is None else minutes)
        os.utime(path, (at, at))
        return path

    def sync(self, **options: bool) -> SyncResult:
        """Runs the main job in this process."""
        return sync(self.settings, **options)  # type: ignore[arg-type]

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the published database."""
        return rows(self.dsn, sql)


def computed_files(project: Project, table: str = "") -> list[Path]:
    """The Parquet files of the computation in force: of one table, or of all. Tests know their places from here alone."""
    lake = Lake(project.settings.lake_dir)
    snapshot = load(lake)
    names = (table,) if table else tuple(snapshot.tables)
    return sorted(lake.root / f.name for n in names for layer in snapshot.layers(n) for f in layer.files)


def computed_rows(project: Project) -> Rows:
    """The rows of the computation in force."""
    found = last_rows(Lake(project.settings.lake_dir), load_rules(project.rules))
    assert found is not None
    return found


def lake_name(lake: Path, path: Path) -> str:
    """The name of a file of the lake without what only its bytes decide."""
    name = path.relative_to(lake).as_posix()
    return re.sub(r"/[0-9a-f]{16}\.parquet$", ".parquet", name) if name.startswith("metrics/") else name


def new_project(root: Path, dsn: str) -> Project:
    """Makes a project folder."""
    (root / "data" / "inbox").mkdir(parents=True)
    shutil.copytree(ROOT / "rules", root / "rules")
    return Project(root, dsn)


def csv_text(header: Sequence[str], *lines: Sequence[object] | Mapping[str, object]) -> str:
    """CSV text of rows given as sequences, or as mappings of the headers that matter."""

    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text

    table: list[list[object]] = [list(header)]
    table += [[line.get(h) for h in header] if isinstance(line, Mapping) else list(line) for line in lines]
    return "".join(",".join(cell(c) for c in line) + "\n" for line in table)
