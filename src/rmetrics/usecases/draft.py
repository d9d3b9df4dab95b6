"""``rmetrics rules new``: identifies an unknown export, or drafts the rules that read it.

A draft that loads is written as ``rules/NAME.toml``; one that needs completing first, as ``rules/NAME.toml.draft``,
which no command reads. So a draft never stops a sync.
"""

import csv
import datetime as dt
import io
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from rmetrics.drafting.guess import AMBIGUOUS, BLANK, Guess, choose_date, choose_key, guesses, is_spend
from rmetrics.drafting.known import Likeness, likeness, variant_text
from rmetrics.drafting.toml_text import DraftPlan, rules_text
from rmetrics.errors import LakeError, RuleProblem, RulesError, SettingsError
from rmetrics.files import write_private
from rmetrics.ingest.read import PROBLEM, Export, RefusedError, open_export
from rmetrics.ingest.recognise import normal_header
from rmetrics.ingest.sniff import blocks
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.lake import Lake, RawFile
from rmetrics.opening import open_project
from rmetrics.pipeline.landing.placement import place
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.feeds import ColumnType, Feed
from rmetrics.rules.files import rule_files
from rmetrics.rules.identifiers import IDENTIFIER_RULE
from rmetrics.rules.model import ALL, UNATTRIBUTED
from rmetrics.rules.names import CALLS, JOBS, PAYMENTS, TARGETS, normal_source
from rmetrics.settings import Settings
from rmetrics.shipped import shipped

