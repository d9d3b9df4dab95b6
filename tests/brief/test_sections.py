"""Facts to lines: what is stale hides yesterday, and every line names a command."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest

from rmetrics.brief.facts import (
    Disputable,
    Facts,
    FailedRun,
    FeedFact,
    FindingFact,
    MissedCalls,
    MonthEnd,
    PullTrouble,
    Raised,
    Restated,
    SendTrouble,
    ToDate,
    end_of_data,
    last_whole_day,
)
from rmetrics.brief.sections import Line, reason_of, sections_of
from rmetrics.brief.text import as_html, as_text, brief_of
from rmetrics.brief.words import phrase
from rmetrics.month_line import MonthLine

ZONE = "America/New_York"
DAY = dt.date(2026, 11, 10)
BEFORE, AFTER = (dt.datetime(2026, 11, 10, h, 30, tzinfo=dt.UTC) for h in (4, 5))  # 23:30 on the 9th, 00:30 on the 10th


def feed(
    name: str,
    at: dt.datetime | None = AFTER,
    last: dt.date = dt.date(2026, 11, 9),
    *,
    needed: bool = True,
    exports: int = 1,
) -> FeedFact:
    return FeedFact(name, needed, last, at, exports)


def figures(source: str, leads: int = 0, gross: str = "0", cost: str = "0", repairs: int = 0) -> MonthLine:
    revenue40 = Decimal(gross) * Decimal("0.4")
    return MonthLine(dt.date(2026, 11, 1), source, leads, leads, 0, repairs, Decimal(gross), revenue40, Decimal(cost))


MORNING = Facts(
    day=DAY,
    timezone=ZONE,
    currency="USD",
    stale_days=3,
    published=True,
    data_end=dt.date(2026, 11, 9),
    through=dt.date(2026, 11, 9),
    feeds=(feed("jobs"), feed("payments")),
    yesterday=(figures("Google", 3, "100.01", "40"), figures("Rely", repairs=1), figures("NSA")),
)


def lines(facts: Facts) -> dict[str, list[Line]]:
    return {s.name: list(s.lines) for s in sections_of(facts)}


def test_a_day_is_whole_only_if_every_needed_feed_was_exported_after_it() -> None:
    """Midnight in New York is 05:00 UTC in November."""
    yesterday, end = dt.date(2026, 11, 9), dt.date(2026, 11, 9)

    def whole(*feeds: FeedFact) -> dt.date | None:
        return last_whole_day(feeds, end, ZONE, yesterday)

    assert whole(feed("jobs"), feed("payments")) == yesterday
    assert whole(feed("jobs"), feed("payments", BEFORE)) == dt.date(2026, 11, 8)
    assert whole(feed("jobs"), feed("calls", BEFORE, needed=False)) == yesterday
    assert whole(feed("jobs"), feed("payments", None)) is None
    assert last_whole_day((feed("jobs"),), dt.date(2026, 11, 5), ZONE, yesterday) == dt.date(2026, 11, 5)
    assert last_whole_day((feed("jobs"),), dt.date(2026, 11, 12), ZONE, yesterday) == yesterday
    assert last_whole_day((), None, ZONE, yesterday) is None


def test_yesterday_is_the_sum_of_its_sources_without_those_that_did_nothing() -> None:
    whole, *sources = lines(MORNING)["yesterday"]
    assert (whole.values["revenue_gross"], whole.values["revenue40"]) == (Decimal("100.01"), Decimal("40.004"))
    assert (whole.values["leads"], whole.values["repairs"], whole.values["cpl"]) == (3, 1, Decimal("13.33"))
    assert [s.values["source"] for s in sources] == ["Google", "Rely"]
    assert sources[1].values["cpl"] is None


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        (replace(MORNING, through=dt.date(2026, 11, 8), feeds=(feed("jobs", BEFORE),)), ["stale.feed", "stale.hidden"]),
        (replace(MORNING, through=dt.date(2026, 11, 7), data_end=dt.date(2026, 11, 7)), ["stale.ends", "stale.hidden"]),
        (replace(MORNING, through=None, feeds=(feed("jobs", None, exports=0),)), ["stale.never", "stale.hidden"]),
        (replace(MORNING, through=None, feeds=(feed("jobs", None, exports=1),)), ["stale.partial", "stale.hidden"]),
        (Facts(DAY, ZONE, "USD", 3), ["stale.nothing"]),
    ],
)
def test_what_is_stale_is_told_first_and_hides_yesterday(facts: Facts, codes: list[str]) -> None:
    said = sections_of(facts)
    assert said[0].name == "stale"
    assert [line.code for line in said[0].lines] == codes
    assert "yesterday" not in [s.name for s in said]


def test_the_month_against_pace() -> None:
    """9 of 30 days: a target of 30 asks for 9; 8 repairs are 88.9 %. The forecast is as published."""
    row = ToDate(
        "ALL", 20, 10, 8, Decimal("1000.004"), Decimal(300), Decimal(30), Decimal(3000), Decimal(9), Decimal(900),
        MonthEnd(Decimal("26.50"), Decimal("21.20"), Decimal("31.80")), MonthEnd(Decimal("3333.35"), None, None),
    )  # fmt: skip
    whole, repairs, revenue = lines(replace(MORNING, to_date=(row,)))["month"]
    assert (whole.code, whole.values["cpl"]) == ("month.all", Decimal("15.00"))
    assert (repairs.code, repairs.tone) == ("month.repairs.all", "bad")
    assert (repairs.values["of_pace"], repairs.values["forecast"]) == (Decimal("0.889"), 27)
    assert (repairs.values["forecast_low"], repairs.values["forecast_high"]) == (21, 32)
    assert (revenue.tone, revenue.values["forecast"]) == ("good", Decimal("3333.35"))
    assert phrase("en", repairs.code, repairs.values, ZONE).endswith(
        "the month is estimated to end at 27 (4 of 5 months end between 21 and 32)"
    )
    assert phrase("en", revenue.code, revenue.values, ZONE).endswith("the month is estimated to end at 3,333.35")
    assert "\u043e\u0446\u0435\u043d\u043a\u0430" in phrase("ru", repairs.code, repairs.values, ZONE)
    unknown = replace(row, repairs_end=None)
    repairs = lines(replace(MORNING, to_date=(unknown,)))["month"][1]
    assert repairs.values["forecast"] is None
    assert "estimated" not in phrase("en", repairs.code, repairs.values, ZONE)
    without = replace(
        row, target_repairs=None, target_revenue40=Decimal(0), repairs_pace=None, revenue40_pace=Decimal(0)
    )
    assert [x.code for x in lines(replace(MORNING, to_date=(without,)))["month"]] == ["month.all"]


def test_a_month_that_is_over_has_no_forecast() -> None:
    row = ToDate("ALL", 1, 1, 1, Decimal(1), Decimal(1), Decimal(30), None, Decimal(30), None)
    facts = replace(MORNING, day=dt.date(2026, 12, 1), through=dt.date(2026, 11, 30), to_date=(row,), yesterday=())
    assert [x.code for x in lines(facts)["month"]] == ["month.all", "month.repairs.all.over"]
    assert "November 2026, the whole month" in as_text(brief_of(facts, "en"), details=False)


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        ("new exports: a.csv, b.csv", "exports"), ("new export a.csv: 3 new rows", "exports"), ("rules edited", "rules"),
        ("withdrawn export: a.csv", "withdrawn"), ("2 exports removed", "withdrawn"), ("rmetrics 0.1 -> 0.2", "version"),
        ("restored export a.csv", "restored"), (None, "unknown"), ("published again", "unknown"),
        ("rule edit sources.Google.cost: 1 -> 2", "rules"),
    ],
)  # fmt: skip
def test_a_cause_is_told_without_the_names_of_files(cause: str | None, kind: str) -> None:
    assert reason_of(cause) == kind


def test_restated_figures_lead_to_their_history() -> None:
    month = dt.date(2026, 10, 1)
    found = (
        Restated(month, "revenue40", 0, Decimal("12.50"), "new exports: late.csv"),
        Restated(month, "repairs", 2, Decimal(1), None),
        Restated(month, "cost", 0, Decimal(0), None),
    )
    first, second, moved = lines(replace(MORNING, restated=found))["restated"]
    assert moved.code == "restated.moved"
    assert (first.code, first.detail) == ("restated.month.amount", "new exports: late.csv")
    assert first.command == "rmetrics history --month 2026-10 --metric revenue40"
    assert second.command.endswith("--metric repairs --daily")
    many = tuple(Restated(month, f"m{n}", 0, Decimal(n + 1), None) for n in range(15))
    assert lines(replace(MORNING, restated=many))["restated"][-1].values == {"more": 3}


def test_many_months_restated_for_one_reason_are_one_line() -> None:
    """Their sum, from the first to the last; another reason, another measure and single days stay apart."""
    months = [dt.date(2026, n, 1) for n in (8, 7, 6, 5)]
    found = [Restated(m, "cost", 0, Decimal(m.month), f"rule edit {m.month}") for m in months]
    found += [Restated(m, "leads", 0, Decimal(1), "new export a.csv") for m in months[:2]]
    found += [Restated(months[0], "cost", 2, Decimal(3), "rules edited")]
    span, *others = lines(replace(MORNING, restated=tuple(found)))["restated"]
    assert span.code == "restated.span.amount"
    assert span.values == {
        "metric": "cost", "first": months[-1], "last": months[0], "months": 4, "change": Decimal(26), "why": "rules",
    }  # fmt: skip
    assert span.command == "rmetrics history --from 2026-05 --to 2026-08 --metric cost"
    assert span.detail == "rule edit 8; rule edit 7; rule edit 6; and 1 more"
    assert [x.code for x in others] == ["restated.month.count", "restated.month.count", "restated.days.amount"]


def test_months_that_gained_and_lost_the_same_are_told_as_moved_with_each_cause_once() -> None:
    found = tuple(
        Restated(dt.date(2026, n, 1), "revenue40", 0, Decimal(change), cause)
        for n, change, cause in ((8, "40", "new export: a.csv"), (7, "-40", "new export a.csv: 2 new rows; new export: a.csv"),
                                 (6, "0", "new export: a.csv"))
    )  # fmt: skip
    (span,) = lines(replace(MORNING, restated=found))["restated"]
    assert span.code == "restated.span.moved"
    assert span.detail == "new export: a.csv; new export a.csv: 2 new rows"
    assert "0.00" not in phrase("en", span.code, span.values, ZONE)


def test_the_cost_of_yesterday_is_not_told_as_whole_without_what_is_spread_over_the_month() -> None:
    ads, other = PullTrouble("ads", AFTER, "500", spread=True), PullTrouble("crm", AFTER, "500")
    found = lines(replace(MORNING, pulls=(other, ads)))
    assert [x.code for x in found["yesterday"]][:3] == ["yesterday.all", "yesterday.cost", "yesterday.source"]
    assert found["yesterday"][1].command == "rmetrics pull ads"
    assert len([x for x in found["yesterday"] if x.code == "yesterday.cost"]) == 1


def test_spend_entered_ahead_is_no_news_of_the_days_it_is_for() -> None:
    feeds = (feed("jobs"), feed("google_spend", last=dt.date(2026, 12, 1), needed=False))
    month_end, planned = dt.date(2026, 12, 31), frozenset({"google_spend"})
    assert end_of_data(month_end, feeds, planned) == dt.date(2026, 11, 9)
    assert end_of_data(dt.date(2026, 11, 8), feeds, planned) == dt.date(2026, 11, 8)
    assert end_of_data(month_end, (), planned) == month_end
    assert end_of_data(None, feeds, planned) is None


def test_a_source_with_both_targets_has_one_line() -> None:
    row = ToDate(
        "Rely", 20, 10, 8, Decimal(1000), Decimal(300), Decimal(30), Decimal(3000), Decimal(9), Decimal(900),
        MonthEnd(Decimal(27), None, None), MonthEnd(Decimal("3333.33"), None, None),
    )  # fmt: skip
    (line,) = lines(replace(MORNING, to_date=(row,)))["month"]
    assert (line.code, line.tone) == ("month.both.source", "bad")
    assert line.values["repairs_of_pace"] == Decimal("0.889")
    assert line.values["revenue40_forecast"] == Decimal("3333.33")
    (single,) = lines(replace(MORNING, to_date=(replace(row, target_revenue40=None),)))["month"]
    assert single.code == "month.repairs.source"


BUSY = replace(
    MORNING,
    feeds=(feed("jobs"), feed("payments", last=dt.date(2026, 11, 6)), feed("proref_leads", last=dt.date(2026, 11, 7))),
    rejected=2,
    findings=(
        FindingFact("export-cut", "error", "the export <b>secret.csv</b> was cut", 5),
        FindingFact("undeclared-source", "warning", "7 jobs of Puls", 7),
        FindingFact("export-order", "info", "x", 1),
    ),
    failed=(FailedRun(BEFORE, "cannot open /home/anna/x"),),
    raised=(Raised("cpl", "CPL", "O'Brien & Co", "cpl 31.000000", "rmetrics explain --source 'O'\"'\"'Brien & Co'"),),
    troubles=(
        SendTrouble("owner", "brief", "2026-11-09/unreachable", "doubtful", BEFORE, ""), SendTrouble("anna", "alerts", "x", "failed", BEFORE, "401"),
    ),
)  # fmt: skip


def test_what_needs_a_person() -> None:
    found = lines(BUSY)
    assert [x.code for x in found["person"]] == [
        "person.rejected", "person.undeclared", "person.stale", "person.failed", "person.error",
        "person.doubtful-brief", "person.failed-alerts",
    ]  # fmt: skip
    assert found["person"][2].values == {"feed": "payments", "last": dt.date(2026, 11, 6), "days": 4}
    assert found["person"][5].command == "rmetrics brief --send --date 2026-11-09 --again owner"
    assert [x.code for x in found["alerts"]] == ["alert.of"]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_line_has_a_command_and_details_only_where_they_are_asked_for(language: str) -> None:
    brief = brief_of(BUSY, language)
    assert all(said.line.command.startswith("rmetrics ") for s in brief.sections for said in s.lines)
    for make in (as_text, as_html):
        bare, full = make(brief, details=False), make(brief, details=True)
        for name in ("secret.csv", "7 jobs of Puls", "/home/anna"):
            assert name not in bare
            assert name in full
    assert "<b>" not in as_html(brief, details=True)
    assert "&lt;b&gt;secret.csv" in as_html(brief, details=True)


def test_html_is_a_document_of_its_own() -> None:
    page = as_html(brief_of(BUSY, "ru"), details=False)
    assert page.startswith('<!doctype html>\n<html lang="ru">')
    for sign in ("src=", "href=", "url(", "<script", "@import"):
        assert sign not in page


def test_calls_not_returned_and_leads_to_dispute_need_a_person() -> None:
    until = dt.datetime(2026, 11, 10, 19, 30, tzinfo=dt.UTC)
    facts = replace(
        MORNING,
        missed=MissedCalls(dt.date(2026, 11, 3), 2, 1),
        disputable=(Disputable("Service Direct", 3, until, 7, Decimal("90.50")),),
    )
    found = [(line.code, line.command) for line in lines(facts)["person"]]
    assert found == [
        ("person.missed", "rmetrics calls"),
        ("person.missed-existing", "rmetrics calls"),
        ("person.dispute", "rmetrics disputes --source 'Service Direct'"),
    ]
    english, russian = (as_text(brief_of(facts, language), details=False) for language in ("en", "ru"))
    assert "2 calls missed since" in english
    assert "Service Direct: 3 leads to dispute (90.50)" in english
    assert "7 hours left for the first" in english
    assert (
        "\u0447\u0430\u0441\u043e\u0432" in russian.partition("Service Direct")[2]
    )  # seven hours: the form after many
    assert "person" not in lines(replace(MORNING, missed=MissedCalls(dt.date(2026, 11, 3), 0, 0)))
    assert [line.code for line in lines(replace(MORNING, disputable=None))["person"]] == ["person.dispute-unknown"]
