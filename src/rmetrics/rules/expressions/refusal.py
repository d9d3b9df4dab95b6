"""What is raised while an expression is read; callers turn it into a rule problem with file, line and key."""


class RefusedError(Exception):
    """An expression that the rules do not allow. Its text says what was found and what would be right."""


def clipped(text: str, most: int = 60) -> str:
    """A piece of an expression, short enough for a message."""
    plain = " ".join(text.split())
    return plain if len(plain) <= most else f"{plain[: most - 3]}..."
