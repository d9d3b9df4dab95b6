"""Wrong declarations of pulls: each is named with file, line, key, what was found and what is allowed."""

from pathlib import Path

import pytest

from rmetrics.errors import RulesError
from rmetrics.rules import load_rules
from support import new_project

RIGHT = """\
[pulls.crm]
feed    = "jobs"
kind    = "http"
url     = "https://api.example.com/v1/{token}/jobs"
secrets = { token = "CRM_TOKEN" }
headers = { Authorization = "Token {token}" }
params  = { start_date = "{since}", records = "{size}", offset = "{offset}" }
paging  = { kind = "offset", size = 100 }
rows    = "data"
total   = "meta.total"
unique  = ["UUID"]
most    = 5000
overlap = "14 days"
"""


def problems(root: Path, text: str) -> list[str]:
    project = new_project(root, "")
    (project.rules / "pulls.toml").write_text(text)
    try:
        load_rules(project.rules)
    except RulesError as error:
        return [str(p).removeprefix(f"{project.rules}/") for p in error.problems]
    return []


def test_the_grammar_of_the_design_loads(tmp_path: Path) -> None:
    assert problems(tmp_path / "project", RIGHT) == []


def test_pulls_do_not_change_what_figures_are_made_by(tmp_path: Path) -> None:
    project = new_project(tmp_path / "project", "")
    before = load_rules(project.rules)
    (project.rules / "pulls.toml").write_text(RIGHT)
    after = load_rules(project.rules)
    assert (after.digest, after.tables) == (before.digest, before.tables)
    assert list(after.pulls) == ["crm"]


WRONG = [
    ('kind    = "http"', 'kind = "ftp"', "pulls.toml:3: pulls.crm.kind: must be one of http, graphql, imap, sftp, folder, found 'ftp'"),
    ('kind    = "http"', "", "pulls.toml:1: pulls.crm.kind: must be one of http, graphql, imap, sftp, folder"),
    ('feed    = "jobs"', 'feed = "job"', "pulls.toml:2: pulls.crm.feed: there is no feed 'job'; did you mean 'jobs'?"),
    ("most ", "mots ", "pulls.toml:12: pulls.crm.mots: unknown key; did you mean 'most'?"),
    ("5000", "0", "pulls.toml:12: pulls.crm.most: must not be less than 1, found 0"),
    ('"14 days"', '"14"', 'pulls.toml:13: pulls.crm.overlap: must be a span such as "14 days"'),
    ('"14 days"', '"36 hours"', "pulls.toml:13: pulls.crm.overlap: must be whole days"),
    ('"meta.total"', '"meta..total"', "pulls.toml:10: pulls.crm.total: is not a JMESPath expression"),
    ("https://api", "http://api", "pulls.toml:4: pulls.crm.url: must be https://; http:// is for this machine only"),
    ("https://api", "https://me:word@api", "pulls.toml:4: pulls.crm.url: contains a user or password"),
    ("api.example.com", "{token}.example.com", "pulls.toml:4: pulls.crm.url: must name its host in full"),
    ("https://api", "ftp://api", "pulls.toml:4: pulls.crm.url: must begin with https://, found ftp"),
    ('"CRM_TOKEN"', '"sk-live-4711"', "pulls.toml:5: pulls.crm.secrets.token: must be the name of a setting in capitals, such as WORKIZ_TOKEN, never the secret itself"),
    ("Token {token}", "Token 4711", "pulls.toml:6: pulls.crm.headers.Authorization: seems to contain a secret"),
    ("Token {token}", "Token {tokn}", "pulls.toml:6: pulls.crm.headers.Authorization: {tokn} is neither under secrets nor"),
    ("token = ", "since = ", "pulls.toml:5: pulls.crm.secrets.since: is a placeholder reserved by rmetrics"),
    ('offset = "{offset}"', 'page = "{offset}x"', ""),
    (', offset = "{offset}"', "", 'pulls.toml:8: pulls.crm.paging: kind = "offset" needs {offset} in params'),
    (", size = 100", "", 'pulls.toml:8: pulls.crm.paging: kind = "offset" needs size'),
    ('kind = "offset", size = 100', 'kind = "cursor"', 'pulls.toml:8: pulls.crm.paging: kind = "cursor" needs next'),
    ('rows    = "data"', "", "pulls.toml:1: pulls.crm.rows: is missing: the JMESPath of the rows"),
    ('unique  = ["UUID"]', "twice = false", "pulls.toml:1: pulls.crm: twice = false needs total and unique"),
    ('unique  = ["UUID"]', 'columns = { A = "a" }\nunique = ["B"]', "pulls.toml:1: pulls.crm: 'B' is not one of columns"),
    ('unique  = ["UUID"]', 'stamps = ["A"]', "pulls.toml:1: pulls.crm: stamps needs zone"),
    ('unique  = ["UUID"]', 'zone = "Mars"', "pulls.toml:11: pulls.crm.zone: unknown time zone"),
    ('unique  = ["UUID"]', 'rate = "fast"', 'pulls.toml:11: pulls.crm.rate: must be a rate such as "60 per minute"'),
    ('unique  = ["UUID"]', "changes = []", "pulls.toml:11: pulls.crm.changes: unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "told"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_edit_is_named(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in RIGHT
    found = problems(tmp_path / "project", RIGHT.replace(old, new))
    assert [p for p in found if told and p.startswith(told)] or (not told and not found), found
    assert not any("sk-live" in p or "4711" in p or "word@" in p for p in found)


def test_other_kinds(tmp_path: Path) -> None:
    mail = (
        '[pulls.m]\nfeed = "jobs"\nkind = "imap"\nurl = "imaps://imap.example.com"\nuser = "me"\npassword = "hunter2"\n'
    )
    found = problems(tmp_path / "a", mail)
    assert found == ["pulls.toml:1: pulls.m: needs from or subject, to select messages"]
    found = problems(tmp_path / "b", mail + 'from = "x@example.com"\n')
    assert found == [
        "pulls.toml:6: pulls.m.password: seems to contain a secret: put it into a setting, name the setting under secrets, and write {name}"
    ]
    found = problems(tmp_path / "c", '[pulls.f]\nfeed = "jobs"\nkind = "folder"\nurl = "https://drive.example.com/x"\n')
    assert [p for p in found if "pulls.f.url: is a web address" in p]
    found = problems(tmp_path / "d", "pulls = 3\n")
    assert found, found
