"""Publishing: all results of a run become visible in PostgreSQL at once, or none do."""

from rmetrics.postgres.publish.desired import Change, DesiredTable
from rmetrics.postgres.publish.metric_changes import JOURNEY_MEASURES, MEASURES, FinerCauses
from rmetrics.postgres.publish.transaction import OutsideWrites, Written, publish
from rmetrics.postgres.run_log import FeedState, ForecastRow, Published, Run, last_run, published

__all__ = [
    "JOURNEY_MEASURES",
    "MEASURES",
    "Change",
    "DesiredTable",
    "FeedState",
    "FinerCauses",
    "ForecastRow",
    "OutsideWrites",
    "Published",
    "Run",
    "Written",
    "last_run",
    "publish",
    "published",
]
