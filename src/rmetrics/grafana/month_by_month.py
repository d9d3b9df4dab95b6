"""*Month by month*: sources and segments over several months, and the months against target."""

from rmetrics.grafana import model as m
from rmetrics.grafana.model import PICKED, SHOWN_MONTHS, Installation, Json, Panel, ratio

MEASURES = ("repairs", "leads", "units", "revenue40", "cost", "profit")


def months(place: Installation) -> Json:
    """Returns the dashboard."""
    picked = f"FROM monthly_metrics\nWHERE {PICKED}\n  AND {SHOWN_MONTHS}"
    rows = [
        _totals(place, picked),
        _by(place, picked),
        _money(place, picked),
        _ratios(place, picked),
        *_tables(place, picked),
    ]
    variables = [
        m.month_variable(place, "Up to"),
        m.months_variable(),
        m.source_variable(),
        m.segment_variable(),
        m.choice_variable("measure", "Bars show", MEASURES),
        m.scope_variable(),
    ]
    about = "Leads, visits, repairs, money and conversions by month, source and segment, and against the targets."
    return m.dashboard(
        "rmetrics-months", "Month by month", about, rows, variables, place, ("now/M", "now/M"), show_range=False
    )


def _totals(place: Installation, picked: str) -> list[Panel]:
    def total(title: str, expression: str, about: str, unit: str = "short", decimals: int | None = None) -> Panel:
        sql = f'SELECT {expression} AS "{title}"\n{picked}'
        return m.stat(title, f"{about} All months shown.", sql, unit=unit, decimals=decimals)

    return [
        total("Leads", "sum(leads)", "Leads of the selected sources and segments."),
        total("Units", "sum(units)", "Service visits."),
        total("Repairs", "sum(repairs)", "Repairs."),
        total("L→R", ratio("repairs", "leads"), "Repairs per lead, from sums.", "percentunit", 1),
        total("Revenue40", "sum(revenue40)", "Revenue after payout.", place.money, 0),
        total("Cost", "sum(cost)", "The cost of the leads.", place.money, 0),
        total("CPL", ratio("cost", "leads"), "Cost per lead, from sums.", place.money, 2),
        total("Profit", "sum(profit)", "Revenue40 minus cost.", place.money, 0),
    ]


def _by(place: Installation, picked: str) -> list[Panel]:
    return [_measure_by(column, place, picked) for column in ("source", "segment")]


def _measure_by(column: str, place: Installation, picked: str) -> Panel:
    cases = " ".join(f"WHEN '{name}' THEN {name}" for name in MEASURES)
    sql = (
        f"SELECT to_char(month, 'YYYY-MM') || CASE WHEN month = {place.running_month} THEN '*' ELSE '' END AS month,\n"
        f"       {column}, sum(CASE ${{measure:sqlstring}} {cases} END) AS value\n{picked}\n"
        "GROUP BY 1, 2\nORDER BY 1, 2"
    )
    return m.bars(
        f"${{measure}} by {column}",
        f"The selected measure by month and {column}. A star marks the current month, which is incomplete.",
        sql,
        (12, 9),
        x=f"month\\{column}",
        stacked=True,
        transformations=[m.matrix(column, "month", "value")],
    )


def _money(place: Installation, picked: str) -> list[Panel]:
    money = (
        'SELECT to_char(month, \'YYYY-MM\') AS "Month", sum(revenue40) AS "Revenue40", sum(cost) AS "Cost",\n'
        f'       sum(profit) AS "Profit"\n{picked}\nGROUP BY 1\nORDER BY 1'
    )
    counts = (
        'SELECT to_char(month, \'YYYY-MM\') AS "Month", sum(leads) AS "Leads", sum(units) AS "Units",\n'
        f'       sum(repairs) AS "Repairs"\n{picked}\nGROUP BY 1\nORDER BY 1'
    )
    return [
        m.bars("Leads, units, repairs", "The selected sources and segments together.", counts, (12, 8), x="Month"),
        m.bars(
            "Revenue40, cost, profit",
            "The selected sources and segments together. Profit is revenue40 minus cost.",
            money,
            (12, 8),
            x="Month",
            unit=place.money,
            decimals=0,
        ),
    ]


