"""The folder of the current project, and the secrets that its environment holds by name."""

import importlib
import os
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from rmetrics.errors import SettingsError

KEY_RING = "rmetrics"  # the service under which the system's key ring keeps secrets
FOLDERS = ("data_dir", "inbox_dir", "rules_dir")


def project_folder() -> Path:
    """The folder of the current project: contains its ``.env``, and its relative paths start there."""
    here = Path.cwd()
    return find_project(here) or here


def named_setting(name: str) -> SecretStr | None:
    """The value of a secret that the rules name, from the environment, ``.env`` or the system's key ring.

    Args:
        name: of the setting. A blank value counts as not set.

    Returns:
        The value, never to be shown; None if it is not set anywhere.

    Raises:
        SettingsError: ``.env`` cannot be read.
    """
    value = os.environ.get(name, "").strip() or _in_env_file(name) or _in_key_ring(name)
    return SecretStr(value) if value else None


def _in_env_file(name: str) -> str:
    try:  # no interpolation: a dollar sign in a password is literal
        return (dotenv_values(project_folder() / ".env", interpolate=False, encoding="utf-8").get(name) or "").strip()
    except UnicodeDecodeError:
        raise SettingsError(".env is not UTF-8 text", "Save it as UTF-8.") from None
    except OSError as error:
        raise SettingsError(f".env cannot be read: {error.strerror}", "Check its permissions.") from None


def _in_key_ring(name: str) -> str:
    """The value in the key ring; empty if the package ``keyring`` or a key ring is missing."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    try:
        return str(keyring.get_password(KEY_RING, name) or "").strip()
    except keyring.errors.KeyringError:
        return ""


def find_project(here: Path) -> Path | None:
    """The nearest project folder from ``here`` upwards; None if there is none.

    If the environment names folders, no search is made. A folder above counts only if it belongs to the user (or root),
    because anyone may put rules into ``/tmp``.
    """
    if any(f"RMETRICS_{name}".upper() in os.environ for name in FOLDERS):
        return here
    for folder in (here, *here.parents):
        if _is_project(folder) and (folder == here or _own(folder)):
            return folder
    return None


def _is_project(folder: Path) -> bool:
    try:
        if any((folder / "rules").glob("*.toml")) or (folder / "data" / "lake").is_dir():
            return True
        settings = (folder / ".env").read_text(encoding="utf-8")
        return any(f"RMETRICS_{name}".upper() in settings for name in FOLDERS)
    except (OSError, ValueError):  # unreadable or not text: not a usable project
        return folder == Path.cwd() and (folder / ".env").is_file()


def _own(folder: Path) -> bool:
    user = getattr(os, "getuid", None)
    return user is None or folder.stat().st_uid in (user(), 0)


__all__ = ["FOLDERS", "KEY_RING", "find_project", "named_setting", "project_folder"]
