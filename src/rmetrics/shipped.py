"""Files shipped with rmetrics: rules, the schema script."""

from importlib import resources
from pathlib import Path

from rmetrics.errors import SettingsError


def shipped(name: str) -> Path:
    """The path of a shipped file or folder, in the installed package or in the checkout.

    Raises:
        SettingsError: the installation is incomplete.
    """
    packaged = Path(str(resources.files("rmetrics"))) / "shipped" / name
    checkout = Path(__file__).resolve().parents[2] / name
    for path in (packaged, checkout):
        if path.exists():
            return path
    raise SettingsError(
        f"{name} is missing from the installation", "Reinstall rmetrics: pip install --force-reinstall rmetrics"
    )


def schema_script() -> str:
    """The text of ``schema.sql``."""
    return shipped("schema.sql").read_text(encoding="utf-8")
