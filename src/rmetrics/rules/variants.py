"""A feed as read through one of its variants: a plain feed, so that typing need not know about variants."""

from functools import lru_cache
from typing import Any

from rmetrics.rules.feeds import Column, ColumnType, Feed, Variant, VariantColumn

_DATES = (ColumnType.TIMESTAMP, ColumnType.DATE, ColumnType.MONTH)
_NUMBERS = (ColumnType.MONEY, ColumnType.SHARE)
_ORIGINS = ("from_", "join", "constant")


@lru_cache(maxsize=256)
def with_variant(feed: Feed, variant: Variant) -> Feed:
    """Returns the feed with its columns read as the variant describes.

    Args:
        feed: the feed, as declared.
        variant: one of its variants.

    Returns:
        A feed without variants: same columns, types, key and tables.
    """
    columns = {
        name: column if column.sql is not None else _column(name, column, feed, variant)
        for name, column in feed.columns.items()
    }
    changed: dict[str, Any] = {"columns": columns, "variants": ()}
    for key in ("identity", "one_of", "without"):
        value = getattr(variant, key)
        if value is not None:
            changed[key] = value
    if variant.when.headers or variant.when.any:
        changed["distinctive"] = ()  # the variant's headers have already identified the file
    return feed.model_copy(update=changed)


def _column(name: str, column: Column, feed: Feed, variant: Variant) -> Column:
    own = variant.columns.get(name, VariantColumn()).given
    changed = _for_all(name, column, feed, variant) | own
    origin = next((o for o in _ORIGINS if changed.get(o)), None)
    if origin is not None:
        changed |= {o: () if o != "constant" else None for o in _ORIGINS if o != origin}
    if changed.get("constant"):
        changed["required"] = False
    return column.model_copy(update=changed)


def _for_all(name: str, column: Column, feed: Feed, variant: Variant) -> dict[str, Any]:
    """Returns the keys that the variant sets for all columns of a type."""
    changed: dict[str, Any] = {}
    if column.type in _DATES:
        changed |= {k: v for k in ("zone", "formats") if (v := getattr(variant, k)) is not None}
    if column.type in _NUMBERS and variant.decimal is not None:
        changed["decimal"] = variant.decimal
    if column.type is ColumnType.MONEY and variant.scale is not None:
        changed["scale"] = variant.scale
    if name == feed.date and variant.join is not None:
        changed["join"] = variant.join
    return changed


__all__ = ["with_variant"]
