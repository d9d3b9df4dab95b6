"""Vendors' terms as rules: how long there is, and what a wrong line is told."""

import datetime as dt
import shutil
from pathlib import Path

import pytest

from rmetrics.errors import RulesError
from rmetrics.rules import load_rules
from rmetrics.rules.dispute_terms import read_within
from rmetrics.rules.hours import WeekdayHours, spans_of
from support import ROOT

VENDORS = ("angi", "inquirly", "lsa", "service_direct", "thumbtack")
NEW_YORK, LOS_ANGELES = "America/New_York", "America/Los_Angeles"


@pytest.mark.parametrize(
    ("within", "lead", "zone", "deadline"),
    [
        ("96 hours", "2024-10-31 10:00-04:00", NEW_YORK, "2024-11-04 09:00-05:00"),  # the clocks went back on the 3rd
        ("4 days", "2024-10-31 10:00-04:00", NEW_YORK, "2024-11-04 10:00-05:00"),
        ("96 hours", "2024-10-31 10:00-04:00", LOS_ANGELES, "2024-11-04 06:00-08:00"),
        ("1 day", "2024-10-31 23:30-04:00", LOS_ANGELES, "2024-11-01 20:30-07:00"),
        ("1 hour", "2024-03-10 01:30-05:00", NEW_YORK, "2024-03-10 03:30-04:00"),
        ("30 days", "2024-01-31 08:00-05:00", NEW_YORK, "2024-03-01 08:00-05:00"),
    ],
)
def test_hours_pass_and_days_are_days_of_the_vendor(within: str, lead: str, zone: str, deadline: str) -> None:
    found = read_within(within).deadline(dt.datetime.fromisoformat(lead), zone)
    assert found == dt.datetime.fromisoformat(deadline)
    assert found.utcoffset() == dt.datetime.fromisoformat(deadline).utcoffset()


def told(tmp_path: Path, text: str) -> list[str]:
    folder = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", folder)
    (folder / "acme.toml").write_text(text)
    with pytest.raises(RulesError) as caught:
        load_rules(folder)
    return [str(p).removeprefix(f"{folder}/") for p in caught.value.problems]


ACME = '[sources.Acme]\nleads = { feed = "elocals_leads", where = "cost > 0" }\n'


def test_a_wrong_term_is_named_with_file_line_and_key(tmp_path: Path) -> None:
    text = f"""{ACME}[[sources.Acme.disputes]]
reason = "short"
where  = "duration < 20"
within = "4 weeks"
[[sources.Acme.disputes]]
reason = "out of area"
where  = "zip_served = 1"
within = "7 days"
zone   = "Mars"
until  = 2025-01-01
from   = 2025-01-01
[sources.Acme.answers]
granted = "was_customer"
"""
    found = told(tmp_path, text)
    assert found[0] == (
        'acme.toml:6: sources.Acme.disputes.0.within: must be a number of hours or days, such as "96 hours" or '
        "\"30 days\", found '4 weeks'"
    )
    assert any(line.startswith("acme.toml:11: sources.Acme.disputes.1.zone: unknown time zone") for line in found)


def test_conditions_of_terms_are_judged_over_facts_and_columns(tmp_path: Path) -> None:
    text = f"""{ACME}[[sources.Acme.disputes]]
reason = "short"
where  = "duration < 20"
within = "7 days"
[[sources.Acme.disputes]]
reason = "out of area"
where  = "zip_served = 1"
within = "7 days"
[sources.Acme.answers]
granted = "was_customer"
"""
    found = told(tmp_path, text)
    assert [line.split(": ")[:2] for line in found] == [
        ["acme.toml:5", "sources.Acme.disputes.0.where"],
        ["acme.toml:9", "sources.Acme.disputes.1.where"],
        ["acme.toml:12", "sources.Acme.answers.granted"],  # an export cannot know who was a customer
    ]
    assert "duration_s" in found[0]


def test_only_rows_of_a_vendor_can_be_disputed(tmp_path: Path) -> None:
    text = (
        '[sources.Acme]\nleads = "jobs"\n[[sources.Acme.disputes]]\nreason = "x"\nwhere = "booked"\nwithin = "1 day"\n'
    )
    assert told(tmp_path, text) == [
        'acme.toml:3: sources.Acme.disputes: requires leads = { feed = "..." }: claims refer to rows of the vendor'
    ]


def test_terms_of_six_vendors_are_shipped_and_load_without_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", folder)
    for name in VENDORS:
        shutil.copy(ROOT / "rules" / "examples" / f"{name}_leads.toml", folder)
    rules = load_rules(folder)
    assert rules.warnings == ()
    with_terms = {n for n, dated in rules.sources.items() if dated.latest.disputes}
    assert with_terms == {"eLocals", "Angi", "Inquirly", "Google LSA", "Service Direct", "Thumbtack"}
    assert all(d.clause for n in with_terms for d in rules.sources[n].latest.disputes)


def test_terms_may_change_from_a_day_on(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", folder)
    change = '[[changes.disputes]]\nreason = "x"\nwhere = "booked"\nwithin = "1 day"\n'
    text = (
        ACME + "[[sources.Acme.changes]]\nfrom = 2025-01-01\n" + change.replace("[[changes", "[[sources.Acme.changes")
    )
    (folder / "acme.toml").write_text(text)
    source = load_rules(folder).sources["Acme"]
    assert [len(source.at(dt.date(y, 6, 1)).disputes) for y in (2024, 2025)] == [0, 1]


def test_hours_are_read_as_people_write_them() -> None:
    week = spans_of(("mon-Fri 8:00-18:00", "Sat, Sun 09:00-12:30", "Sat 13:00-24:00"))
    assert week[0] == WeekdayHours(0, 8 * 3600, 18 * 3600)
    assert week[5:] == (
        WeekdayHours(5, 32_400, 45_000),
        WeekdayHours(5, 46_800, 86_400),
        WeekdayHours(6, 32_400, 45_000),
    )
    assert [s.day for s in spans_of(("Sat-Mon 1:00-2:00",))] == [0, 5, 6]
    assert spans_of(()) == ()


@pytest.mark.parametrize(
    "text", ["Mon 18:00-08:00", "Mon 8-18", "Someday 08:00-18:00", "Mon 08:60-09:00", "Mon 08:00-24:01", ""]
)
def test_hours_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a span of hours|begin before"):
        spans_of((text,))
    with pytest.raises(ValueError, match="overlapping spans on Tue"):
        spans_of(("Mon-Wed 08:00-12:00", "Tue 11:59-13:00"))
