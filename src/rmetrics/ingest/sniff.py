"""Examines the bytes of a file: unpacks them, refuses what is not an export, and converts text to UTF-8.

Bytes that are invalid in the encoding become ``DAMAGE``, a character that no text contains, so that only their record
is rejected, with a reason, instead of the whole file.
"""

import codecs
import fnmatch
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from rmetrics.rules.feeds import Feed

BLOCK = 8 * 2**20
DAMAGE = "\ufdd0"  # a noncharacter
UTF8 = "utf-8-sig"  # all bytes proved to be UTF-8
DAMAGED_UTF8 = "utf-8"
MAX_UNPACKED = 2**30  # bytes; an archive that exceeds both this and the ratio is not an export
MAX_RATIO = 200

_MULTI_BYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0e-\x1b\x1c-\x1f]")
_FIRST_LINE_END = re.compile(r'\A(?:[^"\r\n]|"[^"]*")*?(\r+\n|\r|\n)')
_MARKUP = ("<!doctype", "<html", "<head", "<body", "<!--", "<script", "<meta", "<div", "<table", "<form", "<title")

_CUT_OFF = "is a damaged or cut-off .gz file; copy or export it again"
WEB_PAGE = (
    "is a web page, not an export: the login may have expired; log in and export again "
    "(if Excel opens it as a table, save it there as CSV)"
)


class RefusedError(Exception):
    """The file is not a readable export; the message gives the reason and the remedy."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return DAMAGE, error.end
    raise error


codecs.register_error("rmetrics.damage", _mark)


Source = Path | bytes
"""An export's file, or its bytes."""


def blocks(source: Source) -> Iterator[bytes]:
    """Yields the raw bytes of an export.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise RefusedError(
            f"cannot be read: {error.strerror or 'input error'}; check the disk or copy it again"
        ) from error


def unpacked(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the bytes of an export, decompressed if it is a .gz.

    Raises:
        RefusedError: it cannot be decompressed, or grows far larger than an export would.
    """
    first = next(packed, b"")
    if not is_gzip(first):
        yield first
        yield from packed
        return
    try:
        yield from _gunzipped(_chain(first, packed))
    except zlib.error as error:
        raise RefusedError(_CUT_OFF) from error


