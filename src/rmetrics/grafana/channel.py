"""*Channels*: one source in depth, with the commands that explain its figures."""

from rmetrics.grafana import model as m
from rmetrics.grafana.model import MONTH, SHOWN_MONTHS, Installation, Json, Panel, ratio

_ONE = "source = ${source:sqlstring} AND segment IN (${segment:sqlstring})"
_MONTH_TEXT = "SELECT to_char(month, 'YYYY-MM') AS \"Month\", "
_METRICS = ("leads", "units", "repairs", "revenue_gross", "revenue40", "cost")


def channel(place: Installation) -> Json:
    """Returns the dashboard."""
    rows = [_headline(place), _history(place), _depth(place), [_days()], [_segments(place), _explain()]]
    variables = [
        m.source_variable(multi=False),
        m.segment_variable(),
        m.month_variable(place),
        m.months_variable(),
    ]
    about = "One source in detail: its month compared with the previous one, its history, its calls, and explanations."
    return m.dashboard(
        "rmetrics-channel", "Channels", about, rows, variables, place, ("now/M", "now/M"), show_range=False
    )


def _headline(place: Installation) -> list[Panel]:
    def number(title: str, expression: str, about: str, unit: str = "short", decimals: int | None = None) -> Panel:
        sql = f'SELECT {expression} AS "{title}"\nFROM monthly_metrics\nWHERE month = {MONTH} AND {_ONE}'
        return m.stat(title, f"{about} The selected month.", sql, unit=unit, decimals=decimals)

    return [
        number("Leads", "sum(leads)", "Leads by the rule of the source."),
        number("Units", "sum(units)", "Service visits."),
        number("Repairs", "sum(repairs)", "Repairs."),
        number("L→R", ratio("repairs", "leads"), "Repairs per lead.", "percentunit", 1),
        number("CPL", ratio("cost", "leads"), "Cost per lead.", place.money, 2),
        number("Revenue40", "sum(revenue40)", "Revenue after payout.", place.money, 0),
        number("Average ticket", ratio("revenue_gross", "repairs"), "Gross revenue per repair.", place.money, 0),
        number("Profit", "sum(profit)", "Revenue40 minus cost.", place.money, 0),
    ]


def _history(place: Installation) -> list[Panel]:
    tail = f"FROM monthly_metrics\nWHERE {_ONE}\n  AND {SHOWN_MONTHS}\nGROUP BY 1\nORDER BY 1"
    head = _MONTH_TEXT
    counts = f'{head}sum(leads) AS "Leads", sum(units) AS "Units", sum(repairs) AS "Repairs"\n{tail}'
    money = f'{head}sum(revenue40) AS "Revenue40", sum(cost) AS "Cost", sum(profit) AS "Profit"\n{tail}'
    return [
        m.bars("${source}: leads, units, repairs", "The months up to the selected one.", counts, (12, 8), x="Month"),
        m.bars(
            "${source}: revenue40, cost, profit",
            "The months up to the selected one. Profit is revenue40 minus cost.",
            money,
            (12, 8),
            x="Month",
            unit=place.money,
            decimals=0,
        ),
    ]


