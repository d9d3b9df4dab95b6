"""Names that rules and code share: the feeds that every business has, and the normal form of a source's name."""

import re

JOBS, PAYMENTS, CALLS, TARGETS = "jobs", "payments", "calls", "targets"


JOB_KEY = "job_id"  # what payments, calls and metrics refer to jobs by


def normal_source(name: str) -> str:
    """A source's spelling as it is compared: without case, spaces and hyphens.

    >>> normal_source("Pro-Referral ") == normal_source("proreferral")
    True
    """
    return re.sub(r"[\s\-]+", "", name).lower()


ENTERED = "Entered at"
