"""``/measures``: every figure, its rule and its value in a month."""

import datetime as dt
from decimal import Decimal
from html import escape

from rmetrics.explain.asked import MEASURES
from rmetrics.explain.asked import Query as Figure
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL, PageData
from rmetrics.html_report.own_sections import members_card, value_cell
from rmetrics.rules.describe import RuleText, rules_in_words
from rmetrics.rules.funnel import FUNNEL, funnel_names
from rmetrics.rules.measure_words import measure_in_words
from rmetrics.rules.measures import declared
from rmetrics.serve.formulas import FORMULAS, TARGETS
from rmetrics.serve.frame import LINKS, Page, PageRequest, heading, notes_of, place
from rmetrics.serve.pages.explanation import name
from rmetrics.serve.pages.overview import month_form

_OF_JOBS = {"jobs": "date", "units": "unit", "repairs": "repair"}


def measures(asked: PageRequest) -> Page:
    """Lists the measures with their rules and values of a month, then the figures derived from them."""
    page = asked.view.page(asked.month(asked.text("month")))
    line = page.whole[page.month]
    described = rules_in_words(asked.view.lake.rules, page.month)
    counts = {"jobs", "leads", "units", "repairs"}
    rows = [
        [
            cells.cell(name(m), text=True, href=LINKS.figure(m, ALL, page.month)),
            (cells.count if m in counts else _amount)(getattr(line, m), href=LINKS.figure(m, ALL, page.month)),
            f'<td class="fold">{"".join(_rule(s) for s in _rules(m, described))}</td>',
        ]
        for m in MEASURES
    ]
    made = []
    for metric, formula in FORMULAS.items():
        value = formula.value(line, page)
        href = LINKS.figure(metric, ALL, page.month)
        shown = cells.cell(cells.DASH if value is None else formula.shown(value), value=cells.plain(value), href=href)
        made.append([cells.cell(formula.title, text=True, href=href), shown,
                     f'<td class="fold">{escape(formula.words)}</td>'])  # fmt: skip
    for metric, (title, places) in TARGETS.items():
        value = getattr(line, metric)
        href = LINKS.figure(metric, ALL, page.month)
        text = cells.DASH if value is None else cells.share(value) if places == 4 else f"{value:,.{places}f}"
        made.append([cells.cell(title, text=True, href=href), cells.cell(text, value=cells.plain(value), href=href),
                     '<td class="fold">from the targets sheet</td>'])  # fmt: skip
    head = ("Measure", f"{page.month:%B %Y}", "Rule")
    sums = cells.card("Counted and summed", cells.table(head, rows, "measures"))
    body = (
        f"{heading('Measures')}<p>Counts and sums, declared in the rules, and the ratios computed from them.</p>"
        f"{month_form(asked, '/measures', page.month)}{sums}"
        f"{_own(asked, page)}{cells.card('Ratios and estimates', cells.table(head, made, 'formulas'))}"
        f"{_funnel(asked, page.month, head)}"
    )
    return Page("Measures", body, "/measures", notes=notes_of(asked.view))


def _funnel(asked: PageRequest, month: dt.date, head: tuple[str, ...]) -> str:
    """Lists the measures of journeys, which follow the rules of leads, calls and windows."""
    touches = asked.view.journey_days(Figure(ALL, month))
    rows = []
    for metric, column in funnel_names(asked.view.lake.rules).items():
        href, measure, value = LINKS.figure(metric, ALL, month), FUNNEL[column], Decimal(touches[column].sum())
        shown = _amount(value, href=href) if measure.decimals else cells.count(value, href=href)
        rows.append([cells.cell(measure.title, text=True, href=href), shown,
                     f'<td class="fold">{escape(measure.words)}</td>'])  # fmt: skip
    about = f"<p>{cells.linked('The funnel by source and month', LINKS.to('/funnel', month=f'{month:%Y-%m}'))}</p>"
    return cells.card("Leads followed to payments", about + cells.table(head, rows, "journeys"))


def _own(asked: PageRequest, page: PageData) -> str:
    """Lists the company's own measures with their rules and targets, then the members of each dimension."""
    own, rules = page.own, asked.view.lake.rules
    if not own.any:
        message = "None yet. To declare counts, sums, ratios and dimensions: rmetrics rules new-measure NAME --of jobs"
        return cells.card("Your own", f"<p>{message}</p>")
    known, rows = declared(rules), []
    for line in own.lines:
        if line.month != page.month:
            continue
        href, kind = LINKS.figure(line.measure, ALL, page.month), own.kinds[line.measure]
        rule = known[line.measure].rule.at(page.month)
        words = f"{escape(measure_in_words(rule))} {place(rules.place(f'measures.{line.measure}'))}"
        rows.append(
            [
                cells.cell(line.title, text=True, href=href),
                value_cell(line.value, kind, page.currency, href),
                value_cell(line.target, kind, page.currency, None),
                f'<td class="fold"><p class="rule">{words}</p></td>',
            ]
        )
    head = ("Measure", f"{page.month:%B %Y}", "Target", "Rule")
    made = cells.card("Your own", cells.table(head, rows, "own")) if rows else ""
    return made + "".join(members_card(own, t, page.month, page.currency, LINKS) for t in own.tables)


def _amount(value: object, *, href: str | None) -> str:
    return cells.money(value, 2, href=href)  # type: ignore[arg-type]


def _rules(measure: str, described: tuple[RuleText, ...]) -> list[RuleText]:
    if measure in _OF_JOBS:
        return [s for s in described if s.topic == "jobs" and s.rule == _OF_JOBS[measure]]
    if measure in {"leads", "cost"}:
        return [s for s in described if s.rule == measure and s.topic != "measures"]
    return [s for s in described if s.topic == "revenue" and (measure == "revenue40" or s.rule == "date")]


def _rule(described: RuleText) -> str:
    whose = "" if described.topic in {"jobs", "revenue"} else f"{described.topic}: "
    return f'<p class="rule">{escape(whose)}{escape(described.words)} {place(described.where)}</p>'
