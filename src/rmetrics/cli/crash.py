"""The report of a bug in rmetrics: where in the program it happened, without the data it happened on.

A library's message may quote a DSN or a cell. Therefore stack frames are kept, as they contain only the program's own
source, while quoted parts, long numbers and passwords in messages are masked.
"""

import re
import traceback

from rmetrics.concealed import concealed

REPORT = "This is a bug in rmetrics: please report it with the lines on stderr. No partial result is visible."
_MESSAGE = 300  # characters


def masked(text: str) -> str:
    """Masks quoted parts, numbers of five or more digits, and passwords in a message."""
    text = concealed(text)
    text = re.sub(r"://\S*@", "://***@", text)
    text = re.sub(r"(password\s*=\s*)\S+", r"\1***", text, flags=re.IGNORECASE)
    text = re.sub(r"(['\"`]).*?\1", r"\1***\1", text, flags=re.DOTALL)
    text = re.sub(r"\d(?:[\d() .+-]*\d){4,}", "***", text)
    return (text.splitlines() or [""])[0][:_MESSAGE]


def traceback_text(error: BaseException) -> str:
    """Formats the traceback of an error and of its causes, with masked messages."""
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{type(current).__name__}: {masked(str(current))}\n")
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return "\nwhich caused:\n\n".join(reversed(parts))
