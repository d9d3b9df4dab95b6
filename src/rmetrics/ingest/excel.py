"""Workbooks (.xlsx, .xlsm, .xls) to rows of text, sheet by sheet."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

# A sheet of 300,000 rows and 40 columns unpacks to about half of this.
MAX_UNPACKED = 2 * 2**30
MAX_RATIO = 200


class SheetError(Exception):
    """The workbook cannot or must not be read; the message says why and what to do."""


def workbook_rows(path: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yields (sheet name, all rows as text, null = blank cell).

    Real dates become ``2024-01-01 00:00:00``; numbers are written as Excel shows them, without float noise.

    Raises:
        SheetError: an archive that unpacks to far more than it should, a damaged or protected workbook.
    """
    import fastexcel

    with path.open("rb") as file:
        if file.read(2) == b"PK":
            _refuse_bomb(path)
    try:
        book = fastexcel.read_excel(str(path))
        for name in book.sheet_names:
            sheet = book.load_sheet(name, header_row=None, dtypes="string")
            if sheet.width and sheet.height:
                yield name, sheet.to_polars()
    except (fastexcel.FastExcelError, ValueError, OSError) as error:
        raise SheetError(
            "is a workbook that cannot be read: damaged, protected or of an unknown kind; save it as CSV"
        ) from error


def _refuse_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(i.file_size for i in archive.infolist())
            packed = max(sum(i.compress_size for i in archive.infolist()), 1)
    except (zipfile.BadZipFile, OSError) as error:
        raise SheetError("is a damaged workbook or archive; export it again") from error
    if unpacked > MAX_UNPACKED or (unpacked > 100 * 2**20 and unpacked / packed > MAX_RATIO):
        raise SheetError(f"unpacks to {unpacked >> 20:,} MB, far more than an export would; it was not opened")