_HEAD = 64 * 2**10  # bytes searched for a header
_ROWS = 20_000  # enough to show every form of a column
_MAX_SOURCE = 63  # characters
_MAX_COLUMNS = 400  # further ones are not read; a PostgreSQL table has at most 1,600 columns, fewer if they are wide
_SOURCELESS_FEEDS = (JOBS, PAYMENTS, CALLS, TARGETS)  # feeds that count without a source
EXAMPLES = "examples"  # rules for well-known exports, a subfolder of the rules that no command reads


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft that was written.

    Attributes:
        path: the file; it ends in ``.draft`` if there are problems, and is then not read as rules.
        feed: its feed.
        rows: number of rows of the export that were examined.
        columns: the guess for each column.
        key, date: the columns chosen; the key is empty if no column can be one.
        problems: gaps to fill before the rules load; places refer to the file's final name.
        notes: points to review.
    """

    path: Path
    source: str
    feed: str
    rows: int
    columns: tuple[Guess, ...]
    key: str
    date: str
    problems: tuple[RuleProblem, ...]
    notes: tuple[str, ...]


def draft_rules(settings: Settings, source: str, export: Path) -> Draft:
    """Writes ``rules/<source>.toml`` from an export, with the suffix ``.draft`` if something is left to fill in.

    Args:
        settings: of the project.
        source: the name of the new channel.
        export: a file as the channel delivers it.

    Raises:
        SettingsError: the source is known, the file exists, the export cannot be read, or it is known already: to the
            rules, to a shipped example, or as jobs or payments of a CRM.
        RulesError: the current rules do not load.
    """
    project = open_project(settings)
    rules, source = project.rules, source.strip()
    slug = _slug(source)
    target = settings.rules_dir / f"{slug}.toml"
    _refuse_known(rules, source, target)
    opened = _opened(export)
    _refuse_fitting(settings, rules, export)
    rows = _rows(opened, export)
    if not rows.height:
        raise SettingsError(f"{export} has a header but no rows that match it", "Export a period that contains leads.")
    today = dt.datetime.fromtimestamp(export.stat().st_mtime, dt.UTC).date()
    readable, skipped = _readable(opened.layout.headers)
    found = guesses(rows, readable, ParseContext(rules.business.timezone, today, rules.business.currency))
    if (like := likeness(found, rows.height)) is not None:
        _refuse_like(rules, like, source, export)
    key, date = choose_key(found, rows.height), choose_date(found, rows.height)
    feed = _feed_name(slug, found)
    if feed in rules.feeds:
        raise SettingsError(f"the feed {feed} is already declared ({rules.place(f'feeds.{feed}')})", "Edit it there.")
    found = _avoid_day_name(_with_required(found, key, date), date)
    plan = DraftPlan(source, slug, feed, export.name, key, date, skipped)
    found, text, problems = _without_conflicts(settings, project.lake, rules, plan, found, export)
    path = target.with_name(f"{target.name}.draft") if problems else target
    _write(path, text)
    notes = tuple(_notes(found, plan, opened, path, problems))
    return Draft(path, source, feed, rows.height, tuple(found), key, date, tuple(problems), notes)


def _write(path: Path, text: str) -> None:
    try:
        write_private(path, text.encode())
    except OSError as error:
        raise LakeError(f"cannot write {path}: {error.strerror}", "Check the folder's permissions.") from error


def _slug(source: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", source.lower()).strip("_")[:50].strip("_")
    if not slug or not slug[0].isalpha():
        raise SettingsError(
            f"{source!r} gives no valid name of a file or feed", f"The feed's name is {IDENTIFIER_RULE[3:]}."
        )
    if len(source) > _MAX_SOURCE or not source.isprintable():
        raise SettingsError(
            f"{source!r} cannot be a source's name",
            f"Use at most {_MAX_SOURCE} characters, all of them printable.",
        )
    if normal_source(source) in {normal_source(ALL), normal_source(UNATTRIBUTED)}:
        raise SettingsError(f"{source!r} cannot be a source's name: rmetrics reserves it", "Choose another name.")
    return slug


def _feed_name(slug: str, found: Sequence[Guess]) -> str:
    ending = "spend" if is_spend(found) else "leads"
    return slug if slug.endswith(ending) else f"{slug}_{ending}"


def _refuse_known(rules: Rules, source: str, target: Path) -> None:
    for name, dated in rules.sources.items():
        if normal_source(source) in {normal_source(s) for s in (name, *dated.latest.aliases)}:
            where = rules.place(f"sources.{name}")
            raise SettingsError(f"{source!r} is already declared, as {name!r} ({where})", "Edit it there.")
    for path in (target, target.with_name(f"{target.name}.draft")):
        if path.exists():
            raise SettingsError(f"{path} already exists", "Edit it or move it.")


def _opened(export: Path) -> Export:
    """Opens the export with the header row that best fits the rows below it, as no feed can identify it."""
    try:
        first = open_export(export, export.name, {})
        header = _header(export, first)
        return open_export(export, export.name, {"draft": _feed_of(header)}) if header else first
    except RefusedError as error:
        raise SettingsError(f"{export} {error}", "Use the file as the channel exports it.") from error
    except OSError as error:
        raise SettingsError(f"{export} cannot be read: {error.strerror}", "Check the path.") from error


def _header(export: Path, first: Export) -> list[str]:
    """Returns the cells of the first row of the most common width, with the delimiter that makes rows most alike."""
    if not first.layout.delimiter or export.suffix == ".gz":
        return []
    with export.open("rb") as file:
        head = file.read(_HEAD).decode(first.layout.encoding, errors="replace").lstrip("\ufeff")
    best: tuple[float, int, list[str]] = (0, 0, [])
    for delimiter in ",;\t|":
        records = _without_blank_end([r for r in _records(head, delimiter) if any(c.strip() for c in r)])
        widths = Counter(len(r) for r in records if len(r) > 1)
        if not widths:
            continue
        width, rows = widths.most_common(1)[0]
        found = rows / len(records), width, next(r for r in records if len(r) == width)
        best = max(best, found, key=lambda b: b[:2])
    cells = [c.strip() for c in best[2] if c.strip()]
    return [c for c, n in Counter(map(normal_header, cells)).items() if n == 1]


def _without_blank_end(records: list[list[str]]) -> list[list[str]]:
    """Drops last cells that are blank in all records of that width, as some rows end with a comma."""
    widths = Counter(map(len, records))
    ends = {w for w in widths if w > 2 and not any(r[-1].strip() for r in records if len(r) == w)}
    return _without_blank_end([r[:-1] if len(r) in ends else r for r in records]) if ends else records


def _records(head: str, delimiter: str) -> list[list[str]]:
    try:
        return list(islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 60))
    except csv.Error:
        return []


def _feed_of(headers: Sequence[str]) -> Feed:
    """Returns a feed that declares exactly these headers."""
    columns = {f"c{i}": {"type": "text", "from": [h], "required": True} for i, h in enumerate(dict.fromkeys(headers))}
    return Feed.model_validate({"files": ["*"], "date": "c0", "columns": columns})


def _readable(headers: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Splits the headers into readable ones, and the others: unnamed or repeated ones."""
    counts = Counter(normal_header(re.sub(r" \(\d+\)'*$", "", h)) for h in headers)
    plain = Counter(map(normal_header, headers))

    def clear(header: str) -> bool:
        base = normal_header(re.sub(r" \(\d+\)'*$", "", header))
        repeated = counts[base] > 1 and (plain[base] > 0 or plain[normal_header(header)] > 1)
        return bool(normal_header(header)) and not repeated and not re.fullmatch(r"column \d+'*", header)

    good = [h for h in headers if clear(h)]
    return good[:_MAX_COLUMNS], tuple(h for h in headers if h not in set(good[:_MAX_COLUMNS]))


