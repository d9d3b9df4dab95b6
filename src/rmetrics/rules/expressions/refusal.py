"""The error for invalid expressions; callers turn it into a rule problem with file, line and key."""


class RefusedExpressionError(Exception):
    """An expression that the rules do not allow. Its message names the problem and the correction."""


def clipped(text: str, max_length: int = 60) -> str:
    """Shortens a piece of an expression for a message."""
    plain = " ".join(text.split())
    return plain if len(plain) <= max_length else f"{plain[: max_length - 3]}..."
