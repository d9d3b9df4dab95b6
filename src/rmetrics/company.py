"""A company's figures for notebooks and scripts. Read-only: never writes to the lake or to PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from rmetrics.errors import SettingsError
from rmetrics.opening import open_project
from rmetrics.settings import Settings, load_settings

if TYPE_CHECKING:
    import polars as pl

    from rmetrics.explain.explanation import Explanation

_TABLES = {"daily": "daily_metrics", "monthly": "monthly_metrics"}


@dataclass(frozen=True, slots=True)
class Company:
    """One project folder.

    Figures follow the rules in the folder and the landed exports. If the last ``rmetrics sync`` computed something else
    (rules were edited since, or an export was withdrawn), they are recomputed in a temporary folder.
    """

    settings: Settings

    @classmethod
    def open(cls, folder: str | Path = ".") -> Self:
        """Opens a project folder. Settings come from the environment, then from the folder's ``.env``.

        Relative paths in the settings are relative to the folder.

        Raises:
            SettingsError: the folder has no rules, or its settings are invalid.
        """
        settings = load_settings(Path(folder))
        if not settings.rules_dir.is_dir():
            raise SettingsError(
                f"{folder} is not an rmetrics project: it has no folder {settings.rules_dir.name}",
                f"Name a project folder, or create one: rmetrics init {folder}",
            )
        return cls(settings)

    def metrics(self, grain: Literal["daily", "monthly"] = "monthly") -> "pl.DataFrame":
        """The figures as published.

        Returns:
            One row per ``date`` or ``month``, ``source`` and ``segment``, in that order, with the columns of
            ``daily_metrics`` or ``monthly_metrics``; money as exact decimals in the company's currency.

        Raises:
            SettingsError: an unknown grain.
            LakeError: nothing has landed yet, or a landed export is damaged or missing.
            RulesError: the rules do not load.
        """
        from rmetrics.lake.snapshot import load
        from rmetrics.pipeline.workspace import opened

        if grain not in _TABLES:
            raise SettingsError(f"unknown grain: {grain!r}", f"Use one of: {', '.join(_TABLES)}")
        with opened(open_project(self.settings)) as lake:
            figures = load(lake.lake).scan(_TABLES[grain]).collect()
        day = figures.columns[0]
        return figures.sort(day, "source", "segment")

    def explain(
        self,
        source: str,
        month: str,
        *,
        segment: str | None = None,
        metrics: Sequence[str] = (),
        day: str | None = None,
    ) -> "Explanation":
        """Explains figures: the rule, the rows, the rows that nearly counted, and the proof.

        Args:
            source: a source; case, spaces and aliases do not matter.
            month: as ``2024-11``.
            segment: only this one.
            metrics: only these measures; empty means all.
            day: only this day, as ``2024-11-05``.

        Raises:
            SettingsError: an unknown source, segment, measure or month.
            LakeError, RulesError: see ``metrics``.
            PostgresError: the server with the published figures cannot be used.
        """
        from rmetrics.usecases.explain import explain_numbers, parse_question

        question = parse_question(source, month, segment, list(metrics) or None, day, None, None, None)
        return explain_numbers(self.settings, question)[0]

    def sql(self, statement: str) -> "pl.DataFrame":
        """The result of one read-only SELECT over the lake, as in ``rmetrics sql``.

        Raises:
            SettingsError: it is not one SELECT, reaches beyond the views, or DuckDB cannot run it.
            LakeError: nothing was synced yet, or a file cannot be read.
        """
        from rmetrics.usecases.sql import query_frame

        return query_frame(self.settings, statement)
