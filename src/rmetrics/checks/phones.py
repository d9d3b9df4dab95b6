"""Phone numbers as keys, in SQL: what ``metrics.phones`` says in Polars, written independently."""


def phone_keys(cell: str) -> str:
    """SQL of the list of different numbers in a cell: with their extensions; empty where there is none.

    Args:
        cell: SQL of a value typed as ``phone``.
    """
    number = r"([2-9]\d{9}|\+\d{7,15})(x\d{1,20})?"
    fits = f"lambda part : regexp_full_match(part, '{number}')"
    several = f"list_distinct(list_filter(string_split({cell}, ';'), {fits}))"
    # Nearly every cell holds one number, and taking lists apart costs more than looking for the semicolon.
    return (
        f"CASE WHEN contains({cell}, ';') THEN {several} WHEN regexp_full_match({cell}, '{number}') THEN [{cell}] "
        f"ELSE CAST([] AS VARCHAR[]) END"
    )


__all__ = ["phone_keys"]