# -- known exports


def _refuse_fitting(settings: Settings, rules: Rules, export: Path) -> None:
    fits = [f for f in open_export(export, export.name, rules.feeds).fits if f.fits]
    if fits:
        feed, variant = fits[0].feed, fits[0].variant
        place_of = rules.place(f"feeds.{feed}")
        known = f" ({variant})" if variant else ""
        source_hint = f'Count it in the rules of a source: leads = {{ feed = "{feed}", where = "..." }}'
        hint = "Put it into the inbox: it needs no rules of its own." if feed in _SOURCELESS_FEEDS else source_hint
        raise SettingsError(f"{export} is already read as {feed}{known} ({place_of})", hint)
    for path, feeds in _examples(settings):
        if any(f.fits for f in open_export(export, export.name, feeds).fits):
            what = next(iter(feeds.values())).comment.rstrip(".")
            raise SettingsError(
                f"{export} needs no draft: rmetrics includes rules for it: {what}",
                f"Copy {path} to {settings.rules_dir / path.name}, review it, then run: rmetrics rules check",
            )


def _examples(settings: Settings) -> Iterator[tuple[Path, Mapping[str, Feed]]]:
    """Yields the project's example rules, and shipped ones that it lacks, with their feeds."""
    folders = (settings.rules_dir / EXAMPLES, shipped("rules") / EXAMPLES)
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in rule_files(folder):
            paths.setdefault(path.name, path)
    known = frozenset(load_rules(shipped("rules")).feeds)
    for path in paths.values():
        # Two thirds of the examples declare measures or pulls: whatever their form, a feed's table has this word.
        yield path, _feeds_of(path, known) if b"feeds" in path.read_bytes() else {}


def _feeds_of(path: Path, known: frozenset[str]) -> Mapping[str, Feed]:
    """Returns the feeds of an example, loaded with the shipped rules, which have the tables that it lacks.

    Args:
        path: the example.
        known: the feeds of the shipped rules.
    """
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        copy = Path(folder)
        for file in rule_files(shipped("rules")):
            shutil.copyfile(file, copy / file.name)
        shutil.copyfile(path, copy / path.name)
        try:
            return {n: f for n, f in load_rules(copy).feeds.items() if n not in known}
        except RulesError:  # edited by the user; it is not in force
            return {}


def _refuse_like(rules: Rules, like: Likeness, source: str, export: Path) -> None:
    feed = rules.feeds.get(like.feed)
    if feed is None:
        return
    lines = variant_text(like, feed, f"{source} {like.feed}")
    path = rules.place(f"feeds.{like.feed}").rpartition(":")[0]
    indented = "\n".join(f"    {line}" for line in lines.splitlines())
    raise SettingsError(
        f"{export} looks like {like.feed} of a CRM: see [feeds.{like.feed}]; drafted as leads of a channel, "
        "its revenue would count as cost",
        f"Add its headers to from = [...] of [feeds.{like.feed}], or append these lines to {path}, then run "
        f"`rmetrics rules check`:\n{indented}",
    )


def _rows(opened: Export, export: Path) -> pl.DataFrame:
    frames: list[pl.DataFrame] = []
    try:
        for batch in islice(opened.batches(blocks(export)), 4):
            frames.append(batch.filter(pl.col(PROBLEM).is_null()).head(_ROWS))
            if sum(f.height for f in frames) >= _ROWS:
                break
    except RefusedError as error:
        raise SettingsError(f"{export} {error}", "Use the file as the channel exports it.") from error
    return pl.concat(frames).head(_ROWS) if frames else pl.DataFrame()


