"""Secrets by name: from the environment, ``.env`` or the system's key ring."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from rmetrics.concealed import LEAST, conceal
from rmetrics.errors import SettingsError

KEY_RING = "rmetrics"  # the service under which the key ring keeps them


def secrets_of(names: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What each placeholder stands for. Each value is concealed from here on.

    Args:
        names: placeholder to the name of a setting.
        folder: the project's, which may hold ``.env``.

    Raises:
        SettingsError: one is not set, or too short to be concealed.
    """
    found: dict[str, str] = {}
    for placeholder, name in names.items():
        value = _value(name, folder)
        if not value:
            raise SettingsError(
                f"the secret {name} is not set",
                f"Put {name}=... into .env or the environment, or into the key ring: keyring set {KEY_RING} {name}",
            )
        if len(value) < LEAST:
            raise SettingsError(f"the secret {name} is shorter than {LEAST} characters", "Copy it again, in full.")
        conceal(value)
        found[placeholder] = value
    return found


def _value(name: str, folder: Path) -> str:
    if value := os.environ.get(name, "").strip():
        return value
    try:
        if value := (dotenv_values(folder / ".env", interpolate=False).get(name) or "").strip():
            return value
    except (OSError, UnicodeDecodeError):
        raise SettingsError(".env cannot be read", "Check its permissions; save it as UTF-8.") from None
    return _from_key_ring(name)


def _from_key_ring(name: str) -> str:
    """The value in the key ring; nothing where the package ``keyring`` or a key ring is missing."""
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        return ""
    try:
        return str(keyring.get_password(KEY_RING, name) or "").strip()
    except keyring.errors.KeyringError:
        return ""
