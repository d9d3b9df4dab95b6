"""``/explain``: how a figure comes about: rule, steps, near misses, proof, rows and history."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from html import escape
from shlex import quote
from types import SimpleNamespace
from typing import Any

import polars as pl

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.explain.asked import MEASURES
from rmetrics.explain.asked import Query as Figure
from rmetrics.explain.explanation import Explained, Explanation
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.metrics.figures import SHIPPED, figures_of
from rmetrics.metrics.figures import Figure as Made
from rmetrics.month_line import MonthLine
from rmetrics.output.explain import figure
from rmetrics.pipeline.asked import source_named
from rmetrics.rules.funnel import FUNNEL, PREFIX, as_called, funnel_names
from rmetrics.rules.suggest import did_you_mean
from rmetrics.serve.formulas import FORMULAS, RATIO_TITLES, TARGETS, Formula, funnel_formulas
from rmetrics.serve.frame import LINKS, Page, PageRequest, choice, form, heading, notes_of
from rmetrics.serve.pages.breakdown import breakdown
from rmetrics.serve.pages.by_member import by_member, ratio_of
from rmetrics.serve.pages.calls import calls_of
from rmetrics.serve.pages.changes import history_of
from rmetrics.serve.pages.measure import measure
from rmetrics.serve.pages.target import target_of
from rmetrics.serve.view import mark

CALLS = "calls"
_TITLES = {"jobs": "Jobs", "leads": "Leads", "units": "Units", "repairs": "Repairs", "cost": "Cost",
           "revenue_gross": "Revenue (gross)", "revenue40": "Revenue40"}  # fmt: skip
_VERDICTS = {
    "match": "The rows, both engines and PostgreSQL agree.",
    "mismatch": "The figures do not agree.",
    "problems": "The figures agree, but see the notes above.",
    "unpublished": "The rows and both engines agree; nothing is published to compare with.",
}


class OutdatedError(Exception):
    """Raised when a sync has published a newer version: the page must be built from that one."""


@dataclass(frozen=True, slots=True)
class _Question:
    """The figure to explain.

    Attributes:
        figure: source, month, segment and day.
        metric: the measure, formula or target; None for all measures.
        own: the company's own figures by name.
        formula: how the figure derives from others; None if it does not.
    """

    figure: Figure
    metric: str | None
    own: Mapping[str, Made]
    formula: Formula | None

    @property
    def parts(self) -> tuple[str, ...]:
        """All measures and targets to explain."""
        if self.metric is None:
            return MEASURES
        if self.metric in self.own:
            return self.own[self.metric].parts
        return self.formula.parts if self.formula else (self.metric,)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures among them."""
        return tuple(p for p in self.parts if p not in TARGETS and p != CALLS)


def explanation(asked: PageRequest) -> Page:
    """Renders the page.

    Raises:
        SettingsError: no such source, month, segment, day or measure.
        OutdatedError: the published figures are newer than the version shown.
    """
    if asked.text("dimension") is not None:
        return by_member(asked)
    question = _question(asked)
    notes = list(notes_of(asked.view))
    found, offline = _explained(asked, question)
    if offline is not None:
        notes.append(f"The proof does not include PostgreSQL: {offline.message}. {offline.hint}")
    elif found.verdict == "mismatch" and mark(asked.settings) != asked.view.mark:
        raise OutdatedError
    title = _title(question)
    trail = [("Overview", "/"), (f"{question.figure.month:%B %Y}", LINKS.month(question.figure.month))]
    if question.figure.source != ALL:
        trail.append((question.figure.source, LINKS.source(question.figure.source, question.figure.month)))
    body = [heading(title, *trail), _form(asked, question)]
    if question.formula:
        body.append(_formula(asked, question, question.formula))
    if question.metric is not None and question.metric in question.own:
        body.append(ratio_of(question.own[question.metric], found, asked.view.lake.rules.business.currency))
    body += [target_of(asked, question.figure, t) for t in question.parts if t in TARGETS]
    if question.metric == CALLS or (question.metric is None and found.calls):
        body.append(calls_of(asked, question.figure, found))
    if question.measures:
        body.append(_verdict(asked, found))
        body += [_measure(asked, question, m, found) for m in found.metrics.values()]
        body.append(_command(question))
    return Page(title, "".join(body), "/", notes=tuple(notes))


