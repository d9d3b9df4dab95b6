"""*This month*: day by day against the pace of the targets, with a forecast of the month's end."""

from typing import Any

from rmetrics.grafana import model as m
from rmetrics.grafana.model import MONTH, SCOPE, Installation, Json, Panel, ratio

_PARTS = f"""\
WITH picked AS (
  SELECT {MONTH} AS m0, ({MONTH} + interval '1 month')::date AS m1
), calendar AS (
  SELECT m0 + n AS date, n + 1 AS day, m1 - m0 AS days
  FROM picked, generate_series(0, (m1 - m0) - 1) AS n
), actual AS (
  SELECT date, sum(leads) AS leads, sum(units) AS units, sum(repairs) AS repairs, sum(revenue40) AS revenue40,
         sum(cost) AS cost
  FROM daily_metrics
  WHERE date >= (SELECT m0 FROM picked) AND date < (SELECT m1 FROM picked) AND {SCOPE}
  GROUP BY date
), covered AS (
  SELECT least(max(date), (SELECT m1 - 1 FROM picked)) AS last_day FROM daily_metrics
), target AS (
  SELECT target_repairs, target_revenue40, target_conv_l2r, target_cpl_max
  FROM targets WHERE month = {MONTH} AND source = ${{scope:sqlstring}} AND segment = 'ALL'
), so_far AS (
  SELECT sum(leads) AS leads, sum(units) AS units, coalesce(sum(repairs), 0) AS repairs,
         coalesce(sum(revenue40), 0) AS revenue40, sum(cost) AS cost,
         (SELECT greatest(last_day - m0 + 1, 0) FROM covered, picked)::numeric AS passed,
         (SELECT m1 - m0 FROM picked)::numeric AS days
  FROM actual
)
"""
_ESTIMATE = "An estimate from weekdays, holidays and the last six weeks; the actual figure after the end of the month."


def month(place: Installation) -> Json:
    """Returns the dashboard."""
    rows = [
        _headline(place),
        [_cumulative("repairs", "Repairs", "short"), _cumulative("revenue40", "Revenue40", place.money)],
        [_days(), _running(place)],
        [_sources(place)],
    ]
    variables = [m.month_variable(place), m.scope_variable()]
    about = (
        "One month day by day: repairs and revenue40 against the target's pace, with a forecast for the end of the "
        "month."
    )
    return m.dashboard(
        "rmetrics-month", "This month", about, rows, variables, place, ("now/M", "now/M"), show_range=False
    )


def _headline(place: Installation) -> list[Panel]:
    def number(title: str, expression: str, about: str, unit: str = "short", **more: Any) -> Panel:
        sql = f'{_PARTS}SELECT {expression} AS "{title}" FROM so_far LEFT JOIN target ON true'
        return m.stat(title, about, sql, unit=unit, **more)

    pace = "repairs / nullif(target_repairs * passed / days, 0)"
    money_pace = "revenue40 / nullif(target_revenue40 * passed / days, 0)"
    attained: dict[str, Any] = {"unit": "percentunit", "decimals": 0, "steps": m.ATTAINED}
    of_target = f"FROM targets\nWHERE month = {MONTH} AND source = ${{scope:sqlstring}} AND segment = 'ALL'"
    ceiling = (
        'SELECT CASE WHEN target_cpl_max IS NOT NULL THEN 0 END AS "Fine from", target_cpl_max AS "Ceiling"\n'
        f"{of_target}"
    )
    floor = (
        'SELECT CASE WHEN target_conv_l2r IS NOT NULL THEN 0 END AS "Low from", target_conv_l2r * 0.9 AS "Near from",\n'
        f'       target_conv_l2r AS "Target"\n{of_target}'
    )
    cpl = f'{_PARTS}SELECT cost / nullif(leads, 0) AS "CPL so far" FROM so_far'
    conversion = f'{_PARTS}SELECT repairs / nullif(leads, 0) AS "L→R so far" FROM so_far'
    return [
        number("Repairs of pace", pace, "Repairs so far against the target's pace.", **attained),
        number("Repairs so far", "repairs", "Repairs since the first of the month."),
        number("Repairs at month end", _ends("repairs", rounded=True), _ESTIMATE),
        number("Revenue40 of pace", money_pace, "Revenue40 so far against the target's pace.", **attained),
        number(
            "Revenue40 at month end",
            _ends("revenue40"),
            _ESTIMATE,
            place.money,
            decimals=0,
        ),
        m.stat(
            "CPL so far",
            "Cost per lead since the first of the month. Red from the ceiling up; no colour without a ceiling.",
            {"A": cpl, "B": ceiling},
            unit=place.money,
            decimals=2,
            steps=m.NO_TARGET,
            by_threshold=True,
            transformations=[m.thresholds_from("B", {"Fine from": m.GREEN, "Ceiling": m.RED})],
        ),
        m.stat(
            "L→R so far",
            "Repairs per lead so far. Green from the target up, red below 90 % of it; no colour without a target.",
            {"A": conversion, "B": floor},
            unit="percentunit",
            decimals=1,
            steps=m.NO_TARGET,
            by_threshold=True,
            transformations=[
                m.thresholds_from("B", {"Low from": m.RED, "Near from": m.YELLOW, "Target": m.GREEN})
            ],
        ),
        m.as_of(),
    ]  # fmt: skip


