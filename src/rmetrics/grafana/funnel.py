"""*Funnel*: from touch to money by source: the losses and cost of each step, and sources by the CRM and by touch."""

from rmetrics.grafana import model as m
from rmetrics.grafana.model import MONTH, SHOWN_MONTHS, Installation, Json, Panel, ratio
from rmetrics.metrics.call_classes import CLASSES

_PICKED = "source IN (${source:sqlstring})"
_STEPS = ("touches", "answered", "booked", "visited", "repaired", "paid")


def funnel(place: Installation) -> Json:
    """Returns the dashboard."""
    rows = [
        _headline(place),
        [_steps(), _reasons()],
        [_by_source(place)],
        [_months(place), _returning()],
        [_classes(), _speed()],
        [_who(place), _ask()],
    ]
    variables = [m.source_variable(), m.month_variable(place), m.months_variable()]
    about = "Outcomes of the leads of a month: answered, booked, visited, repaired, paid, and the cost of each step."
    return m.dashboard("rmetrics-funnel", "Funnel", about, rows, variables, place, ("now/M", "now/M"), show_range=False)


def _headline(place: Installation) -> list[Panel]:
    def number(title: str, expression: str, about: str, unit: str = "short", decimals: int | None = None) -> Panel:
        sql = f'SELECT {expression} AS "{title}"\nFROM journey_metrics\nWHERE month = {MONTH} AND {_PICKED}'
        return m.stat(title, f"{about} Touches of the selected month.", sql, unit=unit, decimals=decimals)

    return [
        number("Touches", "sum(touches)", "Leads, and tracked calls of sources without leads."),
        number("Answered", "sum(answered)", "Touches known to be answered."),
        number("Booked", "sum(booked)", "Led to a job."),
        number("Repaired", "sum(repaired)", "Led to a repair."),
        number("Booking rate", ratio("booked", "touches"), "Booked of all touches.", "percentunit", 1),
        number("Cost per booked", ratio("cost", "booked"), "Cost by booked touch.", place.money, 2),
        number("Cost per repair", ratio("cost", "repaired"), "Cost by repaired touch.", place.money, 2),
        number("ROAS", ratio("revenue_gross", "cost"), "Paid to you by cost.", "short", 2),
    ]


def _steps() -> Panel:
    sums = ", ".join(f'sum({step}) AS "{step.capitalize()}"' for step in _STEPS)
    sql = (
        f'SELECT source AS "Source", {sums}\nFROM journey_metrics\n'
        f"WHERE month = {MONTH} AND {_PICKED}\nGROUP BY source\nORDER BY sum(touches) DESC, source"
    )
    return m.bars(
        "Steps of ${month} by source", "The number of touches that reach each step.", sql, (14, 9), x="Source"
    )


def _reasons() -> Panel:
    sql = (
        'SELECT source AS "Source", sum(booked) AS "With a job", sum(no_job) AS "No job", '
        'sum(no_number) AS "No number",\n       sum(shared) AS "Shared number", '
        'sum(outside_window) AS "Outside the window"\nFROM journey_metrics\n'
        f"WHERE month = {MONTH} AND {_PICKED}\nGROUP BY source\nORDER BY sum(touches) DESC, source"
    )
    return m.bars("Outcomes", "Parts that add up to all touches.", sql, (10, 9), x="Source")


def _by_source(place: Installation) -> Panel:
    sums = ", ".join(f'{step} AS "{step.capitalize()}"' for step in _STEPS)
    sql = (
        f'SELECT source AS "Source", {sums},\n       cost AS "Cost", revenue_gross AS "Paid to you", '
        'cost_per_booked AS "Per booked",\n       cost_per_repair AS "Per repair", roas AS "ROAS"\n'
        f"FROM journey_funnel\nWHERE month = {MONTH} AND (source = 'ALL' OR {_PICKED})\n"
        "ORDER BY source = 'ALL', touches DESC, source"
    )
    amounts = ("Cost", "Paid to you", "Per booked", "Per repair")
    return m.table(
        "The funnel of ${month}",
        "ALL is the whole company. A dash means a denominator of 0.",
        sql,
        (24, 8),
        overrides={n: {"unit": place.money, "decimals": 2} for n in amounts} | {"ROAS": {"decimals": 2}},
    )


