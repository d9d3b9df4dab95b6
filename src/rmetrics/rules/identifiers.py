"""The names that PostgreSQL accepts for tables and columns, and those that are reserved."""

import re

IDENTIFIER_RULE = "is not a valid name in PostgreSQL: use lower case letters, digits and _, at most 63, a letter first"


IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


# Words that PostgreSQL does not accept as an unquoted table or column name.
_RESERVED = frozenset(
    [
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "localtime",
        "localtimestamp",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "placing",
        "primary",
        "references",
        "returning",
        "select",
        "session_user",
        "some",
        "symmetric",
        "system_user",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ]
)


# System columns of every PostgreSQL table.
_SYSTEM_COLUMNS = frozenset(["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"])


# Tables and views of rmetrics itself.
OWN_TABLES = frozenset(
    [
        "daily_metrics",
        "monthly_metrics",
        "measures",
        "measure_daily",
        "dimension_monthly",
        "measure_monthly",
        "measure_vs_target",
        "sync_runs",
        "metric_changes",
        "member_changes",
        "published_parts",
        "feed_status",
        "forecasts",
        "business",
        "monthly_vs_target",
        "daily_cumulative",
        "month_forecast",
        "weekly_metrics",
        "quarterly_metrics",
        "yearly_metrics",
        "call_funnel",
        "call_classes",
        "speed_to_lead",
        "data_freshness",
        "job_facts",
        "journeys",
        "journey_metrics",
        "journey_funnel",
        "jobs_matched",
    ]
)


def is_reserved(name: str) -> bool:
    """Whether PostgreSQL reserves the word."""
    return name in _RESERVED or name in _SYSTEM_COLUMNS
