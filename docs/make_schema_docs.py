"""Writes the generated parts of ``schema.md`` and ``schema.ru.md``, and the entity diagram.

Tables, columns, keys and indexes come from the catalog of a database to which ``schema.sql`` was applied; meanings from
its comments (Russian: ``schema.ru.toml``, sentence by sentence); the exports' headers from ``rules/``; queries from
``queries.sql``. The prose of the documents is written by hand around the marked blocks.

    python docs/make_schema_docs.py        writes them, with a PostgreSQL of its own
"""

import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from rmetrics.postgres.connection import Server, Session, connect, statements
from rmetrics.postgres.embedded import embedded
from rmetrics.postgres.ownership import BOOKKEEPING, VIEWS
from rmetrics.rules import Rules, load_rules

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
RAW = ("jobs", "payments", "calls", "elocals_leads", "proref_leads", "google_spend")
AGGREGATES = (
    "daily_metrics", "monthly_metrics", "measures", "measure_daily", "dimension_monthly", "journeys", "journey_metrics",
    "targets",
)  # fmt: skip
SENTENCE = re.compile(r"(?<=[.?]) (?=[A-Z0-9a-z+(])")
BLOCK = re.compile(r"(<!-- generated: ([\w -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
QUERY = re.compile(r"^-- name: ([\w-]+)\n((?:-- [^\n]*\n)*)(.*?;)$", re.MULTILINE | re.DOTALL)
SHORT_TYPES = {"character varying": "varchar", "timestamp with time zone": "timestamptz"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog and its comment tell it."""

    name: str
    type: str
    not_null: bool
    generated: str
    comment: str


@dataclass(slots=True)
class Relation:
    """A table or a view; ``indexes`` are (name, columns, why it is there), ``reads`` what a view selects from."""

    name: str
    comment: str
    columns: list[Column] = field(default_factory=list)
    key: str = ""
    foreign: list[tuple[str, str]] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    indexes: list[tuple[str, str, str]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)


WORDS: dict[str, dict[str, str]] = {
    "en": {
        "head": "| column | type | NULL | meaning | unit | source |",
        "yes": "yes",
        "no": "no",
        "key": "Primary key",
        "foreign": "Foreign keys",
        "checks": "Checks",
        "indexes": "| index | columns | what for |",
        "reads": "Reads",
        "none": "none",
        "computed": "computed",
        "export": "export",
        "rules": "rules",
        "run": "rmetrics",
        "by key": "One row per key.",
        "count": "count",
        "seconds": "seconds",
        "ratio": "ratio, 1 = 100 %",
        "money": "money",
        "day": "day",
        "month": "first of a month",
        "instant": "instant",
        "days": "days",
    },
    "ru": {
        "head": "| столбец | тип | NULL | смысл | единица | откуда |",
        "yes": "да",
        "no": "нет",
        "key": "Первичный ключ",
        "foreign": "Внешние ключи",
        "checks": "Проверки",
        "indexes": "| индекс | столбцы | зачем |",
        "reads": "Читает",
        "none": "нет",
        "computed": "вычисляется",
        "export": "выгрузка",
        "rules": "правила",
        "run": "rmetrics",
        "by key": "Одна строка на ключ.",
        "count": "шт.",
        "seconds": "секунды",
        "ratio": "доля, 1 = 100 %",
        "money": "деньги",
        "day": "дата",
        "month": "первое число месяца",
        "instant": "дата и время",
        "days": "дни",
    },
}


class Translation:
    """Turns comments into one of the two languages and remembers which sentences were said."""

    def __init__(self, language: str) -> None:
        self.words = WORDS[language]
        self.said: set[str] = set()
        path = DOCS / f"schema.{language}.toml"
        self.sentences = tomllib.loads(path.read_text(encoding="utf-8")) if language != "en" else None

    def __call__(self, comment: str) -> str:
        """The comment in this language.

        Raises:
            KeyError: a sentence has no translation.
        """
        parts = SENTENCE.split(comment)
        self.said.update(parts)
        return comment if self.sentences is None else " ".join(self.sentences[p] for p in parts)


def relations(session: Session) -> dict[str, Relation]:
    """Every table and view of the schema the session looks into first."""
    found = {
        name: Relation(name, comment)
        for name, comment in session.query(
            "SELECT relname::text, obj_description(oid, 'pg_class') FROM pg_class "
            "WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'v') ORDER BY relname"
        )
    }
    formulas = _written(r"^    (\w+) .* GENERATED ALWAYS AS \((.*)\) STORED")
    for name, *column in session.query(
        "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "a.attgenerated::text, col_description(c.oid, a.attnum) "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v') ORDER BY c.relname, a.attnum"
    ):
        column_name, kind, must, made, comment = column
        formula = formulas[column_name] if made else ""
        found[name].columns.append(Column(column_name, kind, must, formula, comment))
    written = _written(r"CONSTRAINT (\w+)\s+CHECK \((.*)\),?$")
    for name, kind, text in session.query(
        "SELECT conrelid::regclass::text, contype::text, "
        "CASE contype WHEN 'c' THEN conname::text ELSE pg_get_constraintdef(oid) END FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace AND contype IN ('p', 'f', 'c') ORDER BY conname"
    ):
        if kind == "p":
            found[name].key = text.removeprefix("PRIMARY KEY (").removesuffix(")")
        elif kind == "f":
            here, there = re.findall(r"FOREIGN KEY \((.*?)\) REFERENCES (.*)", text)[0]
            found[name].foreign.append((here, there.replace("(", " (")))
        else:
            found[name].checks.append(written[text])
    for name, base in session.query(
        "SELECT DISTINCT v.relname::text, t.relname::text FROM pg_rewrite r JOIN pg_class v ON v.oid = r.ev_class "
        "JOIN pg_depend d ON d.objid = r.oid AND d.classid = 'pg_rewrite'::regclass "
        "JOIN pg_class t ON t.oid = d.refobjid AND t.oid <> v.oid "
        "WHERE v.relnamespace = current_schema()::regnamespace AND v.relkind = 'v' ORDER BY 1, 2"
    ):
        found[name].reads.append(base)
    reasons = _reasons()
    for table, name, columns, key in session.query(
        "SELECT t.relname::text, c.relname::text, "
        "(SELECT string_agg(a.attname, ', ' ORDER BY k.n) FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, n) "
        "JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attnum), i.indisprimary "
        "FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid "
        "WHERE t.relnamespace = current_schema()::regnamespace ORDER BY i.indisprimary DESC, c.relname"
    ):
        found[table].indexes.append((name, columns, reasons.get(name, "") if key else reasons[name]))
    return found


def _reasons() -> dict[str, str]:
    """Index to the questions that stand above it in ``schema.sql``; those above a table are for its primary key."""
    text = (ROOT / "schema.sql").read_text(encoding="utf-8")
    above = r"^-- (.*\?.*)\nCREATE (?:INDEX IF NOT EXISTS (\w+)|TABLE IF NOT EXISTS (\w+))"
    return {index or f"{table}_pkey": questions for questions, index, table in re.findall(above, text, re.MULTILINE)}


# -- tables as Markdown


def table_block(relation: Relation, every: dict[str, Relation], rules: Rules, say: Translation) -> str:
    """One table or view: purpose, columns, keys, checks, indexes."""
    words = say.words
    lines = [f"### `{relation.name}`", "", say(relation.comment), "", words["head"], "|---|---|---|---|---|---|"]
    for c in relation.columns:
        kind = _short(c.type)
        may_be_null = "NULL: " in c.comment if relation.reads else not c.not_null
        null = words["yes"] if may_be_null else words["no"]
        unit, source = _unit(c, words), _source(relation, c, every, rules, words)
        lines.append(f"| `{c.name}` | {kind} | {null} | {_cell(say(c.comment))} | {unit} | {_cell(source)} |")
    lines.append("")
    if relation.reads:
        lines.append(f"- {words['reads']}: {', '.join(f'`{r}`' for r in relation.reads)}")
    else:
        keys = "; ".join(f"`{here}` → `{there}`" for here, there in relation.foreign) or words["none"]
        lines += [f"- {words['key']}: `{relation.key}`", f"- {words['foreign']}: {keys}"]
        if relation.checks:
            lines.append(f"- {words['checks']}: " + "; ".join(f"`{c}`" for c in relation.checks))
        lines += ["", words["indexes"], "|---|---|---|"]
        lines += [
            f"| `{name}` | `{columns}` | {say(reason) if reason else words['by key']} |"
            for name, columns, reason in relation.indexes
        ]
    return "\n".join(lines)


def _short(kind: str) -> str:
    for long, short in SHORT_TYPES.items():
        kind = kind.replace(long, short)
    return kind


def _written(pattern: str) -> dict[str, str]:
    """Name to expression, as a person wrote it: PostgreSQL gives expressions back with casts and parentheses."""
    return dict(re.findall(pattern, (ROOT / "schema.sql").read_text(encoding="utf-8"), re.MULTILINE))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


RATIOS = ("roas", "booking_rate", "repair_rate", "conv_", "target_conv", "repairs_attained", "revenue40_attained")
MONEY = ("cpl", "cost", "avg_ticket", "profit", "revenue", "target_revenue40", "target_cpl", "paid", "amount", "spend")
COUNTS = ("bigint", "integer")


def _unit(column: Column, words: dict[str, str]) -> str:
    name, kind = column.name, column.type
    rules = (
        (name.endswith("_s"), "seconds"),
        (name.startswith(RATIOS) or name.endswith("_attained"), "ratio"),
        (name == "age_days", "days"),
        (kind == "date" and name in {"month", "part"}, "month"),
        (kind == "date", "day"),
        (kind.startswith("timestamp"), "instant"),
        (kind == "numeric(12,2)" and not name.startswith(("target_repairs",)), "money"),
        (name.startswith(MONEY) and kind.startswith("numeric"), "money"),
        (name.startswith(("target_repairs", "repairs")), "count"),
        (kind in COUNTS and name != "change_id", "count"),
    )
    return next((words[unit] for holds, unit in rules if holds), "—")


def _source(relation: Relation, column: Column, every: dict[str, Relation], rules: Rules, words: dict[str, str]) -> str:
    """Where a value comes from: headers of the export, the rules, another table, or a formula."""
    if column.generated:
        return f"`{column.generated}`"
    feed = rules.feeds.get(relation.name)
    spec = feed.columns.get(column.name) if feed else None
    if spec is not None and spec.from_:
        return f"{words['export']}: " + ", ".join(spec.from_)
    if feed is not None:
        return words["rules"]
    for base in relation.reads:
        if any(c.name == column.name for c in every[base].columns):
            return f"`{base}.{column.name}`"
    if relation.reads:
        return words["computed"]
    return words["rules"] if relation.name in (*AGGREGATES, "business") else words["run"]


# -- queries


def queries() -> dict[str, tuple[str, str]]:
    """Name to (comment, SQL) of ``queries.sql``."""
    text = (DOCS / "queries.sql").read_text(encoding="utf-8")
    return {
        name: (" ".join(line.removeprefix("-- ") for line in comment.splitlines()), sql)
        for name, comment, sql in QUERY.findall(text)
    }


# -- the diagram

WIDTH, LINE, HEAD, GAP = 236, 15, 24, 44
LAYOUT = (  # one column of boxes each, from left to right
    ("elocals_leads", "proref_leads", "google_spend"),
    ("calls", "jobs", "payments"),
    ("daily_metrics", "monthly_metrics", "targets"),
    ("measures", "measure_daily", "dimension_monthly"),
    ("journeys", "journey_metrics"),
    ("sync_runs", "metric_changes", "member_changes", "published_parts", "feed_status", "forecasts", "business"),
)
COLOURS = {"raw": "#2563eb", "aggregate": "#15803d", "bookkeeping": "#6b7280"}


def diagram(every: dict[str, Relation]) -> str:
    """The entity diagram as SVG: tables with keys, and their foreign keys."""
    places: dict[str, tuple[int, int]] = {}
    bottom = 0
    for i, names in enumerate(LAYOUT):
        y = 20
        for name in names:
            places[name] = 20 + i * (WIDTH + GAP + 30), y
            y += HEAD + len(every[name].columns) * LINE + 8 + GAP
        bottom = max(bottom, y)
    width = 20 + len(LAYOUT) * (WIDTH + GAP + 30) - GAP
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" width="{width}" height="{bottom}" '
            'font-family="ui-sans-serif, system-ui, sans-serif" font-size="11" role="img" aria-labelledby="t">'
        ),
        '<title id="t">Tables of rmetrics and their foreign keys</title>',
        f'<rect width="{width}" height="{bottom}" fill="#ffffff"/>',
        (
            '<defs><marker id="one" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#444"/></marker></defs>'
        ),
    ]
    for name in places:
        lines += _links(every[name], every, places)
    for name, place in places.items():
        lines += _box(every[name], place)
    return "\n".join([*lines, "</svg>", ""])


def _box(relation: Relation, place: tuple[int, int]) -> Iterator[str]:
    x, y = place
    group = "raw" if relation.name in RAW else "aggregate" if relation.name in AGGREGATES else "bookkeeping"
    height = HEAD + len(relation.columns) * LINE + 8
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{height}" rx="4" fill="#fff" stroke="{COLOURS[group]}"/>'
    yield f'<path d="M{x} {y + HEAD}v-{HEAD - 4}q0-4 4-4h{WIDTH - 8}q4 0 4 4v{HEAD - 4}z" fill="{COLOURS[group]}"/>'
    yield f'<text x="{x + 8}" y="{y + 16}" fill="#fff" font-weight="bold" font-size="12">{relation.name}</text>'
    keys, foreign = relation.key.split(", "), [here for here, _ in relation.foreign]
    for i, column in enumerate(relation.columns):
        at = y + HEAD + 14 + i * LINE
        mark = "PK" if column.name in keys else "FK" if column.name in foreign else ""
        weight = ' font-weight="bold"' if mark == "PK" else ""
        yield f'<text x="{x + 8}" y="{at}" fill="#888" font-size="9">{mark}</text>'
        yield f'<text x="{x + 28}" y="{at}" fill="#111"{weight}>{escape(column.name)}</text>'
        kind = _short(column.type)
        yield f'<text x="{x + WIDTH - 8}" y="{at}" fill="#666" text-anchor="end">{kind}</text>'


def _links(relation: Relation, every: dict[str, Relation], places: dict[str, tuple[int, int]]) -> Iterator[str]:
    for here, there in relation.foreign:
        target, _, column = there.rstrip(")").partition(" (")
        (x1, y1), (_, y2) = places[relation.name], places[target]
        y1 += HEAD + 10 + _row(relation, here) * LINE
        y2 += HEAD + 10 + _row(every[target], column) * LINE
        side = -22  # boxes of one column are joined on their left
        yield (
            f'<path d="M{x1} {y1}h{side}V{y2}h{-side}" fill="none" stroke="#444" stroke-width="1.2" '
            'marker-end="url(#one)"/>'
        )


def _row(relation: Relation, column: str) -> int:
    return [c.name for c in relation.columns].index(column)


# -- the documents


def documents(server: Server) -> dict[Path, str]:
    """Every generated file with its text, from an empty database that has the schema.

    Raises:
        KeyError: a block, or a sentence of the Russian text, is not known.
        ValueError: a translated sentence is no longer said.
    """
    with connect(server) as session:
        every = relations(session)
    rules = load_rules(ROOT / "rules")
    made = {DOCS / "schema.svg": diagram(every)}
    for language, name in (("en", "schema.md"), ("ru", "schema.ru.md")):
        say = Translation(language)
        blocks = {f"table {n}": table_block(r, every, rules, say) for n, r in every.items()}
        blocks |= {f"query {n}": f"```sql\n{sql}\n```" for n, (_, sql) in queries().items()}
        blocks["ddl"] = "```sql\n" + "\n\n".join(_ddl(every)) + "\n```"
        text = (DOCS / name).read_text(encoding="utf-8")
        made[DOCS / name] = BLOCK.sub(lambda m, b=blocks: f"{m[1]}{b[m[2]]}\n{m[3]}", text)  # type: ignore[misc]
        unsaid = set(say.sentences or ()) - say.said
        if unsaid:
            raise ValueError(f"no longer said in schema.sql: {sorted(unsaid)}")
    return made


def _ddl(every: dict[str, Relation]) -> Iterator[str]:
    """CREATE TABLE of the tables, and CREATE INDEX, as schema.sql has them: raw tables first."""
    text = (ROOT / "schema.sql").read_text(encoding="utf-8")
    bare = [s for s in statements(re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)) if s.startswith("CREATE")]
    for name in (*RAW, *AGGREGATES, *BOOKKEEPING):
        for statement in bare:
            if re.match(rf"CREATE TABLE IF NOT EXISTS {name} |CREATE INDEX IF NOT EXISTS \w+ ON {name} ", statement):
                yield statement.strip() + ";"
    homeless = set(every) ^ {*RAW, *AGGREGATES, *BOOKKEEPING, *VIEWS}
    if homeless:
        raise ValueError(f"no place in the documents, or no such relation: {sorted(homeless)}")


def main() -> None:
    """Writes the files."""
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder) / "postgres") as server:
        with connect(server, autocommit=True) as session:
            for statement in statements((ROOT / "schema.sql").read_text(encoding="utf-8")):
                session.execute(statement)
        for path, text in documents(server).items():
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
