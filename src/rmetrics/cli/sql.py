"""``rmetrics sql``: read-only queries of the lake."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import AsForm, AsJson, OutputForm, Quiet, reporter


def sql(
    statement: Annotated[str | None, typer.Argument(help="One SELECT. Without it, the views are listed.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV that is safe to open in a spreadsheet.")] = False,
    parquet: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the result to a Parquet file.")] = None,
    limit: Annotated[int, typer.Option(help="The number of rows to show; 0 for all.", min=0)] = 100,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> None:
    """Query the lake with SQL, read-only.

    One SELECT in DuckDB's SQL over a view per feed, job_facts, daily_metrics and monthly_metrics.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.findings import count
    from rmetrics.output.sql import show_query, show_views
    from rmetrics.settings import load_settings
    from rmetrics.usecases.sql import query, query_to_parquet, views

    report, settings = reporter(as_json=as_json, quiet=quiet, form=form), load_settings()
    as_csv = as_csv or form is OutputForm.CSV
    if sum((as_csv, report.as_json and form is not OutputForm.CSV, parquet is not None)) > 1:
        raise SettingsError("--csv, --json and --parquet cannot be combined", "Use one of them.")
    if statement is None:
        show_views(report, views(settings))
    elif parquet is not None:
        rows = query_to_parquet(settings, statement, parquet)
        report.line(f"{count(rows, 'row')} in {parquet}")
    else:
        with query(settings, statement) as result:
            show_query(report, result, as_csv=as_csv, limit=limit)
