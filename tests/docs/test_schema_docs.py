"""docs/schema.md, docs/schema.ru.md and the diagram say what schema.sql says, in both languages, completely."""

import re
from xml.etree import ElementTree as ET

import make_schema_docs as maker
import pytest
from adbc_driver_postgresql import dbapi

from rmetrics.postgres.connection import Server, connect, statements

DOCUMENTS = ("schema.md", "schema.ru.md")
LANGUAGES = {"schema.md": "en", "schema.ru.md": "ru"}


@pytest.fixture
def server(database: str) -> Server:
    """An empty database with the schema."""
    with dbapi.connect(database, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements((maker.ROOT / "schema.sql").read_text(encoding="utf-8")):
            cursor.execute(statement)
    return Server(database, "test", embedded=True)


def test_the_documents_are_what_the_generator_writes(server: Server) -> None:
    """After a change of schema.sql, the rules or the queries: python docs/make_schema_docs.py."""
    for path, text in maker.documents(server).items():
        assert path.read_text(encoding="utf-8") == text, path.name


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relation_column_and_query_stands_in_both_documents(server: Server, name: str) -> None:
    """Nothing is left out because a block is missing."""
    text = (maker.DOCS / name).read_text(encoding="utf-8")
    with connect(server) as session:
        for relation in maker.relations(session).values():
            section = text.split(f"### `{relation.name}`\n")[1].split("\n<!-- end -->")[0]
            section, _, indexes = section.partition(f"\n{maker.WORDS[LANGUAGES[name]]['indexes']}\n")
            assert [c.name for c in relation.columns] == re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
            rows = re.findall(r"^\| `(\w+)` \| `([^|]*)` \| ([^|]+) \|$", indexes, re.MULTILINE)
            assert [(n, c) for n, c, _ in rows] == [(n, c) for n, c, _ in relation.indexes]
            assert bool(rows) == (not relation.reads), relation.name
    for query in maker.queries():
        assert f"<!-- generated: query {query} -->" in text


def test_both_documents_have_the_same_shape() -> None:
    """The same headings at the same levels, the same blocks in the same order."""

    def shape(name: str) -> list[str]:
        text = re.sub(r"```.*?```", "", (maker.DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL)
        return re.findall(r"^(#+) |^<!-- generated: (.*) -->", text, re.MULTILINE)

    assert shape("schema.md") == shape("schema.ru.md")


def test_the_russian_document_is_russian() -> None:
    """No table cell of the meaning column is left in English."""
    text = (maker.DOCS / "schema.ru.md").read_text(encoding="utf-8")
    meanings = re.findall(r"^\| `\w+` \| [^|]* \| [^|]* \| ([^|]*) \|", text, re.MULTILINE)
    assert len(meanings) > 180
    assert [m for m in meanings if not re.search("[\u0430-\u044f]", m)] == []


def test_every_index_of_the_catalog_has_a_reason(server: Server) -> None:
    """Of an index that schema.sql makes without a question above it nothing could be written."""
    with dbapi.connect(server.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE INDEX jobs_city_idx ON jobs (city)")
    with connect(server) as session, pytest.raises(KeyError, match="jobs_city_idx"):
        maker.relations(session)


def test_the_russian_words_are_those_that_people_use() -> None:
    """Words that a Russian reader stumbled over, and what stands for them now."""
    text = (maker.DOCS / "schema.ru.md").read_text(encoding="utf-8")
    stiff = ("бизнеса", "постановк", "Момент", "читающ", "единственная стена", "молчит", "отвеченн")
    assert [w for w in (*stiff, " охват", "Охват ") if w in text] == []
    for word in ("ата по времени компании", "дашборд из ТЗ", "срез"):  # noqa: RUF001 - Russian
        assert word in text, word


def test_a_sentence_without_a_translation_fails(server: Server) -> None:
    """A comment that changes in English cannot stay behind in Russian."""
    with dbapi.connect(server.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("COMMENT ON COLUMN jobs.city IS 'Something new.'")
    with pytest.raises(KeyError, match="Something new"):
        maker.documents(server)


def test_the_diagram_shows_every_table_and_every_foreign_key(server: Server) -> None:
    """It is well-formed, names all tables and columns, and has an arrow per foreign key."""
    root = ET.fromstring((maker.DOCS / "schema.svg").read_text(encoding="utf-8"))  # noqa: S314 - our own file
    words = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    arrows = [p for p in root.iter("{http://www.w3.org/2000/svg}path") if p.get("marker-end")]
    with connect(server) as session:
        tables = [r for r in maker.relations(session).values() if not r.reads]
    for table in tables:
        assert table.name in words
        assert {c.name for c in table.columns} <= set(words)
    assert len(arrows) == sum(len(t.foreign) for t in tables) == 4


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_sql_of_the_decisions_runs_and_limits(server: Server, name: str) -> None:
    """The checks refuse an unknown segment, the view gives the ENUM."""
    text = (maker.DOCS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```sql\n(.*?)```", text.split("<!-- generated", 1)[0], re.DOTALL)
    insert = "INSERT INTO daily_metrics (date, time, source, segment) VALUES ('2024-01-01', now(), 'A', '{}')"
    with dbapi.connect(server.dsn, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in (s for block in blocks for s in statements(block)):
            cursor.execute(statement)
        cursor.execute(insert.format("COD"))
        cursor.execute("SELECT pg_typeof(segment_enum)::text, segment_enum::text FROM daily_metrics_typed")
        assert cursor.fetchall() == [("metric_segment", "COD")]
        with pytest.raises(dbapi.Error, match="daily_metrics_segment_known"):
            cursor.execute(insert.format("FRANCHISE"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of the documents exists."""
    text = (maker.DOCS / name).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert [link for link in links if "://" not in link and not (maker.DOCS / link).exists()] == []
