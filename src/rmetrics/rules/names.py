"""Names shared by rules and code: the feeds of every business, and the normal form of a source's name."""

import re

JOBS, PAYMENTS, CALLS, TARGETS = "jobs", "payments", "calls", "targets"


JOB_KEY = "job_id"  # the column by which payments, calls and metrics refer to jobs


def normal_source(name: str) -> str:
    """Returns a source's spelling in the form used for comparison: without case, spaces and hyphens.

    >>> normal_source("Pro-Referral ") == normal_source("proreferral")
    True
    """
    return re.sub(r"[\s\-]+", "", name).lower()


ENTERED = "Entered at"
