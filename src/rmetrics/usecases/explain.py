"""``rmetrics explain``: a number, its rule, its rows, and the proof that they add up to it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from rmetrics.errors import SettingsError
from rmetrics.explain.asked import MEASURES, Query
from rmetrics.explain.explainer import Explainer, explainer
from rmetrics.explain.explanation import Explanation, Question, with_ratios
from rmetrics.explain.gaps import Gap, gap_of
from rmetrics.explain.journeys import Story, job_story, lead_story
from rmetrics.explain.lists import compare_list, listed_metric
from rmetrics.explain.members import Members, explain_member, explain_members
from rmetrics.metrics.figures import Figure, figures_of
from rmetrics.opening import open_project
from rmetrics.periods import parse_month
from rmetrics.pipeline.asked import MonthRange
from rmetrics.pipeline.workspace import opened
from rmetrics.progress import Progress, silent
from rmetrics.rules import ALL
from rmetrics.rules.funnel import COST, PREFIX, RATIOS, as_called
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings


def parse_question(
    source: str,
    month: str | None,
    segment: str | None,
    metrics: Sequence[str] | None,
    day: str | None,
    expect: str | None,
    against: Path | None,
    key: str | None,
    span: MonthRange | None = None,
    *,
    dimension: str | None = None,
    member: str | None = None,
) -> Question:
    """Parses a question as typed; ``span`` names several months instead of ``month``.

    Raises:
        SettingsError: a part cannot be read; the message says which, and how to write it.
    """
    first = None if month is None else parse_month(month)
    if first is None and month is not None:
        raise SettingsError(f"--month {month!r} is not a month", "Use the form YYYY-MM, for instance 2024-11.")
    on, until = span.days if span is not None and span.days else (None, None)
    if day is not None:
        try:
            on = dt.date.fromisoformat(day)
        except ValueError:
            raise SettingsError(
                f"--day {day!r} is not a date", "Use the form YYYY-MM-DD, for instance 2024-11-05."
            ) from None
        if span is not None and not span.one:
            raise SettingsError("--day cannot be combined with --from, --to or --ytd", "Name one day, or a span.")
        if first is None:
            first = on.replace(day=1)
        if on.replace(day=1) != first:
            raise SettingsError(f"--day {day} is not in {month}", "Name a day of this month.")
    if (against is None) != (key is None):
        raise SettingsError("--against and --key require each other", 'Use both: --against FILE.csv --key "Job #"')
    return Question(
        source,
        span if span is not None and not span.one else MonthRange(last=first, one=True),
        segment,
        on,
        tuple(dict.fromkeys(metrics)) if metrics else MEASURES,
        _numbers(expect),
        against,
        key,
        until,
        dimension,
        member,
    )


def _for_members(question: Question) -> str:
    """Returns the dimension; refuses filters that members lack: they are known by month, for the whole company.

    Raises:
        SettingsError: the question names a source, a segment or a day, or a comparison with other numbers.
    """
    if question.dimension is None:
        raise SettingsError(
            "--member requires --dimension", "Name the dimension, for instance: --dimension technician --member NAME."
        )
    if question.source.strip().upper() != ALL or question.segment is not None:
        message = f"members of {question.dimension} are computed for the whole company only"
        raise SettingsError(message, "Leave out --source and --segment.")
    if question.day is not None:
        raise SettingsError(
            f"members of {question.dimension} are computed by month only", "Name months: --month 2024-11."
        )
    if question.expect or question.against is not None:
        raise SettingsError(
            "--expect and --against cannot be combined with --dimension", "Leave out --dimension or the comparison."
        )
    return question.dimension


def known_measure(name: str, option: str, known: Sequence[str]) -> None:
    """Refuses a name that is not a measure.

    Raises:
        SettingsError: it is not a measure.
    """
    if name in known:
        return
    if name in RATIOS:
        parts = [COST if part == COST else f"{PREFIX}{part}" for part in RATIOS[name]]
        raise SettingsError(
            f"{option} {name!r} is a ratio: {' / '.join(parts)}, computed last",
            f"Explain its parts: {' '.join(f'--metric {part}' for part in parts)}",
        )
    raise SettingsError(
        f"{option} {name!r} is not a measure{did_you_mean(name, known)}", f"Measures: {', '.join(known)}."
    )


def _numbers(expect: str | None) -> dict[str, Decimal]:
    numbers = {}
    for part in (expect or "").split(","):
        if not part.strip():
            continue
        name, equals, text = (p.strip() for p in part.partition("="))
        try:
            numbers[name] = Decimal(text.lstrip("$"))
        except InvalidOperation:
            equals = ""
        if not equals or not numbers[name].is_finite():
            raise SettingsError(f"--expect {part.strip()!r} is not a number", "Use the form leads=70,cost=2900.50.")
    return numbers


def explain_numbers(
    settings: Settings, question: Question, *, offline: bool = False, progress: Progress = silent
) -> tuple[Explanation, tuple[Gap, ...]]:
    """Explains the requested numbers, and the gaps to numbers from elsewhere.

    Raises:
        SettingsError, LakeError, PostgresError, RulesError: see ``explain``.
    """
    gaps_too = question.expect or question.against is not None
    months = None if gaps_too else question.months  # the cause of a gap may lie in any month
    with explainer(open_project(settings), months=months, offline=offline, progress=progress) as one:
        parts, made = _numbers_of(one, question.metrics)
        source, segment = one.source(question.source), one.segment(question.segment)
        first, last = one.months(question.months)
        asked = Query(source, first, segment, question.day, last, question.until)
        expected = _expected(one, question.expect)
        listed = [] if question.against is None else [listed_metric(one, asked, parts)]
        metrics = tuple(dict.fromkeys([*parts, *expected, *listed]))
        found = with_ratios(one.explain(asked, metrics), made)
        gaps = [gap_of(one, asked, found.metrics[m], number) for m, number in expected.items()]
        if question.against is not None and question.key is not None:
            gaps.append(compare_list(one, asked, found.metrics[listed[0]], question.against, question.key))
        return found, tuple(gaps)


def _expected(one: Explainer, numbers: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Returns the numbers from elsewhere by the names of their measures.

    Raises:
        SettingsError: a name is not an additive measure.
    """
    named = {as_called(name, one.rules): number for name, number in numbers.items()}
    for name in named:
        known_measure(name, "--expect", one.figures)
    return named


