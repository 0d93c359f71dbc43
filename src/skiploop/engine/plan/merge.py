"""Rows of several schedules that go on together.

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skiploop.engine.plan.schedule import Numbers, Schedule, schedule


class Piece(NamedTuple):
    """Nodes of one call that continue those of one call before.

    Attributes:
        part: The schedule of that call.
        call: Its number there.
        nodes: The nodes that are continued, as positions in it.
        places: The nodes that continue them, as positions in the new call.
    """

    part: int
    call: int
    nodes: Numbers
    places: Numbers


class Merge(NamedTuple):
    """A schedule of rows that have run in several ones.

    Attributes:
        schedule: Of all rows, those of the first part first.
        pieces: What the nodes of each of its calls continue.
    """

    schedule: Schedule
    pieces: tuple[tuple[Piece, ...], ...]


def merge(parts: Sequence[tuple[Schedule, Sequence[int]]]) -> Merge:
    """Return the schedule of rows that go on together with further tokens, one sequence a row.

    Args:
        parts: Schedules, and the rows of each that go on.

    Guarantees:
        The nodes of a row continue those that it had before, one by one, and no two rows share one
        (tests/unit/test_schedule.py).
    """
    leaves = [before.leaves[list(rows)] for before, rows in parts]
    paths = [
        before.beginnings.of(leaf)
        for (before, _), some in zip(parts, leaves, strict=True)
        for leaf in some
    ]
    merged = schedule(paths)
    of_part = np.empty(len(merged.sources), dtype=np.int64)
    of_node = np.empty(len(merged.sources), dtype=np.int64)
    first = 0
    for part, ((before, _), at) in enumerate(zip(parts, leaves, strict=True)):
        new = merged.leaves[first : first + len(at)]
        first += len(at)
        while (new >= merged.n_sources).any():
            of_part[new], of_node[new] = part, at
            new, at = merged.parents[new], before.parents[at]
    starts = [[call.start for call in before.calls] for before, _ in parts]
    return Merge(
        merged,
        tuple(
            tuple(_pieces(of_part[c.start : c.stop], of_node[c.start : c.stop], starts))
            for c in merged.calls
        ),
    )


def _pieces(of_part: Numbers, of_node: Numbers, starts: Sequence[Sequence[int]]) -> list[Piece]:
    """Group the nodes of one call by the call that each continues, given where calls start."""
    found = []
    for part in np.unique(of_part):
        places = np.flatnonzero(of_part == part)
        calls = np.searchsorted(starts[part], of_node[places], side="right") - 1
        for call in np.unique(calls):
            some = places[calls == call]
            found.append(Piece(int(part), int(call), of_node[some] - starts[part][call], some))
    return found