def _question(asked: PageRequest) -> _Question:
    view = asked.view
    names = {line.source for line in view.page().lines}
    source = source_named(asked.text("source") or ALL, view.lake.rules, names - {ALL})
    day = _day(asked.text("day"))
    month = asked.month(asked.text("month")) or (day.replace(day=1) if day else view.page().month)
    if day is not None and day.replace(day=1) != month:
        raise SettingsError(f"{day} is not in {month:%Y-%m}", "Name a day of this month.")
    rules = view.lake.rules
    segment, metric = asked.text("segment"), asked.text("metric")
    metric = None if metric is None else as_called(metric, rules)
    formulas, funnel = {**FORMULAS, **funnel_formulas(rules)}, funnel_names(rules)
    if segment == ALL and metric is not None and (metric in funnel or metric.startswith(PREFIX)):
        segment = None  # links from published changes carry ALL: touches have no segment
    if segment is not None:
        with view.explainer(month) as one:
            segment = one.segment(segment)
    own = {n: f for n, f in figures_of(view.lake.rules).items() if n not in SHIPPED}
    known = (*MEASURES, *own, *funnel, *formulas, *TARGETS, CALLS)
    if metric is not None and metric not in known:
        raise SettingsError(
            f"unknown measure: {metric!r}{did_you_mean(metric, known)}", f"Measures: {', '.join(known)}."
        )
    if metric in TARGETS:  # of a whole month
        day = None
    return _Question(Figure(source, month, segment, day), metric, own, formulas.get(metric or ""))


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-15.") from None


def _explained(asked: PageRequest, question: _Question) -> tuple[Explanation, PostgresError | None]:
    """The explanation; without the database where it does not answer."""
    try:
        return asked.view.explanation(question.figure, question.measures), None
    except PostgresError as error:
        return asked.view.explanation(question.figure, question.measures, offline=True), error


def _title(question: _Question) -> str:
    of = question.figure
    when = f"{of.day.day} {of.day:%B %Y}" if of.day else f"{of.month:%B %Y}"
    whose = "All sources" if of.source == ALL else of.source
    return ", ".join(p for p in (f"{name(question.metric, question.own)}: {whose}", when, of.segment) if p)


def name(metric: str | None, own: Collection[str] = ()) -> str:
    """Returns the title of a measure, a formula or a target."""
    if metric is not None and metric in own:
        return metric.replace("_", " ").capitalize()
    if metric is None:
        return "Every measure"
    if metric in FORMULAS:
        return FORMULAS[metric].title
    if metric in TARGETS or metric in _TITLES:
        return TARGETS[metric][0] if metric in TARGETS else _TITLES[metric]
    column = metric.removeprefix(PREFIX)
    if column in FUNNEL:
        return FUNNEL[column].title
    return RATIO_TITLES.get(column, metric.capitalize())


def _form(asked: PageRequest, question: _Question) -> str:
    of, rules = question.figure, asked.view.lake.rules
    sources = sorted(
        {line.source for line in asked.view.page().lines} | set(rules.sources), key=lambda s: (s != ALL, s)
    )
    known = (
        *MEASURES, *question.own, *FORMULAS, *TARGETS, *funnel_names(rules), *funnel_formulas(rules), CALLS,
    )  # fmt: skip
    metrics = {"": "Every measure", **{m: name(m, question.own) for m in known}}
    segments = {"": "All segments", **{s: s for s in rules.segment_order}}
    inside = (
        choice("source", "Source", {s: "All sources" if s == ALL else s for s in sources}, of.source)
        + choice("month", "Month", {f"{m:%Y-%m}": f"{m:%B %Y}" for m in asked.months}, f"{of.month:%Y-%m}")
        + choice("metric", "Measure", metrics, question.metric)
        + choice("segment", "Segment", segments, of.segment)
    )
    return form("/explain", inside, "Explain")


