"""Escapes characters in text that would control the terminal, be invisible, or reorder other characters.

Names, cells and file names come from foreign files. A terminal interprets some of their characters as commands, and a
line break in one would fake a line of output. Every text that a command writes passes through here, except CSV.
"""

import re

from rmetrics.concealed import concealed

_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = "\u00ad\u180e\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_UNSAFE = re.compile(f"[\x00-\x1f\x7f-\x9f{_BIDI}{_UNSEEN}\ud800-\udfff]")
_IN_LINES = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f{_BIDI}{_UNSEEN}\ud800-\udfff]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
# Characters of the program's own texts, for a terminal that is limited to ASCII.
_PLAIN = str.maketrans({"·": ".", "…": "...", "–": "-", "—": "-", "’": "'", "“": '"', "”": '"'})  # noqa: RUF001


def visible(text: str, encoding: str = "utf-8", *, lines: bool = False) -> str:
    r"""Escapes every control character, and every character that reorders or hides others.

    Args:
        text: text from a file, a rule or a message.
        encoding: of the output stream; characters that it lacks are escaped as well.
        lines: keeps line breaks, as in a script; otherwise they are escaped.

    >>> visible("\x1b[31mred\x07"), visible("a\nb"), visible("a\nb", lines=True), visible("caf\u00e9 \u202e")
    ('\\x1b[31mred\\x07', 'a\\nb', 'a\nb', 'café \\u202e')
    >>> visible("caf\u00e9 \u00b7", "ascii")
    ('caf\\xe9 .')
    """
    text = (_IN_LINES if lines else _UNSAFE).sub(_written_out, concealed(text))
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _written_out(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return _SHORT.get(character) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def visible_json(document: str, encoding: str = "utf-8") -> str:
    r"""Escapes the same characters in a JSON document with JSON's own escapes, so that its content stays the same.

    >>> visible_json('"caf\u00e9 \u009b"')
    '"café \\u009b"'
    """
    document = _IN_LINES.sub(_json_escape, concealed(document))
    try:
        document.encode(encoding)
    except UnicodeEncodeError:
        return "".join(c if c.isascii() else _escaped(c) for c in document)
    return document


def _json_escape(found: re.Match[str]) -> str:
    return _escaped(found[0])


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
