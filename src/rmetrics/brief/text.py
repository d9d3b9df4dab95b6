"""Renders a brief as plain text and as HTML for mail: one document with inline styles that loads nothing."""

from dataclasses import dataclass
from html import escape

from rmetrics.brief.facts import Facts
from rmetrics.brief.sections import Line, Section, sections_of
from rmetrics.brief.words import phrase
from rmetrics.periods import month_of

_INK = {"plain": "#1f2328", "good": "#1a7f37", "bad": "#9a6700", "error": "#b42318"}
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
_MARK = {"plain": " ", "good": "+", "bad": "!", "error": "!"}


@dataclass(frozen=True, slots=True)
class LineText:
    """A line and its text."""

    line: Line
    text: str


@dataclass(frozen=True, slots=True)
class SectionText:
    """A section's heading and lines as text."""

    section: str
    title: str
    lines: tuple[LineText, ...]


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
    sections: tuple[SectionText, ...]
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
    subject = phrase(language, "subject.stale" if facts.stale else "subject", values, zone)

    def in_words(section: Section) -> SectionText:
        lines = tuple(LineText(line, phrase(language, line.code, line.values, zone)) for line in section.lines)
        over = section.name == "month" and facts.month_is_over
        heading = f"heading.{section.name}{'.over' if over else ''}"
        return SectionText(section.name, phrase(language, heading, values, zone), lines)

    sections = tuple(in_words(s) for s in sections_of(facts))
    return Brief(facts, language, subject, sections, phrase(language, "footer", values, zone))


def as_text(brief: Brief, *, details: bool) -> str:
    """Renders plain text without the subject; ``details`` adds file names and texts of findings."""
    out = list[str]()
    for section in brief.sections:
        out.append(section.title)
        for entry in section.lines:
            out.append(f"{_MARK[entry.line.tone]} {entry.text}")
            if details and entry.line.detail:
                out.append(f"      {entry.line.detail}")
            out.append(f"      {entry.line.command}")
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


def _section(section: SectionText, *, details: bool) -> str:
    lines = "".join(_line(entry, details=details) for entry in section.lines)
    edge = "#b42318" if section.section == "stale" else "#d1d9e0"
    return (
        f'<div style="border-left:4px solid {edge};padding:2px 0 2px 12px;margin:0 0 18px">\n'
        f'<h2 style="font-size:16px;margin:0 0 6px">{escape(section.title)}</h2>\n{lines}</div>\n'
    )


def _line(entry: LineText, *, details: bool) -> str:
    detail = (
        f'<br><span style="color:#59636e">{escape(entry.line.detail)}</span>' if details and entry.line.detail else ""
    )
    return (
        f'<p style="margin:0 0 8px;color:{_INK[entry.line.tone]}">{escape(entry.text)}{detail}<br>'
        f'<code style="font-size:12px;color:#59636e;word-break:break-word">{escape(entry.line.command)}</code></p>\n'
    )
