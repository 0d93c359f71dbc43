"""Where the numbers come from."""

from __future__ import annotations

from collections.abc import Iterable

from skiploop.report.table import Table
from skiploop.report.words import NOTHING


def provenance_table(facts: Iterable[tuple[str, object]]) -> Table:
    """Return where the numbers come from."""
    cells = tuple((key, NOTHING if value is None else str(value)) for key, value in facts)
    return Table("Provenance", ("fact", "value"), cells)
