"""What a draft publishes, shows and takes for a key: private by default, ids of rows alone."""

import datetime as dt

import polars as pl
import pytest

from rmetrics.drafting.guess import Guess, choose_key, guesses
from rmetrics.ingest.timestamps import ParseContext
from rmetrics.rules.feeds import ColumnType

READING = ParseContext("America/New_York", dt.date(2024, 12, 1))


def guessed(**columns: list[str]) -> dict[str, Guess]:
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    return {g.header: g for g in guesses(frame, list(columns), READING)}


def one(header: str, *values: str) -> Guess:
    return guessed(**{header: list(values)})[header]


PRIVATE = [
    ("Claim ID and Important notes", ("C-1 gate code 4455", "C-2 dog")),
    ("Contact Number", ("1001", "1002")),
    ("Street number and name", ("12 Elm St", "4 Oak Ave")),
    ("Street number", ("12", "14")),
    ("Customer ID", ("c1", "c2")),
    ("client_ref", ("A1", "A2")),
    ("Ref", ("617-555-0101", "617-555-0102")),
    ("Number", ("6175550101", "6172350102")),
    ("Number", ("+44 20 7946 0958", "+44 20 7946 0959")),
    ("Lead ID", ("ann@example.com", "bob@example.com")),
    ("Status", ("call ann@example.com", "open")),
    ("Status", ("open", "open", "ring (617) 555-0101 after 5")),
    ("Category", ("12 Elm Street, Boston", "4 Oak Ave")),
    ("Column 7", ("Ann Oakley", "Bob Stone")),
    ("Column 7", ("Ann", "Bob", "Ann", "Bob")),
    ("Type", ("Oakley, Ann", "Stone, Bob")),
    ("Handled by", ("x1", "x2", "x1", "x2")),
    ("Extra", ("anything", "at all")),
    ("Extra", ("", "")),
    ("Birth date", ("1980-02-03", "1991-05-06")),
    ("Latitude", ("42.35", "42.36")),
    ("Source", ("https://example.com/?gclid=1", "https://example.com/?gclid=2")),
    ("Reference", ("123-45-6789", "123-45-6780")),
    ("Age", ("41", "52")),
    ("Zip of customer", ("02118", "02119")),
    (
        "Reason",
        ("She said the dryer of her mother in law at the corner house never worked and wants a call back soon", "-"),
    ),
]


@pytest.mark.parametrize(("header", "values"), PRIVATE)
def test_what_may_be_about_a_person_stays_in_the_lake_and_shows_no_value(header: str, values: tuple[str, ...]) -> None:
    guess = one(header, *values)
    assert guess.private
    assert guess.samples == ()
    assert not any(v in guess.note for v in values if v)


PUBLISHED = [
    ("first_contact_date", ("2024-11-05", "2024-11-06"), ColumnType.DATE),
    ("Customer Price", ("$12.50", "$14.00"), ColumnType.MONEY),
    ("customerPrice", ("12", "14"), ColumnType.MONEY),
    ("Campaign name", ("Dryers", "Washers"), ColumnType.TEXT),
    ("Ad set name", ("Boston", "Quincy"), ColumnType.TEXT),
    ("Status", ("In Progress", "Not Charged"), ColumnType.TEXT),
    ("Lead ID", ("FX-1", "FX-2"), ColumnType.TEXT),
    ("Impressions", ("41200", "38111"), ColumnType.INTEGER),
    ("Service zip", ("02118", "02119"), ColumnType.TEXT),
    ("Outcome", ("won", "lost", "won", "won"), ColumnType.TEXT),
    ("Foo", ("red", "blue", "red", "blue"), ColumnType.TEXT),
    ("Contacted at", ("2024-11-05 08:00", "2024-11-05 09:00"), ColumnType.TIMESTAMP),
]


@pytest.mark.parametrize(("header", "values", "kind"), PUBLISHED)
def test_dates_amounts_and_the_words_of_the_trade_are_published(
    header: str, values: tuple[str, ...], kind: ColumnType
) -> None:
    guess = one(header, *values)
    assert (guess.private, guess.type) == (False, kind)


def test_samples_are_of_days_amounts_and_statuses_alone() -> None:
    found = guessed(
        Ref=["FX-1", "FX-2", "FX-3", "FX-4"],
        When=["2024-11-05", "2024-11-06", "2024-11-07", "2024-11-08"],
        Fee=["$1", "$2", "$3", "$4"],
        Status=["won", "lost", "won", "won"],
        Town=["Boston", "Quincy", "Lynn", "Salem"],
    )
    assert {h for h, g in found.items() if g.samples} == {"When", "Fee", "Status"}


NO_KEYS = [
    ("results", ("3", "5", "8")),
    ("impressions", ("1200", "1100", "900")),
    ("Number of clicks", ("3", "5", "8")),
    ("No shows", ("3", "5", "8")),
    ("lead_status", ("new", "open", "won")),
    ("Status ID", ("new", "open", "won open")),
    ("Name", ("Ann Oakley", "Bob Stone", "Cy Young")),
    ("Phone number", ("617-555-0101", "617-555-0102", "617-555-0103")),
    ("Tracking number", ("6172350101", "6172350102", "6172350103")),
    ("Received", ("2024-11-05", "2024-11-06", "2024-11-07")),
    ("Campaign ID", ("111", "112", "113")),
    ("Ad ID", ("111", "112", "113")),
    ("Account ID", ("a1", "a2", "a3")),
    ("Customer ID", ("c1", "c2", "c3")),
    ("Zip", ("02118", "02119", "02120")),
    ("Lead ID", ("1", "1", "2")),
    ("Lead ID", ("1", "", "2")),
    ("Reference", ("wants a call", "no answer yet", "at 9 am")),
]


@pytest.mark.parametrize(("header", "values"), [c for c in NO_KEYS if c[0] != "Status ID"])
def test_a_short_file_makes_nothing_but_an_id_of_the_row_a_key(header: str, values: tuple[str, ...]) -> None:
    assert choose_key(list(guessed(**{header: list(values)}).values()), 3) == ""


@pytest.mark.parametrize(
    "header", ["Lead ID", "leadId", "Ref", "Booking Ref", "UUID", "Job #", "Order Number", "Ticket No."]
)
def test_ids_of_rows_are_keys(header: str) -> None:
    assert choose_key(list(guessed(**{header: ["A1", "A2", "A3"]}).values()), 3) != ""


def test_the_id_of_the_row_goes_before_other_ids() -> None:
    found = guessed(
        **{"Service ID": ["s1", "s2"], "Zone Ref": ["z1", "z2"], "Acme ID": ["a", "b"], "Lead ID": ["1", "2"]}
    )
    assert choose_key(list(found.values()), 2) == found["Lead ID"].name


@pytest.mark.parametrize("header", ["*", "^Day$", "^.*$"])
def test_a_header_is_never_taken_for_a_pattern(header: str) -> None:
    found = guessed(Day=["a b", '="c"'], **{header: ["11/05/2024", "11/06/2024"]})
    assert (found["Day"].type, found[header].type) == (ColumnType.TEXT, ColumnType.DATE)