def _ratios(place: Installation, picked: str) -> list[Panel]:
    head = "SELECT to_char(month, 'YYYY-MM') AS \"Month\", "
    conversions = (
        f'{head}{ratio("units", "leads")} AS "L→U",\n       {ratio("repairs", "units")} AS "U→R",\n'
        f'       {ratio("repairs", "leads")} AS "L→R"\n{picked}\nGROUP BY 1\nORDER BY 1'
    )
    against = (
        f'{head}cpl AS "CPL", target_cpl_max AS "Ceiling"\nFROM monthly_vs_target\n'
        f"WHERE source = ${{scope:sqlstring}} AND segment = 'ALL'\n  AND {SHOWN_MONTHS}\nORDER BY 1"
    )
    return [
        m.bars(
            "Conversions",
            "From sums of the selected sources and segments. L→R can exceed 100 %: a repair may follow an earlier "
            "lead.",
            conversions,
            (12, 8),
            x="Month",
            unit="percentunit",
            decimals=0,
            min_=0,
        ),
        m.bars(
            "CPL against its ceiling: ${scope}",
            "Cost per lead of the scope, and the highest cost of a lead by its target.",
            against,
            (12, 8),
            x="Month",
            unit=place.money,
            decimals=2,
            min_=0,
            overrides={"Ceiling": {"color": {"mode": "fixed", "fixedColor": m.RED}, "custom.fillOpacity": 20}},
        ),
    ]


def _tables(place: Installation, picked: str) -> list[list[Panel]]:
    against = f"""
SELECT to_char(month, 'YYYY-MM') AS "Month", leads AS "Leads", units AS "Units",
       repairs AS "Repairs", target_repairs AS "Target", repairs_attained AS "Attained",
       revenue40 AS "Revenue40", target_revenue40 AS "Target revenue40", revenue40_attained AS "Revenue40 attained",
       conv_l2r AS "L→R", target_conv_l2r AS "Target L→R", conv_l2r / nullif(target_conv_l2r, 0) AS "L→R of target",
       cpl AS "CPL", target_cpl_max AS "CPL ceiling",
       cpl / nullif(target_cpl_max, 0) AS "CPL of ceiling", profit AS "Profit"
FROM monthly_vs_target
WHERE source = ${{scope:sqlstring}} AND segment = 'ALL'
  AND {SHOWN_MONTHS}
ORDER BY month"""
    share = {"unit": "percentunit", "decimals": 0}
    money, cents = {"unit": place.money, "decimals": 0}, {"unit": place.money, "decimals": 2}
    colours = m.cell_colours(m.ATTAINED)
    by_source = f"""
SELECT source AS "Source", segment AS "Segment",
       sum(leads) AS "Leads", sum(units) AS "Units", sum(repairs) AS "Repairs",
       {ratio("units", "leads")} AS "L→U", {ratio("repairs", "units")} AS "U→R", {ratio("repairs", "leads")} AS "L→R",
       sum(revenue40) AS "Revenue40", sum(cost) AS "Cost", {ratio("cost", "leads")} AS "CPL", sum(profit) AS "Profit"
{picked}
GROUP BY source, segment
ORDER BY sum(revenue40) DESC, source, segment"""
    targets = m.table(
        "Against target: ${scope}",
        "Months of the scope against its own target. ALL has its own target, which is not the sum of the sources' "
        "targets.",
        against,
        (24, 10),
        overrides={
            "Attained": share | colours,
            "Revenue40 attained": share | colours,
            "L→R of target": share | colours,
            "CPL of ceiling": share | m.cell_colours(((None, m.GREEN), (1.0000001, m.RED))),
            "L→R": {"unit": "percentunit", "decimals": 1},
            "Target L→R": {"unit": "percentunit", "decimals": 1},
            "Revenue40": money,
            "Target revenue40": money,
            "Profit": money,
            "CPL": cents,
            "CPL ceiling": cents,
        },
    )
    sources = m.table(
        "By source and segment",
        "Totals of all months shown. A dash means a denominator of 0.",
        by_source,
        (24, 12),
        overrides={
            **{name: {"unit": "percentunit", "decimals": 1} for name in ("L→U", "U→R", "L→R")},
            **dict.fromkeys(("Revenue40", "Cost", "Profit"), money),
            "CPL": cents,
        },
    )
    return [[targets], [sources]]
