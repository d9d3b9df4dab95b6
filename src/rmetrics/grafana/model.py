"""Dashboards as plain dicts in Grafana's classic model, and the SQL fragments shared by their panels.

Conventions: SQL names tables without a schema (the reader's ``search_path`` decides); variables are always written
``${name:sqlstring}``; time ranges apply to the column ``time``; ratios are computed from sums. The business time zone
is a literal in the SQL, as Grafana has no variable for it.

Figures are picked by published month: a dashboard opens on the newest data, even if that is not today's. Only *Data
health*, which is about runs, follows Grafana's time range.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 42  # the last of the classic model: Grafana 12 and 13 write it, and load it without migrations
SOURCE = {"type": "grafana-postgresql-datasource", "uid": "rmetrics"}
TAG = "rmetrics"
COLUMNS = 24
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#808080"
_SYMBOLS = frozenset({"USD", "EUR", "GBP", "JPY", "RUB", "UAH", "BRL", "INR", "KRW", "CHF", "PLN", "CZK", "SEK", "NOK"})

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Installation:
    """The parameters that differ between installations.

    Attributes:
        timezone: IANA zone of the business.
        currency: ISO code of all amounts.
        serve: the address of ``rmetrics serve``; None: figures have no links.
    """

    timezone: str
    currency: str
    serve: str | None = None

    @property
    def zone(self) -> str:
        """The zone as an SQL literal."""
        return "'" + self.timezone.replace("'", "''") + "'"

    @property
    def money(self) -> str:
        """Grafana's unit for money."""
        return f"currency{self.currency}" if self.currency in _SYMBOLS else f"currency:{self.currency}"

    @property
    def today(self) -> str:
        """SQL: today's date in the business's zone."""
        return f"(now() AT TIME ZONE {self.zone})::date"

    @property
    def running_month(self) -> str:
        """SQL: the first day of the running month in the business's zone."""
        return f"date_trunc('month', now() AT TIME ZONE {self.zone})::date"


PICKED = "source IN (${source:sqlstring}) AND segment IN (${segment:sqlstring})"
MONTH = "(${month:sqlstring} || '-01')::date"
SHOWN_MONTHS = f"month > ({MONTH} - (${{months:sqlstring}} || ' months')::interval)::date\n  AND month <= {MONTH}"
"""SQL: the picked number of months, up to and including the picked month."""
SCOPE = "(${scope:sqlstring} = 'ALL' OR source = ${scope:sqlstring})"


def ratio(top: str, bottom: str) -> str:
    """SQL: a ratio of sums, NULL if the divisor is 0."""
    return f"sum({top})::numeric / nullif(sum({bottom}), 0)"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel before it has an id and a position.

    Attributes:
        kind: Grafana's panel type.
        sql: one query, or several by their refId.
        size: width in 24ths, height in grid units of 30 pixels.
        time_series: whether the rows are (time, values); otherwise a table.
        unit: of every value without an override.
        options, custom: of the panel and of its fields.
        overrides: column name to the properties that differ.
        steps: (from, colour) of thresholds, the first from None.
        by_threshold: colours by thresholds even with a single step, as a query supplies the others
            (``thresholds_from``).
    """

    kind: str
    title: str
    description: str
    sql: str | Mapping[str, str]
    size: tuple[int, int]
    unit: str = "short"
    time_series: bool = False
    decimals: int | None = None
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    overrides: Mapping[str, Json] = field(default_factory=dict)
    transformations: Sequence[Json] = ()
    steps: Sequence[tuple[float | None, str]] = ((None, GREEN),)
    max_: float | None = None
    min_: float | None = None
    links: Sequence[Json] = ()
    by_threshold: bool = False


def panel_json(panel: Panel, number: int, x: int, y: int) -> Json:
    """Returns the panel in Grafana's storage format."""
    defaults: Json = {
        "unit": panel.unit,
        "noValue": "—",
        "color": {"mode": "thresholds" if panel.by_threshold or len(panel.steps) > 1 else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in panel.steps]},
        "custom": panel.custom,
    }
    extra = {"decimals": panel.decimals, "max": panel.max_, "min": panel.min_}
    defaults |= {k: v for k, v in extra.items() if v is not None}
    queries = {"A": panel.sql} if isinstance(panel.sql, str) else panel.sql
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "gridPos": {"x": x, "y": y, "w": panel.size[0], "h": panel.size[1]},
        "datasource": SOURCE,
        "targets": [_target(ref, sql, time_series=panel.time_series) for ref, sql in queries.items()],
        "fieldConfig": {"defaults": defaults, "overrides": [_override(n, p) for n, p in panel.overrides.items()]},
        "options": panel.options,
        "transformations": list(panel.transformations),
        "links": list(panel.links),
    }


