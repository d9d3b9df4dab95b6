"""``rmetrics init``: the initial content of a project folder: shipped rules, an inbox, example settings."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from rmetrics.errors import SettingsError
from rmetrics.files import PRIVATE_FOLDER, write_private
from rmetrics.ingest.currencies import CODES
from rmetrics.metrics.holidays_of import country_of
from rmetrics.rules.model import is_zone
from rmetrics.shipped import shipped

_ENV_EXAMPLE = """\
# Settings of this rmetrics project. Copy to .env and change the settings you need; all have defaults.

# The database to publish to. Default: an embedded PostgreSQL under data/postgres; for Grafana on this machine,
# open a port: rmetrics db start --port 5433
# For a remote server, add ?sslmode=verify-full
# RMETRICS_POSTGRES_DSN=postgresql://user:password@host:5432/database

# RMETRICS_PG_SCHEMA=public
# RMETRICS_DATA_DIR=data
# RMETRICS_INBOX_DIR=data/inbox
# RMETRICS_RULES_DIR=rules

# The address of `rmetrics serve`: figures in reports and dashboards then link to their explanations.
# RMETRICS_SERVE_URL=http://127.0.0.1:8787

# The memory that a run may use. With less memory, more of a large history is computed month by month.
# RMETRICS_MEMORY_LIMIT=4GiB

# Secrets of pulls, by their names in rules/pulls.toml.
# CALLRAIL_TOKEN=

# The recipient of the brief and alerts, if rules/messages.toml declares a channel with this name (docs/brief.md).
# RMETRICS_NOTIFY_OWNER=mailtos://user:password@example.com?to=owner@example.com
"""
_GITIGNORE = "data/\n.env\n"
_TARGETS_EXAMPLE = """\
Month,Source,Segment,Target Repairs,Target Revenue40,Target Conv L2R,Target CPL Max
2026-01,,,30,6200.00,0.31,30.00
2026-01,,COD,22,4500.00,,
2026-01,Google,,12,2600.00,,45.00
"""
TARGETS_EXAMPLE = "targets.example.csv"
_SERVERS = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "UCT", "Universal", "Zulu", "GMT", "Etc/GMT", "localtime"})


@dataclass(frozen=True, slots=True)
class NewProject:
    """A newly created project folder.

    Attributes:
        files: the files created.
        timezone, currency: as now set in the rules.
        from_machine: whether the zone is that of this machine; False if it is given or the shipped one.
    """

    folder: Path
    files: tuple[Path, ...]
    timezone: str
    currency: str
    from_machine: bool


def init_project(folder: Path, *, timezone: str | None = None, currency: str | None = None) -> NewProject:
    """Creates a project folder.

    Args:
        folder: the folder to create.
        timezone: the business time zone; None for the machine's. A machine that runs in UTC, as servers do, is no
            evidence of the business's zone: the shipped zone stays.
        currency: the code of the business's currency; None for the shipped one.

    Raises:
        SettingsError: the folder already holds rules, or cannot be written; there is no such zone or currency.
    """
    if timezone is not None and not is_zone(timezone):
        raise SettingsError(f"unknown time zone: {timezone!r}", "Use a name such as America/Chicago.")
    if currency is not None and currency.upper() not in CODES:
        raise SettingsError(f"unknown currency: {currency!r}", "Use its code, for instance USD.")
    machine = machine_zone() if timezone is None else None
    rules = folder / "rules"
    if rules.exists() and any(rules.glob("*.toml")):
        raise SettingsError(f"{rules} already contains rules", "Choose another folder; nothing was changed.")
    made = []
    try:
        for made_folder in (folder, rules, rules / "examples", folder / "data", folder / "data" / "inbox"):
            made_folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        origin = shipped("rules")
        for source in (*sorted(origin.glob("*.toml")), *sorted(origin.glob("examples/*.toml"))):
            made.append(rules / source.relative_to(origin))
            write_private(made[-1], source.read_bytes())
        zone, money = _localised(rules / "business.toml", timezone or machine, currency)
        examples = ((".env.example", _ENV_EXAMPLE), (TARGETS_EXAMPLE, _TARGETS_EXAMPLE), (".gitignore", _GITIGNORE))
        for name, text in examples:
            if not (folder / name).exists():
                made.append(folder / name)
                write_private(made[-1], text.encode())
    except OSError as error:
        raise SettingsError(
            f"cannot write {error.filename or folder}: {error.strerror}", "Check its permissions."
        ) from error
    return NewProject(folder, tuple(made), zone, money, machine is not None)


def machine_zone() -> str | None:
    """Returns the IANA name of this machine's time zone; None if it has none, or only a server's (UTC)."""
    named = os.environ.get("TZ", "").removeprefix(":")
    linked = os.path.realpath("/etc/localtime").rpartition("/zoneinfo/")[2]
    candidates = [named] if named else [linked.removeprefix("posix/").removeprefix("right/"), _etc_timezone()]
    return next((name for name in candidates if name not in _SERVERS and is_zone(name)), None)


def _etc_timezone() -> str:
    try:
        return Path("/etc/timezone").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # most systems have no such file
        return ""


def _localised(path: Path, timezone: str | None, currency: str | None) -> tuple[str, str]:
    """Writes zone, currency and the zone's country into the rules; returns the zone and currency now in them."""
    text, found = path.read_text(encoding="utf-8"), []
    for key, value in (("timezone", timezone), ("currency", currency and currency.upper())):
        line = re.compile(rf'^({key}\s*=\s*)"([^"]*)"', re.MULTILINE)
        if value:
            text = line.sub(rf'\g<1>"{value}"', text, count=1)
        match = line.search(text)
        found.append(match[2] if match else "")
    country = country_of(found[0])
    named = f'country  = "{country}"' if country else '# country = "US"'
    text = re.sub(r'^country\s*=\s*"[^"]*"', named, text, count=1, flags=re.MULTILINE)
    write_private(path, text.encode())
    return found[0], found[1]
