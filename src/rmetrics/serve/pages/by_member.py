"""``/explain?dimension=``: a measure by the members of a dimension, or one member down to its rows."""

from html import escape
from shlex import quote

from rmetrics.errors import PostgresError, SettingsError
from rmetrics.explain.asked import Query as Figure
from rmetrics.explain.explanation import Explained, Explanation
from rmetrics.explain.members import Members
from rmetrics.html_report import cells
from rmetrics.html_report.data import ALL
from rmetrics.html_report.own_sections import shown_value
from rmetrics.metrics.figures import Figure as Made
from rmetrics.metrics.figures import figures_of
from rmetrics.output.explain import figure, share
from rmetrics.rules.suggest import did_you_mean
from rmetrics.serve.frame import LINKS, Page, PageRequest, choice, form, heading, notes_of, place
from rmetrics.serve.pages.measure import measure

_VERDICTS = {
    "match": "The rows, both engines and PostgreSQL agree.",
    "mismatch": "The figures do not agree.",
    "problems": "The figures agree, but see the notes above.",
    "unpublished": "The rows and both engines agree; nothing is published to compare with.",
}
_ALL_VERDICTS = {
    "match": "Both engines and PostgreSQL agree on every member.",
    "mismatch": "The figures do not agree.",
    "problems": "The figures agree, but see the notes above.",
    "unpublished": "Both engines agree on every member; nothing is published to compare with.",
}


def by_member(asked: PageRequest) -> Page:
    """Renders the page.

    Raises:
        SettingsError: no such dimension, member, month or measure.
    """
    rules = asked.view.lake.rules
    dimension, member = asked.text("dimension") or "", asked.text("member")
    month = asked.month(asked.text("month")) or asked.view.page().month
    metric = asked.text("metric") or "jobs"
    known = figures_of(rules)
    if metric not in known:
        raise SettingsError(
            f"unknown measure: {metric!r}{did_you_mean(metric, known)}", f"Measures: {', '.join(known)}."
        )
    made, of, notes = known[metric], Figure(ALL, month), list(notes_of(asked.view))
    body = []
    if member is None:
        try:
            all_of = asked.view.members(of, dimension, made.parts)
        except PostgresError as error:
            notes.append(_unavailable(error))
            all_of = asked.view.members(of, dimension, made.parts, offline=True)
        body.append(_verdict(_ALL_VERDICTS[all_of.conclusion], all_of))
        body.append(_every(asked, all_of, made))
    else:
        try:
            found = asked.view.member(of, dimension, member, made.parts)
        except PostgresError as error:
            notes.append(_unavailable(error))
            found = asked.view.member(of, dimension, member, made.parts, offline=True)
        member = found.member
        body.append(ratio_of(made, found, rules.business.currency))
        body.append(_verdict(_VERDICTS[found.conclusion], found))
        body += [_measure(asked, found, m, dimension) for m in found.metrics.values()]
    whose = f"every {dimension}" if member is None else f"{member} ({dimension})"
    title = f"{metric.replace('_', ' ').capitalize()}: {whose}, {month:%B %Y}"
    trail = [("Measures", LINKS.to("/measures", month=f"{month:%Y-%m}"))]
    if member is not None:
        trail.append((f"Every {dimension}", LINKS.member(metric, dimension, None, month)))
    named = f" --member {quote(member)}" if member is not None else ""
    line = f"rmetrics explain --dimension {dimension}{named} --month {month:%Y-%m} --metric {metric}"
    command = f"<p>In a terminal: <code>{escape(line)}</code></p>"
    chosen = _form(asked, dimension, member, metric, of, known)
    return Page(title, f"{heading(title, *trail)}{chosen}{''.join(body)}{command}", "/measures", notes=tuple(notes))


def _unavailable(error: PostgresError) -> str:
    return f"The proof does not include PostgreSQL: {error.message}. {error.hint}"


