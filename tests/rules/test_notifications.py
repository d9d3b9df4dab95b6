"""[brief], [notify] and [[alerts]]: what loads, what is refused with its place, and that no figure follows from them."""

from pathlib import Path

import pytest

from rmetrics.errors import RulesError
from rmetrics.rules import load_rules
from rmetrics.rules.published_views import VIEWS
from support import ROOT


def folder(root: Path, more: str) -> Path:
    """The shipped rules with one more file."""
    for path in (ROOT / "rules").glob("*.toml"):
        (root / path.name).write_bytes(path.read_bytes())
    (root / "own.toml").write_text(more, encoding="utf-8")
    return root


def problems(root: Path, more: str) -> list[str]:
    """The problems of the one more file, as ``line: key: message``."""
    with pytest.raises(RulesError) as caught:
        load_rules(folder(root, more))
    return [f"{p.line}: {p.key}: {p.message}" for p in caught.value.problems if p.path.name == "own.toml"]


ALERT = '[[alerts]]\nname = "own"\ntitle = "Own"\nover = "{over}"\nwhere = "{where}"\n'


def test_shipped_alerts_are_those_of_the_grafana_kit() -> None:
    rules = load_rules(ROOT / "rules")
    assert [a.name for a in rules.alerts.values()] == ["cpl", "pace", "stale", "checks"]
    assert rules.notify == {}


def test_messages_are_no_part_of_the_digest(tmp_path: Path) -> None:
    more = '[notify.owner]\nurl = "X"\n' + ALERT.format(over="publication", where="hours > 3")
    changed = load_rules(folder(tmp_path, more))
    before = load_rules(ROOT / "rules")
    assert (changed.digest, dict(changed.tables)) == (before.digest, dict(before.tables))
    assert list(changed.notify) == ["owner"]
    assert changed.alerts["alerts.4"].name == "own"


@pytest.mark.parametrize(
    "secret", ["tgram://123:CANARY/9", "mailto://me:CANARY@example.com", "CANARY token", "9CANARY", ""]
)
def test_an_url_in_the_rules_is_refused_and_not_repeated(tmp_path: Path, secret: str) -> None:
    (problem,) = problems(tmp_path, f'[notify.owner]\nurl = "{secret}"\n')
    assert problem.startswith("2: notify.owner.url: must be the name of a setting")
    assert "CANARY" not in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[notify.a]\nurl = "A"\ngets = ["brif"]\n', "3: notify.a.gets.0: must be 'brief' or 'alerts', found 'brif'"),
        ('[notify.a]\nurl = "A"\ntoken = "x"\n', "3: notify.a.token: unknown key; known are details, form, gets"),
        ('[notify.a]\nurl = "A"\ndetails = "yes"\n', "3: notify.a.details: must be true or false, found 'yes'"),
        (ALERT.format(over="jobs", where="true"), "4: alerts.4.over: must be 'monthly_vs_target', 'daily_cumulative'"),
        (ALERT.format(over="call_funnel", where="mised > 3"), "5: alerts.4.where: unknown column 'mised'"),
        (ALERT.format(over="call_funnel", where="missed > '3'"), "5: alerts.4.where: missed is a number, '3' is text"),
        (ALERT.format(over="call_funnel", where="missed"), "5: alerts.4.where: must be true or false"),
        (ALERT.format(over="call_funnel", where="(SELECT 1) = 1"), "5: alerts.4.where: "),
        (ALERT.format(over="call_funnel", where="missed > 1") + "days = 3\n", "6: alerts.4.days: cannot be used with"),
        (ALERT.format(over="run_findings", where="rows > 1") + "months = 3\n", "has current values only"),
        (
            ALERT.format(over="run_findings", where="rows > 1") + "months = 0\n",
            "must be a number from 1 to 120 with at most 0 decimals, found 0",
        ),
        (ALERT.format(over="run_findings", where="rows > 1") + 'explain = "x {sorce}"\n', "no column 'sorce'"),
        (ALERT.format(over="run_findings", where="rows > 1") + 'explain = "x {code.x}"\n', "name of a column only"),
        (ALERT.format(over="run_findings", where="rows > 1") + 'show = ["row"]\n', "has no column 'row'; did you mean"),
        (ALERT.format(over="publication", where="hours > 1").replace("own", "cpl"), "2 alerts are named"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    assert any(told in p for p in problems(tmp_path, text)), problems(tmp_path, text)


def test_the_brief_names_feeds_that_exist(tmp_path: Path) -> None:
    messages = folder(tmp_path, "") / "messages.toml"
    shipped = messages.read_text(encoding="utf-8")
    messages.write_text(shipped.replace("stale_days = 3", 'feeds = ["job"]'), encoding="utf-8")
    with pytest.raises(
        RulesError, match=r"messages\.toml:8: brief\.feeds: there is no feed 'job'; did you mean 'jobs'"
    ):
        load_rules(tmp_path)
    messages.write_text(shipped.replace("stale_days = 3", "stale_days = 0"), encoding="utf-8")
    with pytest.raises(
        RulesError,
        match=r"messages\.toml:\d+: brief\.stale_days: must be a number from 1 to 120 with at most 0 decimals, found 0",
    ):
        load_rules(tmp_path)


@pytest.mark.parametrize("name", VIEWS)
def test_default_commands_name_columns_of_their_view(name: str) -> None:
    view = VIEWS[name]
    view.explain.format_map(dict.fromkeys(view.columns, ""))
    assert set(view.identity) <= set(view.columns)
