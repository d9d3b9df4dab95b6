"""The secrets that a pull names, each concealed from then on."""

from collections.abc import Mapping

from rmetrics.concealed import LEAST, conceal
from rmetrics.errors import SettingsError
from rmetrics.settings import KEY_RING, named_setting


def secrets_of(names: Mapping[str, str]) -> dict[str, str]:
    """What each placeholder stands for. Each value is concealed from here on.

    Args:
        names: placeholder to the name of a setting; see ``named_setting``.

    Raises:
        SettingsError: one is not set, or too short to be concealed; ``.env`` cannot be read.
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
        if len(secret) < LEAST:
            raise SettingsError(f"the secret {name} is shorter than {LEAST} characters", "Copy it again, in full.")
        conceal(secret)
        found[placeholder] = secret
    return found
