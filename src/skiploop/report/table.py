"""A table of words, before anyone decides how it looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of words.

    Attributes:
        title: One line.
        header: Names of the columns.
        rows: Cells as text, as many a row as there are columns.
        note: What the numbers are, in one or two sentences.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def transposed(self) -> Table:
        """Return the table with a column for each row, for screens narrower than the header."""
        columns = zip(*self.rows, strict=True)
        rows = [(name, *cells) for name, cells in zip(self.header, columns, strict=True)]
        return Table(self.title, rows[0], tuple(rows[1:]), self.note)