def _months(place: Installation) -> Panel:
    sql = (
        "SELECT to_char(month, 'YYYY-MM') AS \"Month\", "
        f'{ratio("cost", "booked")} AS "Per booked", {ratio("cost", "repaired")} AS "Per repair"\n'
        f"FROM journey_metrics\nWHERE {_PICKED}\n  AND {SHOWN_MONTHS}\nGROUP BY 1\nORDER BY 1"
    )
    return m.bars(
        "Cost of a booked touch and of a repair",
        "The months up to the selected one. Figures of the newest months still grow: not all jobs are completed and "
        "paid.",
        sql,
        (12, 8),
        x="Month",
        unit=place.money,
        decimals=2,
        min_=0,
    )


def _returning() -> Panel:
    sql = (
        "SELECT to_char(month, 'YYYY-MM') AS \"Month\", "
        'sum(touches) - sum(returning_customers) AS "New customers", sum(returning_customers) AS "Returning '
        'customers"\n'
        f"FROM journey_metrics\nWHERE {_PICKED}\n  AND {SHOWN_MONTHS}\nGROUP BY 1\nORDER BY 1"
    )
    about = "Touches with and without an earlier job of their number."
    return m.bars("New and returning", about, sql, (12, 8), x="Month")


def _classes() -> Panel:
    counts = ", ".join(
        f"coalesce(sum(calls) FILTER (WHERE class = '{name}'), 0) AS \"{name.capitalize()}\"" for name in CLASSES
    )
    sql = (
        f'SELECT source AS "Source", {counts}\nFROM call_classes\n'
        f"WHERE month = {MONTH} AND ({_PICKED} OR source = 'Unattributed')\nGROUP BY source\n"
        "ORDER BY sum(calls) DESC, source"
    )
    about = (
        "Outcomes of inbound calls in the selected month; they add up to all calls. Callers to call back: "
        "rmetrics calls."
    )
    return m.bars("Calls of ${month}", about, sql, (14, 9), x="Source", stacked=True)


def _speed() -> Panel:
    sql = (
        'SELECT source AS "Source", calls AS "Calls", reached AS "Reached", median_s AS "Median", '
        'p90_s AS "9 of 10 within"\n'
        f"FROM speed_to_lead\nWHERE month = {MONTH} AND ({_PICKED} OR source = 'Unattributed')\n"
        "ORDER BY calls DESC, source"
    )
    about = "Time until a caller was reached, in business hours; 0 if the call was answered. Calls that may be leads."
    waits = {"unit": "dtdurations", "decimals": 0}
    overrides = {"Median": waits, "9 of 10 within": waits}
    return m.table("Speed to lead", about, sql, (10, 9), overrides=overrides)


def _who(place: Installation) -> Panel:
    sql = (
        'SELECT source AS "The CRM says", source_matched AS "The touch says", known AS "Known", '
        'jobs AS "Jobs", paid AS "Paid"\n'
        f"FROM jobs_matched\nWHERE month = {MONTH} AND ({_PICKED} OR source_matched IN (${{source:sqlstring}}))\n"
        "ORDER BY jobs DESC, source, source_matched, known"
    )
    return m.table(
        "Source by the CRM and by the touch",
        "Jobs of the selected month: the source in the CRM and that of the touch.",
        sql,
        (14, 9),
        overrides={"Paid": {"unit": place.money, "decimals": 2}},
    )


def _ask() -> Panel:
    sql = """
SELECT 'rmetrics journeys --month ' || ${month:sqlstring} || ' --rows' AS "Which leads, one by one",
       'rmetrics journeys --sensitivity' AS "What another window would claim",
       'rmetrics explain --lead ID, or --job ID' AS "Why, for one of them",
       'rmetrics explain --source ALL --month ' || ${month:sqlstring} || ' --metric booked' AS "Why a number",
       'rmetrics calls' AS "Whom to call back"
"""
    about = "Commands that list the leads behind these figures, which Grafana's reader cannot see."
    return m.table("List the leads", about, sql, (10, 9))
