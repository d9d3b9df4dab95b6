"""How many examples a property test tries: a quarter of those of ``make test-long``, except there."""

from typing import Any

from hypothesis import settings

_A_QUARTER = 4
_few: list[bool] = []


def try_few(*, few: bool) -> None:
    """Says, before tests are imported, whether long tests are left out."""
    _few[:] = [few]


def few_are_tried() -> bool:
    """Whether long tests are left out."""
    return any(_few)


def examples(number: int, **options: Any) -> settings:
    """Settings that try so many examples, or a quarter of them; of fewer than 8 that would be the simplest one alone."""
    return settings(max_examples=number // _A_QUARTER if few_are_tried() else number, deadline=None, **options)
