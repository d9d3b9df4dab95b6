"""The text of drafted rules. Text from an export cannot break out of its quotes and comments."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rmetrics.drafting.guess import Guess, choose_identity, costs, is_spend, looks_like_id
from rmetrics.rules.feeds import ColumnType

_DAYS = (ColumnType.TIMESTAMP, ColumnType.DATE)


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """The contents of a draft.

    Attributes:
        source: the channel's name.
        slug: the name of its file.
        feed: its feed.
        export: the name of the file it was guessed from.
        key, date: columns; empty if there is none.
        skipped: headers that no column can be read from.
    """

    source: str
    slug: str
    feed: str
    export: str
    key: str
    date: str
    skipped: tuple[str, ...] = ()


def rules_text(plan: DraftPlan, found: Sequence[Guess]) -> str:
    """Returns the TOML of a feed and a source, with comments on the guesses."""
    return "\n".join(_lines(plan, found)) + "\n"


def _lines(plan: DraftPlan, found: Sequence[Guess]) -> Iterator[str]:
    yield f"# A draft, guessed from {comment(plan.export)}. Review it, then run:"
    yield "#   rmetrics rules check     is it valid?"
    yield "#   rmetrics plan            what would it change?"
    yield "#   rmetrics sync            apply it"
    yield ""
    yield f"[feeds.{plan.feed}]"
    what = "Advertising cost of" if is_spend(found) else "Leads of"
    yield f"comment = {quoted(f'{what} {plan.source}.')}"
    yield f"files   = [{quoted(_glob(plan.export, plan.slug))}]   # breaks ties only: the headers below decide"
    yield from _named_by(plan, found)
    days = [g.name for g in found if g.type in _DAYS and not g.private]
    if plan.date:
        yield f'date    = "{plan.date}"   # gives the day of a row{_others(plan.date, days)}'
    else:
        yield 'date    = "fill_in"   # no column looks like a date: name the one that gives the day of a row'
    yield ""
    yield f"[feeds.{plan.feed}.columns]"
    for guess in found:
        yield from _column(guess, plan.key)
    for header in plan.skipped:
        yield f"# not read, because the header is missing or occurs twice: {comment(header)}"
    yield ""
    yield from _source(plan.source, plan.feed, found)


def _named_by(plan: DraftPlan, found: Sequence[Guess]) -> Iterator[str]:
    if plan.key:
        ids = [g.name for g in found if g.filled == g.distinct and not g.private and looks_like_id(g.header)]
        yield f'key     = ["{plan.key}"]   # unique in every row{_others(plan.key, ids)}'
        return
    yield "# No column identifies a row, so the values under identity do, with a number for repetitions."
    names = ", ".join(quoted(n) for n in choose_identity(found, plan.date))
    yield f"identity = [{names}]   # values that cannot change in a later export"


def _others(chosen: str, names: Sequence[str]) -> str:
    rest = [n for n in names if n != chosen]
    return f"; so would: {', '.join(rest[:5])}" if rest else ""


def _column(guess: Guess, key: str) -> Iterator[str]:
    facts = [f"for instance {', '.join(_shown(s) for s in guess.samples)}"] if guess.samples else []
    if guess.private:
        facts = ["may be about a person, so it stays in the lake; if it is not, remove publish = false"]
    if guess.note:
        facts.append(guess.note)
    yield f"# {comment('; '.join(facts))}" if facts else "#"
    parts = [f'type = "{guess.type}"', f"from = [{quoted(guess.header)}]"]
    if guess.formats:
        parts.append(f"formats = [{', '.join(quoted(f) for f in guess.formats)}]")
    if guess.decimal != ".":
        parts.append(f'decimal = "{guess.decimal}"')
    if guess.required:
        parts.append("required = true")
        if guess.name != key and guess.type is not ColumnType.TEXT and not guess.name.endswith(("_at", "_date")):
            parts.append("blank = true")
    if guess.private:
        parts.append("publish = false")
    yield f"{guess.name} = {{ {', '.join(parts)} }}"


def _source(source: str, feed: str, found: Sequence[Guess]) -> Iterator[str]:
    yield f"[sources.{source if re.fullmatch('[A-Za-z0-9_-]+', source) else quoted(source)}]"
    yield '# segment = "COD"          # the segment of its leads; OTHER if not set'
    states = [g for g in found if g.note.startswith("values: ")]
    money = costs(found)
    if is_spend(found):
        yield 'leads = "jobs"   # the rows are spend, not leads: every job of this source is a lead'
    else:
        yield f'leads = {{ feed = "{feed}" }}   # every row is a lead; to exclude some, add where = "..."'
        for guess in states[:3]:
            yield f"#   for instance where = \"{guess.name} IS DISTINCT FROM '...'\", {comment(guess.note)}"
    if money:
        yield f'cost  = {{ feed = "{feed}", sum = "{money[0].name}" }}'
        for guess in money[1:]:
            yield f"#   or sum = {quoted(guess.name)}"
    else:
        yield "# cost = { per_lead = 20.00 }   # also per_unit, per_repair, monthly; without cost: free"


def _glob(name: str, slug: str) -> str:
    """Returns a glob from the stable part of a file name: the text before the first number."""
    stem = re.split(r"[\d(\[{*?]", Path(name).stem, maxsplit=1)[0].rstrip(" _-.")
    plain = "".join(c if c.isprintable() else "?" for c in stem)
    return f"{plain}*" if len(plain) > 2 else f"*{slug}*"


def quoted(text: str) -> str:
    """Returns any text as a TOML string on one line."""
    return '"' + "".join(_escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    if character in '\\"':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return "?" if 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def comment(text: str) -> str:
    """Returns the text without characters that could end a comment."""
    return "".join(c if c.isprintable() else " " for c in text)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


__all__ = ["DraftPlan", "comment", "quoted", "rules_text"]
