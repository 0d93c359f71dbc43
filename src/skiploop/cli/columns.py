"""How a table of words fits the width of a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from skiploop.report.table import Table

KEPT_WHOLE = 24
"""A cell of so many characters is not broken; a longer one, and a header, may be between words."""

_BETWEEN = 3
"""Characters that each column takes beyond its text, and one more at the end of the line."""


def parts(table: Table, width: int) -> Iterator[RichTable]:
    """Yield a table, or several where its columns do not fit side by side.

    Each part starts with the first column, which says what the rows are.

    Args:
        table: The table.
        width: Characters of a line.
    """
    needs = [min(_need(column), _most(width)) for column in _columns(table)]
    left = list(range(1, len(needs)))
    while left or len(needs) == 1:
        taken = [0]
        while left and (len(taken) < 2 or _sum(needs, [*taken, left[0]]) < width):
            taken.append(left.pop(0))
        yield _part(table, taken, width)
        if len(needs) == 1:
            return


def _part(table: Table, taken: Sequence[int], width: int) -> RichTable:
    """Return some columns of a table as rich draws them."""
    columns = [_columns(table)[i] for i in taken]
    shown = RichTable(box=box.SIMPLE)
    for i, (column, size) in enumerate(zip(columns, _widths(columns, width), strict=True)):
        justify: Literal["left", "right"] = "right" if i else "left"
        shown.add_column(Text(column[0]), justify=justify, overflow="fold", width=size)
    for row in zip(*(column[1:] for column in columns), strict=True):
        shown.add_row(*map(Text, row))
    return shown


def _columns(table: Table) -> list[tuple[str, ...]]:
    return list(zip(table.header, *table.rows, strict=True))


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return what each column gets: what it needs, and room where it has the longest texts.

    Beside others none gets more than its share of the line: a longer word is broken.
    """
    most = _most(width) if len(columns) > 1 else width
    widths = [min(_need(column), most) for column in columns]
    wishes = [max(map(cell_len, column)) for column in columns]
    spare = width - sum(widths) - _BETWEEN * len(widths) - 1
    for _ in range(spare):
        i = max(range(len(widths)), key=lambda j: wishes[j] / widths[j])
        if widths[i] >= wishes[i]:
            break
        widths[i] += 1
    return widths


def _most(width: int) -> int:
    """Return what one column may take of a line, so that others fit beside it."""
    return 2 * width // 3


def _need(column: Sequence[str]) -> int:
    """Return the fewest characters in which a column can be read, its header first."""
    header, *cells = column
    return max(1, _longest_word(header), *map(_need_of_cell, cells))


def _need_of_cell(cell: str) -> int:
    return cell_len(cell) if cell_len(cell) <= KEPT_WHOLE else _longest_word(cell)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _sum(needs: Sequence[int], taken: Sequence[int]) -> int:
    return sum(needs[i] + _BETWEEN for i in taken)
