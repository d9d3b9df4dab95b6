"""The dashboards without a Grafana: their JSON, and every query as the reader role through Grafana's own expansion."""

import datetime as dt
import itertools
import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from expander import expanded
from published import Published, query, rows_read
from rmetrics.grafana.kit import dashboards
from rmetrics.grafana.model import Installation, source_variable
from rmetrics.rules import load_rules
from rmetrics.usecases.grafana import kit_files
from support import ROOT

NEW_YORK = ZoneInfo("America/New_York")
PLACE = Installation("America/New_York", "USD")
DASHBOARDS = {d["uid"]: d for d in dashboards(PLACE)}
PANELS = [(uid, p) for uid, d in DASHBOARDS.items() for p in d["panels"]]
TARGETS = [(uid, p["title"], t) for uid, p in PANELS for t in p["targets"]]
IDS = [f"{uid}:{title}:{t['refId']}" for uid, title, t in TARGETS]
Variables = dict[str, list[str]]


def days(first: str, last: str) -> tuple[dt.datetime, dt.datetime]:
    """A range of whole business days, as the time picker gives it."""
    start, end = (dt.datetime.fromisoformat(d).replace(tzinfo=NEW_YORK) for d in (first, last))
    return start, end + dt.timedelta(days=1) - dt.timedelta(milliseconds=1)


RANGES = {
    "one month": days("2024-10-01", "2024-10-31"),
    "clocks go back": days("2024-11-01", "2024-11-30"),
    "clocks go forward": days("2024-03-01", "2024-03-31"),
    "a year over both changes": days("2024-01-01", "2024-12-31"),
    "a part of a month": days("2024-05-10", "2024-05-20"),
    "before all data": days("2001-01-01", "2001-01-31"),
}
CHOICES: dict[str, Variables] = {
    "one": {"source": ["eLocals"], "segment": ["COD"], "scope": ["eLocals"], "month": ["2024-11"], "months": ["12"], "measure": ["repairs"], "own": ["repairs"], "dimension": ["technician"]},
    "two": {"source": ["Google", "Rely"], "segment": ["COD", "INS"], "scope": ["ALL"], "month": ["2024-03"], "months": ["3"], "measure": ["revenue40"], "own": ["callback_rate"], "dimension": ["zip"]},
    "quotes": {"source": ["O'Brien", "x'; DROP TABLE targets; --"], "segment": ["COD"], "scope": ["O'Brien"], "month": ["2030-01"], "months": ["36"], "measure": ["cost"], "own": ["x'; DROP TABLE targets; --"], "dimension": ["O'Brien"]},
}  # fmt: skip


def every(published: Published, month: str = "2024-12") -> Variables:
    """All values of each variable, as "All" expands to."""
    names = {
        c: [r[0] for r in query(published.reader, f"SELECT DISTINCT {c} FROM monthly_metrics ORDER BY 1")[1]]
        for c in ("source", "segment")
    }
    return {
        **names,
        "scope": ["ALL"],
        "month": [month],
        "months": ["12"],
        "measure": ["leads"],
        "own": ["leads"],
        "dimension": ["(none)"],
    }


def single(uid: str, variables: Variables) -> Variables:
    """On Channels only one source can be picked."""
    return variables | {"source": variables["source"][:1]} if uid == "rmetrics-channel" else variables


def run_target(
    where: Published, uid: str, target: dict[str, Any], span: tuple[dt.datetime, dt.datetime], variables: Variables
) -> list[dict[str, Any]]:
    """The rows of a panel's query as the reader gets them; checks what Grafana asks of their types and order."""
    columns, rows = query(where.reader, expanded(target["rawSql"], *span, single(uid, variables)))
    names = [name for name, _ in columns]
    assert len(set(names)) == len(names)
    if target["format"] == "time_series":
        assert names[0] == "time"
        assert str(columns[0][1]).startswith("timestamp"), columns[0]
        times = [r[0] for r in rows]
        assert times == sorted(times)
        assert len(set(times)) == len(times)
        for row in rows:
            assert all(v is None or isinstance(v, int | float) or Decimal(v) is not None for v in row[1:])
    return [dict(zip(names, row, strict=True)) for row in rows]


