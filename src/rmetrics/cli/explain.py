"""``rmetrics explain``."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, Form, From, Quiet, To, ToDate, months_of, reporter


def explain(
    source: Annotated[str, typer.Option(help="The source, or ALL; case, spaces and aliases do not matter.")],
    month: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="The month; the newest with data.")] = None,
    first: From = None,
    last: To = None,
    to_date: ToDate = False,
    segment: Annotated[str | None, typer.Option(help="Only this segment.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this measure: jobs, leads, units, repairs, revenue_gross, revenue40, cost. Repeatable."
        ),
    ] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only this day of the month.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List the rows behind each number, with file and line.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write those rows to a CSV for a spreadsheet.")
    ] = None,
    expect: Annotated[
        str | None, typer.Option(metavar="leads=70,cost=2900", help="Numbers from elsewhere: what explains the gap?")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A list from elsewhere (CSV or Excel): which rows differ?")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="HEADER", help="The column of --against that names the rows.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Leave the database out.")] = False,
    as_json: AsJson = False,
    form: AsForm = Form.TABLE,
    quiet: Quiet = False,
) -> int:
    """Explain a number down to its rows, with a proof.

    The rule, the rows that count, those that nearly did, and how the engines and PostgreSQL agree.
    """
    from rmetrics.findings import count
    from rmetrics.output.explain import show_explanation, write_rows
    from rmetrics.settings import load_settings
    from rmetrics.usecases.explain import explain_numbers, parse_question

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    span = months_of(month, first, last, to_date=to_date)
    question = parse_question(source, month, segment, metric, day, expect, against, key, span)
    with report.progress() as progress:
        found, gaps = explain_numbers(load_settings(), question, offline=offline, progress=progress)
    written = None if csv is None else write_rows(found, csv)  # first: nothing that happens to stdout may prevent it
    show_explanation(report, found, gaps, rows=rows)
    if written is not None:
        report.line(f"{count(written, 'row')} in {csv}")
    return DATA_FINDINGS if found.verdict == "mismatch" else 0
