"""Where things live, and the one secret.

Read from the environment, then from ``.env`` in the working folder. Keys of others in ``.env`` (Grafana's, for
instance) are ignored.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from rmetrics.errors import SettingsError

_FOLDERS = ("data_dir", "inbox_dir", "rules_dir")


class Settings(BaseSettings):
    """The settings of one project folder.

    Attributes:
        postgres_dsn: the server to publish to; None means the embedded PostgreSQL under the data folder.
        data_dir: the lake and the embedded server live here.
        inbox_dir: the exports; they are only read.
        rules_dir: the rules.
        pg_schema: the schema to publish into.
        memory_limit: how much memory a run may use, for instance ``4GB``; None means 4 GiB.
    """

    model_config = SettingsConfigDict(env_prefix="RMETRICS_", env_file=".env", extra="ignore", frozen=True)

    postgres_dsn: SecretStr | None = None
    data_dir: Path = Path("data")
    inbox_dir: Path = Field(default=Path("data/inbox"))
    rules_dir: Path = Path("rules")
    pg_schema: Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] = "public"
    memory_limit: Annotated[str, StringConstraints(pattern=r"^\d+(\.\d+)? ?([KMGT]i?B)$")] | None = None

    @property
    def lake_dir(self) -> Path:
        """The lake's folder."""
        return self.data_dir / "lake"

    @property
    def server_dir(self) -> Path:
        """The embedded server's folder."""
        return self.data_dir / "postgres"

    @property
    def dsn(self) -> str | None:
        """The DSN in the clear, for the driver only; an empty one counts as unset."""
        value = self.postgres_dsn.get_secret_value().strip() if self.postgres_dsn else ""
        return value or None


def load_settings(folder: Path | None = None) -> Settings:
    """The settings in force.

    Args:
        folder: a project folder, whose ``.env`` is read and where relative paths start; None means the working folder.

    Raises:
        SettingsError: a value that cannot be used; the DSN is never repeated in the message.
    """
    try:
        if folder is None:
            return Settings()
        found = Settings(_env_file=folder / ".env")
        return found.model_copy(update={name: folder / getattr(found, name) for name in _FOLDERS})
    except ValidationError as error:
        told = "; ".join(
            f"RMETRICS_{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}"
            for e in error.errors(include_input=False)
        )
        raise SettingsError(f"settings cannot be used: {told}", "Correct the environment or .env.") from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8 text", "Save it as UTF-8.") from None