def _form(
    asked: PageRequest, dimension: str, member: str | None, metric: str, of: Figure, known: dict[str, Made]
) -> str:
    kept = "" if member is None else f'<input type="hidden" name="member" value="{escape(member)}">'
    inside = (
        choice("dimension", "By", {d: d for d in asked.view.lake.rules.dimensions}, dimension)
        + kept
        + choice("month", "Month", {f"{m:%Y-%m}": f"{m:%B %Y}" for m in asked.months}, f"{of.month:%Y-%m}")
        + choice("metric", "Measure", {n: n for n in known}, metric)
    )
    return form("/explain", inside, "Explain")


def _verdict(words: str, found: Explanation | Members) -> str:
    run = f" PostgreSQL has run {found.run_id}." if found.run_id else ""
    lines = "".join(f'<p class="wrong">{escape(line)}</p>' for line in found.figures_differing)
    return f'<p class="verdict {found.verdict}">{words}{escape(run)}</p>{lines}'


def ratio_of(made: Made, found: Explanation, currency: str) -> str:
    """Renders a figure computed from the measures explained below it; empty for one that is itself a sum."""
    if made.parts == (made.name,):
        return ""
    value = made.value(*(found.metrics[p].value for p in made.parts))
    exact = "" if value is None else f' data-value="{value:f}"'
    sign = " less " if made.additive else " divided by "
    parts = sign.join(f"{p} {figure(found.metrics[p].scale, found.metrics[p].value)}" for p in made.parts)
    return (
        f'<p class="figure" data-metric="{escape(made.name)}"{exact}>'
        f"{escape(shown_value(value, made.kind, currency))}</p>"
        f'<p class="formula">{escape(parts)}</p><p>Ratios are computed last, from the exact figures.</p>'
    )


def _measure(asked: PageRequest, found: Explanation, one: Explained, dimension: str) -> str:
    title = f"<h2>{escape(one.name)}</h2>" if len(found.metrics) > 1 else ""
    part = ""
    if one.share is not None and one.whole is not None:
        href = LINKS.member(one.name, dimension, None, found.asked.month)
        part = f"<p>{cells.linked(f'{share(one.share)} of {figure(one.scale, one.whole)} in total', href)}</p>"
    return (
        f'<section class="measure" id="{escape(one.name)}">{title}'
        f'<p class="figure" data-metric="{escape(one.name)}" data-value="{cells.plain(one.value)}">'
        f"{escape(figure(one.scale, one.value))}</p>{part}"
        f"{measure(asked, one, published=found.run_id is not None)}</section>"
    )


def _every(asked: PageRequest, found: Members, made: Made) -> str:
    month, rows = found.asked.month, []
    tables = found.tables
    head = [found.dimension]
    for name, table in tables.items():
        head += [name, *(["Share"] if table.additive else [])]
    ratio = made.parts != (made.name,)
    head += [made.name] if ratio else []
    for member in found.members:
        row = [cells.cell(member, text=True)]
        for name, table in tables.items():
            line = next((x for x in table.lines if x.member == member), None)
            value = table.of(member)
            href = LINKS.member(name, found.dimension, member, month)
            row.append(cells.cell(figure(table.scale, value), value=cells.plain(value), href=href))
            if table.additive:
                row.append(cells.cell(share(line.share) if line else ""))
        if ratio:
            value_of = found.value(made, member)
            shown = shown_value(value_of, made.kind, asked.view.lake.rules.business.currency)
            href = LINKS.member(made.name, found.dimension, member, month)
            row.append(cells.cell(shown, value=cells.plain(value_of), href=href))
        rows.append(row)
    words = f'<p class="rule">{escape(found.rule)} {place(found.where)}</p>'
    proofs = "".join(
        f'<p class="rule">{escape(name)}: {escape(t.rule)} {place(t.where)}. '
        + (
            f"The members add up to {escape(figure(t.scale, t.together))}, the total is "
            f"{escape(figure(t.scale, t.whole))}.</p>"
            if t.additive
            else "A row of several members counts for each of them, so members do not add up.</p>"
        )
        for name, t in tables.items()
    )
    return f'<div class="card wide">{words}{cells.table(head, rows, "members")}{proofs}</div>'


__all__ = ["by_member", "ratio_of"]
