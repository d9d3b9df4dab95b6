"""A feed whose key, grain or column types are edited after it was published."""

import datetime as dt
from collections.abc import Sequence

import pytest

import small_company
from published import run
from rmetrics.errors import PostgresError
from rmetrics.findings import BY_HAND
from rmetrics.usecases.check import check
from rmetrics.usecases.explain import explain
from rmetrics.usecases.exports import withdraw
from rmetrics.usecases.schema import schema_apply
from support import Project

pytestmark = pytest.mark.one_engine

FEED = '[feeds.acme_leads]\nfiles = ["acme*"]\nkey = ["lead_id"]\ndate = "lead_at"\n'
COLUMNS = """
[feeds.acme_leads.columns]
lead_id = { type = "text", from = ["Ref"], required = true }
lead_at = { type = "timestamp", from = ["When"], required = true }
price = { type = "money", from = ["Price"], required = true }
zip = { type = "text", from = ["Zip"] }
[sources.Acme]
leads = { feed = "acme_leads" }
cost = { feed = "acme_leads", sum = "price" }
"""
EXPORT = """\
Ref,When,Price,Zip
1,2024-11-05 09:00:00,20.00,02118
1,2024-11-06 09:00:00,21.00,02119
2,2024-11-06 10:00:00,5.00,
"""

EDITS: dict[str, tuple[str, str, str, Sequence[tuple[object, ...]]]] = {
    "longer key": (
        'key = ["lead_id"]', 'key = ["lead_id", "lead_at"]',
        "SELECT lead_id, price FROM acme_leads ORDER BY 1, 2", [("1", "20.00"), ("1", "21.00"), ("2", "5.00")],
    ),
    "no key": (
        'key = ["lead_id"]\n', "",
        "SELECT count(DISTINCT row_id), sum(price) FROM acme_leads", [(3, "46.00")],
    ),
    "published by day": (
        'date = "lead_at"', 'date = "lead_at"\npublish_by = ["zip"]',
        "SELECT zip, price FROM acme_leads ORDER BY 1", [("02119", "21.00")],
    ),
    "condition": (
        'date = "lead_at"', 'date = "lead_at"\nwhere = "price > 10"',
        "SELECT lead_id, counted FROM acme_leads ORDER BY 1", [("1", True), ("2", False)],
    ),
    "type of a column": (
        'zip = { type = "text"', 'zip = { type = "integer"',
        "SELECT lead_id, zip FROM acme_leads ORDER BY 1", [("1", 2119), ("2", None)],
    ),
    "column left out": (
        'price = { type = "money", from = ["Price"], required = true }\n', "",
        "SELECT lead_id, zip, price FROM acme_leads ORDER BY 1", [("1", "02119", None), ("2", None, None)],
    ),
    "column that may be blank left out": (
        'zip = { type = "text", from = ["Zip"] }\n', "",
        "SELECT lead_id, zip FROM acme_leads ORDER BY 1", [("1", None), ("2", None)],
    ),
}  # fmt: skip


