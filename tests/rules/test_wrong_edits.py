"""Every kind of wrong edit, and the message it gives.

Each case is one edit of the shipped rules; the messages stand in ``wrong_edits.txt``. Write them anew with
``UPDATE_SNAPSHOTS=1 pytest tests/rules/test_wrong_edits.py`` and read the difference.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

import acme
from rmetrics.errors import RulesError
from rmetrics.rules import load_rules

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("wrong_edits.txt")

FEED = acme.FEED + 'status = { type = "text", from = ["State"] }\n'
SOURCE = """\
[sources.Acme]
leads = { feed = "acme_leads", where = "price > 0" }
cost = { feed = "acme_leads", sum = "price" }
"""
CHANGES = """
[[sources.Acme.changes]]
from = 2026-03-01
cost = { per_lead = 10.00 }
[[sources.Acme.changes]]
from = %s
cost = { per_lead = 12.00 }
"""

# name: (text replaced in acme.toml, by what); several pairs are one edit each.
EDITS: dict[str, list[tuple[str, str]]] = {
    "unknown table": [("[sources.Acme]", "[source.Acme]")],
    "unknown key of a feed": [('date = "lead_at"', 'date = "lead_at"\nfile = ["x"]')],
    "unknown key of a column": [("required = true }\nprice", "requird = true }\nprice")],
    "unknown key of a source": [("leads =", 'alias = ["acme.com"]\nleads =')],
    "unknown key in leads": [('where = "price > 0"', 'were = "price > 0"')],
    "unknown key in cost": [('sum = "price"', 'summ = "price"')],
    "unknown key in a change": [(SOURCE, SOURCE + CHANGES.replace("cost", "csot", 1) % "2026-04-01")],
    "same table in two files": [("[sources.Acme]", "[sources.Google]")],
    "not TOML": [("[sources.Acme]", "[sources.Acme")],
    "condition is no SQL": [("price > 0", "price >> > 0")],
    "condition unfinished": [("price > 0", "price > 0 AND")],
    "condition gives no truth": [("price > 0", "price + 1")],
    "condition only DuckDB reads": [("price > 0", "status ~ 'x'")],
    "condition with a cast": [("price > 0", "price::int > 0")],
    "condition compares text with money": [("price > 0", "status > price")],
    "condition names an unknown column": [("price > 0", "prise > 0")],
    "condition names another table": [("price > 0", "jobs.type = 'COD'")],
    "condition with a subquery": [("price > 0", "price > (SELECT avg(price) FROM acme_leads)")],
    "condition with an aggregate": [("price > 0", "price > avg(price)")],
    "condition with a window": [("price > 0", "row_number() OVER () = 1")],
    "condition reads the clock": [("price > 0", "lead_date < current_date()")],
    "condition is two statements": [("price > 0", "true); DROP TABLE jobs; SELECT (true")],
    "derived column names an unknown column": [
        ("status = {", 'big = { type = "boolean", sql = "prize > 50" }\nstatus = {')
    ],
    "changes out of order": [(SOURCE, SOURCE + CHANGES % "2026-02-01")],
    "two changes on one day": [(SOURCE, SOURCE + CHANGES % "2026-03-01")],
    "change without a date": [(SOURCE, SOURCE + CHANGES % '"next month"')],
    "change of what cannot change": [
        (SOURCE, SOURCE + '[[sources.Acme.changes]]\nfrom = 2026-01-01\naliases = ["A"]\n')
    ],
    "change that changes nothing": [(SOURCE, SOURCE + "[[sources.Acme.changes]]\nfrom = 2026-01-01\n")],
    "alias of another source": [("leads =", 'aliases = ["Google-Ads"]\nleads =')],
    "a name that is taken": [("[sources.Acme]", "[sources.all]")],
    "share above one": [("[sources.Acme]", "[[revenue.changes]]\nfrom = 2026-01-01\nshare = 1.5\n[sources.Acme]")],
    "share too fine": [("[sources.Acme]", "[[revenue.changes]]\nfrom = 2026-01-01\nshare = 0.33333\n[sources.Acme]")],
    "negative price": [('cost = { feed = "acme_leads", sum = "price" }', "cost = { per_lead = -20.00 }")],
    "price that is no number": [('cost = { feed = "acme_leads", sum = "price" }', 'cost = { per_lead = "twenty" }')],
    "price of a tenth of a cent": [('cost = { feed = "acme_leads", sum = "price" }', "cost = { monthly = 9.999 }")],
    "two forms of cost at once": [('sum = "price" }', 'sum = "price", per_lead = 5 }')],
    "no form of cost": [('cost = { feed = "acme_leads", sum = "price" }', "cost = {}")],
    "sum of a column that is no money": [('sum = "price"', 'sum = "status"')],
    "feed without date": [('date = "lead_at"\n', "")],
    "date names an unknown column": [('date = "lead_at"', 'date = "led_at"')],
    "date is no date": [('date = "lead_at"', 'date = "status"')],
    "column without a header": [('from = ["When"], required = true', "required = true")],
    "column with an empty list of headers": [('from = ["When"]', "from = []")],
    "no column is required": [(", required = true", "")],
    "key column that is not required": [('from = ["Ref"], required = true', 'from = ["Ref"]')],
    "identity beside a key that is no text": [
        ('date = "lead_at"', 'date = "lead_at"\nidentity = ["price"]'),
        ('lead_id = { type = "text"', 'lead_id = { type = "integer"'),
    ],
    "key column that is not published": [
        ('from = ["Ref"], required = true', 'from = ["Ref"], required = true, publish = false')
    ],
    "key names an unknown column": [('key = ["lead_id"]', 'key = ["leadid"]')],
    "no glob": [('files = ["acme*"]', "files = []")],
    "published by an amount": [('date = "lead_at"', 'date = "lead_at"\npublish_by = ["lead_id", "price"]')],
    "default of a column that is no text": [('from = ["Price"]', 'from = ["Price"], default = "0"')],
    "business day of a date": [
        ('lead_at = { type = "timestamp"', 'lead_at = { type = "date"'),
        ('date = "lead_at"', 'date = "lead_at"\nlocal_date = "their_day"'),
    ],
    "business day that is a time": [('date = "lead_at"', 'date = "lead_at"\nlocal_date = "lead_at"')],
    "job named by a price": [('date = "lead_at"', 'date = "lead_at"\njob = { column = "price", match = ["job_id"] }')],
    "job looked up by a day": [
        ('date = "lead_at"', 'date = "lead_at"\njob = { column = "lead_id", match = ["created_at"] }')
    ],
    "no column of jobs to look up": [
        ('date = "lead_at"', 'date = "lead_at"\njob = { column = "lead_id", match = [] }')
    ],
    "unknown column type": [('type = "money"', 'type = "mony"')],
    "formats of a column that is no date": [('from = ["State"]', 'from = ["State"], formats = ["%Y"]')],
    "format without a directive": [('from = ["When"]', 'from = ["When"], formats = ["MM/DD/YYYY"]')],
    "unknown feed": [('{ feed = "acme_leads", where', '{ feed = "acme_lead", where')],
    "unknown segment": [("leads =", 'segment = "C0D"\nleads =')],
    "unknown way of counting leads": [('leads = { feed = "acme_leads", where = "price > 0" }', 'leads = "job"')],
    "no way of counting leads": [('leads = { feed = "acme_leads", where = "price > 0" }\n', "")],
    "feed name with a hyphen": [("[feeds.acme_leads", '[feeds."acme-leads"')],
    "feed name that is SQL's": [("acme_leads", "order")],
    "feed name that is rmetrics' own": [("acme_leads", "daily_metrics")],
    "column name in capitals": [("status =", "Status =")],
    "column name that is SQL's": [("status =", "user =")],
    "column name that rmetrics uses": [("status =", "counted =")],
    "column name taken by the business day": [("status =", "lead_date =")],
    "unknown zone": [("[sources.Acme]", '[business]\ntimezone = "America/New_Yorc"\n[sources.Acme]')],
    "several at once": [
        ("price > 0", "prise > 0"),
        ('date = "lead_at"', 'date = "lead_at"\nfile = ["x"]'),
        ("[sources.Acme]", "[sources.Acme]\nsegmant = 'COD'"),
        ("[sources.Acme]", "[[revenue.changes]]\nfrom = 2026-01-01\nshare = 2\n[sources.Acme]"),
    ],
}


def message(folder: Path, edits: list[tuple[str, str]]) -> str:
    """What loading says after the edits, with paths shortened."""
    shutil.copytree(ROOT / "rules", folder)
    text = FEED + SOURCE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    if "[business]" in text or "revenue.changes" in text:
        business = (folder / "business.toml").read_text(encoding="utf-8")
        if "[business]" in text:
            business = business.replace("[business]", "[elsewhere]")
            business = business.replace(
                '[elsewhere]\ntimezone = "America/New_York"', '[business]\ntimezone = "America/New_Yorc"'
            )
            text = text.replace('[business]\ntimezone = "America/New_Yorc"\n', "")
        else:
            start = text.index("[[revenue.changes]]")
            end = text.index("[sources.Acme]")
            business, text = business + "\n" + text[start:end], text[:start] + text[end:]
        (folder / "business.toml").write_text(business, encoding="utf-8")
    (folder / "acme.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_rules(folder)
    told = "\n".join(
        str(p).replace(f"{folder}{os.sep}", "").replace(str(folder), "rules") for p in caught.value.problems
    )
    return re.sub(r"\b(business|feeds|sources)\.toml:\d+", r"\1.toml:N", told)  # shipped files grow


def sections(text: str) -> dict[str, str]:
    found = {}
    for block in text.split("## ")[1:]:
        name, _, body = block.partition("\n")
        found[name] = body.strip()
    return found


@pytest.mark.parametrize("name", EDITS)
def test_wrong_edit_is_refused_in_words_that_help(name: str, tmp_path: Path) -> None:
    told = message(tmp_path / "rules", EDITS[name])
    if os.environ.get("UPDATE_SNAPSHOTS"):
        known = sections(SNAPSHOT.read_text(encoding="utf-8")) if SNAPSHOT.exists() else {}
        known[name] = told
        SNAPSHOT.write_text("".join(f"## {n}\n{known[n]}\n\n" for n in EDITS if n in known), encoding="utf-8")
    assert told == sections(SNAPSHOT.read_text(encoding="utf-8"))[name]


KEY = 'key     = ["job_id"]'
JOBS = {
    "another key": (
        {KEY: 'key     = ["job_uuid"]', 'from = ["UUID"]': 'from = ["UUID"], required = true'},
        "feeds.jobs.key: is ['job_uuid'], but must be ['job_id']: payments, calls and metrics refer to jobs by it",
    ),
    "a job of its own": (
        {KEY: f'{KEY}\njob = {{ column = "job_uuid", match = ["job_id"] }}'},
        "feeds.jobs.job: a job names no other job: remove this line",
    ),
    "a source that is no text": (
        {'source_raw   = { type = "text"': 'source_raw   = { type = "integer"'},
        "feeds.jobs.columns.source_raw.type: must be a text column, but 'source_raw' is integer",
    ),
}


@pytest.mark.parametrize("edit", JOBS)
def test_what_is_fixed_for_jobs(edit: str, tmp_path: Path) -> None:
    edits, told = JOBS[edit]
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    feeds = tmp_path / "rules" / "feeds.toml"
    text = feeds.read_text(encoding="utf-8")
    for old, new in edits.items():
        text = text.replace(old, new, 1)
    feeds.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path / "rules")
    (problem,) = caught.value.problems
    assert re.sub(r"^.*feeds\.toml:\d+: ", "", str(problem)) == told


def test_rules_before_the_edit_are_fine(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    (tmp_path / "rules" / "acme.toml").write_text(FEED + SOURCE, encoding="utf-8")
    assert "Acme" in load_rules(tmp_path / "rules").sources


def test_snapshot_holds_no_case_that_is_gone() -> None:
    assert list(sections(SNAPSHOT.read_text(encoding="utf-8"))) == list(EDITS)
