"""Publishing: everything a run computed becomes visible in PostgreSQL at once, or nothing does."""

from rmetrics.publish.content import Change, Content
from rmetrics.publish.metric_changes import MEASURES
from rmetrics.publish.runs import FeedState, Published, Run, last_run, published
from rmetrics.publish.transaction import ByOthers, Written, publish

__all__ = [
    "MEASURES",
    "ByOthers",
    "Change",
    "Content",
    "FeedState",
    "Published",
    "Run",
    "Written",
    "last_run",
    "publish",
    "published",
]
