"""Phone numbers as keys, in SQL: an independent counterpart of ``metrics.phones``."""


def phone_keys(cell: str) -> str:
    """SQL of the list of distinct numbers in a cell, with their extensions; empty if there is none.

    Args:
        cell: SQL of a value typed as ``phone``.
    """
    number = r"([2-9]\d{9}|\+\d{7,15})(x\d{1,20})?"
    fits = f"lambda part : regexp_full_match(part, '{number}')"
    several = f"list_distinct(list_filter(string_split({cell}, ';'), {fits}))"
    # Nearly every cell holds one number, and splitting lists costs more than looking for the semicolon.
    return (
        f"CASE WHEN contains({cell}, ';') THEN {several} WHEN regexp_full_match({cell}, '{number}') THEN [{cell}] "
        f"ELSE CAST([] AS VARCHAR[]) END"
    )


__all__ = ["phone_keys"]
