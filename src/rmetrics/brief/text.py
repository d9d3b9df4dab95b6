"""Renders a brief as plain text and as HTML for mail: one document with inline styles that loads nothing."""

from dataclasses import dataclass
from html import escape

from rmetrics.brief.facts import Facts
from rmetrics.brief.sections import Line, Section, sections_of
from rmetrics.brief.words import say
from rmetrics.periods import month_of

_INK = {"plain": "#1f2328", "good": "#1a7f37", "bad": "#9a6700", "error": "#b42318"}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MARK = {"plain": " ", "good": "+", "bad": "!", "error": "!"}


@dataclass(frozen=True, slots=True)
class SaidLine:
    """A line and its text."""

    line: Line
    text: str


@dataclass(frozen=True, slots=True)
class SaidSection:
    """A section's heading and lines as text."""

    section: str
    title: str
    lines: tuple[SaidLine, ...]


@dataclass(frozen=True, slots=True)
class Brief:
    """A brief in one language.

    Attributes:
        subject: the subject line.
        footer: names the time zone and the currency.
    """

    facts: Facts
    language: str
    subject: str
    sections: tuple[SaidSection, ...]
    footer: str


def brief_of(facts: Facts, language: str) -> Brief:
    """Puts the facts into words of a language."""
    zone = facts.timezone
    values = {
        "day": facts.day,
        "yesterday": facts.yesterday_date,
        "month": month_of(facts.through or facts.yesterday_date),
        "timezone": zone,
        "currency": facts.currency,
    }
    subject = say(language, "subject.stale" if facts.stale else "subject", values, zone)

    def said(section: Section) -> SaidSection:
        lines = tuple(SaidLine(line, say(language, line.code, line.values, zone)) for line in section.lines)
        over = section.name == "month" and facts.month_is_over
        heading = f"heading.{section.name}{'.over' if over else ''}"
        return SaidSection(section.name, say(language, heading, values, zone), lines)

    sections = tuple(said(s) for s in sections_of(facts))
    return Brief(facts, language, subject, sections, say(language, "footer", values, zone))


def as_text(brief: Brief, *, details: bool) -> str:
    """Renders plain text without the subject; ``details`` adds file names and texts of findings."""
    out = list[str]()
    for section in brief.sections:
        out.append(section.title)
        for said in section.lines:
            out.append(f"{_MARK[said.line.tone]} {said.text}")
            if details and said.line.detail:
                out.append(f"      {said.line.detail}")
            out.append(f"      {said.line.command}")
        out.append("")
    return "\n".join([*out, brief.footer, ""])


def as_html(brief: Brief, *, details: bool) -> str:
    """Renders an HTML document; ``details`` as in ``as_text``."""
    body = "".join(_section(s, details=details) for s in brief.sections)
    return f"""<!doctype html>
<html lang="{brief.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(brief.subject)}</title>
</head>
<body style="margin:0;padding:16px;background:#ffffff;color:#1f2328;{_FONT};font-size:15px;line-height:1.45">
<div style="max-width:640px;margin:0 auto">
<h1 style="font-size:20px;margin:0 0 12px">{escape(brief.subject)}</h1>
{body}<p style="font-size:12px;color:#59636e;margin:20px 0 0">{escape(brief.footer)}</p>
</div>
</body>
</html>
"""


def _section(section: SaidSection, *, details: bool) -> str:
    lines = "".join(_line(said, details=details) for said in section.lines)
    edge = "#b42318" if section.section == "stale" else "#d1d9e0"
    return (
        f'<div style="border-left:4px solid {edge};padding:2px 0 2px 12px;margin:0 0 18px">\n'
        f'<h2 style="font-size:16px;margin:0 0 6px">{escape(section.title)}</h2>\n{lines}</div>\n'
    )


def _line(said: SaidLine, *, details: bool) -> str:
    detail = (
        f'<br><span style="color:#59636e">{escape(said.line.detail)}</span>' if details and said.line.detail else ""
    )
    return (
        f'<p style="margin:0 0 8px;color:{_INK[said.line.tone]}">{escape(said.text)}{detail}<br>'
        f'<code style="font-size:12px;color:#59636e;word-break:break-word">{escape(said.line.command)}</code></p>\n'
    )
