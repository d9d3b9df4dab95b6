"""Checks the program and its rules: Python, the libraries, and whether the rules load."""

import datetime as dt
import platform
import re
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rmetrics.diagnosis.finding import Diagnosis, passed
from rmetrics.errors import RmetricsError
from rmetrics.findings import Severity, count
from rmetrics.rules import Rules, load_rules
from rmetrics.settings import Settings
from rmetrics.version import __version__

_OLDEST_PYTHON = (3, 11)


def check_python() -> Iterator[Diagnosis]:
    """Checks the version of Python, and reports that of the program."""
    message = f"rmetrics {__version__}, Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < _OLDEST_PYTHON:
        yield Diagnosis("python", Severity.ERROR, message, "Install Python 3.11 or newer and recreate the environment.")
    else:
        yield passed("python", message)


def check_libraries() -> Iterator[Diagnosis]:
    """Checks that the installed libraries are within the tested ranges."""
    wanted = [r for r in metadata.requires("rmetrics") or () if "extra ==" not in r]
    wrong = []
    for requirement in wanted:
        name = re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not _within(version, requirement.removeprefix(name)):
            wrong.append(f"{name} is {version}, but {requirement} is required")
    if wrong:
        advice = "Install the locked versions: pip install --require-hashes -r requirements.txt"
        yield Diagnosis("libraries", Severity.ERROR, "; ".join(wrong), advice)
    else:
        main = ("polars", "duckdb", "pyarrow", "adbc-driver-postgresql")
        yield passed("libraries", ", ".join(f"{n} {metadata.version(n)}" for n in main))


def _within(version: str, wanted: str) -> bool:
    """Whether a version satisfies ``>=2.1,<3,!=2.0.0``; only its numbers are compared."""
    installed_version = _numbers(version)
    compare: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
        ">=": lambda a, b: a >= b,
        "<": lambda a, b: a < b,
        "!=": lambda a, b: a != b,
        "==": lambda a, b: a == b,
    }
    return all(
        compare[sign](installed_version, _numbers(bound)) for sign, bound in re.findall(r"(>=|<|!=|==)([\d.]+)", wanted)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", re.split(r"[a-z+-]", version, maxsplit=1)[0]))


def check_rules(settings: Settings, loaded: list[Rules]) -> Iterator[Diagnosis]:
    """Checks that the rules load, and appends them to ``loaded``."""
    try:
        rules = load_rules(settings.rules_dir, settings.company)
    except RmetricsError as error:
        yield Diagnosis("rules", Severity.ERROR, error.message, error.hint)
        return
    loaded.append(rules)
    yield passed(
        "rules", f"{count(len(rules.feeds), 'feed')} and {count(len(rules.sources), 'source')} in {settings.rules_dir}"
    )
    if rules.warnings:
        yield Diagnosis("rules", Severity.WARNING, str(rules.warnings[0]), "Run `rmetrics rules check`.")


def check_zone(rules: list[Rules]) -> Iterator[Diagnosis]:
    """Checks that the time zone of the rules is known on this machine."""
    if not rules:
        return
    name = rules[0].business.timezone
    try:
        now = dt.datetime.now(ZoneInfo(name))
    except (ZoneInfoNotFoundError, OSError, ValueError):
        yield Diagnosis("time zone", Severity.ERROR, f"{name} is unknown here", "Install its data: pip install tzdata")
    else:
        yield passed("time zone", f"{name}, now {now:%Y-%m-%d %H:%M}")