def _ends(measure: str, *, rounded: bool = False) -> str:
    """SQL: a measure at the end of the month: the estimate, or the figure itself once the month is over.

    NULL with fewer than eight weeks of data.
    """
    ends = f"""coalesce((SELECT estimate FROM month_forecast
            WHERE month = {MONTH} AND source = ${{scope:sqlstring}} AND measure = '{measure}'),
           CASE WHEN passed = days THEN {measure} END)"""
    return f"round({ends})" if rounded else ends


def _cumulative(measure: str, title: str, unit: str) -> Panel:
    sql = f"""{_PARTS}SELECT day AS "Day",
       CASE WHEN date <= last_day THEN sum(coalesce(actual.{measure}, 0)) OVER (ORDER BY date) END AS "{title}",
       target_{measure} * day / days AS "Target pace",
       ahead.value AS "Forecast", ahead.low AS "4 of 5 end above", ahead.high AS "4 of 5 end below"
FROM calendar
CROSS JOIN covered
LEFT JOIN target ON true
LEFT JOIN actual USING (date)
LEFT JOIN (SELECT date, value, low, high FROM forecasts
           WHERE source = ${{scope:sqlstring}} AND measure = '{measure}') AS ahead USING (date)
ORDER BY day"""
    grey = {"color": {"mode": "fixed", "fixedColor": m.GREY}, **m.DASHED}
    return m.days_of_month(
        f"{title} so far: ${{scope}}, ${{month}}",
        f"{title} since the first, the pace towards the target, and the forecast with its range.",
        sql,
        (12, 10),
        unit=unit,
        decimals=0,
        min_=0,
        overrides={
            "Day": {"unit": "short", "decimals": 0},
            "Target pace": grey,
            "Forecast": {"color": {"mode": "fixed", "fixedColor": m.BLUE}, **m.DASHED},
            "4 of 5 end above": {**grey, "custom.showPoints": "always"},
            "4 of 5 end below": {**grey, "custom.showPoints": "always"},
        },
    )


def _days() -> Panel:
    sql = f"""{_PARTS}SELECT to_char(date, 'DD') AS "Day", coalesce(actual.leads, 0) AS "Leads",
       coalesce(actual.units, 0) AS "Units", coalesce(actual.repairs, 0) AS "Repairs"
FROM calendar
CROSS JOIN covered
LEFT JOIN actual USING (date)
WHERE date <= last_day
ORDER BY date"""
    return m.bars(
        "Day by day",
        "Leads, units and repairs of each day up to the last day with data.",
        sql,
        (12, 9),
        x="Day",
    )


