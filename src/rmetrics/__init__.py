"""rmetrics: turns a folder of exports into correct figures in PostgreSQL.

Public: ``open``, which returns a ``Company``, and ``__version__``. Everything else may change between versions.

    import rmetrics

    company = rmetrics.open("company")
    company.metrics("monthly")  # a Polars frame
    company.explain("Google", "2024-11", metrics=["cost"])
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rmetrics.version import __version__

if TYPE_CHECKING:
    from rmetrics.company import Company

__all__ = ["__version__", "open"]


def open(folder: str | Path = ".") -> "Company":  # noqa: A001 - read as rmetrics.open
    """Opens a project folder for reading; see ``rmetrics.company.Company``.

    Raises:
        SettingsError: the folder is not an rmetrics project, or its settings are invalid.
    """
    from rmetrics.company import Company  # imported here so that `rmetrics --version` does not load Polars

    return Company.open(folder)
