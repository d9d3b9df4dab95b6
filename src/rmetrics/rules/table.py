"""The base model of all tables in the rules, and the text types that many of them share."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63, pattern=r"^[^\x00-\x1f]+$")]
Sql = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Flag = Annotated[bool, Field(strict=True)]


class Table(BaseModel):
    """A TOML table: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


def known_zone(value: str) -> str:
    """Returns the name of a time zone unchanged.

    Raises:
        ValueError: the time zone database has no zone of that name.
    """
    if not is_zone(value):
        msg = "unknown time zone; use an IANA name such as America/New_York"
        raise ValueError(msg)
    return value


def is_zone(name: str) -> bool:
    """Whether the time zone database has a zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
