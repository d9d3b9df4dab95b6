"""*Own measures*: all declared measures of a month, one measure by month, and by member of a dimension."""

from rmetrics.grafana import model as m
from rmetrics.grafana.model import MONTH, PICKED, SHOWN_MONTHS, Installation, Json, Panel

_VALUE = "coalesce(sum(value), sum(value_above) / nullif(sum(value_below), 0))"
_ONE = "measure = ${own:sqlstring}"
# For each member: every sum, and every ratio of the member's own sums.
_OF_MEMBERS = """of_members AS (
  SELECT s.month, s.member, c.measure, c.title, c.place,
         CASE WHEN c.numerator IS NULL THEN sum(s.value)
              ELSE coalesce(sum(s.value) FILTER (WHERE s.measure = c.numerator), 0)
                   / nullif(sum(s.value) FILTER (WHERE s.measure = c.denominator), 0) END AS value
  FROM dimension_monthly AS s
  JOIN measures AS c ON s.measure IN (c.measure, c.numerator, c.denominator)
  WHERE s.dimension = ${dimension:sqlstring}
  GROUP BY s.month, s.member, c.measure, c.title, c.place, c.numerator
)"""


def own_measures(place: Installation) -> Json:
    """Returns the dashboard."""
    rows = [
        [m.as_of((24, 3))],
        [_of_month(), _month_by_month(place)],
        [_members_of_month(), _members_month_by_month(place)],
    ]
    variables = [
        m.month_variable(place),
        m.months_variable(),
        m.declared_variable("own", "Measure", "measure", "measures"),
        m.declared_variable("dimension", "Dimension", "dimension", "dimension_monthly"),
        m.source_variable(),
        m.segment_variable(),
    ]
    about = "All declared measures, the company's own and the standard ones, in total and by member."
    return m.dashboard(
        "rmetrics-own", "Own measures", about, rows, variables, place, ("now/M", "now/M"), show_range=False
    )


def _of_month() -> Panel:
    sql = f"""WITH picked AS (
  SELECT measure, title, month, {_VALUE} AS value
  FROM measure_monthly
  WHERE {PICKED}
    AND month IN ({MONTH}, ({MONTH} - interval '1 month')::date, ({MONTH} - interval '1 year')::date)
  GROUP BY measure, title, month
)
SELECT c.title AS "Measure", c.format AS "Shown as",
       max(p.value) FILTER (WHERE p.month = {MONTH}) AS "Month",
       max(p.value) FILTER (WHERE p.month = ({MONTH} - interval '1 month')::date) AS "Month before",
       max(p.value) FILTER (WHERE p.month = ({MONTH} - interval '1 year')::date) AS "Year before",
       c.rule AS "Rule"
FROM measures AS c
LEFT JOIN picked AS p ON p.measure = c.measure
GROUP BY c.title, c.format, c.place, c.rule
ORDER BY c.place"""
    about = "Every declared measure of the month. Ratios are computed from sums; 1 means 100 %."
    return m.table("Measures of the month", about, sql, (12, 12), decimals=2)


def _month_by_month(place: Installation) -> Panel:
    sql = f"""SELECT to_char(month, 'YYYY-MM') || CASE WHEN month = {place.running_month} THEN '*' ELSE '' END AS month,
       {_VALUE} AS "Value"
FROM measure_monthly
WHERE {PICKED}
  AND {SHOWN_MONTHS}
  AND {_ONE}
GROUP BY month
ORDER BY month"""
    return m.bars(
        "Measure by month", "The selected measure. * marks the current month.", sql, (12, 12), x="month", decimals=2
    )


def _members_of_month() -> Panel:
    sql = f"""WITH {_OF_MEMBERS}
SELECT member AS "Member", title AS "Measure", value AS "Value"
FROM of_members
WHERE month = {MONTH} AND value IS NOT NULL
ORDER BY place, value DESC, member"""
    about = (
        "Every measure of the month by member of the selected dimension. The members of a sum, (none) and (other) "
        "included, add up to the month."
    )
    return m.table(
        "Members in the month",
        about,
        sql,
        (12, 14),
        decimals=2,
        transformations=(m.matrix("Measure", "Member", "Value"),),
    )


def _members_month_by_month(place: Installation) -> Panel:
    sql = f"""WITH {_OF_MEMBERS}
SELECT to_char(month, 'YYYY-MM') || CASE WHEN month = {place.running_month} THEN '*' ELSE '' END AS month,
       member, value
FROM of_members
WHERE {SHOWN_MONTHS}
  AND {_ONE} AND value IS NOT NULL
ORDER BY month, member"""
    about = "The selected measure by member of the selected dimension, for all sources and segments."
    return m.bars(
        "Measure by member",
        about,
        sql,
        (12, 14),
        x="month\\member",
        stacked=True,
        decimals=2,
        transformations=(m.matrix("member", "month", "value"),),
    )
