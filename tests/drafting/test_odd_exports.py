"""Whatever an export holds, a draft loads and can be synced, or stays out of force; and nothing personal is in it."""

import random
from pathlib import Path

import pytest

from rmetrics.errors import SettingsError
from rmetrics.rules import load_rules
from rmetrics.usecases.draft import Draft, draft_rules
from support import Project, new_project

ODD = [
    'quo"te',
    "back\\slash",
    "new\nline",
    "tab\there",
    'x"] }\n[sources.Evil]\nleads = "jobs"\n#',
    "'''",
    '"""',
    "emoji 🧺",
    "\U000e0041 tag",
    "\u202eright to left",
    "zero\u200bwidth",
    "select",
    "order",
    "ctid",
    "xmin",
    "tableoid",
    "rowid",
    "source",
    "job_id",
    "counted",
    "_line",
    "row_id",
    "Lead At",
    "Lead Date",
    "lead_date",
    "lead_at_date",
    "123",
    "1st",
    "$",
    "#",
    "%",
    "é",
    "日本語",
    "a" * 63,
    "b" * 5000,
    "column 3",
    "Price",
    "price",
    "Price (2)",
    " ",
    "",
    "true",
    "null",
    "[feeds.x]",
    "\x1b[31mred",
    "-- drop table",
    "Robert'); DROP TABLE jobs;--",
]
VALUES = [
    "",
    "x",
    '"',
    "\\",
    "a\nb",
    "#",
    "'",
    "2024-11-05",
    "11/25/2024 08:15 PM",
    "$12.50",
    "12",
    "yes",
    "—",
    "é🧺",
    "=",
]


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that never publishes."""
    return new_project(tmp_path / "project", "postgresql://nowhere.invalid/none")


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def export(headers: list[str], rows: list[list[str]]) -> str:
    return "".join(",".join(map(cell, row)) + "\n" for row in (headers, *rows))


def holds(project: Project, draft: Draft) -> None:
    """The rules load with the draft; it is in force only where nothing is left to fill in."""
    rules = load_rules(project.rules)
    assert (draft.path.suffix == ".toml") == (not draft.problems)
    assert (draft.feed in rules.feeds) == (not draft.problems)
    assert "Evil" not in rules.sources
    if not draft.problems:
        (file,) = project.sync(dry_run=True).files
        assert (file.feed, file.status) == (draft.feed, "landed")


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 12))])
@pytest.mark.ordinary(0, deep=1)
def test_a_draft_of_anything_loads_and_syncs(offline: Project, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed for a test, no secret
    headers = ["Ref", "When", *chance.sample(ODD, 12)]
    rows = [[f"R{i}", f"2024-11-{i + 1:02}", *chance.choices(VALUES, k=12)] for i in range(chance.choice([1, 2, 7]))]
    holds(offline, draft_rules(offline.settings, "Acme", offline.put("acme.csv", export(headers, rows))))


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
@pytest.mark.ordinary(2)
def test_a_draft_of_any_header_loads(offline: Project, odd: str) -> None:
    text = export(["Ref", "When", odd, "Fee"], [["R1", "2024-11-05", "x", "1"], ["R2", "2024-11-06", "y", "2"]])
    draft = draft_rules(offline.settings, "Acme", offline.put("acme.csv", text))
    rules = load_rules(offline.rules)
    assert (draft.feed in rules.feeds) == (not draft.problems)
    assert "Evil" not in rules.sources


@pytest.mark.slow
def test_all_odd_headers_at_once_are_published(project: Project) -> None:
    headers = ["Ref", "When", *(o for o in ODD if len(o) < 500)]
    rows = [[f"R{i}", f"2024-11-{i + 1:02}", *["open", "won"][i % 2 :][:1] * (len(headers) - 2)] for i in range(6)]
    draft = draft_rules(project.settings, "Acme", project.put("acme.csv", export(headers, rows)))
    assert draft.problems == ()
    assert project.sync().status == "published"
    assert project.sync().status == "unchanged"
    assert project.rows(f"SELECT count(*) FROM {draft.feed}") == [(6,)]


@pytest.mark.slow
def test_two_hundred_columns_and_repeated_headers(offline: Project) -> None:
    headers = ["Ref", "When", "Price", "Price", *(f"Thing {i % 150}" for i in range(200))]
    rows = [[f"R{i}", f"2024-11-{i + 1:02}", *["12.50"] * 202] for i in range(3)]
    draft = draft_rules(offline.settings, "Acme", offline.put("acme.csv", export(headers, rows)))
    assert draft.problems == ()
    assert "Price" not in {c.header for c in draft.columns}  # which of the two counts, nobody knows
    holds(offline, draft)


@pytest.mark.parametrize("source", ['A"B', "A\\B", "Acme's", "Acme [x]", "Acme = 1", "Acmé 🧺", "a.b", "2 Brothers x"])
@pytest.mark.ordinary(2)
def test_any_name_of_a_source_stays_a_name(offline: Project, source: str) -> None:
    path = offline.put("x.csv", "Ref,When\nA,2024-11-05\nB,2024-11-06\n")
    try:
        draft = draft_rules(offline.settings, source, path)
    except SettingsError as error:
        assert "gives no valid name" in error.message  # noqa: PT017 - either is right
        return
    assert source in load_rules(offline.rules).sources
    assert draft.problems == ()


@pytest.mark.parametrize("source", ["ALL", "Unattributed", "x" * 64, "Ac\nme", "Ac\x1bme", ""])
def test_names_that_no_source_can_have_are_refused(offline: Project, source: str) -> None:
    before = sorted(offline.rules.iterdir())
    with pytest.raises(SettingsError):
        draft_rules(offline.settings, source, offline.put("x.csv", "Ref,When\nA,2024-11-05\n"))
    assert sorted(offline.rules.iterdir()) == before


@pytest.mark.deep
def test_without_a_date_nothing_comes_into_force(offline: Project) -> None:
    offline.put("Import-1.csv", "Job #,Job Type,Source,Created\n1,COD Repair,Rely,11/04/2024\n")
    draft = draft_rules(offline.settings, "Acme", offline.put("acme.csv", "Ref,Price\nA,12.50\nB,13.50\n"))
    assert draft.path == offline.rules / "acme.toml.draft"
    assert any("is not in force" in note and "rename it to acme.toml" in note for note in draft.notes)
    files = {f.file: f.status for f in offline.sync(dry_run=True).files}
    assert files == {"Import-1.csv": "landed", "acme.csv": "refused"}
    with pytest.raises(SettingsError, match="already exists"):
        draft_rules(offline.settings, "Acme", offline.inbox / "acme.csv")


def test_a_report_of_spend_has_no_leads(offline: Project) -> None:
    text = "Day,Ad group name,Impressions,Clicks,CPC (per click),Total charge\n2024-11-05,Dryers,12,3,1.00,3.00\n"
    draft = draft_rules(offline.settings, "Yelp", offline.put("yelp.csv", text))
    rules = load_rules(offline.rules)
    assert (draft.feed, draft.key, draft.problems) == ("yelp_spend", "", ())
    source = rules.sources["Yelp"].latest
    assert (source.leads, source.cost[0].sum) == ("jobs", "total_charge")
    assert rules.feeds["yelp_spend"].identity == ("day_date", "ad_group_name")


JOBS_OF_A_CRM = """WO Number,Service Type,Status,Opened On,Appointment,Assigned Tech,Client,Invoice Total
9001,COD Service,Done,2024-11-01 09:00,2024-11-04,Bob Stone,Ann Oakley,$85.00
9002,COD Repair,Done,2024-11-02 10:00,2024-11-05,Bob Stone,Cy Young,"$1,240.50"
"""
PAYMENTS_OF_A_CRM = """Payment No,Work Order,Payment Date,Tender,Gross Amount,Card Fee
P-1,9001,2024-11-04 12:00,card,$85.00,$2.00
P-2,9002,2024-11-05 12:00,check,"$1,240.50",$0.00
"""


@pytest.mark.parametrize(
    ("text", "feed"), [(JOBS_OF_A_CRM, "jobs"), (PAYMENTS_OF_A_CRM, "payments")], ids=["jobs", "payments"]
)
@pytest.mark.ordinary(1)
def test_jobs_and_payments_of_a_crm_are_pointed_to_their_feed(offline: Project, text: str, feed: str) -> None:
    path = offline.put("export.csv", text)
    before = sorted(offline.rules.iterdir())
    with pytest.raises(SettingsError) as caught:
        draft_rules(offline.settings, "NewCRM", path)
    assert f"looks like {feed} of a CRM" in caught.value.message
    assert f"from = [...] of [feeds.{feed}]" in caught.value.hint
    assert sorted(offline.rules.iterdir()) == before
    # the lines to add are the right ones: with them the export is read
    lines = [line.strip() for line in caught.value.hint.splitlines()[1:]]
    feeds = offline.rules / "feeds.toml"
    feeds.write_text(feeds.read_text(encoding="utf-8") + "\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (file,) = offline.sync(dry_run=True).files
    assert (file.feed, file.accepted, file.rejected) == (feed, 2, 0)
