"""Looks up the secrets that a pull names and conceals them in all later output."""

from collections.abc import Mapping

from rmetrics.concealed import MIN_LENGTH, conceal
from rmetrics.environment import KEY_RING, named_setting
from rmetrics.errors import SettingsError


def secrets_of(names: Mapping[str, str]) -> dict[str, str]:
    """Returns the value of each placeholder; conceals each value from here on.

    Args:
        names: setting names by placeholder; see ``named_setting``.

    Raises:
        SettingsError: a secret is not set or too short to be concealed, or ``.env`` cannot be read.
    """
    found: dict[str, str] = {}
    for placeholder, name in names.items():
        value = named_setting(name)
        if value is None:
            raise SettingsError(
                f"the secret {name} is not set",
                f"Put {name}=... into .env or the environment, or into the key ring: keyring set {KEY_RING} {name}",
            )
        secret = value.get_secret_value()
        if len(secret) < MIN_LENGTH:
            raise SettingsError(f"the secret {name} is shorter than {MIN_LENGTH} characters", "Copy it again in full.")
        conceal(secret)
        found[placeholder] = secret
    return found