def _target(ref: str, sql: str, *, time_series: bool) -> Json:
    return {
        "refId": ref,
        "datasource": SOURCE,
        "editorMode": "code",
        "format": "time_series" if time_series else "table",
        "rawQuery": True,
        "rawSql": sql.strip(),
    }


def _override(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def with_positions(rows: Sequence[Sequence[Panel]]) -> Iterator[Json]:
    """Yields the panels from left to right and top to bottom, with ids."""
    number, y = 1, 0
    for row in rows:
        x = 0
        for panel in row:
            yield panel_json(panel, number, x, y)
            number, x = number + 1, x + panel.size[0]
        y += max(p.size[1] for p in row)


def dashboard(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[Sequence[Panel]],
    variables: Sequence[Json],
    place: Installation,
    span: tuple[str, str],
    *,
    show_range: bool = True,
) -> Json:
    """Returns a dashboard in the classic model; its time zone is that of the business, never the browser's."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "timezone": place.timezone,
        "weekStart": "monday",
        "refresh": "15m",
        "time": {"from": span[0], "to": span[1]},
        "timepicker": {"hidden": not show_range, "refresh_intervals": ["5m", "15m", "1h"]},
        "fiscalYearStartMonth": 0,
        "liveNow": False,
        "preload": False,
        "links": [
            {
                "type": "dashboards",
                "title": "rmetrics",
                "tags": [TAG],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": False,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
            }
        ],
        "annotations": {"list": []},
        "templating": {"list": list(variables)},
        "panels": list(with_positions(rows)),
    }


# -- variables


def _variable(name: str, label: str, query: str, *, multi: bool = False, descending: bool = False) -> Json:
    made: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": query,
        "query": query,
        "refresh": 1,
        "sort": 0 if descending else 1,
        "multi": multi,
        "includeAll": multi,
        "hide": 0,
        "skipUrlSync": False,
        "regex": "",
        "options": [],
    }
    if multi:
        made["current"] = {"selected": True, "text": ["All"], "value": ["$__all"]}
    return made


def _names(column: str) -> str:
    """SQL: every value of a column, or a placeholder that matches nothing if there is none, as IN () is an error."""
    return (
        f"SELECT {column} FROM monthly_metrics GROUP BY {column} "
        f"UNION SELECT '(none)' WHERE NOT EXISTS (SELECT 1 FROM monthly_metrics) ORDER BY 1"
    )


def source_variable(*, multi: bool = True) -> Json:
    """Returns the variable for one or several sources."""
    return _variable("source", "Source", _names("source"), multi=multi)


def segment_variable() -> Json:
    """Returns the variable for segments."""
    return _variable("segment", "Segment", _names("segment"), multi=True)


def scope_variable() -> Json:
    """Returns the variable for the scope of targets: the whole company or one source."""
    every = "SELECT 'ALL' AS source UNION SELECT source FROM monthly_metrics ORDER BY 1"
    return _variable("scope", "Scope", every) | {"current": {"selected": True, "text": "ALL", "value": "ALL"}}


def month_variable(place: Installation, label: str = "Month") -> Json:
    """Returns the variable for the month, by default the newest with data."""
    months = (
        "SELECT to_char(month, 'YYYY-MM') FROM monthly_metrics GROUP BY month "
        f"UNION SELECT to_char({place.today}, 'YYYY-MM') "
        "WHERE NOT EXISTS (SELECT 1 FROM monthly_metrics) ORDER BY 1 DESC"
    )
    return _variable("month", label, months, descending=True)


def declared_variable(name: str, label: str, column: str, table: str) -> Json:
    """Returns the variable for a declared measure or dimension; a placeholder that matches nothing if there is none."""
    query = (
        f"SELECT {column} FROM {table} GROUP BY {column} "
        f"UNION SELECT '(none)' WHERE NOT EXISTS (SELECT 1 FROM {table}) ORDER BY 1"
    )
    return _variable(name, label, query)


def months_variable() -> Json:
    """Returns the variable for the number of months shown; see ``SHOWN_MONTHS``."""
    return choice_variable("months", "Months shown", ("12", "3", "6", "24", "36", "60"))


def choice_variable(name: str, label: str, choices: Sequence[str]) -> Json:
    """Returns a variable with a fixed list of values."""
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ",".join(choices),
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "skipUrlSync": False,
        "current": {"selected": True, "text": choices[0], "value": choices[0]},
        "options": [{"selected": c == choices[0], "text": c, "value": c} for c in choices],
    }


# -- kinds of panels


def stat(title: str, description: str, sql: str | Mapping[str, str], **more: Any) -> Panel:
    """Returns a panel with one big number."""
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "auto",
        "wideLayout": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": more.pop("fields", ""), "values": False},
    }
    return Panel("stat", title, description, sql, more.pop("size", (3, 4)), options=options, **more)


def table(title: str, description: str, sql: str, size: tuple[int, int], **more: Any) -> Panel:
    """Returns a panel with the rows as a table."""
    options = {"cellHeight": "sm", "showHeader": True, "footer": {"show": False, "reducer": ["sum"], "fields": ""}}
    return Panel(
        "table", title, description, sql, size, options=options, custom={"align": "auto", "filterable": False}, **more
    )


def bars(
    title: str, description: str, sql: str, size: tuple[int, int], *, x: str, stacked: bool = False, **more: Any
) -> Panel:
    """Returns a bar chart over text labels, so that no time zone can shift a month."""
    options = {
        "xField": x,
        "orientation": "vertical",
        "stacking": "normal" if stacked else "none",
        "showValue": "auto" if not stacked else "never",
        "barWidth": 0.9,
        "groupWidth": 0.8,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 60,
        "legend": _LEGEND,
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel("barchart", title, description, sql, size, options=options, custom={"fillOpacity": 80}, **more)


def lines(title: str, description: str, sql: str, size: tuple[int, int], **more: Any) -> Panel:
    """Returns a line chart over time."""
    options = {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}}
    custom = {"drawStyle": "line", "lineWidth": 2, "showPoints": "auto", "pointSize": 6, "spanNulls": False}
    return Panel("timeseries", title, description, sql, size, options=options, custom=custom, time_series=True, **more)


def days_of_month(title: str, description: str, sql: str, size: tuple[int, int], **more: Any) -> Panel:
    """Returns a line chart over the days of a month by number, so that neither range nor time zone can cut it."""
    options = {"xField": "Day", "legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "none"}}
    custom = {"drawStyle": "line", "lineWidth": 2, "showPoints": "never", "spanNulls": False}
    return Panel("trend", title, description, sql, size, options=options, custom=custom, **more)


def matrix(column: str, row: str, value: str) -> Json:
    """Returns the transformation of rows of (row, column, value) to one column per name, however many there are."""
    return {
        "id": "groupingToMatrix",
        "options": {"columnField": column, "rowField": row, "valueField": value, "emptyValue": "zero"},
    }


def thresholds_from(ref: str, colours: Mapping[str, str]) -> Json:
    """Returns the transformation that takes thresholds from another query, such as the targets, instead of the panel.

    Args:
        ref: the query. Its columns are in ascending order of value, and NULL if there is no target. The first one is
            the start of the colours: Grafana paints values below the lowest step in that step's colour.
        colours: column to the colour from its value on.
    """
    mappings = [
        {"fieldName": column, "handlerKey": "threshold1", "handlerArguments": {"threshold": {"color": colour}}}
        for column, colour in colours.items()
    ]
    return {"id": "configFromData", "options": {"configRefId": ref, "mappings": mappings}}


NO_TARGET = ((None, "text"),)
"""Steps of a panel whose thresholds come from a target that may be missing: then it has no colour."""
ATTAINED = ((None, RED), (0.9, YELLOW), (1.0, GREEN))
DASHED = {"custom.lineStyle": {"fill": "dash", "dash": [8, 8]}, "custom.lineWidth": 1}
_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}


def cell_colours(steps: Sequence[tuple[float | None, str]]) -> Json:
    """Returns the properties of a table column whose cells are coloured by thresholds."""
    return {
        "custom.cellOptions": {"type": "color-text"},
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": v, "color": c} for v, c in steps]},
    }


WRAPPED = {"custom.cellOptions": {"type": "auto", "wrapText": True}}


def as_of(size: tuple[int, int] = (3, 4)) -> Panel:
    """Returns a panel with the time of the last publication."""
    sql = "SELECT max(finished_at) AS \"Published\" FROM sync_runs WHERE status = 'ok'"
    return stat(
        "Published",
        "The time of the last publish. Panels query separately, so two may differ during a publish.",
        sql,
        size=size,
        unit="dateTimeFromNow",
        fields="/.*/",
    )


def as_json(document: Json) -> str:
    """Returns the text of a dashboard; the output is deterministic."""
    return json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
