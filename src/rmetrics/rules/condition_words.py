"""Conditions in plain words."""

from functools import lru_cache

from rmetrics.rules.expressions.parsing import parse
from rmetrics.rules.expressions.sentences import sentence


@lru_cache(maxsize=1024)
def condition_in_words(text: str) -> str:
    """Returns a validated condition as a sentence; a condition that has no plain words is returned as written.

    >>> condition_in_words("type IN ('COD Repair', 'INS Repair') OR (type = 'COD Service' AND paid > 100)")
    'type is COD Repair or INS Repair, or (type is COD Service and paid is more than 100)'
    """
    words = sentence(parse(text))
    return words if words is not None else " ".join(text.split())