def _running(place: Installation) -> Panel:
    sql = f"""{_PARTS}SELECT day AS "Day",
       sum(coalesce(cost, 0)) OVER w / nullif(sum(coalesce(leads, 0)) OVER w, 0) AS "CPL so far",
       target_cpl_max AS "CPL ceiling",
       sum(coalesce(repairs, 0)) OVER w / nullif(sum(coalesce(leads, 0)) OVER w, 0) AS "L→R so far",
       target_conv_l2r AS "L→R target"
FROM calendar
CROSS JOIN covered
LEFT JOIN target ON true
LEFT JOIN actual USING (date)
WHERE date <= last_day
WINDOW w AS (ORDER BY date)
ORDER BY day"""
    share = {"unit": "percentunit", "custom.axisPlacement": "right", "decimals": 0}
    return m.days_of_month(
        "CPL and conversion so far",
        "Running ratios since the first of the month (never averages of daily ratios), against ceiling and target.",
        sql,
        (12, 9),
        unit=place.money,
        decimals=2,
        min_=0,
        overrides={
            "Day": {"unit": "short", "decimals": 0},
            "CPL ceiling": {"color": {"mode": "fixed", "fixedColor": m.RED}, **m.DASHED},
            "L→R so far": share,
            "L→R target": share | {"color": {"mode": "fixed", "fixedColor": m.GREY}, **m.DASHED},
        },
    )


def _sources(place: Installation) -> Panel:
    sql = f"""
WITH picked AS (
  SELECT {MONTH} AS m0, ({MONTH} + interval '1 month')::date AS m1
), covered AS (
  SELECT least(max(date), (SELECT m1 - 1 FROM picked)) AS last_day FROM daily_metrics
), share AS (
  SELECT (last_day - m0 + 1)::numeric / (m1 - m0) AS passed FROM covered, picked
)
SELECT d.source AS "Source", sum(leads) AS "Leads", sum(units) AS "Units", sum(repairs) AS "Repairs",
       max(target_repairs) AS "Target", sum(repairs) / nullif(max(target_repairs) * max(passed), 0) AS "Of pace",
       sum(revenue40) AS "Revenue40", max(target_revenue40) AS "Target revenue40",
       sum(revenue40) / nullif(max(target_revenue40) * max(passed), 0) AS "Revenue40 of pace",
       {ratio("repairs", "leads")} AS "L→R", {ratio("cost", "leads")} AS "CPL", max(target_cpl_max) AS "CPL ceiling",
       {ratio("cost", "leads")} / nullif(max(target_cpl_max), 0) AS "CPL of ceiling", sum(profit) AS "Profit"
FROM daily_metrics AS d
CROSS JOIN share
LEFT JOIN targets AS t ON t.month = {MONTH} AND t.source = d.source AND t.segment = 'ALL'
WHERE date >= (SELECT m0 FROM picked) AND date < (SELECT m1 FROM picked)
GROUP BY d.source
ORDER BY sum(revenue40) DESC, d.source"""
    money, cents = {"unit": place.money, "decimals": 0}, {"unit": place.money, "decimals": 2}
    share = {"unit": "percentunit", "decimals": 0} | m.cell_colours(m.ATTAINED)
    over = m.cell_colours(((None, m.GREEN), (1.0000001, m.RED)))
    return m.table(
        "Every source in ${month}",
        "All sources so far, against the pace of their own targets. A dash means no target, or a denominator of 0.",
        sql,
        (24, 11),
        overrides={
            "Of pace": share,
            "Revenue40 of pace": share,
            "L→R": {"unit": "percentunit", "decimals": 1},
            **dict.fromkeys(("Revenue40", "Target revenue40", "Profit"), money),
            **dict.fromkeys(("CPL", "CPL ceiling"), cents),
            "CPL of ceiling": {"unit": "percentunit", "decimals": 0} | over,
        },
    )