@pytest.mark.ordinary(3, deep=4)
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_feed_is_published_and_so_is_the_edit_taken_back(project: Project, edit: str) -> None:
    rules = project.rules / "acme.toml"
    old, new, query, wanted = EDITS[edit]
    before, after = FEED + COLUMNS, (FEED + COLUMNS).replace(old, new)
    if "price =" not in after:
        after = after.replace('cost = { feed = "acme_leads", sum = "price" }', "cost = { per_lead = 20.00 }")
    assert before != after
    rules.write_text(before, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.put("Import-1.csv", small_company.jobs((1, "COD Repair", "Acme", "11/05/2024")))
    rows = "SELECT lead_id, price, zip FROM acme_leads ORDER BY 1"
    first = [("1", "21.00", "02119"), ("2", "5.00", None)]
    assert project.sync().status == "published"
    assert project.rows(rows) == first
    run(project.dsn, "CREATE VIEW of_the_owner AS SELECT lead_at FROM acme_leads")
    granted = "SELECT relacl::text FROM pg_class WHERE relname = 'acme_leads'"
    run(project.dsn, "GRANT SELECT ON acme_leads TO pg_monitor")
    grants = project.rows(granted)

    for _ in range(2):
        rules.write_text(after, encoding="utf-8")
        edited = project.sync()
        assert (edited.status, [f.code for f in edited.findings if f.code == "rows-by-hand"]) == ("published", [])
        assert project.rows(query) == wanted
        assert project.sync().status == "unchanged"
        rules.write_text(before, encoding="utf-8")
        assert project.sync().status == "published"
        assert project.rows(rows) == first
    assert project.rows(granted) == grants
    assert len(project.rows("SELECT * FROM of_the_owner")) == len(first)


@pytest.mark.parametrize(
    ("old", "new", "applied"),
    [('key = ["lead_id"]\n', "", []), ('["Zip"]', '["Zip"], publish = false', [("1", None), ("2", None)])],
)
def test_a_schema_applied_for_an_edit_that_is_taken_back_leaves_nothing_out(
    project: Project, old: str, new: str, applied: list[tuple[object, ...]]
) -> None:
    rules = project.rules / "acme.toml"
    rules.write_text(FEED + COLUMNS, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.sync()
    run(project.dsn, "SELECT pg_stat_reset()")  # as after a crash, when PostgreSQL has lost its counts of written rows
    rules.write_text((FEED + COLUMNS).replace(old, new), encoding="utf-8")
    schema_apply(project.settings)
    zips = "SELECT lead_id, zip FROM acme_leads ORDER BY 1"
    assert project.rows(zips) == applied
    rules.write_text(FEED + COLUMNS, encoding="utf-8")
    project.sync()
    assert project.rows(zips) == [("1", "02119"), ("2", None)]


def test_a_publish_that_fails_after_a_column_was_cleared_loses_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = project.rules / "acme.toml"
    rules.write_text(FEED + COLUMNS, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.sync()
    rules.write_text((FEED + COLUMNS).replace('zip = { type = "text", from = ["Zip"] }\n', ""), encoding="utf-8")

    def fails(*_: object, **__: object) -> None:
        raise PostgresError("the server is gone", "Start it.")

    with monkeypatch.context() as broken:
        broken.setattr("rmetrics.postgres.publish.transaction.end_run", fails)
        with pytest.raises(PostgresError, match="the server is gone"):
            project.sync()
    zips = "SELECT lead_id, zip FROM acme_leads ORDER BY 1"
    assert project.rows(zips) == [("1", "02119"), ("2", None)]
    rules.write_text(FEED + COLUMNS, encoding="utf-8")
    project.sync()
    assert project.rows(zips) == [("1", "02119"), ("2", None)]


@pytest.mark.parametrize("counts_lost", [False, True])
def test_values_that_move_to_another_column_are_written(project: Project, *, counts_lost: bool) -> None:
    rules = project.rules / "acme.toml"
    two = FEED + COLUMNS.replace("zip = {", 'city = { type = "text", from = ["City"] }\nzip = {')
    rules.write_text(two, encoding="utf-8")
    export = EXPORT.replace("Zip", "Zip,City").replace("02118", "02118,Boston").replace("02119", "02119,Salem")
    project.put("acme.csv", export.replace("5.00,", "5.00,,"))
    project.sync()
    swapped = two.replace('["City"]', '["?"]').replace('["Zip"]', '["City"]').replace('["?"]', '["Zip"]')
    rules.write_text(swapped, encoding="utf-8")
    project.sync()
    assert project.rows("SELECT city, zip FROM acme_leads WHERE lead_id = '1'") == [("02119", "Salem")]
    if counts_lost:  # as after a crash, when PostgreSQL has lost its counts of written rows
        run(project.dsn, "SELECT pg_stat_reset()")
    rules.write_text(swapped.replace("city =", "town ="), encoding="utf-8")
    found = project.sync()
    moved = project.rows("SELECT town, city, zip FROM acme_leads WHERE lead_id = '1'")
    assert moved == [("02119", None, "Salem")]
    assert not [f for f in found.findings if f.code == BY_HAND]


def test_rows_that_go_when_the_date_gets_its_former_name_are_deleted(project: Project) -> None:
    def dated(local_date: str) -> str:
        return FEED.replace('date = "lead_at"', f'date = "lead_at"\nlocal_date = "{local_date}"') + COLUMNS

    rules, leads = project.rules / "acme.toml", "SELECT lead_id, lead_day FROM acme_leads ORDER BY 1"
    rules.write_text(dated("lead_day"), encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.sync()
    rules.write_text(dated("their_day"), encoding="utf-8")
    project.sync()
    assert project.rows(leads) == [("1", None), ("2", None)]
    rules.write_text(dated("lead_day"), encoding="utf-8")
    withdraw(project.settings, "acme.csv")
    project.put("acme again.csv", EXPORT.replace("1,", "3,").replace("2,", "4,"))
    project.sync()
    assert project.rows(leads) == [("3", dt.date(2024, 11, 6)), ("4", dt.date(2024, 11, 6))]


@pytest.mark.parametrize(
    "lines", ['key = ["lead_id", "zip"]\nrepeats = "sum"', 'key = ["lead_id"]\npublish_by = ["zip"]']
)
def test_a_row_that_is_blank_in_the_published_key_counts_and_stops_nothing(project: Project, lines: str) -> None:
    feed = FEED.replace('key = ["lead_id"]', lines)
    columns = COLUMNS.replace('from = ["Zip"]', 'from = ["Zip"], required = true, blank = true')
    (project.rules / "acme.toml").write_text(feed + columns, encoding="utf-8")
    project.put("acme.csv", EXPORT.replace("1,2024-11-05 09:00:00,20.00,02118\n", ""))
    project.put("Import-1.csv", small_company.jobs((1, "COD Repair", "Acme", "11/05/2024")))
    project.sync()
    assert project.rows("SELECT zip FROM acme_leads") == [("02119",)]
    assert project.rows("SELECT sum(leads), sum(cost) FROM daily_metrics WHERE source = 'Acme'") == [("2", "26.00")]
    checked = check(project.settings)
    assert [f.rows for f in checked.findings if f.code == "row-without-key"] == [1]
    assert set((checked.published or {"": 1}).values()) == {0}


def test_a_row_that_is_blank_in_the_key_is_rejected_though_other_cells_may_be_blank(project: Project) -> None:
    feed = FEED.replace('key = ["lead_id"]', 'key = ["lead_id", "zip"]')
    columns = COLUMNS.replace('from = ["Zip"]', 'from = ["Zip"], required = true, blank = true')
    (project.rules / "acme.toml").write_text(feed + columns, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    assert [f.rows for f in project.sync().findings if f.code == "rejected-rows"] == [1]
    assert project.rows("SELECT zip FROM acme_leads ORDER BY 1") == [("02118",), ("02119",)]


def test_a_column_that_somebody_dropped_comes_back(project: Project) -> None:
    (project.rules / "acme.toml").write_text(FEED + COLUMNS, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.put("Import-1.csv", small_company.jobs((1, "COD Repair", "Acme", "11/05/2024")))
    project.sync()
    assert project.sync().status == "unchanged"
    run(project.dsn, "ALTER TABLE acme_leads DROP COLUMN zip", "ALTER TABLE jobs ADD COLUMN of_the_owner text")
    found = project.sync()
    assert (found.status, [f for f in found.findings if f.code == BY_HAND]) == ("published", [])
    assert project.rows("SELECT lead_id, zip FROM acme_leads ORDER BY 1") == [("1", "02119"), ("2", None)]
    assert project.sync().status == "unchanged"


def test_rows_with_an_amount_in_their_key_are_compared(project: Project) -> None:
    text = (FEED + COLUMNS).replace('key = ["lead_id"]', 'key = ["lead_id", "price"]')
    (project.rules / "acme.toml").write_text(text, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.put("Import-1.csv", small_company.jobs((1, "COD Repair", "Acme", "11/05/2024")))
    project.sync()
    found = explain(project.settings, "Acme", dt.date(2024, 11, 1), metrics=("cost",))
    assert (found.verdict, str(found.metrics["cost"].value), found.rows_differing) == ("match", "46.00", ())


def test_a_view_that_needs_the_old_type_is_named_and_nothing_changes(project: Project) -> None:
    rules = project.rules / "acme.toml"
    rules.write_text(FEED + COLUMNS, encoding="utf-8")
    project.put("acme.csv", EXPORT)
    project.sync()
    run(project.dsn, "CREATE VIEW of_the_owner AS SELECT zip FROM acme_leads")
    rules.write_text((FEED + COLUMNS).replace('zip = { type = "text"', 'zip = { type = "integer"'), encoding="utf-8")
    with pytest.raises(PostgresError, match="a view needs it") as caught:
        project.sync()
    assert caught.value.hint == "Drop that view, sync, then create it again."
    assert project.rows("SELECT count(*) FROM acme_leads") == [(2,)]
    run(project.dsn, "DROP VIEW of_the_owner")
    project.sync()
    assert project.rows("SELECT zip FROM acme_leads ORDER BY lead_id") == [(2119,), (None,)]


@pytest.mark.ordinary(2, deep=2)
@pytest.mark.parametrize(
    ("table", "line"), [("payments", "key"), ("payments", "where"), ("calls", "key"), ("targets", "key")]
)
def test_a_feed_of_the_schema_script_follows_the_rules_too(project: Project, table: str, line: str) -> None:
    feeds = project.rules / "feeds.toml"
    before = feeds.read_text(encoding="utf-8")
    lines = before.splitlines()
    first = lines.index(f"[feeds.{table}]")
    found = next(i for i in range(first, len(lines)) if lines[i].startswith(f"{line} "))
    project.put("Import-1.csv", small_company.jobs((1, "COD Repair", "Google", "11/05/2024")))
    project.put("payments_1.csv", small_company.payments((1, "2024-11-20T15:00:00Z", "100.00")))
    project.put("callrail calls.csv", small_company.calls(("c1", "2024-11-05 09:00:00 -0500")))
    project.put("targets.csv", small_company.targets(("2024-11", "30")))
    project.sync()
    without = "\n".join([*lines[:found], *lines[found + 1 :]])
    for text in (f"{without}\n", before) * 2:
        feeds.write_text(text, encoding="utf-8")
        assert project.sync().status == "published"
        assert project.rows(f"SELECT count(*) FROM {table}") == [(1,)]
        assert project.rows("SELECT sum(revenue_gross) FROM daily_metrics") == [("100.00",)]
