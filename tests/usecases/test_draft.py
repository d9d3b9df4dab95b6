"""A draft of rules from an export nobody described: what is guessed, from what, and what is refused."""

from pathlib import Path

import pytest

from rmetrics.errors import SettingsError
from rmetrics.rules import load_rules
from rmetrics.usecases.draft import Draft, draft_rules
from support import Project, new_project

pytestmark = pytest.mark.one_engine


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that never publishes."""
    return new_project(tmp_path / "project", "postgresql://nowhere.invalid/none")


def drafted(project: Project, text: str, source: str = "Acme", name: str = "acme 2024-11.csv") -> Draft:
    return draft_rules(project.settings, source, project.put(name, text))


def types(draft: Draft) -> dict[str, str]:
    return {c.header: str(c.type) for c in draft.columns}


def column(header: str, *values: str) -> str:
    """An export with an id, a day and one more column."""
    rows = "".join(f'L{i};2024-11-{i + 1:02};"{v}"\n' for i, v in enumerate(values))
    return f"Ref;When;{header}\n{rows}"


@pytest.mark.parametrize(
    ("header", "values", "kind"),
    [
        ("Price", ("$12.50", "$1,020.00"), "money"),
        ("Price", ("12", "20"), "money"),
        ("Weight", ("12", "20"), "integer"),
        ("Weight", ("12.5", "20.25"), "money"),
        ("Town ZIP", ("02118", "02119"), "text"),
        ("Serial", ("0012", "0013"), "text"),
        ("Job Number", ("1012", "1013"), "text"),
        ("Answered", ("Yes", "no"), "boolean"),
        ("Talk", ("02:31", "10:00"), "duration"),
        ("Talk", ("3 Min 25 Sec", "57 Sec"), "duration"),
        ("Caller Phone", ("617-555-0101", "x"), "phone"),
        ("Seen", ("11/05/2024", "11/25/2024"), "date"),
        ("Seen", ("Nov 5, 2024, 08:15 PM", "Nov 6, 2024, 09:15 AM"), "timestamp"),
        ("Seen", ("2024-11-05T08:15:00-0500", "2024-11-06T08:15:00-0500"), "timestamp"),
        ("Comment", ("call back", "2024-11-05"), "text"),
        ("Trade", ("Washer", "12.50"), "text"),
        ("Empty", ("", ""), "text"),
    ],
)
@pytest.mark.ordinary(4)
def test_type_is_guessed_from_the_values(offline: Project, header: str, values: tuple[str, ...], kind: str) -> None:
    assert types(drafted(offline, column(header, *values)))[header] == kind


def test_every_form_of_a_date_is_listed(offline: Project) -> None:
    draft = drafted(offline, column("Seen", "11/05/2024 08:15 PM", "11/25/2024", "Nov 5, 2024"))
    (seen,) = [c for c in draft.columns if c.header == "Seen"]
    assert seen.formats == ("%m/%d/%Y", "%m/%d/%Y %I:%M %p", "%b %d, %Y")


def test_days_that_could_be_months_are_pointed_at(offline: Project) -> None:
    draft = drafted(offline, column("Seen", "05/11/2024", "06/11/2024"))
    assert any(note.startswith("Seen: %m/%d/%Y could also be %d/%m/%Y") for note in draft.notes)


def test_amounts_with_a_comma(offline: Project) -> None:
    text = drafted(offline, column("Fee", "14,50", "1.016,00")).path.read_text(encoding="utf-8")
    assert 'fee = { type = "money", from = ["Fee"], decimal = "," }' in text


def test_values_of_people_are_neither_shown_nor_published(offline: Project) -> None:
    draft = drafted(offline, column("Customer Name", "Ann Oakley", "Bob Stone"))
    text = draft.path.read_text(encoding="utf-8")
    assert "Oakley" not in text
    assert 'customer_name = { type = "text", from = ["Customer Name"], publish = false }' in text


def test_without_an_id_rows_are_named_by_what_they_say(offline: Project) -> None:
    draft = drafted(offline, "When,Price,Town\n2024-11-05 08:00,12.50,A\n2024-11-05 08:00,12.50,A\n")
    assert (draft.key, draft.date, draft.problems) == ("", "when_at", ())
    assert load_rules(offline.rules).feeds["acme_leads"].identity == ("when_at", "price")


def test_without_a_date_it_says_what_to_fill_in(offline: Project) -> None:
    draft = drafted(offline, "Ref,Price\nA,12.50\nB,13.50\n")
    assert [p.key for p in draft.problems] == ["feeds.acme_leads.date"]
    assert draft.problems[0].path == offline.rules / "acme.toml"
    assert 'date    = "fill_in"' in draft.path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "header", ["Select", "1st", "counted", "Ünïcode Größe", '"quoted ""x"""', "a" * 90, "Ref.", "日本語", "Order"]
)
@pytest.mark.ordinary(1)
def test_any_header_becomes_a_name_that_loads(offline: Project, header: str) -> None:
    assert drafted(offline, f"Ref,When,{header}\nA,2024-11-05,x\nB,2024-11-06,y\n").problems == ()


def test_a_sheet_with_a_line_above_its_header(offline: Project) -> None:
    draft = drafted(offline, "Acme portal\nexported 5 Nov\nRef\tWhen\tFee\nA\t11/05/2024\t$5\nB\t11/16/2024\t$6\n")
    assert (draft.rows, draft.key, draft.date, draft.problems) == (2, "ref", "when_date", ())


@pytest.mark.deep
def test_other_exports_stay_what_they_are(offline: Project) -> None:
    """A draft that asked for too few headers would make the next referrals fit two feeds."""
    referrals = "Lead ID,Lead Date,Current Status,Zip\nP1,11/05/2024 08:00 AM,Booked,02118\n"
    offline.put("proref.csv", referrals)
    offline.sync(dry_run=True)
    drafted(offline, "Lead ID,Lead Date,Trade\nA,11/05/2024 08:00 AM,Washer\nB,11/06/2024 08:00 AM,Oven\n")
    result = offline.sync(dry_run=True)
    assert {f.file: f.feed for f in result.files} == {"proref.csv": "proref_leads", "acme 2024-11.csv": "acme_leads"}


@pytest.mark.parametrize(
    ("source", "text", "told"),
    [
        ("google-ads", "Ref,When\nA,2024-11-05\n", "'google-ads' is already declared, as 'Google'"),
        ("!!!", "Ref,When\nA,2024-11-05\n", "'!!!' gives no valid name of a file or feed"),
        ("Acme", "Ref,When\n", "has a header but no rows"),
        ("Acme", "<html><body>log in</body></html>", "is a web page"),
        ("Acme", "Unique ID,Time,Cost\n1,2024-11-05 10:00:00 -0500,5\n", "is already read as elocals_leads"),
    ],
)
def test_what_cannot_be_drafted_is_refused(offline: Project, source: str, text: str, told: str) -> None:
    before = sorted(offline.rules.iterdir())
    with pytest.raises(SettingsError) as caught:
        drafted(offline, text, source, "export.csv")
    assert told in caught.value.message
    assert sorted(offline.rules.iterdir()) == before


def test_a_file_that_is_there_is_never_overwritten(offline: Project) -> None:
    (offline.rules / "acme.toml").write_text("# mine\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="already exists"):
        drafted(offline, "Ref,When\nA,2024-11-05\n")
    assert (offline.rules / "acme.toml").read_text(encoding="utf-8") == "# mine\n"


def test_a_missing_file_is_an_error_of_the_user(offline: Project) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        draft_rules(offline.settings, "Acme", offline.inbox / "none.csv")
