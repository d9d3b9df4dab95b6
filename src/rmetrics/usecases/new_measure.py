"""``rmetrics rules new-measure``: a draft of an own measure that loads, with the available columns and values."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from rmetrics.errors import LakeError, RulesError, SettingsError
from rmetrics.files import write_private
from rmetrics.opening import open_lake
from rmetrics.pipeline.compute.last import last_rows
from rmetrics.pipeline.compute.names import FACTS
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.feeds import ColumnType
from rmetrics.rules.files import rule_files
from rmetrics.rules.identifiers import IDENTIFIER, IDENTIFIER_RULE
from rmetrics.rules.measure_tables import JOURNEYS
from rmetrics.rules.measures import declared, measure_row
from rmetrics.rules.names import JOBS
from rmetrics.rules.suggest import did_you_mean
from rmetrics.settings import Settings

_MAX_WORDS = 30  # a text column with more values is not listed
_SHOWN = 8
_ADDED_UP = (ColumnType.MONEY, ColumnType.INTEGER, ColumnType.DURATION)


@dataclass(frozen=True, slots=True)
class MeasureDraft:
    """A draft that was written.

    Attributes:
        path: the file.
        measure: its name.
        of: the feed whose rows it covers.
        rule: its declaration, in one line of TOML.
    """

    path: Path
    measure: str
    of: str
    rule: str


def draft_measure(
    settings: Settings,
    name: str,
    of: str,
    *,
    count: str | None = None,
    total: str | None = None,
    where: str | None = None,
) -> MeasureDraft:
    """Writes ``rules/NAME.toml`` with a measure that counts every row, or the requested rows.

    Args:
        settings: of the project.
        name: of the measure.
        of: the feed whose rows it covers.
        count: the condition of the rows to count.
        total: the column to add up instead.
        where: the condition of the rows of a sum.

    Raises:
        SettingsError: the name or the feed cannot be used, or the file exists.
        RulesError: the current rules do not load, or would not with the draft.
        LakeError: the file cannot be written.
    """
    rules = load_rules(settings.rules_dir, settings.company)
    if not IDENTIFIER.fullmatch(name):
        raise SettingsError(f"{name!r} {IDENTIFIER_RULE}", "Use a name such as callbacks.")
    if name in declared(rules):
        raise SettingsError(f"{name} is already declared ({rules.place(f'measures.{name}')})", "Edit it there.")
    if of not in {*rules.feeds, JOURNEYS}:
        raise SettingsError(f"no such feed: {of!r}{did_you_mean(of, (*rules.feeds, JOURNEYS))}", "Name one with --of.")
    if count is not None and total is not None:
        raise SettingsError("--count and --sum cannot be combined", "A measure is a count or a sum.")
    if where is not None and total is None:
        raise SettingsError("--where requires --sum", "For a count, put the condition into --count.")
    path = settings.rules_dir / f"{name}.toml"
    if path.exists():
        raise SettingsError(f"{path} already exists", "Add the measure to this file, or choose another name.")
    rule = _rule(count, total, where)
    text = "\n".join([*_head(name, of, rule), "", *_choices(settings, rules, of), ""])
    _require_loading(settings, path.name, text)
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise LakeError(f"cannot write {path}: {error.strerror}", "Check the folder's permissions.") from error
    return MeasureDraft(path, name, of, rule)


def _rule(count: str | None, total: str | None, where: str | None) -> str:
    if total is not None:
        return f"sum = {_quoted(total)}" + (f"\nwhere = {_quoted(where)}" if where is not None else "")
    return "count = true" if count is None else f"count = {_quoted(count)}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _head(name: str, of: str, rule: str) -> Iterator[str]:
    yield f"# Drafted by rmetrics rules new-measure {name} --of {of}. See docs/rules.md, Own measures."
    yield f"[measures.{name}]"
    yield f'title = "{name.replace("_", " ").capitalize()}"'
    yield f'of = "{of}"'
    yield from rule.split("\n")


def _choices(settings: Settings, rules: Rules, of: str) -> Iterator[str]:
    """Yields comments: columns for conditions with their values, columns to add up, and the form of a change."""
    columns = measure_row(rules, of).columns
    feed = rules.feeds.get(of)
    hidden = (
        {n for n, c in feed.columns.items() if not c.publish or c.type is ColumnType.PHONE} if feed else {"touch_id"}
    )
    yield "# Columns that a condition may use:"
    for column, kind in columns:
        words = "" if column in hidden or kind is not ColumnType.TEXT else _words(settings, rules, of, column)
        yield f"#   {column} ({kind}){words}"
    numbers = [n for n, kind in columns if kind in _ADDED_UP]
    if numbers:
        yield f'# To add up instead of counting: sum = "{numbers[0]}", with where = "..." to select rows.'
    yield "# To change the rule from a day on:"
    yield "#   [[measures.NAME.changes]]"
    yield "#   from = 2026-01-01"
    yield '#   count = "..."'


def _words(settings: Settings, rules: Rules, of: str, column: str) -> str:
    """Lists the most frequent values of a text column that has few, as of the last computation."""
    rows = last_rows(open_lake(settings), rules)
    if rows is None:
        return ""
    frame = rows.scan(FACTS if of == JOBS else of)
    if column not in frame.collect_schema().names():
        return ""
    found = frame.group_by(pl.col(column).alias("word")).len().drop_nulls("word").collect()
    if not 0 < found.height <= _MAX_WORDS:
        return ""
    listed = found.sort("len", "word", descending=[True, False])["word"].head(_SHOWN).to_list()
    shown = ", ".join(f"'{word}'" for word in listed if str(word).isprintable())
    return f": {shown}{' ...' if found.height > _SHOWN else ''}"


def _require_loading(settings: Settings, name: str, text: str) -> None:
    """Loads the rules with the draft added.

    Raises:
        RulesError: they do not load; places refer to the draft's final name.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        trial = Path(folder)
        for path in rule_files(settings.rules_dir):
            (trial / path.name).write_bytes(path.read_bytes())
        (trial / name).write_text(text, encoding="utf-8")
        try:
            load_rules(trial)
        except RulesError as error:
            moved = [replace(p, path=settings.rules_dir / p.path.name) for p in error.problems]
            raise RulesError(moved) from None


__all__ = ["MeasureDraft", "draft_measure"]