def _formula(asked: PageRequest, question: _Question, made: Formula) -> str:
    of = question.figure
    page = asked.view.page(of.month)
    line = _line(asked, of, made)
    if of.segment is not None or of.day is not None:
        page = replace(page, estimates=())  # estimates cover whole months and all segments only
    value = None if line is None else made.value(line, page)
    parts = " ".join(
        f"{name(p)}: {_part(line, p, of)}." for p in made.parts
    )  # fmt: skip
    days = (
        f" {page.passed} of {len(page.days)} days have data."
        if (question.metric or "").startswith(("pace_", "projected_"))
        else ""
    )
    shown = cells.DASH if value is None else made.shown(value)
    exact = "" if value is None else f' data-value="{value:f}"'
    return (
        f'<p class="figure" data-metric="{escape(question.metric or "")}"{exact}>{escape(shown)}</p>'
        f'<p class="formula">{escape(made.words)}.</p><p>{parts}{days} Ratios are computed last, from the exact '
        "figures.</p>"
    )


def _line(asked: PageRequest, of: Figure, made: Formula) -> MonthLine | SimpleNamespace | None:
    """Returns a formula's parts as attributes; targets only for a whole month and all segments."""
    funnel = funnel_names(asked.view.lake.rules)
    if any(part in funnel for part in made.parts):
        touches, days = asked.view.journey_days(of), asked.view.days(of.month).filter(of.of(pl.col("source")))
        days = days if of.day is None else days.filter(pl.col("date") == of.day)
        sums = {p: touches[funnel[p]].sum() if p in funnel else days[p].sum() for p in made.parts}
        return SimpleNamespace(**{part: value or Decimal(0) for part, value in sums.items()})
    return _month_line(asked, of)


def _month_line(asked: PageRequest, of: Figure) -> MonthLine | None:
    lines = asked.view.page(of.month).lines
    line = next((x for x in lines if (x.month, x.source) == (of.month, of.source)), None)
    if line is None or (of.segment is None and of.day is None):
        return line
    rows = asked.view.days(of.month).filter(of.of(pl.col("source")))
    rows = rows if of.segment is None else rows.filter(pl.col("segment") == of.segment)
    rows = rows if of.day is None else rows.filter(pl.col("date") == of.day)
    sums: dict[str, Any] = {m: rows[m].sum() for m in MEASURES}
    return MonthLine(of.month, of.source, **sums)


def _part(line: object, part: str, of: Figure) -> str:
    value = getattr(line, part, None)
    places = 0 if isinstance(value, int) else 2
    shown = cells.DASH if value is None else cells.shown_amount(Decimal(value), places)
    return cells.linked(shown, LINKS.figure(part, of.source, of.month, of.segment, of.day))


def _verdict(asked: PageRequest, found: Explanation) -> str:
    run = f" PostgreSQL has run {found.run_id}." if found.run_id else ""
    wrong = list(found.figures_differing)
    if found.rows_differing:  # the messages quote rows
        few = (f"{len(found.rows_differing)} or more rows differ in PostgreSQL; run: rmetrics check",)
        wrong += found.rows_differing if asked.rows else few
    lines = "".join(f'<p class="wrong">{escape(line)}</p>' for line in wrong)
    return f'<p class="verdict {found.verdict}">{_VERDICTS[found.conclusion]}{escape(run)}</p>{lines}'


def _measure(asked: PageRequest, question: _Question, found: Explained, whole: Explanation) -> str:
    of, title, more = question.figure, "", ""
    if len(whole.metrics) > 1:
        href = LINKS.figure(found.name, of.source, of.month, of.segment, of.day)
        title = f"<h2>{cells.linked(name(found.name, question.own), href)}</h2>"
    else:
        more = breakdown(asked, of, found.name, found.scale) + history_of(asked, of, found.name)
    exact = cells.plain(found.value)
    return (
        f'<section class="measure" id="{escape(found.name)}">{title}'
        f'<p class="figure" data-metric="{escape(found.name)}" data-value="{exact}">'
        f"{escape(figure(found.scale, found.value))}</p>"
        f"{measure(asked, found, published=whole.run_id is not None)}{more}</section>"
    )


def _command(question: _Question) -> str:
    of = question.figure
    words = ["rmetrics explain --source", quote(of.source), f"--month {of.month:%Y-%m}"]
    words += [f"--metric {m}" for m in question.measures if len(question.measures) < len(MEASURES)]
    words += [f"--segment {quote(of.segment)}"] if of.segment else []
    words += [f"--day {of.day}"] if of.day else []
    return f"<p>In a terminal: <code>{escape(' '.join(words))}</code></p>"
