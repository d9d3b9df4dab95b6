"""Tables at every width: figures, dates and the first column are whole, texts fold, else each row is a block."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from command_line import rmetrics
from examples import examples
from rmetrics.output.grid import Grid, GridColumn, blocks, layout
from small_company import jobs
from support import Project


def wide(project: Project, width: int, sql: str) -> str:
    done = rmetrics(project, "sql", sql, COLUMNS=str(width))
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("width", [20, 80, 250, 110])
@pytest.mark.ordinary(1, deep=1)
def test_no_value_of_a_wide_result_is_cut(project: Project, width: int) -> None:
    project.put("Import-1.csv", jobs((123456789, "COD Repair", "Pro Referral")))
    project.sync()
    out = wide(project, width, "SELECT * FROM jobs")
    for value in ("123456789", "COD Repair", "Pro Referral", "2024-11-05", "Import-1.csv"):
        assert value in out
    assert (f"Too wide for {width} columns: each row is a block." in out) == (width < 200)


@examples(150)
@given(
    st.integers(1, 260),
    st.lists(st.lists(st.integers(0, 60), min_size=5, max_size=5), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), min_size=5, max_size=5),
)
def test_figures_are_whole_and_texts_are_readable_at_any_width(
    width: int, lengths: list[list[int]], kinds: list[int]
) -> None:
    columns = [GridColumn(f"c{i}", right=k == 1, unwrapped=k == 2) for i, k in enumerate(kinds)]
    grid = Grid("", columns)
    for number, sizes in enumerate(lengths):
        grid.add_row(*(str((number + i) % 10) * n for i, n in enumerate(sizes)))
    table = layout(grid, width)
    console = Console(width=width, record=True, file=io.StringIO())
    if table is None:
        shown = "\n".join(line.plain for line in blocks(grid))
        assert all(cell.text in shown for row in grid.rows for cell in row)
        return
    console.print(table)
    shown = console.export_text()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for row in grid.rows:
        for column, cell in zip(columns, row, strict=True):
            if column.right or column.unwrapped or len(cell.text) <= 8:
                assert cell.text in shown
            else:
                assert re.search(cell.text[:8] or "", shown)


def test_columns_of_one_name_are_told_apart_in_blocks() -> None:
    grid = Grid(
        "",
        [
            GridColumn("source"),
            GridColumn("repairs"),
            GridColumn("target"),
            GridColumn("revenue"),
            GridColumn("target"),
        ],
    )
    grid.add_row("Google", "1", "2", "3", "4")
    assert [line.plain.split() for line in blocks(grid)][2:5] == [
        ["repairs", "target", "2"], ["revenue", "3"], ["revenue", "target", "4"],
    ]  # fmt: skip
