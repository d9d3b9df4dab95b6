"""``rmetrics explain``."""

from pathlib import Path
from typing import Annotated

import typer

from rmetrics.cli.options import DATA_FINDINGS, AsForm, AsJson, OutputForm, Quiet, ToDate, reporter, span_of


def explain(
    source: Annotated[
        str | None, typer.Option(help="The source, or ALL; case, spaces and aliases do not matter.")
    ] = None,
    month: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="The month. Default: the newest with data.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM[-DD]", help="The first month or day.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM[-DD]", help="The last month or day.")] = None,
    to_date: ToDate = False,
    segment: Annotated[str | None, typer.Option(help="Only this segment.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this measure: one of the seven, of journeys (touches, answered, booked, visited, repaired, "
            "paid), your own, or a ratio. Repeatable."
        ),
    ] = None,
    dimension: Annotated[
        str | None,
        typer.Option(help="Break down by a dimension of the rules: the figure of each member, and its share."),
    ] = None,
    member: Annotated[str | None, typer.Option(help="Only this member of --dimension, traced to its rows.")] = None,
    day: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Only this day of the month.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="List the rows behind each number, with file and line.")] = False,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write these rows to a CSV file for a spreadsheet.")
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(metavar="leads=70,cost=2900", help="Figures from elsewhere, to explain the difference."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A list from elsewhere (CSV or Excel), to find the rows that differ."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="HEADER", help="The column of --against that identifies the rows.")
    ] = None,
    job: Annotated[
        str | None, typer.Option(metavar="ID", help="Instead of a figure: the touch that a job came from, and why.")
    ] = None,
    lead: Annotated[
        str | None, typer.Option(metavar="ID", help="Instead of a figure: the outcome of a lead, and why.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not read the database.")] = False,
    as_json: AsJson = False,
    form: AsForm = OutputForm.TABLE,
    quiet: Quiet = False,
) -> int:
    """Explain a number down to its rows, with a proof.

    Shows the rule, the rows that count or nearly count, and the comparison of both engines and PostgreSQL.
    """
    from rmetrics.errors import SettingsError
    from rmetrics.explain.gaps import Gap
    from rmetrics.findings import count
    from rmetrics.output.explain import show_explanation, write_rows
    from rmetrics.output.journeys import show_story
    from rmetrics.output.members import show_members
    from rmetrics.settings import load_settings
    from rmetrics.usecases.explain import (
        explain_journey,
        explain_member_of,
        explain_members_of,
        explain_numbers,
        parse_question,
    )

    report = reporter(as_json=as_json, quiet=quiet, form=form)
    if job is not None or lead is not None:
        with report.progress() as progress:
            story = explain_journey(load_settings(), job=job, lead=lead, progress=progress)
        show_story(report, story)
        return 0
    by_member = dimension is not None or member is not None
    if source is None and not by_member:
        raise SettingsError("--source is missing", "Name a source or ALL, or one --job or --lead.")
    span = span_of(month, first, last, to_date=to_date)
    question = parse_question(
        source or "ALL", month, segment, metric, day, expect, against, key, span, dimension=dimension, member=member
    )
    if by_member and member is None and (rows or csv is not None):
        raise SettingsError("--rows and --csv require one member", "Name it: --member NAME.")
    with report.progress() as progress:
        if by_member and member is None:
            members = explain_members_of(load_settings(), question, offline=offline, progress=progress)
        elif by_member:
            found = explain_member_of(load_settings(), question, offline=offline, progress=progress)
            gaps: tuple[Gap, ...] = ()
        else:
            found, gaps = explain_numbers(load_settings(), question, offline=offline, progress=progress)
    if by_member and member is None:
        show_members(report, members)
        return DATA_FINDINGS if members.verdict == "mismatch" else 0
    written = None if csv is None else write_rows(found, csv)  # before anything that can go wrong with stdout
    show_explanation(report, found, gaps, rows=rows)
    if written is not None:
        report.line(f"{count(written, 'row')} in {csv}")
    return DATA_FINDINGS if found.verdict == "mismatch" else 0
