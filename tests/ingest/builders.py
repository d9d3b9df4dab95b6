"""Bytes of files that no text editor writes: workbooks, archives, bombs."""

import gzip
import io
import random
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import openpyxl


def file_bytes(case: Mapping[str, Any]) -> bytes:
    """The bytes of one file of the corpus."""
    if "build" in case:
        data = BUILDERS[case["build"]]()
    elif "sheets" in case:
        data = workbook(case["sheets"], hide=case.get("hide", ()))
    elif "headers" in case:
        data = f"{case['headers']}\n{',' * case['headers'].count(',')}\n".encode()
    else:
        data = case["text"].encode(case.get("encoding", "utf-8"))
        data += _escaped(case.get("append", ""))
    if case.get("gz"):
        data = gzip.compress(data, mtime=0)
    return data[: len(data) - case.get("cut", 0)]


def _escaped(text: str) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), text.encode())


def workbook(sheets: Mapping[str, Sequence[Sequence[Any]]], *, hide: Sequence[int] = ()) -> bytes:
    """An .xlsx; dates are date cells, numbers numbers, texts that begin with = formulas without a stored value."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                if value not in ("", None):
                    sheet.cell(number, column, value)
        for number in hide:
            sheet.row_dimensions[number].hidden = True
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _huge_cell() -> bytes:
    row = "17,2025-12-16,95,cash\n"
    return ("Job #,Date,Amount,Method\n" + row + f"18,2025-12-16,85,{'x' * (50 << 20)}\n" + row).encode()


def _noise() -> bytes:
    return random.Random(7).randbytes(5000)  # noqa: S311 - repeatable, not secret


def _zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("payments.csv", "Job #,Date,Amount\n17,2025-12-16,95\n")
    return out.getvalue()


def _with_sheet(xml: bytes, *, compress: bool = True) -> bytes:
    """A workbook whose sheet is the given XML."""
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    source = zipfile.ZipFile(io.BytesIO(workbook({"Sheet1": [["Job #", "Date", "Amount"], [17, 46000, 95]]})))
    with zipfile.ZipFile(out, "w", kind) as archive:
        for item in source.infolist():
            content = xml if item.filename.startswith("xl/worksheets/") else source.read(item)
            archive.writestr(item.filename, content)
    return out.getvalue()


_SHEET = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'


def _bomb() -> bytes:
    return _with_sheet(_SHEET % (b'<row r="1">' + b" " * (101 << 20) + b"</row>"))


def _lying_bomb() -> bytes:
    """Declares a few bytes where 20 MB come out."""
    data = bytearray(_with_sheet(_SHEET % (b'<row r="1">' + b" " * (20 << 20) + b"</row>")))
    at = 0
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        length = struct.unpack_from("<H", data, at + 28)[0]
        if data[at + 46 : at + 46 + length].startswith(b"xl/worksheets/"):
            struct.pack_into("<I", data, at + 24, 1000)
        at += 46
    return bytes(data)


def _far_cell() -> bytes:
    """A few bytes that say a sheet has 17 billion cells."""
    cells = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return _with_sheet(_SHEET % cells)


def _encrypted() -> bytes:
    return _compound({"EncryptedPackage": b"\x00" * 5000, "EncryptionInfo": b"\x04\x00\x04\x00" + b"\x00" * 5000})


def _xls() -> bytes:
    """A BIFF8 workbook as Excel 97 wrote it: 17 / text date / 95.5 and 18 / serial / 85."""

    def record(kind: int, body: bytes) -> bytes:
        return struct.pack("<HH", kind, len(body)) + body

    def label(row: int, column: int, text: str) -> bytes:
        body = struct.pack("<HHHHB", row, column, 0, len(text), 0) + text.encode("latin-1")
        return record(0x0204, body)

    def number(row: int, column: int, value: float) -> bytes:
        return record(0x0203, struct.pack("<HHHd", row, column, 0, value))

    def bof(kind: int) -> bytes:
        return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))

    end = record(0x000A, b"")
    sheet = bof(0x0010) + b"".join(
        [
            *(label(0, i, h) for i, h in enumerate(("Job #", "Date", "Amount"))),
            number(1, 0, 17),
            label(1, 1, "12/16/2025"),
            number(1, 2, 95.5),
            label(2, 0, "18"),
            number(2, 1, 46000.5),
            number(2, 2, 85),
        ]
    )
    sheet += end
    name = b"Sheet1"
    bound_size = 4 + 8 + len(name)
    start = len(bof(0x0005)) + bound_size + len(end)
    bound = record(0x0085, struct.pack("<IBBBB", start, 0, 0, len(name), 0) + name)
    return _compound({"Workbook": bof(0x0005) + bound + end + sheet})


def _compound(streams: Mapping[str, bytes]) -> bytes:
    """An OLE compound file with the streams, each at least 4096 bytes so that none is a small one."""
    sector, free, last, fat_mark = 512, 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    padded = {n: d.ljust(max(4096, -(-len(d) // sector) * sector), b"\x00") for n, d in streams.items()}
    fat = [fat_mark, last]  # sector 0: the table itself, sector 1: the directory
    entries = [_entry("Root Entry", 5, last, 0, child=1)]
    body = b""
    for i, (name, data) in enumerate(padded.items(), 1):
        first, count = len(fat), len(data) // sector
        fat += [*range(first + 1, first + count), last]
        entries.append(_entry(name, 2, first, len(data), right=i + 1 if i < len(padded) else free))
        body += data
    assert len(fat) <= sector // 4
    table = struct.pack("<128I", *fat, *[free] * (128 - len(fat)))
    folder = b"".join(entries).ljust(sector, b"\x00")
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 16 + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, last, 0, last, 0)
    head += struct.pack("<109I", 0, *[free] * 108)
    return head + table + folder + body


def _entry(name: str, kind: int, start: int, size: int, *, child: int = 0xFFFFFFFF, right: int = 0xFFFFFFFF) -> bytes:
    text = (name + "\x00").encode("utf-16-le")
    return (
        text.ljust(64, b"\x00")
        + struct.pack("<HBBIII", len(text), kind, 1, 0xFFFFFFFF, right, child)
        + b"\x00" * 36
        + struct.pack("<IQ", start, size)
    )


BUILDERS = {
    "huge_cell": _huge_cell,
    "noise": _noise,
    "zipped": _zipped,
    "bomb": _bomb,
    "lying_bomb": _lying_bomb,
    "far_cell": _far_cell,
    "encrypted": _encrypted,
    "xls": _xls,
}