def _gunzipped(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Decompresses one or more concatenated .gz files; ignores padding zeros after them."""
    size = total = 0
    stream = zlib.decompressobj(wbits=31)
    between = False
    for block in packed:
        size, data = size + len(block), block
        while data:
            if between:
                data = data.lstrip(b"\0")
                if not data:
                    break
                stream, between = zlib.decompressobj(wbits=31), False
            out = stream.decompress(data, BLOCK)
            total += len(out)
            if total > MAX_UNPACKED and total > size * MAX_RATIO:
                raise RefusedError(f"unpacks to more than {total >> 20:,} MB, far more than an export would")
            if out:
                yield out
            between = stream.eof
            data = stream.unused_data if between else stream.unconsumed_tail
    if not between:
        raise RefusedError(_CUT_OFF)


def is_gzip(start: bytes) -> bool:
    """Whether bytes begin with the signature of a .gz."""
    return start.startswith(b"\x1f\x8b")


def is_workbook(start: bytes) -> bool:
    """Whether bytes begin with the signature of an Excel workbook (or another archive)."""
    return start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))


def refuse_other_kinds(start: bytes, text: str, *, packed: bool) -> None:
    """Refuses files that are certainly not exports.

    Args:
        start: the first bytes, unpacked.
        text: the same as text.
        packed: whether they came from a .gz.

    Raises:
        RefusedError: names the kind of file and the remedy.
    """
    words = text.lstrip("\ufeff").strip().lower()
    if not words:
        raise RefusedError("is empty; export it again")
    if packed and is_workbook(start):
        raise RefusedError("is a packed workbook or archive; unpack it and put the file itself into the inbox")
    if words.startswith("<?xml"):
        if "<workbook" in words or "spreadsheet" in words:
            raise RefusedError("is an XML spreadsheet in an old format; open it in Excel and save it as .xlsx or CSV")
        raise RefusedError(WEB_PAGE if "<html" in words else "is XML, not an export; export it as CSV or Excel")
    if words.startswith(_MARKUP):
        raise RefusedError(WEB_PAGE)
    if words.startswith("%pdf"):
        raise RefusedError("is a PDF, not an export; export it as CSV or Excel")
    if words.startswith("{\\rtf"):
        raise RefusedError("is a text document (RTF), not an export; export it as CSV or Excel")
    if re.match(r"[\[{]\s*[\[{\"]", words):
        raise RefusedError("is JSON, not an export; export it as CSV or Excel")


def encoding_of(source: Source, name: str, feeds: Mapping[str, Feed]) -> tuple[str, tuple[str, ...]]:
    """The encoding, and a note if it is uncertain.

    In this order: a byte order mark; proof (all of it decodes as UTF-8); UTF-8 with damaged places, if most of it is
    UTF-8; the feed's declaration; or detection among the two encodings that such exports use, with a note.

    Raises:
        RefusedError: it is not text.
    """
    data = unpacked(blocks(source))
    first = next(data, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", ()
    if pattern := _utf16_without_mark(first[:64]):
        return pattern, ()
    head = first[:4096]
    if len(_CONTROL.findall(head)) > max(4, len(head) // 50) or b"\x00" in head[:16]:
        raise RefusedError("is a picture, a program or another kind of file, not an export; export it as CSV or Excel")
    invalid, cut = _not_utf8(first, data)
    if invalid is None:
        return UTF8, ()
    good = len(_MULTI_BYTE.findall(invalid))
    wrong = len(_HIGH.findall(_MULTI_BYTE.sub(b"", invalid)))
    if cut or (good and good >= wrong):
        return DAMAGED_UTF8, ("some bytes are damaged (not UTF-8); rows with such bytes are rejected",)
    declared = {f.encoding for f in feeds.values() if f.encoding and _named(name, f)}
    if len(declared) == 1:
        return declared.pop() or "", ()
    guess = _detected(invalid)
    return guess, (f"the encoding is not UTF-8; read as {guess}",)


def _not_utf8(first: bytes, rest: Iterator[bytes]) -> tuple[bytes | None, bool]:
    """The surroundings of the first invalid UTF-8, and whether it is only a truncated end; None if all is valid."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = b""
    try:
        for block in _chain(first, rest):
            before = block
            if not block.isascii() or decoder.getstate()[0]:
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"
        data = error.object if not cut else before
        start = error.start if not cut else len(before)
        return first[:65536] + b"\n" + data[max(0, start - 65536) : start + 65536], cut
    return None, False


def _utf16_without_mark(start: bytes) -> str:
    """Detects UTF-16 by a zero in every other byte of its Latin letters."""
    even, odd = start[::2], start[1::2]
    if len(start) >= 16 and odd.count(0) * 10 >= len(odd) * 8 and even.count(0) == 0:
        return "utf-16-le"
    if len(start) >= 16 and even.count(0) * 10 >= len(even) * 8 and odd.count(0) == 0:
        return "utf-16-be"
    return ""


def _named(name: str, feed: Feed) -> bool:
    return any(fnmatch.fnmatchcase(name.casefold(), g.casefold().rstrip("*") + "*") for g in feed.files)


def _detected(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    allowed = ["cp1252", "cp1251"]
    best = from_bytes(sample, cp_isolation=allowed, threshold=0.6).best()
    return str(best.encoding) if best is not None and best.encoding in allowed else "cp1252"


def utf8_blocks(packed: Iterator[bytes], encoding: str, *, begun: bool = False) -> Iterator[bytes]:
    """An export's bytes as UTF-8, every line ending in LF (a CR before it stays); invalid bytes are marked as damage.

    Args:
        packed: the bytes.
        encoding: of the text.
        begun: whether they begin with a line after the first, in an export that ``has_lines``.
    """
    source = packed if begun else unpacked(packed)
    first = next(source, b"")
    bare_cr: bool | None = False if begun else None
    decoder = codecs.getincrementaldecoder(encoding)("rmetrics.damage")
    for block in _chain(first, source):
        data = block if encoding == UTF8 else decoder.decode(block).encode()
        if bare_cr is None:
            data = data.removeprefix(codecs.BOM_UTF8)
            bare_cr = _lines_end_in_cr(data)
        yield data.replace(b"\r", b"\n") if bare_cr else data
    if encoding != UTF8 and (rest := decoder.decode(b"", final=True)):
        yield rest.encode()


def has_lines(start: bytes, encoding: str) -> bool:
    """Whether an export with this beginning is text that can be read from any line on."""
    packed = is_gzip(start) or is_workbook(start)
    return not packed and not encoding.startswith("utf-16") and not _lines_end_in_cr(start)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _lines_end_in_cr(data: bytes) -> bool:
    """Whether lines end in CR alone, as on old Macs; quoted cells may then still contain LF."""
    if b"\r" not in data or data.count(b"\r") == data.count(b"\r\n"):
        return False
    end = _FIRST_LINE_END.match(data[:262144].decode(errors="replace"))
    return end is not None and end[1] == "\r"
