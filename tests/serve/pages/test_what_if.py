"""The page ``/plan``: what ``rmetrics plan`` says of an edit, without the edit being made."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rmetrics.errors import BusyError, LakeError
from rmetrics.rules import load_rules
from rmetrics.serve.controls import Edited, controls, edited
from rmetrics.serve.pages.what_if import restates
from rmetrics.serve.trial import Trials
from rmetrics.usecases.plan import plan
from serve_sites import client_of
from support import Project

PRICE = {"key": "sources.Pro Referral.cost.per_lead", "value": "25.00"}


def files(project: Project) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in sorted(project.root.rglob("*")) if p.is_file()}


@pytest.fixture
def pages(small: Project) -> Iterator[TestClient]:
    with client_of(small.settings) as client:
        yield client


@pytest.fixture(scope="module")
def pages_to_read(small_to_read: Project) -> Iterator[TestClient]:
    with client_of(small_to_read.settings) as client:
        yield client


def edit_of(project: Project, value: str = "0.5") -> Edited:
    return edited(next(k for k in controls(load_rules(project.rules)) if k.key == "revenue.share"), value, None)


def test_the_answer_is_that_of_plan_and_nothing_is_written(small: Project, pages: TestClient) -> None:
    """Two leads in November cost 25 instead of 20 each: 40.00 becomes 50.00."""
    before = files(small)
    text = unescape(pages.get("/plan", params=PRICE).text)
    assert files(small) == before
    assert "A sync with this edit would change 1 monthly figure and 2 daily figures; 2 rows would count" in text
    row = text.partition('id="table-changes"')[2].partition("</table>")[0]
    assert re.findall(r'data-value="([^"]+)"', row) == ["40.00", "50.00", "10.00"]
    assert '[sources."Pro Referral"]\ncost = { per_lead = 25.00 }' in text
    assert "2 rows of proref_leads: rule edit" in text
    assert ">a<" not in text
    path = small.rules / "sources.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("per_lead = 20.00 }\n\n", "per_lead = 25.00 }\n\n"), encoding="utf-8"
    )
    made = plan(small.settings)
    assert [(c.metric, c.before, c.after) for c in made.changes] == [("cost", Decimal(40), Decimal(50))]
    assert (made.days, len(made.rows or ())) == (2, 2)


@pytest.mark.deep
def test_a_window_moves_jobs_and_money_and_no_other_figure(small: Project) -> None:
    with client_of(small.settings, rows=True) as pages:
        text = unescape(pages.get("/plan", params={"key": "journeys.window", "value": "4"}).text)
    assert "change figures of the funnel only. 1 job (100.00 paid) would come from another touch" in text
    hands, jobs = (text.partition(f'id="table-{name}"')[2].partition("</table>")[0] for name in ("hands", "jobs"))
    assert re.findall(r"<td[^>]*>([^<]+)</td>", hands) == ["none", "Pro Referral", "1", "100.00"]
    assert re.findall(r"<td[^>]*>([^<]+)</td>", jobs) == ["2", "none", "proref_leads:b", "phone-other-source", "100.00"]
    assert "6175559131" not in text
    assert "[journeys]\nwindow = 4" in text


@pytest.mark.deep
def test_from_a_day_on_only_later_leads_cost_more(pages: TestClient) -> None:
    text = unescape(pages.get("/plan", params={**PRICE, "from": "2024-11-16"}).text)
    row = text.partition('id="table-changes"')[2].partition("</table>")[0]
    assert re.findall(r'data-value="([^"]+)"', row) == ["40.00", "45.00", "5.00"]
    assert '[[sources."Pro Referral".changes]]\nfrom = 2024-11-16\ncost = { per_lead = 25.00 }' in text


@pytest.mark.deep
def test_exports_that_wait_in_the_inbox_are_no_part_of_the_answer(small: Project, pages: TestClient) -> None:
    small.put("proref2.csv", "Lead ID,Lead Date,Current Status\nz,11/18/2024 09:00 AM,Booked\n")
    text = pages.get("/plan", params={"key": "revenue.share", "value": "0.40"}).text
    assert "A sync with this edit would change no figure." in text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({**PRICE, "value": "abc"}, "not a valid number"),
        ({**PRICE, "value": "-1"}, "not a valid number"),
        ({"key": "revenue.share", "value": "7"}, "share"),
        ({"key": "revenue.share", "value": "0.5", "from": "soon"}, "YYYY-MM-DD"),
        ({"key": "../../etc/passwd", "value": "1"}, "the rules have no number"),
        ({"key": "feeds.jobs.files", "value": "1"}, "the rules have no number"),
    ],
)
def test_what_cannot_be_tried_says_why_and_keeps_the_form(
    pages_to_read: TestClient, query: dict[str, str], told: str
) -> None:
    text = unescape(pages_to_read.get("/plan", params=query).text)
    assert "This value cannot be tried" in text
    assert told in text
    assert "rmetrics-trial" not in text
    assert 'name="value"' in text


@pytest.mark.parametrize("seconds", [0.05, 1.5])
@pytest.mark.ordinary(0, deep=2)
def test_a_trial_that_takes_too_long_is_ended_and_the_next_one_runs(
    small: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Nothing is left of it: no process, no temporary folder."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    async def both() -> Any:
        trials = Trials(small.settings, seconds)
        with contextlib.suppress(LakeError):
            await trials.plan(edit_of(small))
        # Python tries a temporary folder with an empty file of its own, which it may be stopped before removing.
        assert [p for p in scratch.iterdir() if p.is_dir() or p.stat().st_size] == []
        return await Trials(small.settings).plan(edit_of(small))

    assert asyncio.run(both())["changes"]


@pytest.mark.deep
def test_a_trial_that_takes_too_long_says_so(small: Project) -> None:
    with pytest.raises(LakeError, match="longer than 0 seconds"):
        asyncio.run(Trials(small.settings, 0.05).plan(edit_of(small)))


@pytest.mark.deep
def test_one_trial_at_a_time(small: Project) -> None:
    async def both() -> None:
        trials = Trials(small.settings)
        first = asyncio.create_task(trials.plan(edit_of(small)))
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError):
            await trials.plan(edit_of(small))
        assert (await first)["changes"]

    asyncio.run(both())


def test_one_month_that_is_over_is_told_as_one() -> None:
    assert restates(["2024-12-01"]).startswith("It restates 2024-12, a past month. ")
    assert restates(["2024-11-01", "2024-12-01"]).startswith("It restates 2 past months, 2024-11 to 2024-12. ")
