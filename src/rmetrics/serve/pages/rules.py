"""``/rules``: the rules in words; with ``?file=`` a rules file verbatim, with line numbers."""

import datetime as dt
from html import escape
from itertools import groupby
from zoneinfo import ZoneInfo

from rmetrics.errors import SettingsError
from rmetrics.html_report import cells
from rmetrics.rules.describe import RuleText, next_changes, rules_in_words
from rmetrics.rules.files import rule_files
from rmetrics.serve.frame import LINKS, Page, PageRequest, form, heading, notes_of, place


def rules(asked: PageRequest) -> Page:
    """Lists the rules in force on a day and the changes that follow."""
    name = asked.text("file")
    if name is not None:
        return _file(asked, name)
    found = asked.view.lake.rules
    day = _day(asked.text("day")) or dt.datetime.now(ZoneInfo(found.business.timezone)).date()
    described, later = rules_in_words(found, day), next_changes(found, day)
    topics = "".join(
        f"<dt>{escape(topic)}</dt>{''.join(_line(s) for s in group)}"
        for topic, group in groupby(described, key=lambda s: s.topic)
    )
    upcoming = "".join(
        f'<p class="rule">from {s.since}, {escape(s.topic)} {escape(s.rule)}: {escape(s.words)} {place(s.where)}</p>'
        for s in later
    )
    files = ", ".join(
        cells.linked(p.name, LINKS.to("/rules", file=p.name)) for p in rule_files(asked.settings.rules_dir)
    )
    picked = form("/rules", f'<label>In force on <input type="date" name="day" value="{day}"></label>')
    body = (
        f"{heading('Rules')}<p>Every business rule is in a file: {files}. "
        f'To see the effect of an edit, try it on <a href="/plan">What if</a>.</p>{picked}'
        f"{cells.card(f'In force on {day}', '<dl class=rules>' + topics + '</dl>')}"
        f"{cells.card('Later', upcoming) if upcoming else ''}"
    )
    return Page("Rules", body, "/rules", notes=notes_of(asked.view))


def _day(text: str | None) -> dt.date | None:
    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"not a date: {text!r}", "Use the form YYYY-MM-DD, for instance 2024-11-15.") from None


def _line(described: RuleText) -> str:
    since = f"since {described.since}" if described.since else ""
    until = f"until {described.until}" if described.until else ""
    time = f" ({since} {until})".replace("( ", "(").replace(" )", ")") if since or until else ""
    return f"<dd>{escape(described.rule)}: {escape(described.words)}{time} {place(described.where)}</dd>"


def _file(asked: PageRequest, name: str) -> Page:
    """Renders a file of the rules folder; the name must be one of those listed, so it can never be a path."""
    files = {path.name: path for path in rule_files(asked.settings.rules_dir)}
    if name not in files:
        raise SettingsError(f"unknown rules file: {name!r}", f"Files: {', '.join(files)}.")
    text = files[name].read_text(encoding="utf-8-sig", errors="replace")
    lines = "".join(
        f'<span class="line" id="L{i}"><span class="number">{i}</span>{escape(line)}\n</span>'
        for i, line in enumerate(text.splitlines(), 1)
    )
    body = f'{heading(name, ("Rules", "/rules"))}<pre tabindex="0">{lines}</pre>'
    return Page(name, body, "/rules", notes=notes_of(asked.view))