# -- the files


def test_the_committed_kit_is_what_the_generator_writes() -> None:
    """After a change: rmetrics grafana."""
    for name, text in kit_files(load_rules(ROOT / "rules")).items():
        assert (ROOT / "grafana" / name).read_text(encoding="utf-8") == text, name


def test_no_other_file_lies_in_the_kit() -> None:
    """A renamed dashboard leaves no copy behind that Grafana would load too."""
    there = {p.relative_to(ROOT / "grafana").as_posix() for p in (ROOT / "grafana").rglob("*") if p.is_file()}
    assert there - {"README.md", "init.sh"} == set(kit_files(load_rules(ROOT / "rules")))


def lost(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    """Where the second document differs from the first; what only the second has are its defaults."""
    match ours, theirs:
        case dict(), dict():
            for key, value in ours.items():
                if key in theirs:
                    yield from lost(value, theirs[key], f"{path}.{key}")
                elif value not in ([], {}, None):
                    yield f"{path}.{key}"
        case list(), list() if len(ours) == len(theirs):
            for i, pair in enumerate(zip(ours, theirs, strict=True)):
                yield from lost(*pair, f"{path}[{i}]")
        case _ if ours != theirs:
            yield path


def test_the_official_model_reads_and_writes_the_same() -> None:
    """Nothing is lost or changed on the way through Grafana's own Python model."""
    for uid, ours in DASHBOARDS.items():
        text = json.loads(json.dumps(ours))
        theirs = json.loads(JSONEncoder().encode(Dashboard.from_json(text)))
        assert list(lost(ours, theirs, uid)) == []


def test_dashboards_are_provisioned_and_not_edited() -> None:
    """Stable uids, no ids of a database, the business zone, refresh not below five minutes, Classic model."""
    assert set(DASHBOARDS) == {
        "rmetrics-months",
        "rmetrics-month",
        "rmetrics-channel",
        "rmetrics-funnel",
        "rmetrics-own",
        "rmetrics-health",
    }
    for d in DASHBOARDS.values():
        assert not {"id", "__inputs", "__requires"} & set(d)
        assert (d["editable"], d["timezone"]) == (False, "America/New_York")
        assert d["schemaVersion"] == 42, "LATEST_VERSION of Grafana 12 and 13: nothing is migrated when it is read"
        assert int(d["refresh"].removesuffix("m")) >= 5
        assert all(edge == "now" or "/" in edge for edge in d["time"].values())


def test_panels_explain_themselves_and_fit() -> None:
    """Title, description, unit, data source; ids are unique; nothing overlaps or hangs over the edge."""
    for d in DASHBOARDS.values():
        taken: set[tuple[int, int]] = set()
        assert len({p["id"] for p in d["panels"]}) == len(d["panels"])
        for p in d["panels"]:
            assert p["title"], p["id"]
            assert p["description"], p["title"]
            assert p["fieldConfig"]["defaults"]["unit"], p["title"]
            assert p["targets"], p["title"]
            assert p["type"] in {"timeseries", "barchart", "stat", "table", "trend"}
            g = p["gridPos"]
            cells = set(itertools.product(range(g["x"], g["x"] + g["w"]), range(g["y"], g["y"] + g["h"])))
            assert g["x"] + g["w"] <= 24
            assert not taken & cells, p["title"]
            taken |= cells


def test_rows_of_panels_fill_the_width() -> None:
    """At 1080p no row leaves a hole at its right."""
    for d in DASHBOARDS.values():
        for _, row in itertools.groupby(d["panels"], key=lambda p: p["gridPos"]["y"]):
            assert sum(p["gridPos"]["w"] for p in row) == 24


def test_every_variable_used_is_defined_and_quoted() -> None:
    """Only ${name:sqlstring} in SQL; names in titles are defined too."""
    for uid, d in DASHBOARDS.items():
        defined = {v["name"] for v in d["templating"]["list"]}
        for p in d["panels"]:
            used = set(re.findall(r"\$\{(\w+)[^}]*\}", p["title"]))
            for t in p["targets"]:
                sql = t["rawSql"]
                used |= set(re.findall(r"\$\{(\w+):sqlstring\}", sql))
                assert len(re.findall(r"\$\{", sql)) == len(re.findall(r"\$\{\w+:sqlstring\}", sql)), p["title"]
                assert "__timeGroup" not in sql
                assert not re.search(r"timeFilter\((?!time\))", sql), p["title"]
            assert used <= defined, f"{uid}: {p['title']}"
        assert defined <= {
            n for p in d["panels"] for t in p["targets"] for n in re.findall(r"\$\{(\w+):", t["rawSql"])
        }, f"{uid}: a variable nobody uses"


def test_overrides_and_fields_name_columns_that_exist(sample: Published) -> None:
    """A renamed column would silently lose its unit."""
    for uid, panel in PANELS:
        names: set[str] = set()
        for t in panel["targets"]:
            columns, _ = query(sample.reader, expanded(t["rawSql"], *RANGES["one month"], single(uid, every(sample))))
            names |= {c for c, _ in columns}
        wanted = {o["matcher"]["options"] for o in panel["fieldConfig"]["overrides"]}
        x = panel["options"].get("xField")
        assert wanted <= names, panel["title"]
        assert x is None or x in names or panel["transformations"], panel["title"]


def test_another_zone_and_currency_reach_everything() -> None:
    """A business in Riga gets its own zone in SQL and dashboards, and euros."""
    for d in dashboards(Installation("Europe/Riga", "EUR")):
        text = json.dumps(d)
        assert d["timezone"] == "Europe/Riga"
        assert "New_York" not in text
        assert "currencyUSD" not in text
    assert Installation("UTC", "ILS").money == "currency:ILS"


# -- every query, as the reader


@pytest.mark.parametrize(("uid", "title", "target"), TARGETS, ids=IDS)
def test_panel_queries_run_over_the_matrix(
    sample: Published, nothing: Published, uid: str, title: str, target: dict[str, Any]
) -> None:
    """Each range with one, two, all values and names with quotes; and on an empty schema."""
    choices = [*CHOICES.values(), every(sample)]
    for span, variables in itertools.product(RANGES.values(), choices):
        run_target(sample, uid, target, span, variables)
    empty = run_target(nothing, uid, target, RANGES["one month"], CHOICES["quotes"])
    assert len(empty) <= 31, title


def test_variable_queries_run_and_are_never_empty(sample: Published, nothing: Published) -> None:
    """An empty list would expand to IN (), a syntax error."""
    for d in DASHBOARDS.values():
        for v in d["templating"]["list"]:
            if v["type"] == "query":
                for where in (sample, nothing):
                    columns, rows = query(where.reader, v["query"])
                    assert len(columns) == 1
                    assert rows, (d["uid"], v["name"])
                    assert all(isinstance(r[0], str) for r in rows)


def test_the_newest_month_comes_first(sample: Published) -> None:
    """Grafana picks the first value: the month the data ends in."""
    month = next(v for v in DASHBOARDS["rmetrics-month"]["templating"]["list"] if v["name"] == "month")
    values = [r[0] for r in query(sample.reader, month["query"])[1]]
    assert values[0] == "2024-12"
    assert values == sorted(values, reverse=True)
    assert source_variable()["sort"] == 1
    assert month["sort"] == 0


def test_dashboards_open_on_the_newest_data(sample: Published) -> None:
    """The sample ends in 2024: what is picked at first shows figures, whatever today is; only runs follow the range."""
    for uid, d in DASHBOARDS.items():
        ranged = [p["title"] for p in d["panels"] for t in p["targets"] if "$__time" in t["rawSql"]]
        assert bool(ranged) == (uid == "rmetrics-health"), ranged
        assert d["timepicker"]["hidden"] == (uid != "rmetrics-health")
    picked = every(sample, query(sample.reader, newest()["query"])[1][0][0])
    for uid, title, t in TARGETS:
        if uid != "rmetrics-health" and "Calls" not in title and "ember" not in title:  # no dimension is shipped
            assert run_target(sample, uid, t, RANGES["before all data"], picked), title


def newest() -> dict[str, Any]:
    """The variable of the month."""
    return next(v for v in DASHBOARDS["rmetrics-months"]["templating"]["list"] if v["name"] == "month")


def active(value: Decimal, steps: list[dict[str, Any]]) -> str:
    """The colour of a value, as Grafana's getActiveThreshold has it: below the lowest step in that step's colour."""
    colour = steps[0]["color"]
    for step in steps:
        if step["value"] is not None and value < step["value"]:
            break
        colour = step["color"]
    return str(colour)


def thresholds(where: Published, title: str, month: str) -> list[dict[str, Any]]:
    """The steps in force: those that the query gives, or the panel's own where it gives none (configFromData)."""
    panel = next(p for u, p in PANELS if u == "rmetrics-month" and p["title"] == title)
    (handler,) = panel["transformations"]
    sql = next(t["rawSql"] for t in panel["targets"] if t["refId"] == handler["options"]["configRefId"])
    columns, rows = query(where.reader, expanded(sql, *RANGES["one month"], {"scope": ["ALL"], "month": [month]}))
    found = dict(zip([c for c, _ in columns], rows[0], strict=True)) if rows else {}
    steps = [
        {"value": Decimal(found[m["fieldName"]]), "color": m["handlerArguments"]["threshold"]["color"]}
        for m in handler["options"]["mappings"]
        if found.get(m["fieldName"]) is not None
    ]
    return steps or panel["fieldConfig"]["defaults"]["thresholds"]["steps"]


def test_thresholds_are_the_targets_and_without_one_there_is_no_colour(sample: Published) -> None:
    ceiling, share = query(
        sample.owner,
        "SELECT target_cpl_max::text, target_conv_l2r::text FROM targets "
        "WHERE month = '2024-11-01' AND source = 'ALL' AND segment = 'ALL'",
    )[1][0]
    cents = Decimal("0.01")
    cpl = thresholds(sample, "CPL so far", "2024-11")
    assert [active(Decimal(ceiling) + d, cpl) for d in (-cents, Decimal(0), cents)] == ["green", "red", "red"]
    conversion = thresholds(sample, "L→R so far", "2024-11")
    assert [active(Decimal(share) * d / 100, conversion) for d in (0, 89, 90, 99, 100)] == [
        "red", "red", "yellow", "yellow", "green",
    ]  # fmt: skip
    for title in ("CPL so far", "L→R so far"):
        assert active(Decimal(1), thresholds(sample, title, "2030-01")) == "text"
        panel = next(p for u, p in PANELS if u == "rmetrics-month" and p["title"] == title)
        assert panel["fieldConfig"]["defaults"]["color"]["mode"] == "thresholds"


# -- sums against the metrics tables


def target(uid: str, title: str, ref: str = "A") -> dict[str, Any]:
    """The query of a panel by its title."""
    return next(t for u, name, t in TARGETS if u == uid and name == title and t["refId"] == ref)


def one(where: Published, sql: str) -> Any:
    """A single value, asked by the owner."""
    return query(where.owner, sql)[1][0][0]


@pytest.mark.parametrize(
    ("month", "months", "first"),
    [("2024-12", "12", "2024-01"), ("2024-03", "3", "2024-01"), ("2023-10", "24", "2021-11")],
)
def test_totals_are_those_of_the_months_shown(sample: Published, month: str, months: str, first: str) -> None:
    """All sources and segments picked: the totals equal the table's, of as many months as were picked."""
    where = f"FROM monthly_metrics WHERE month BETWEEN '{first}-01' AND '{month}-01'"
    picked = every(sample, month) | {"months": [months]}
    for title, column in (
        ("Leads", "leads"),
        ("Units", "units"),
        ("Repairs", "repairs"),
        ("Revenue40", "revenue40"),
        ("Cost", "cost"),
        ("Profit", "profit"),
    ):
        rows = run_target(sample, "rmetrics-months", target("rmetrics-months", title), RANGES["one month"], picked)
        assert rows[0][title] == one(sample, f"SELECT sum({column}) {where}")


@pytest.mark.parametrize("column", ["source", "segment"])
@pytest.mark.parametrize("measure", ["leads", "units", "repairs", "revenue40", "cost", "profit"])
def test_bars_add_up_to_the_table(sample: Published, column: str, measure: str) -> None:
    """Every measure, by source and by segment, over a year: each (month, name) once, the sum exact."""
    t = target("rmetrics-months", f"${{measure}} by {column}")
    rows = run_target(
        sample, "rmetrics-months", t, RANGES["a year over both changes"], every(sample) | {"measure": [measure]}
    )
    assert len({(r["month"], r[column]) for r in rows}) == len(rows)
    assert sum(Decimal(r["value"]) for r in rows) == Decimal(
        one(sample, f"SELECT sum({measure})::text FROM monthly_metrics WHERE month >= '2024-01-01'")
    )
    assert len({r["month"] for r in rows}) == 12


@pytest.mark.parametrize(("month", "count"), [("2024-11", 30), ("2024-03", 31), ("2024-10", 31)])
def test_a_month_of_days_has_all_its_days_and_no_other(years: Published, month: str, count: int) -> None:
    """Across both changes of the clock: 30 or 31 days, none of a neighbouring month."""
    rows = run_target(
        years,
        "rmetrics-channel",
        target("rmetrics-channel", "Days of ${source} in ${month}"),
        RANGES["one month"],
        CHOICES["quotes"] | {"segment": ["COD", "INS", "OTHER"], "month": [month]},
    )
    assert [r["Day"] for r in rows] == [f"{n:02d}" for n in range(1, count + 1)]
    assert sum(int(r["Leads"]) for r in rows) == count * 12


def test_this_month_equals_the_view(sample: Published) -> None:
    """Repairs and revenue so far and their pace, day by day, for the company and for one source."""
    for scope, month in itertools.product(("ALL", "eLocals", "Rely"), ("2024-12", "2024-02")):
        variables = {"scope": [scope], "month": [month]}
        for title, measure in (("Repairs", "repairs"), ("Revenue40", "revenue40")):
            t = target("rmetrics-month", f"{title} so far: ${{scope}}, ${{month}}")
            rows = query(sample.reader, expanded(t["rawSql"], *RANGES["one month"], variables))[1]
            view = query(
                sample.owner,
                f"SELECT extract(day FROM date)::int, {measure}_to_date, {measure}_pace FROM daily_cumulative WHERE month = '{month}-01' AND source = '{scope}' ORDER BY date",
            )[1]
            assert [(r[0], Decimal(r[1])) for r in rows] == [(v[0], Decimal(v[1])) for v in view]
            assert [None if r[2] is None else Decimal(r[2]) for r in rows] == [
                None if v[2] is None else Decimal(v[2]) for v in view
            ]


def test_the_forecast_starts_at_the_last_day_and_ends_with_the_month(years: Published) -> None:
    """540 repairs in 20 of 31 days: the published estimate runs from 540 on the 20th to 837 on the 31st."""
    t = target("rmetrics-month", "Repairs so far: ${scope}, ${month}")
    rows = query(years.reader, expanded(t["rawSql"], *RANGES["one month"], {"scope": ["ALL"], "month": ["2024-12"]}))[1]
    projected = {r[0]: Decimal(r[3]) for r in rows if r[3] is not None}
    assert sorted(projected) == list(range(20, 32))
    assert (round(projected[20]), round(projected[31])) == (540, 837)
    assert [r[0] for r in rows if r[1] is not None] == list(range(1, 21))
    assert [(r[0], Decimal(r[4]), Decimal(r[5])) for r in rows if r[4] is not None] == [
        (31, Decimal(800), Decimal(874))
    ]
    headline = {
        p["title"]: p["targets"][0]["rawSql"] for u, p in PANELS if u == "rmetrics-month" and p["type"] == "stat"
    }
    value = query(
        years.reader,
        expanded(headline["Repairs at month end"], *RANGES["one month"], {"scope": ["ALL"], "month": ["2024-12"]}),
    )[1]
    assert Decimal(value[0][0]) == 837


def test_a_day_without_rows_counts_as_nothing_done(years: Published) -> None:
    """A month after the data: no line, no projection, no error."""
    t = target("rmetrics-month", "Repairs so far: ${scope}, ${month}")
    rows = query(years.reader, expanded(t["rawSql"], *RANGES["one month"], {"scope": ["ALL"], "month": ["2025-02"]}))[1]
    assert len(rows) == 28
    assert all(r[1] is None for r in rows)


@pytest.mark.parametrize("source", ["eLocals", "O'Brien", "a b; rm -rf x", "$(id)"])
def test_the_explain_command_survives_the_shell(years: Published, source: str) -> None:
    """The command in the table, given to a shell, names exactly that source."""
    t = target("rmetrics-channel", "Explain")
    sql = t["rawSql"].replace("AND source = ${source:sqlstring}", "AND source = 'eLocals'")
    quoted = source.replace("'", "''")
    sql = sql.replace("${source:sqlstring}", f"'{quoted}'").replace("${month:sqlstring}", "'2024-12'")
    rows = query(years.reader, sql)[1]
    assert [r[0] for r in rows] == ["leads", "units", "repairs", "revenue_gross", "revenue40", "cost"]
    command = rows[0][2].replace("rmetrics explain", "printf '%s|'", 1)
    shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert shown == f"--source|{source}|--month|2024-12|--metric|leads|"


@pytest.mark.parametrize(("uid", "title", "target"), TARGETS, ids=IDS)
def test_no_panel_reads_five_years_of_days(years: Published, uid: str, title: str, target: dict[str, Any]) -> None:
    """Of 49,032 days a panel of one month reads that month's 837 and perhaps once more; of months each once."""
    sql = expanded(target["rawSql"], *RANGES["one month"], single(uid, every(years, "2024-10")))
    needed = {"daily_metrics": 1_700, "monthly_metrics": 1_700, "targets": 650}
    for table, read in rows_read(years.reader, sql).items():
        assert read <= needed.get(table, 100), f"{title} reads {read} rows of {table}"


def test_health_tells_what_changed_and_why(sample: Published) -> None:
    """The second run changed months, and the panels say which and by which export."""
    now = dt.datetime.now(dt.UTC)
    span = now - dt.timedelta(days=1), now + dt.timedelta(days=1)
    changes = run_target(sample, "rmetrics-health", target("rmetrics-health", "What changed"), span, {"source": [""]})
    assert changes
    assert all(r["Was"] != r["Is"] and r["Why"] for r in changes)
    runs = run_target(sample, "rmetrics-health", target("rmetrics-health", "Runs"), span, {"source": [""]})
    assert [r["Status"] for r in runs] == ["ok", "ok"]
    found = run_target(
        sample, "rmetrics-health", target("rmetrics-health", "Findings of the last run"), span, {"source": [""]}
    )
    assert {"rejected-rows", "undeclared-source"} <= {r["Finding"] for r in found}
    fresh = run_target(
        sample, "rmetrics-health", target("rmetrics-health", "Freshness by feed"), span, {"source": [""]}
    )
    assert len(fresh) == 7
