"""What a file that fits no feed, or a date in no known form, says of the next step."""

import shlex

import pytest

from rmetrics.ingest.undated import date_reason
from rmetrics.rules import load_rules
from support import ROOT, Project, csv_text

RULES = load_rules(ROOT / "rules")


def reason(project: Project, name: str, text: str) -> str:
    project.put(name, text)
    (file,) = project.sync(dry_run=True).files
    assert file.status == "refused"
    return file.reason


def test_a_file_of_a_new_kind_names_the_command_that_drafts_its_rules(project: Project) -> None:
    path = project.inbox / "Fixly leads (May).csv"
    told = reason(project, path.name, csv_text(("Ref", "Happened", "Fee"), ("a1", "2026-05-01", "3.00")))
    assert told.startswith("fits no feed")
    assert f"rmetrics rules new NAME --from {shlex.quote(str(path))}" in told


@pytest.mark.parametrize(
    ("header", "means"),
    [
        (("Lead #", "Job #", "Job Type", "Status", "Source", "Created"), "another kind of export"),
        (("Job #", "Job Type"), "export it with that column"),
    ],
)
def test_a_near_miss_says_what_its_header_means_and_names_the_command(
    project: Project, header: tuple[str, ...], means: str
) -> None:
    told = reason(project, "Import-1.csv", csv_text(header, tuple("1" for _ in header)))
    assert told.startswith("looks like jobs")
    assert means in told
    assert "rmetrics rules new NAME --from" in told


@pytest.mark.parametrize(
    ("cell", "example"),
    [("05.11.2026", "31.07.2026"), ("20261105", "20260731"), ("some day", "2026-07-31"), ("31/12/2026", "7/31/2026")],
)
def test_a_rejected_date_shows_an_example_before_any_code(cell: str, example: str) -> None:
    told = date_reason(cell, RULES.feeds["payments"].columns["paid_at"])
    assert example in told.partition("%")[0]


def test_a_rejected_month_shows_a_month() -> None:
    assert "such as 2026-07," in date_reason("soon", RULES.feeds["google_spend"].columns["month"])
