"""Locations, credentials and other settings of a project.

Read from the environment, then from ``.env`` in the project folder: the working folder, or the nearest one above it
that is a project. Unrelated keys in ``.env`` (Grafana's, for instance) are ignored.
"""

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rmetrics.environment import FOLDERS, find_project
from rmetrics.errors import SettingsError
from rmetrics.memory import DEFAULT_MEMORY

_ADDRESS = r"^(https?://[A-Za-z0-9.\-\[\]:]+(/[A-Za-z0-9._~/-]*)?)?$"
_MASTER = r"^(local(\[[^\]]*\])?|local-cluster\[\d+,\d+,\d+\]|spark://\S+|k8s://\S+|yarn|sc://\S+)$"
_BUCKET = "s3://"
_UNSET = "the bucket of {}"  # alias of a derived setting; no environment variable can have this name


class Settings(BaseSettings):
    """The settings of one project folder.

    Attributes:
        postgres_dsn: the server to publish to; None means the embedded PostgreSQL under the data folder.
        data_dir: the folder of the lake and the embedded server.
        inbox_dir: the folder of the exports; only read.
        rules_dir: the folder of the rules.
        pg_schema: the schema to publish to.
        group_schema: the group's schema, in the settings of one of its companies; None without a group.
        local_dir: the local folder for a lake or inbox in a bucket: copies, and the embedded server.
        s3_endpoint: the S3 server of buckets; None means Amazon's.
        data_url, inbox_url: the bucket, if ``RMETRICS_DATA_DIR`` or ``RMETRICS_INBOX_DIR`` names one, without a
            trailing slash; the folder of that setting is then the local one.
        company: the company in the rules that a command concerns; None: all of them, or there is only one.
        serve_url: the address of ``rmetrics serve``, for links in dashboards and reports; None: no links.
        memory_limit: the memory limit of a run, for instance ``4GB``; None means 4 GiB.
        engine: the engine that computes the figures: this machine, or Apache Spark (``docs/scale.md``).
        spark: Spark's master, or the address of a Spark Connect server.
    """

    model_config = SettingsConfigDict(env_prefix="RMETRICS_", env_file=".env", extra="ignore", frozen=True)

    postgres_dsn: SecretStr | None = None
    data_dir: Path = Path("data")
    inbox_dir: Path = Field(default=Path("data/inbox"))
    rules_dir: Path = Path("rules")
    pg_schema: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "public"
    company: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")] | None = None
    group_schema: str | None = Field(default=None, validation_alias=_UNSET.format("group"))
    local_dir: Path = Path("data/remote")
    data_url: str | None = Field(default=None, validation_alias=_UNSET.format("data"))
    inbox_url: str | None = Field(default=None, validation_alias=_UNSET.format("inbox"))
    s3_endpoint: Annotated[str, StringConstraints(pattern=_ADDRESS)] | None = None
    serve_url: Annotated[str, StringConstraints(pattern=_ADDRESS)] | None = None
    memory_limit: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)? ?([KMGT]i?B)$")] | None = None
    engine: Literal["local", "spark"] = "local"
    spark: Annotated[str, StringConstraints(pattern=_MASTER)] = "local[*]"

    @model_validator(mode="before")
    @classmethod
    def _buckets(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Replaces a bucket's address by its local folder, and stores the address separately."""
        local, found = Path(given.get("local_dir") or cls.model_fields["local_dir"].default), dict(given)
        for what in ("data", "inbox"):
            url = str(given.get(f"{what}_dir") or "").rstrip("/")
            if url.startswith(_BUCKET):
                place = f"{given.get('s3_endpoint') or ''} {url}"
                bucket = re.sub(r"[^A-Za-z0-9.-]", "_", url.removeprefix(_BUCKET).partition("/")[0])
                digest = hashlib.sha256(place.encode()).hexdigest()[:12]
                found[f"{what}_dir"] = local / f"{bucket}-{digest}" / ("inbox" if what == "inbox" else "")
                found[_UNSET.format(what)] = url
        return found

    @property
    def inbox(self) -> str:
        """The location of the exports, for messages."""
        return self.inbox_url or str(self.inbox_dir)

    @property
    def links_to(self) -> str | None:
        """The address of ``rmetrics serve`` without a trailing slash; None for no links."""
        return (self.serve_url or "").rstrip("/") or None

    @property
    def lake_dir(self) -> Path:
        """The lake's folder."""
        return self.data_dir.joinpath(*self._own, "lake")

    @property
    def lake_url(self) -> str | None:
        """The lake's address in a bucket; None if it is in a folder."""
        return None if self.data_url is None else "/".join([self.data_url, *self._own, "lake"])

    @property
    def _own(self) -> tuple[str, ...]:
        return () if self.company is None else ("companies", self.company)

    def of_company(self, name: str, inbox: str | None = None, schema: str | None = None) -> "Settings":
        """The settings of one company of the group: its folders, and the schema it would publish to on its own.

        Args:
            name: of the company.
            inbox: its folder inside the inbox; None: the company's name.
            schema: its own schema; None: the company's name.
        """
        folder = inbox or name
        url = None if self.inbox_url is None else f"{self.inbox_url}/{folder}"
        made = {"company": name, "group_schema": self.pg_schema, "pg_schema": schema or name}
        return self.model_copy(update={**made, "inbox_dir": self.inbox_dir / folder, "inbox_url": url})

    @property
    def server_dir(self) -> Path:
        """The embedded server's folder."""
        return self.data_dir / "postgres"

    @property
    def dsn(self) -> str | None:
        """The DSN in clear text, for the driver only; an empty one counts as unset."""
        value = self.postgres_dsn.get_secret_value().strip() if self.postgres_dsn else ""
        return value or None


def load_settings(folder: Path | None = None) -> Settings:
    """Returns the settings in force.

    Args:
        folder: a project folder, whose ``.env`` is read and to which paths are relative; None searches from the working
            folder upwards.

    Raises:
        SettingsError: no folder from here upwards is a project, or a value is invalid; the message never contains the
            DSN.
    """
    here = Path.cwd() if folder is None else None
    if here is not None:
        folder = find_project(here)
        if folder is None:
            raise SettingsError(
                f"{here} is not in an rmetrics project: neither it nor a parent folder contains rules/*.toml",
                "Change to a project folder, name one (rmetrics -C FOLDER ...), or create one: rmetrics init FOLDER",
            )
    try:
        if folder is None or folder == here:
            return _for_company(Settings())
        found = Settings(_env_file=folder / ".env")
        return _for_company(found.model_copy(update={name: folder / getattr(found, name) for name in FOLDERS}))
    except ValidationError as error:
        problems = "; ".join(
            f"RMETRICS_{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}"
            for e in error.errors(include_input=False)
        )
        raise SettingsError(f"invalid settings: {problems}", "Correct the environment or .env.") from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8 text", "Save it as UTF-8.") from None


def _for_company(found: Settings) -> Settings:
    """The settings of the company named in them. Invalid rules are skipped here and reported when the rules load."""
    if found.company is None:
        return found
    for path in sorted(found.rules_dir.glob("*.toml")):
        try:
            declared = tomllib.loads(path.read_text(encoding="utf-8-sig")).get("companies", {}).get(found.company)
        except (OSError, ValueError, AttributeError):
            continue
        if isinstance(declared, dict):
            inbox, schema = (str(declared[k]) if k in declared else None for k in ("inbox", "schema"))
            return found.of_company(found.company, inbox, schema)
    return found.of_company(found.company)


_UNITS = {"K": 1, "M": 2, "G": 3, "T": 4}


def memory_of(settings: Settings) -> int:
    """The memory limit in bytes."""
    if settings.memory_limit is None:
        return DEFAULT_MEMORY
    match = re.fullmatch(r"([\d.]+) ?([KMGT])(i?)B", settings.memory_limit)
    if match is None:  # cannot happen: the settings have been validated
        msg = f"{settings.memory_limit!r} is not an amount of memory"
        raise AssertionError(msg)
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _UNITS[match[2]])
