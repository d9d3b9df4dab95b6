"""Numbers in rules: the range each key accepts, with one message that names it.

Only a TOML number is a number: ``"12"``, ``true``, ``nan`` and ``inf`` are refused, and nothing is rounded.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_MAX_DIGITS = 30  # more than any number in rules needs; keeps the arithmetic below exact and fast
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class NumberRange:
    """The numbers that a key accepts, both ends included.

    Attributes:
        low: the minimum.
        high: the maximum.
        decimals: the most digits after the point; trailing zeros do not count.
        unit: the kind of number. A ``scale`` is a power of ten.
    """

    low: Decimal
    high: Decimal
    decimals: int
    unit: Literal["amount", "share", "scale"]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validates the number before pydantic would convert it; the field's own type only stores it."""
        return core_schema.no_info_before_validator_function(self.checked, handler(source))

    def checked(self, value: object) -> object:
        """Returns the number unchanged.

        Raises:
            ValueError: it is no number or out of range; the message names the range.
        """
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            msg = f"{self.allowed()}, without quotes" if isinstance(value, str) else self.allowed()
            raise ValueError(msg)  # noqa: TRY004 - pydantic reports a ValueError, a TypeError would end the run
        number = Decimal(value)
        if not (number.is_finite() and self.low <= number <= self.high and self._within_precision(number)):
            raise ValueError(self.allowed() + self._percentage_hint(number))
        return value

    def allowed(self) -> str:
        """Returns the accepted range in words."""
        if self.unit == "scale":
            return f"must be a power of ten up to {self.high}, such as 100 for cents or 1000000 for millionths"
        return f"must be a number from {self.low:,} to {self.high:,f} with at most {self.decimals} decimals"

    def _within_precision(self, number: Decimal) -> bool:
        _, digits, exponent = number.as_tuple()
        significant = "".join(map(str, digits)).rstrip("0") or "0"
        places = -int(exponent) - (len(digits) - len(significant))
        if len(significant) > _MAX_DIGITS or places > self.decimals:
            return number == 0
        return self.unit != "scale" or significant == "1"

    def _percentage_hint(self, number: Decimal) -> str:
        """Returns the hint for a share that was entered as a percentage; "" for any other number."""
        if self.unit != "share" or not (number.is_finite() and 1 < number <= _HUNDRED):
            return ""
        as_share = number / _HUNDRED
        return (
            f"; for {number.normalize():f} % write {as_share.normalize():f}" if self._within_precision(as_share) else ""
        )


__all__ = ["NumberRange"]
