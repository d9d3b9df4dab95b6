"""A draft of rules for an export nobody has described yet: what its columns seem to be, and from which values."""

import csv
import datetime as dt
import io
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import polars as pl

from rmetrics.errors import LakeError, RuleProblem, RulesError, SettingsError
from rmetrics.files import write_private
from rmetrics.ingest.parse import Reading, clean, parse_column
from rmetrics.ingest.read import PROBLEM, Export, RefusedError, open_export
from rmetrics.ingest.recognise import best_fit
from rmetrics.lake import Lake
from rmetrics.pipeline.compute import place
from rmetrics.rules import Rules, load_rules
from rmetrics.rules.model import Column, ColumnType, Feed
from rmetrics.rules.toml import rule_files
from rmetrics.rules.validate import IDENTIFIER_RULE, is_reserved, normal_source
from rmetrics.settings import Settings

_HEAD = 64 * 2**10  # bytes in which a header is looked for
_ROWS = 20_000  # enough to see every form of a column
_SAMPLES = 3
_FEW = 12  # distinct values that can still be a status
_PERSONAL = re.compile(
    r"\b(name|first|last|e-?mail|address|street|contact|customer|client|caller|notes?|message|comment|recording|url"
    r"|link|unit|apt)\b",
    re.IGNORECASE,
)
_PHONE = re.compile(r"\b(phone|caller id|mobile|cell|tel)\b", re.IGNORECASE)
_MONEY = re.compile(r"\b(price|cost|amount|fee|total|charged?|spend|budget|revenue|paid|value|refund)\b", re.IGNORECASE)
_COST = re.compile(r"\b(price|cost|fee|charged?|spend|amount)\b", re.IGNORECASE)
_ID = re.compile(r"\b(id|ref(erence)?|no|number|uuid|key)\b|#", re.IGNORECASE)
_CODE = re.compile(r"\b(zip|postal|code)\b", re.IGNORECASE)
_WHEN = re.compile(r"\b(received|created|date|time|lead|submitted|when)\b", re.IGNORECASE)
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
# Tried in this order after ISO; American forms go before others that the same values fit as well.
_FORMATS = (
    "%m/%d/%Y",
    "%m/%d/%y",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%Y %H:%M",
    "%m/%d/%y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m-%d-%Y",
    "%m-%d-%Y %H:%M",
    "%d/%m/%Y",
    "%d/%m/%Y %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M",
    "%d-%m-%Y",
    "%d %b %Y",
    "%d %b %Y %H:%M",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%b %d, %Y, %I:%M %p",
    "%b %d, %Y %I:%M %p",
    "%b %d, %Y at %I:%M %p",
    "%b %d %Y",
    "%a %b %d %Y",
    "%a, %b %d, %Y",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M",
    "%Y%m%d",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %I:%M %p",
    "%a %b %o, %I:%M%p",
    "excel",
)
_AMBIGUOUS = {"%m/%d/%Y": "%d/%m/%Y", "%m/%d/%Y %H:%M": "%d/%m/%Y %H:%M", "%m-%d-%Y": "%d-%m-%Y"}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column of the export seems to be.

    Attributes:
        header: as in the file.
        name: the column's name in the rules.
        formats: date forms that read every value.
        decimal: "," where amounts are written 1.234,56.
        private: whether it seems to be about a person, so that it is not published.
        samples: values it was guessed from; none where they may be about a person.
        filled, distinct: how many rows have a value, and how many different ones there are.
        note: what to look at.
    """

    header: str
    name: str
    type: ColumnType
    formats: tuple[str, ...] = ()
    private: bool = False
    samples: tuple[str, ...] = ()
    filled: int = 0
    distinct: int = 0
    decimal: str = "."
    required: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft that was written.

    Attributes:
        path: where.
        feed: its feed.
        rows: how many rows of the export were looked at.
        columns: what each seems to be.
        key, date: what was chosen; the key is empty where no column can be one.
        problems: what must be filled in before the rules load.
        notes: what to look at.
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
    """Writes ``rules/<source>.toml`` from an export.

    Args:
        settings: where the rules are.
        source: the name of the new channel.
        export: a file as the channel gives it.

    Raises:
        SettingsError: the source is known, the file is there already, or the export cannot be read or is known.
        RulesError: the rules do not load as they are.
    """
    rules = load_rules(settings.rules_dir)
    slug = _slug(source)
    target = settings.rules_dir / f"{slug}.toml"
    _refuse_known(rules, source, slug, target)
    opened = _opened(export)
    _refuse_fitting(rules, opened, export)
    rows = _rows(opened)
    if not rows.height:
        raise SettingsError(f"{export} has a header but no rows to guess from", "Export a time with some leads in it.")
    zone = rules.business.timezone
    today = dt.datetime.fromtimestamp(export.stat().st_mtime, dt.UTC).date()
    guesses = _guesses(rows, opened.layout.headers, Reading(zone, today))
    key, date = _key(guesses, rows.height), _date(guesses, rows.height)
    guesses = [replace(g, required=g.name in {key, date}) for g in guesses]
    if not any(g.required for g in guesses):
        guesses = [replace(g, required=i < 2) for i, g in enumerate(guesses)]
    feed = _feed_name(slug)
    lake = Lake(settings.lake_dir)
    guesses, text, problems = _that_takes_nothing(
        settings, lake, rules, (source, slug, feed, export, key, date), guesses
    )
    try:
        write_private(target, text.encode())
    except OSError as error:
        raise LakeError(f"cannot write {target}: {error.strerror}", "Check the folder's permissions.") from error
    named = tuple(replace(p, path=target) if p.path.name == target.name else p for p in problems)
    notes = tuple(_notes(guesses, key, date, opened))
    return Draft(target, source, feed, rows.height, tuple(guesses), key, date, named, notes)


def _slug(source: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", source.lower()).strip("_")[:50]
    if not slug or not slug[0].isalpha():
        raise SettingsError(f"no file or feed can be named after {source!r}", f"A feed's name {IDENTIFIER_RULE[3:]}.")
    return slug


def _feed_name(slug: str) -> str:
    return slug if slug.endswith("leads") else f"{slug}_leads"


def _refuse_known(rules: Rules, source: str, slug: str, target: Path) -> None:
    for name, dated in rules.sources.items():
        if normal_source(source) in {normal_source(s) for s in (name, *dated.latest.aliases)}:
            where = rules.place(f"sources.{name}")
            raise SettingsError(f"{source!r} is declared already, as {name!r} ({where})", "Edit it there.")
    feed = _feed_name(slug)
    if feed in rules.feeds:
        raise SettingsError(f"the feed {feed} is declared already ({rules.place(f'feeds.{feed}')})", "Edit it there.")
    if target.exists():
        raise SettingsError(f"{target} is there already", "Edit it, or move it away.")


def _opened(export: Path) -> Export:
    """The export, with the row for its header that fits the rows below it: no feed can tell which one it is."""
    try:
        first = open_export(export, export.name, {})
        header = _header(export, first)
        return open_export(export, export.name, {"draft": _feed_of(header)}) if header else first
    except RefusedError as error:
        raise SettingsError(f"{export} {error}", "Give the file as the channel exports it.") from error
    except OSError as error:
        raise SettingsError(f"{export} cannot be read: {error.strerror}", "Check the path.") from error


def _header(export: Path, first: Export) -> list[str]:
    """The cells of the first row that is as wide as most rows are, with the delimiter that makes rows most alike."""
    if not first.layout.delimiter or export.suffix == ".gz":
        return []
    with export.open("rb") as file:
        head = file.read(_HEAD).decode(first.layout.encoding, errors="replace").lstrip("\ufeff")
    best: tuple[float, int, list[str]] = (0, 0, [])
    for delimiter in ",;\t|":
        records = [r for r in _records(head, delimiter) if any(c.strip() for c in r)]
        widths = Counter(len(r) for r in records if len(r) > 1)
        if not widths:
            continue
        width, rows = widths.most_common(1)[0]
        found = rows / len(records), width, next(r for r in records if len(r) == width)
        best = max(best, found, key=lambda b: b[:2])
    return [c.strip() for c in best[2] if c.strip()]


def _records(head: str, delimiter: str) -> list[list[str]]:
    try:
        return list(islice(csv.reader(io.StringIO(head, newline=""), delimiter=delimiter), 60))
    except csv.Error:
        return []


def _feed_of(headers: Sequence[str]) -> Feed:
    """A feed that knows exactly these headers."""
    columns = {f"c{i}": {"type": "text", "from": [h], "required": True} for i, h in enumerate(dict.fromkeys(headers))}
    return Feed.model_validate({"files": ["*"], "date": "c0", "columns": columns})


def _refuse_fitting(rules: Rules, opened: Export, export: Path) -> None:
    fits = [f for f in best_fit(opened.layout.headers, export.name, rules.feeds) if f.fits]
    if fits:
        feed = fits[0].feed
        raise SettingsError(
            f"{export} is read already, as {feed} ({rules.place(f'feeds.{feed}')})",
            f'Count it with a source alone: leads = {{ feed = "{feed}", where = "..." }}',
        )


def _rows(opened: Export) -> pl.DataFrame:
    frames: list[pl.DataFrame] = []
    try:
        for batch in islice(opened.batches(), 4):
            frames.append(batch.filter(pl.col(PROBLEM).is_null()).head(_ROWS))
            if sum(f.height for f in frames) >= _ROWS:
                break
    except RefusedError as error:
        raise SettingsError(f"{opened.path} {error}", "Give the file as the channel exports it.") from error
    return pl.concat(frames).head(_ROWS) if frames else pl.DataFrame()


# -- guessing


def _guesses(rows: pl.DataFrame, headers: Sequence[str], reading: Reading) -> list[Guess]:
    taken: set[str] = set()
    found = []
    for header in headers:
        cells = clean(rows[header].cast(pl.String))
        guess = _guess(header, cells, reading)
        name = _name(header, guess.type, taken)
        taken.add(name)
        found.append(replace(guess, name=name))
    return found


def _guess(header: str, cells: pl.Series, reading: Reading) -> Guess:
    values = cells.drop_nulls()
    distinct = values.n_unique()
    # Lower-case letters before capitals are a word's end too: leadId, LeadID.
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", header)
    told = Guess(header, "", ColumnType.TEXT, filled=len(values), distinct=distinct)
    if not len(values):
        return replace(told, note="always blank in this file")
    if _PHONE.search(words):
        return replace(told, type=ColumnType.PHONE, private=True)
    if _PERSONAL.search(words) and not _ID.search(words):
        return replace(told, private=True)
    told = replace(told, samples=tuple(values.unique(maintain_order=True).head(_SAMPLES).to_list()))
    if _CODE.search(words):
        return told
    dated = _dated(values, reading)
    if dated is not None:
        return replace(told, type=dated[0], formats=dated[1], note=dated[2])
    if not _ID.search(words) and _is_comma_money(values, reading):
        return replace(told, type=ColumnType.MONEY, decimal=",")
    kind = _plain_type(words, values, reading)
    note = _statuses(values) if kind is ColumnType.TEXT and 1 < distinct <= _FEW and distinct < len(values) else ""
    return replace(told, type=kind, note=note)


def _reads(
    values: pl.Series, kind: ColumnType, reading: Reading, formats: tuple[str, ...] = (), decimal: str = "."
) -> bool:
    column = Column.model_validate({"type": kind, "from": ["x"], "formats": formats, "decimal": decimal})
    return parse_column(values, column, reading).null_count() == 0


def _dated(values: pl.Series, reading: Reading) -> tuple[ColumnType, tuple[str, ...], str] | None:
    """The type, forms and a note of a column of dates; None where it is none."""
    few = values.unique(maintain_order=True)
    kind = ColumnType.TIMESTAMP if few.str.contains(_CLOCK.pattern).any() else ColumnType.DATE
    if _reads(few, kind, reading):
        return kind, (), ""
    if few.str.contains(r"^\d{1,4}$").any():  # plain numbers: counts, not days
        return None
    forms: list[str] = []
    rest = few
    for form in _FORMATS:
        column = Column.model_validate({"type": kind, "from": ["x"], "formats": [form]})
        read = parse_column(rest, column, reading)
        if read.null_count() < len(rest):
            forms.append(form)
            rest = rest.filter(read.is_null())
        if not len(rest):
            break
    if len(rest) or (forms == ["excel"] and not few.str.contains(r"^[34]\d{4}(\.\d+)?$").all()):
        return None
    other = _AMBIGUOUS.get(forms[0])
    both = other is not None and len(forms) == 1 and _reads(few, kind, reading, (other,))
    return kind, tuple(forms), f"could be {other} as well: look at a day after the 12th" if both else ""


def _is_comma_money(values: pl.Series, reading: Reading) -> bool:
    """Amounts such as 14,50 and 1.234,56: cents after a comma everywhere, so that 1,234 is not taken for one."""
    return bool(values.str.contains(r",\d{2}\D*$").all()) and _reads(values, ColumnType.MONEY, reading, decimal=",")


def _plain_type(words: str, values: pl.Series, reading: Reading) -> ColumnType:
    lower = values.str.to_lowercase()
    if lower.is_in(["yes", "no", "true", "false", "y", "n"]).all():
        return ColumnType.BOOLEAN
    plain = values.str.contains(r"^-?\d+$").all()
    if not _ID.search(words) and _reads(values, ColumnType.MONEY, reading):
        cents = values.str.contains(r"[$]|\.\d{1,2}$").any()
        if cents or _MONEY.search(words):
            return ColumnType.MONEY
    if values.str.contains(r"(?i)^\d+ ?(min|sec|m|s|h)|^\d{1,3}:\d{2}(:\d{2})?$").any() or (
        plain and re.search(r"duration|seconds", words, re.IGNORECASE)
    ):
        return ColumnType.DURATION if _reads(values, ColumnType.DURATION, reading) else ColumnType.TEXT
    leading_zero = values.str.contains(r"^0\d").any()
    if plain and not leading_zero and not _ID.search(words) and _reads(values, ColumnType.INTEGER, reading):
        return ColumnType.INTEGER
    return ColumnType.TEXT


def _statuses(values: pl.Series) -> str:
    counts = values.value_counts(sort=True).head(6)
    return "values: " + ", ".join(f"{v!r} {n}" for v, n in counts.iter_rows())


def _name(header: str, kind: ColumnType, taken: set[str]) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", header)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower().replace("#", " number ")).strip("_")[:50]
    if kind is ColumnType.TIMESTAMP:
        name = re.sub(r"_?(on|date|time|at|datetime)(_time)?$", "", name) or "lead"
        name += "_at"
    if kind is ColumnType.DATE and not name.endswith("date"):
        name = f"{name}_date" if name else "lead_date"
    if not name or not name[0].isalpha():
        name = f"column_{name}".rstrip("_")
    if is_reserved(name) or name in {"counted", "row_id", "source", "job_id"}:
        name = f"{name}_given"
    base, number = name, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _key(guesses: Sequence[Guess], rows: int) -> str:
    """The column that names a row: filled and different everywhere, best one that calls itself an id."""
    whole = [g for g in guesses if g.filled == rows == g.distinct and g.type in {ColumnType.TEXT, ColumnType.INTEGER}]
    named = [g for g in whole if _ID.search(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", g.header))]
    return next((g.name for g in (*named, *(g for g in whole if not g.private))), "")


def _date(guesses: Sequence[Guess], rows: int) -> str:
    days = [g for g in guesses if g.type in {ColumnType.TIMESTAMP, ColumnType.DATE}]
    days.sort(key=lambda g: (g.filled < rows, not _WHEN.search(g.header), g.type is not ColumnType.TIMESTAMP))
    return days[0].name if days else ""


# -- writing


def _that_takes_nothing(
    settings: Settings,
    lake: Lake,
    rules: Rules,
    about: tuple[str, str, str, Path, str, str],
    guesses: list[Guess],
) -> tuple[list[Guess], str, list[RuleProblem]]:
    """The draft, with as many required columns as it takes to leave exports of other feeds where they are."""
    raws = lake.raw_files()
    were = {p.raw.sha256: p.feed for p in place(raws, rules)[0]}
    while True:
        text = _text(about, guesses)
        loaded = _loaded(settings, about[1], text)
        if not isinstance(loaded, Rules):
            return guesses, text, loaded
        now = {p.raw.sha256: p.feed for p in place(raws, loaded)[0]}
        if all(now.get(sha) == feed for sha, feed in were.items()):
            return guesses, text, []
        spare = [i for i, g in enumerate(guesses) if not g.required and not g.note.startswith("always")]
        if not spare:
            told = "exports of other feeds have all these headers too: say in `without` what this export does not have"
            return guesses, text, [RuleProblem(settings.rules_dir / f"{about[1]}.toml", 0, f"feeds.{about[2]}", told)]
        guesses = [replace(g, required=g.required or i == spare[0]) for i, g in enumerate(guesses)]


def _loaded(settings: Settings, slug: str, text: str) -> Rules | list[RuleProblem]:
    with tempfile.TemporaryDirectory(prefix="rmetrics-") as folder:
        copy = Path(folder)
        for file in rule_files(settings.rules_dir):
            shutil.copyfile(file, copy / file.name)
        (copy / f"{slug}.toml").write_text(text, encoding="utf-8")
        try:
            return load_rules(copy)
        except RulesError as error:
            return list(error.problems)


def _text(about: tuple[str, str, str, Path, str, str], guesses: Sequence[Guess]) -> str:
    return "\n".join(_lines(*about, guesses)) + "\n"


def _lines(
    source: str, slug: str, feed: str, export: Path, key: str, date: str, guesses: Sequence[Guess]
) -> Iterator[str]:
    yield f"# A draft, guessed from {_comment(export.name)}. Read it through, then:"
    yield "#   rmetrics rules check     is it valid?"
    yield "#   rmetrics plan            what would it change?"
    yield "#   rmetrics sync            make it count"
    yield ""
    yield f"[feeds.{feed}]"
    yield f"comment = {_quoted(f'Leads of {source}.')}"
    yield f"files   = [{_quoted(_glob(export.name, slug))}]   # only settles ties: the headers below decide"
    ids = [g.name for g in guesses if g.filled == g.distinct and not g.private and _ID.search(g.header)]
    if key:
        yield f'key     = ["{key}"]   # different in every row{_others(key, ids)}'
    else:
        yield "# No column is different in every row, so a row is named by what it says (identity) and how often."
        told = [g.name for g in guesses if not g.private and (g.name == date or g.type is not ColumnType.TEXT)]
        told = told or [g.name for g in guesses if not g.private]
        yield f"identity = [{', '.join(_quoted(n) for n in told[:5])}]   # what cannot change in a later export"
    days = [g.name for g in guesses if g.type in {ColumnType.TIMESTAMP, ColumnType.DATE}]
    if date:
        yield f'date    = "{date}"   # places a lead in a day{_others(date, days)}'
    else:
        yield 'date    = "fill_in"   # no column looks like a date: name the one that places a lead in a day'
    yield ""
    yield f"[feeds.{feed}.columns]"
    for guess in guesses:
        yield from _column(guess, key)
    yield ""
    yield from _source(source, feed, guesses)


def _others(chosen: str, names: Sequence[str]) -> str:
    rest = [n for n in names if n != chosen]
    return f"; so would: {', '.join(rest[:5])}" if rest else ""


def _column(guess: Guess, key: str) -> Iterator[str]:
    facts = [f"for instance {', '.join(_shown(s) for s in guess.samples)}"] if guess.samples else []
    if guess.private:
        facts = ["about a person, so it stays in the lake"]
    if guess.note:
        facts.append(guess.note)
    yield f"# {_comment('; '.join(facts))}" if facts else "#"
    parts = [f'type = "{guess.type}"', f"from = [{_quoted(guess.header)}]"]
    if guess.formats:
        parts.append(f"formats = [{', '.join(_quoted(f) for f in guess.formats)}]")
    if guess.decimal != ".":
        parts.append(f'decimal = "{guess.decimal}"')
    if guess.required:
        parts.append("required = true")
        if guess.name != key and guess.type is not ColumnType.TEXT and not guess.name.endswith(("_at", "_date")):
            parts.append("blank = true")
    if guess.private:
        parts.append("publish = false")
    yield f"{guess.name} = {{ {', '.join(parts)} }}"


def _source(source: str, feed: str, guesses: Sequence[Guess]) -> Iterator[str]:
    yield f"[sources.{source if re.fullmatch('[A-Za-z0-9_-]+', source) else _quoted(source)}]"
    yield '# segment = "COD"          # where its leads are counted; OTHER as long as nothing is said'
    states = [g for g in guesses if g.note.startswith("values: ")]
    costs = [g for g in guesses if g.type is ColumnType.MONEY and _COST.search(g.header.replace("_", " "))]
    yield f'leads = {{ feed = "{feed}" }}   # every row is a lead; to leave some out, add where = "..."'
    for guess in states[:3]:
        yield f"#   for instance where = \"{guess.name} IS DISTINCT FROM '...'\", {_comment(guess.note)}"
    if costs:
        yield f'cost  = {{ feed = "{feed}", sum = "{costs[0].name}" }}'
        for guess in costs[1:]:
            yield f"#   or sum = {_quoted(guess.name)}"
    else:
        yield "# cost = { per_lead = 20.00 }   # also per_unit, per_repair, monthly; nothing said: free"


def _glob(name: str, slug: str) -> str:
    """The part of the name that will be there next time: what stands before the first number."""
    stem = re.split(r"[\d(\[{]", Path(name).stem, maxsplit=1)[0].rstrip(" _-.")
    return f"{stem}*" if len(stem) > 2 else f"*{slug}*"


def _quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in plain) + '"'


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


def _notes(guesses: Sequence[Guess], key: str, date: str, opened: Export) -> Iterator[str]:
    yield from opened.layout.notes
    if not key:
        yield "no column is different in every row: rows are named by their content; see identity"
    if not date:
        yield "no column looks like a date: fill in date and the column's type and formats"
    for guess in guesses:
        if guess.note.startswith("could be"):
            yield f"{guess.header}: {guess.formats[0]} {guess.note}"
    private = [g.header for g in guesses if g.private]
    if private:
        yield f"not published, because they seem to be about people: {', '.join(private)}"


__all__ = ["Draft", "Guess", "draft_rules"]