def explain_member_of(
    settings: Settings, question: Question, *, offline: bool = False, progress: Progress = silent
) -> Explanation:
    """Explains the figures of one member of a dimension, down to its rows.

    Args:
        settings: of the project.
        question: with a dimension and a member.
        offline: leave the database out.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such dimension, member, measure or month, or members are not known in that detail.
        LakeError, PostgresError, RulesError: see ``explain``.
    """
    dimension = _for_members(question)
    with explainer(open_project(settings), months=question.months, offline=offline, progress=progress) as one:
        parts, made = _parts(one, question.metrics)
        asked = _months_of(one, question)
        return with_ratios(explain_member(one, asked, dimension, question.member or "", parts), made)


def _months_of(one: Explainer, question: Question) -> Query:
    first, last = one.months(question.months)
    return Query(ALL, first, last=last)


def explain_members_of(
    settings: Settings, question: Question, *, offline: bool = False, progress: Progress = silent
) -> Members:
    """Explains the figures of each member of a dimension, and that they add up to the total.

    Args, Raises: see ``explain_member_of``; the question names no member.
    """
    dimension = _for_members(question)
    with explainer(open_project(settings), months=question.months, offline=offline, progress=progress) as one:
        parts, _ = _parts(one, question.metrics)
        asked = _months_of(one, question)
        found = explain_members(one, asked, dimension, parts)
        return replace(found, figures=tuple(_figures(one, question.metrics)))


def _figures(one: Explainer, metrics: Sequence[str]) -> list[Figure]:
    """Returns the measures of some names.

    Raises:
        SettingsError: there is no measure of a name.
    """
    known = figures_of(one.rules)
    for name in metrics:
        known_measure(name, "--metric", tuple(known))
    return [known[name] for name in metrics]


def _numbers_of(one: Explainer, metrics: Sequence[str]) -> tuple[tuple[str, ...], list[Figure]]:
    """Does the same as ``_parts``, but also for measures of journeys, in the order requested."""
    names = [as_called(name, one.rules) for name in metrics]
    for name in names:
        known_measure(name, "--metric", (*figures_of(one.rules), *one.funnel))
    each = [((name,), []) if name in one.funnel else _parts(one, [name]) for name in names]
    parts = dict.fromkeys(part for group, _ in each for part in group)
    return tuple(parts), [figure for _, made in each for figure in made]


def _parts(one: Explainer, metrics: Sequence[str]) -> tuple[tuple[str, ...], list[Figure]]:
    """Returns the sums to explain for some measures, and those measures that are computed from sums."""
    figures = _figures(one, metrics)
    parts = dict.fromkeys(part for figure in figures for part in figure.parts)
    return tuple(parts), [f for f in figures if f.parts != (f.name,)]


def explain_journey(
    settings: Settings, *, job: str | None = None, lead: str | None = None, progress: Progress = silent
) -> Story:
    """Explains which touch a job came from, or which jobs came from a lead, and why no other.

    Args:
        settings: of the project.
        job: its number or uuid; None to explain a lead.
        lead: the touch's id, or the key of its row; None to explain a job.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such job or lead, or both or neither are given.
        LakeError: nothing landed, or a landed export is damaged.
    """
    if (job is None) == (lead is None):
        raise SettingsError("--job and --lead cannot be combined", "Use one of them.")
    with opened(open_project(settings), progress) as lake:
        exports = {rank: raw.name for rank, raw in lake.exports.items()}
        rows = lake.computed.rows
        story = lead_story(rows, exports, lead) if lead is not None else job_story(rows, exports, job or "")
        return replace(story, problems=lake.problems)


def explain(
    settings: Settings,
    source: str,
    month: dt.date,
    *,
    segment: str | None = None,
    day: dt.date | None = None,
    metrics: Sequence[str] = MEASURES,
    offline: bool = False,
    progress: Progress = silent,
) -> Explanation:
    """Explains the numbers of a source in a month.

    Args:
        settings: of the project.
        source: its name; case, spaces and aliases do not matter; ``ALL`` is the whole company.
        month: the first of the month.
        segment: only this segment.
        day: only this day of the month.
        metrics: the measures.
        offline: leave the database out.
        progress: receives progress reports.

    Raises:
        SettingsError: there is no such source or segment, or the month has no data.
        LakeError: nothing landed, or a landed export is damaged.
        PostgresError: the database cannot be reached.
    """
    with explainer(open_project(settings), month=month, offline=offline, progress=progress) as one:
        return one.explain(Query(one.source(source), one.month(month), one.segment(segment), day), metrics)