# -- rules that load and take no exports of other feeds


def _with_required(found: Sequence[Guess], key: str, date: str) -> list[Guess]:
    marked = [replace(g, required=g.name in {key, date}) for g in found]
    return marked if any(g.required for g in marked) else [replace(g, required=i < 2) for i, g in enumerate(marked)]


def _avoid_day_name(found: Sequence[Guess], date: str) -> list[Guess]:
    """Renames a column that clashes with the business day, which rmetrics adds for a timestamp."""
    kinds = {g.name: g.type for g in found}
    if kinds.get(date) is not ColumnType.TIMESTAMP:
        return list(found)
    day = date.removesuffix("_at") + "_date"
    return [replace(g, name=f"{g.name}_given") if g.name == day else g for g in found]


def _without_conflicts(
    settings: Settings, lake: Lake, rules: Rules, plan: DraftPlan, found: list[Guess], export: Path
) -> tuple[list[Guess], str, list[RuleProblem]]:
    """Returns the draft with as many required columns as needed to take no exports of other feeds."""
    raws = lake.raw_files()
    were = {p.raw.sha256: p.feed for p in place(raws, rules)[0]}
    target = settings.rules_dir / f"{plan.slug}.toml"
    while True:
        text = rules_text(plan, found)
        loaded = _loaded(settings, target, text)
        if not isinstance(loaded, Rules):
            return found, text, loaded
        if not _claimed_exports(raws, were, loaded):
            return found, text, _unread(loaded, plan, export, target)
        spare = [i for i, g in enumerate(found) if not g.required and g.note != BLANK]
        if not spare:
            message = (
                "exports of other feeds also have all these headers: list in `without` a header that is absent here"
            )
            return found, text, [RuleProblem(target, 0, f"feeds.{plan.feed}", message)]
        found = [replace(g, required=g.required or i == spare[0]) for i, g in enumerate(found)]


def _claimed_exports(raws: list[RawFile], were: Mapping[str, str], loaded: Rules) -> bool:
    now = {p.raw.sha256: p.feed for p in place(raws, loaded)[0]}
    return any(now.get(sha) != feed for sha, feed in were.items())


def _unread(loaded: Rules, plan: DraftPlan, export: Path, target: Path) -> list[RuleProblem]:
    """Returns a problem if the draft would not read the export it was guessed from."""
    fits = [f for f in open_export(export, export.name, loaded.feeds).fits if f.fits]
    if [f.feed for f in fits] == [plan.feed]:
        return []
    others = " and ".join(f.feed for f in fits if f.feed != plan.feed)
    why = f"it also fits {others}" if others else "its header cannot be distinguished from its other rows"
    message = f"this feed would not read the export: {why}; correct the headers in from = [...] or add `without`"
    return [RuleProblem(target, 0, f"feeds.{plan.feed}", message)]


def _loaded(settings: Settings, target: Path, text: str) -> Rules | list[RuleProblem]:
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        copy = Path(folder)
        for file in rule_files(settings.rules_dir):
            shutil.copyfile(file, copy / file.name)
        (copy / target.name).write_text(text, encoding="utf-8")
        try:
            return load_rules(copy)
        except RulesError as error:
            return [replace(p, path=settings.rules_dir / p.path.name) for p in error.problems]


def _notes(
    found: Sequence[Guess], plan: DraftPlan, opened: Export, path: Path, problems: Sequence[RuleProblem]
) -> Iterator[str]:
    yield from opened.layout.notes
    if problems:
        yield f"{path.name} is not in force: add the missing values and rename it to {plan.slug}.toml"
    if not plan.key:
        yield "no column identifies a row, so rows are identified by their content; see identity"
    if not plan.date:
        yield "no column looks like a date: add date, and the column's type and formats"
    for guess in found:
        if guess.note.startswith(AMBIGUOUS):
            yield f"{guess.header}: {guess.formats[0]} {guess.note}"
    private = [g.header for g in found if g.private]
    if private:
        yield f"not published, because they appear to be about people: {', '.join(private)}"
    if plan.skipped:
        yield f"not read, because they have no name or a duplicate one: {', '.join(plan.skipped)}"


__all__ = ["Draft", "Guess", "draft_rules"]
