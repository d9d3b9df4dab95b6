"""Whether the embedded server still holds what was published, without starting it.

A sync on a cron box finds the server stopped. Where nobody has started it since a sync stopped it, nobody can have
written to it, and a sync that has nothing new need not start it to know that.
"""

from dataclasses import asdict, dataclass

from rmetrics.embedded import state_at_rest
from rmetrics.lake import Lake
from rmetrics.settings import Settings

_RECORD = "rest"


@dataclass(frozen=True, slots=True)
class Stands:
    """What a sync left in a database.

    Attributes:
        inputs: digest of everything the numbers depend on.
        pg_schema: where they were published.
        schema: digest of the tables' definitions.
    """

    inputs: str
    pg_schema: str
    schema: str


def remember_rest(lake: Lake, stands: Stands, state: str) -> None:
    """Keeps what the server held when this sync stopped it, and its state at rest."""
    lake.save_json(_RECORD, {**asdict(stands), "state": state})


def nobody_wrote(settings: Settings, lake: Lake, stands: Stands) -> bool:
    """Whether the embedded server is at rest and holds what the lake holds. False for a server of one's own.

    Raises:
        PostgresError: the server's folder is not this user's.
    """
    if settings.dsn:
        return False
    noted = lake.load_json(_RECORD)
    state = state_at_rest(settings.server_dir)
    return state is not None and noted == {**asdict(stands), "state": state}