def _depth(place: Installation) -> list[Panel]:
    cpl = (
        f'{_MONTH_TEXT}cpl AS "CPL", target_cpl_max AS "Ceiling",\n'
        '       cost / nullif(repairs, 0) AS "Cost per repair"\n'
        f"FROM monthly_vs_target\nWHERE source = ${{source:sqlstring}} AND segment = 'ALL'\n  AND {SHOWN_MONTHS}\n"
        "ORDER BY month"
    )
    conversions = (
        f'{_MONTH_TEXT}{ratio("units", "leads")} AS "L→U", {ratio("repairs", "units")} AS "U→R",\n'
        f'       {ratio("repairs", "leads")} AS "L→R"\n'
        f"FROM monthly_metrics\nWHERE {_ONE}\n  AND {SHOWN_MONTHS}\nGROUP BY 1\nORDER BY 1"
    )
    calls = (
        f'{_MONTH_TEXT}inbound AS "Inbound", answered AS "Answered",\n'
        f'       jobs AS "Jobs", repairs AS "Repairs"\nFROM call_funnel\n'
        f"WHERE source = ${{source:sqlstring}}\n  AND {SHOWN_MONTHS}\n"
        "ORDER BY month"
    )
    return [
        m.bars(
            "Cost of a lead and of a repair",
            "All segments of the source, and the ceiling of its target.",
            cpl,
            (8, 8),
            x="Month",
            unit=place.money,
            decimals=2,
            min_=0,
            overrides={"Ceiling": {"color": {"mode": "fixed", "fixedColor": m.RED}, "custom.fillOpacity": 20}},
        ),
        m.bars(
            "Conversions of ${source}",
            "From sums. A gap means no leads or no units in that month.",
            conversions,
            (8, 8),
            x="Month",
            unit="percentunit",
            decimals=0,
            min_=0,
        ),
        m.bars(
            "Calls of ${source}",
            "From call to repair, by month of the call. Empty if the rules assign no calls to this source.",
            calls,
            (8, 8),
            x="Month",
        ),
    ]


def _days() -> Panel:
    sql = (
        'SELECT to_char(date, \'DD\') AS "Day", sum(leads) AS "Leads", sum(units) AS "Units", '
        'sum(repairs) AS "Repairs"\n'
        f"FROM daily_metrics\nWHERE date >= {MONTH} AND date < ({MONTH} + interval '1 month')::date\n  AND {_ONE}\n"
        "GROUP BY date\nORDER BY date"
    )
    return m.bars(
        "Days of ${source} in ${month}",
        "Each business day of the selected month. Days without activity have no bar.",
        sql,
        (24, 8),
        x="Day",
    )


def _segments(place: Installation) -> Panel:
    sql = f"""
SELECT segment AS "Segment", sum(leads) AS "Leads", sum(units) AS "Units", sum(repairs) AS "Repairs",
       {ratio("repairs", "leads")} AS "L→R", sum(revenue40) AS "Revenue40", sum(cost) AS "Cost", sum(profit) AS "Profit"
FROM monthly_metrics
WHERE month = {MONTH} AND {_ONE}
GROUP BY segment
ORDER BY segment"""
    money = {"unit": place.money, "decimals": 0}
    return m.table(
        "Segments in ${month}",
        "The source's month by segment.",
        sql,
        (10, 9),
        overrides={
            **dict.fromkeys(("Revenue40", "Cost", "Profit"), money),
            "L→R": {"unit": "percentunit", "decimals": 1},
        },
    )


def _explain() -> Panel:
    # Quotes the name for the shell: a quote inside it closes the string, is escaped, and opens it again.
    sql = f"""
SELECT metric AS "Metric", sum(amount) AS "Value",
       'rmetrics explain --source ''' || replace(${{source:sqlstring}}, '''', '''\\''''') || ''' --month ' ||
       ${{month:sqlstring}} || ' --metric ' || metric AS "Command to run where rmetrics is installed"
FROM monthly_metrics
CROSS JOIN LATERAL (VALUES {", ".join(f"({i}, '{n}', {n}::numeric)" for i, n in enumerate(_METRICS))})
    AS each (place, metric, amount)
WHERE month = {MONTH} AND source = ${{source:sqlstring}}
GROUP BY place, metric
ORDER BY place"""
    return m.table(
        "Explain",
        "The command that explains each number of this source and month: the rule, the steps, the rows, the proof.",
        sql,
        (14, 9),
        overrides={
            "Metric": {"custom.width": 130},
            "Value": {"custom.width": 120, "decimals": 2},
            "Command to run where rmetrics is installed": m.WRAPPED,
        },
    )
