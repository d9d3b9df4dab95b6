"""Converts one workbook to Arrow streams on standard output; runs as a separate program with limits.

A small file can claim to have billions of cells, and the parser would then abort the whole process. So it is parsed in
a child process with a memory limit, after the archive has been unpacked once to determine its real size.

Standard output receives one Arrow stream per sheet, all cells text, with the sheet's name in the schema's metadata,
then a stream without columns whose metadata has the notes. Exit code 3: refused; the reason is the last line on
standard error.
"""

import json
import sys
import zipfile
from collections.abc import Iterator

MAX_MEMORY = 4 * 2**30
MAX_SECONDS = 900
MAX_UNPACKED = 4 * 2**30
MAX_RATIO = 200
_CHUNK = 4 * 2**20
_ROWS = 20_000
# A formula without a stored result, written by programs that do not calculate; and a cell with an Excel error.
_NO_VALUE = (b"</f></c>", b"</f><v/>", b"</f><v></v>", b"</f><v />")
_ERROR = b't="e"'


class Refused(Exception):  # noqa: N818 - the parent turns it into its own RefusedError
    """The workbook must not or cannot be opened."""


def main(path: str) -> int:
    """Writes the workbook's sheets to standard output."""
    _limit()
    try:
        notes = _notes(path) if _is_archive(path) else []
        _write(path, notes)
    except Refused as error:
        sys.stderr.write(f"\n{error}\n")
        return 3
    except MemoryError:
        return 4
    return 0


def _limit() -> None:
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _is_archive(path: str) -> bool:
    with open(path, "rb") as file:  # noqa: PTH123 - as little as possible is imported here
        return file.read(2) == b"PK"


def _notes(path: str) -> list[str]:
    """Unpacks everything once to check size and checksums, and to count cells that Excel did not calculate."""
    missing = errors = 0
    try:
        with zipfile.ZipFile(path) as archive:
            items = archive.infolist()
            names = {i.filename for i in items}
            if not names & {"[Content_Types].xml", "content.xml"}:
                raise Refused("is a ZIP archive, not a workbook; unpack it and put the files in it into the inbox")
            unpacked = sum(i.file_size for i in items)
            packed = max(sum(i.compress_size for i in items), 1)
            if unpacked > MAX_UNPACKED or (unpacked > 100 * 2**20 and unpacked / packed > MAX_RATIO):
                raise Refused(
                    f"unpacks to {unpacked >> 20:,} MB, far more than an export would, so it was not opened; "
                    "save the sheet as CSV"
                )
            for item in items:
                sheet = item.filename.startswith("xl/worksheets/")
                for data in _unpacked(archive, item):
                    if sheet:
                        missing += sum(data.count(p) for p in _NO_VALUE)
                        errors += data.count(_ERROR)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise Refused("is a damaged or cut-off workbook or archive; export it again") from error
    notes = []
    if missing:
        notes.append(
            f"{missing:,} formula{'s' * (missing > 1)} without a stored value, read as blank: open it in Excel and save"
        )
    if errors:
        notes.append(f"{errors:,} cell{'s' * (errors > 1)} with an Excel error such as #N/A, read as blank")
    return notes


def _unpacked(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yields chunks cut between cells, so that no search term is split and none is counted twice."""
    tail = b""
    with archive.open(item) as file:
        while chunk := file.read(_CHUNK):
            data = tail + chunk
            end = data.rfind(b">") + 1 or len(data)
            end = end if len(data) - end < _CHUNK else len(data)
            # Cut after a cell, otherwise the text between its tags would be split.
            cell = data.rfind(b"</c>", 0, end)
            end = cell + 4 if cell >= 0 else end
            yield data[:end]
            tail = data[end:]
    if tail:
        yield tail


def _write(path: str, notes: list[str]) -> None:
    import fastexcel
    import pyarrow as pa

    out = sys.stdout.buffer
    try:
        book = fastexcel.read_excel(path)
        for name in book.sheet_names:
            sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
            if not (sheet.width and sheet.height):
                continue
            batch = sheet.to_arrow()
            fields = [pa.field(f"c{i}", pa.large_string()) for i in range(batch.num_columns)]
            schema = pa.schema(fields, metadata={"sheet": name})
            columns = [pa.chunked_array([c]).cast(pa.large_string()).combine_chunks() for c in batch.columns]
            table = pa.Table.from_arrays(columns, schema=schema)
            with pa.ipc.new_stream(out, schema) as writer:
                writer.write_table(table, max_chunksize=_ROWS)
            del sheet, batch, columns, table
    except (fastexcel.FastExcelError, ValueError, OSError) as error:
        raise Refused(
            "is a workbook that cannot be read: damaged, protected with a password, or of an unknown kind; "
            "open it in Excel and save it as CSV"
        ) from error
    with pa.ipc.new_stream(out, pa.schema([], metadata={"notes": json.dumps(notes)})):
        pass
    out.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
