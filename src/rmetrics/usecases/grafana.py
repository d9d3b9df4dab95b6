"""The Grafana kit of this business, written into a folder."""

from dataclasses import dataclass
from pathlib import Path

from rmetrics.errors import SettingsError
from rmetrics.files import part_of, write_private
from rmetrics.grafana.kit import kit
from rmetrics.grafana.model import Installation
from rmetrics.postgres.roles import roles_script
from rmetrics.rules import Rules, load_rules
from rmetrics.settings import Settings


@dataclass(frozen=True, slots=True)
class KitResult:
    """Result of writing the kit.

    Attributes:
        folder: the target folder.
        changed: paths inside it whose text is new or differs.
        unchanged: paths whose text was correct already.
    """

    folder: Path
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]


def kit_files(rules: Rules, schema: str = "public", serve: str | None = None) -> dict[str, str]:
    """Returns every file of the kit for these rules, by path in the folder; ``serve`` is the URL of explanations."""
    return kit(Installation(rules.business.timezone, rules.business.currency, serve)) | {
        "reader.sql": roles_script(schema)
    }


def write_kit(settings: Settings, folder: Path) -> KitResult:
    """Writes the kit, replacing each file as a whole, because Grafana may read it at any moment.

    Raises:
        SettingsError: the folder cannot be written.
        RulesError: the rules do not load.
    """
    changed, unchanged = [], []
    try:
        files = kit_files(load_rules(settings.rules_dir, settings.company), settings.pg_schema, settings.links_to)
        for name, text in sorted(files.items()):
            path = folder / name
            if path.exists() and path.read_bytes() == text.encode():
                unchanged.append(name)
                continue
            _folders(path.parent)
            part = part_of(path)
            write_private(part, text.encode())
            part.chmod(0o644)
            part.replace(path)
            changed.append(name)
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or folder}: {error.strerror}", "Name another folder."
        ) from error
    return KitResult(folder, tuple(changed), tuple(unchanged))


def _folders(folder: Path) -> None:
    """Makes folders that others may enter: Grafana runs as its own user, and the kit holds no figures or secrets."""
    if not folder.exists():
        _folders(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
