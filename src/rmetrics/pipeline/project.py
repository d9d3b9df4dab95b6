"""What a project folder starts with: shipped rules, an inbox, an example of the settings."""

from importlib import resources
from pathlib import Path

from rmetrics.errors import SettingsError
from rmetrics.files import PRIVATE_FOLDER, write_private

_ENV_EXAMPLE = """\
# Settings of this rmetrics project. Copy to .env and change what you need; everything has a default.

# Where to publish. Unset: an embedded PostgreSQL under data/postgres, nothing to install.
# For a server elsewhere add ?sslmode=verify-full
# RMETRICS_POSTGRES_DSN=postgresql://user:password@host:5432/database

# RMETRICS_PG_SCHEMA=public
# RMETRICS_DATA_DIR=data
# RMETRICS_INBOX_DIR=data/inbox
# RMETRICS_RULES_DIR=rules

# How much memory a run may use. Less of it: more of a large history is computed one month after the other.
# RMETRICS_MEMORY_LIMIT=4GiB
"""
_GITIGNORE = "data/\n.env\n"


def shipped(name: str) -> Path:
    """A shipped file or folder: from the installed package, or from the checkout it runs in.

    Raises:
        SettingsError: the installation is incomplete.
    """
    packaged = Path(str(resources.files("rmetrics"))) / "shipped" / name
    checkout = Path(__file__).resolve().parents[3] / name
    for path in (packaged, checkout):
        if path.exists():
            return path
    raise SettingsError(
        f"the installation lacks {name}", "Install rmetrics again: pip install --force-reinstall rmetrics"
    )


def schema_script() -> str:
    """The text of ``schema.sql``."""
    return shipped("schema.sql").read_text(encoding="utf-8")


def init_project(folder: Path) -> list[Path]:
    """Creates a project folder; returns the files made.

    Raises:
        SettingsError: the folder already holds rules, or cannot be written.
    """
    rules = folder / "rules"
    if rules.exists() and any(rules.glob("*.toml")):
        raise SettingsError(f"{rules} already holds rules", "Choose another folder; nothing was changed.")
    made = []
    try:
        for made_folder in (folder, rules, folder / "data", folder / "data" / "inbox"):
            made_folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for source in sorted(shipped("rules").glob("*.toml")):
            made.append(rules / source.name)
            write_private(made[-1], source.read_bytes())
        for name, text in ((".env.example", _ENV_EXAMPLE), (".gitignore", _GITIGNORE)):
            if not (folder / name).exists():
                made.append(folder / name)
                write_private(made[-1], text.encode())
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or folder}: {error.strerror}", "Check its permissions."
        ) from error
    return made
