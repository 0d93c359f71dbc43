"""Rows that go on: along further layers in the same pass, or with further tokens in the next one.

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skiploop.engine.plan.schedule import (
    Beginnings,
    Call,
    Numbering,
    Numbers,
    Schedule,
    schedule,
)


class Fork(NamedTuple):
    """A schedule that goes on where another one stopped.

    Attributes:
        schedule: Of the rows that go on.
        calls: For each of its calls, the number of the call that it continues.
        nodes: For each of its calls, the nodes that its own nodes continue, as positions in the
            call that it continues.
    """

    schedule: Schedule
    calls: tuple[int, ...]
    nodes: tuple[Numbers, ...]


def extend(before: Schedule, rests: Sequence[Sequence[int]]) -> Schedule:
    """Return a schedule whose rows go on along further layers once all calls have run.

    Guarantees:
        The calls and nodes of `before` keep their places (tests/unit/test_schedule.py).
    """
    leaves, sources = np.unique(before.leaves, return_inverse=True)
    after = schedule(rests, sources)
    n_first, n_before = after.n_sources, len(before.parents)
    shift = n_before - n_first
    moved = np.concatenate([leaves, np.arange(n_first, len(after.parents)) + shift])
    distinct, numbers = after.beginnings_after([before.beginnings.of(leaf) for leaf in leaves])
    n_known = len(before.beginnings.distinct)
    blends = {
        int(moved[node]): tuple((int(moved[other]), weight) for other, weight in blend)
        for node, blend in after.blends.items()
    }
    return Schedule(
        before.n_sources,
        before.calls + tuple(Call(c.layer, c.start + shift, c.stop + shift) for c in after.calls),
        np.concatenate([before.sources, before.sources[leaves[after.sources[n_first:]]]]),
        np.concatenate([before.parents, moved[after.parents[n_first:]]]),
        Beginnings(
            [*before.beginnings.distinct, *distinct],
            np.concatenate([before.beginnings.numbers, numbers[n_first:] + n_known]),
        ),
        moved[after.leaves],
        {**before.blends, **blends},
    )


def fork(before: Schedule, rows: Sequence[int], sources: Sequence[int]) -> Fork:
    """Return the schedule of rows that go on with further tokens, call by call as before.

    Args:
        before: The schedule of the tokens so far.
        rows: For each new row, the row of `before` that it continues.
        sources: The sequence of further tokens of each new row, numbered from 0.

    Guarantees:
        The nodes of a new row continue those of the row that it continues, one by one.
    """
    row_sources = np.array(sources, dtype=np.int64)
    found = Numbering(int(row_sources.max(initial=-1)) + 1)
    at = row_sources.copy()  # the node of each new row where it has come to
    kept, continued = [], []
    number: dict[tuple[int, int], int] = {}  # what continues a node for a source
    for index, some, nodes in _by_call(before, rows):
        order = np.lexsort((row_sources[some], nodes, at[some]))
        some, nodes, of_row = some[order], nodes[order], row_sources[some[order]]
        is_new = np.ones(len(some), dtype=bool)  # rows may continue one node for one source
        is_new[1:] = (np.diff(nodes) != 0) | (np.diff(of_row) != 0)
        parents, at[some] = at[some][is_new], found.n_nodes + np.cumsum(is_new) - 1
        nodes, of_row = nodes[is_new], of_row[is_new]
        if before.blends:
            pairs = zip(of_row.tolist(), nodes.tolist(), strict=True)
            new = {pair: found.n_nodes + place for place, pair in enumerate(pairs)}
            number |= new
            for (source, node), continuing in new.items():
                if node in before.blends:
                    found.blends[continuing] = tuple(
                        (source if other < before.n_sources else number[source, other], weight)
                        for other, weight in before.blends[node]
                    )
        found.add(of_row, parents, before.beginnings.numbers[nodes])
        found.end_call(before.calls[index].layer)
        kept.append(index)
        continued.append(nodes - before.calls[index].start)
    forked = found.schedule(before.beginnings.distinct, at)
    return Fork(forked, tuple(kept), tuple(continued))


def _by_call(before: Schedule, rows: Sequence[int]) -> list[tuple[int, Numbers, Numbers]]:
    """Return the calls that some rows go through: its number, which of the rows, their nodes."""
    at = before.leaves[list(rows)]
    found = []
    for index in range(len(before.calls) - 1, -1, -1):
        some = np.flatnonzero(at >= before.calls[index].start)
        if len(some):
            found.append((index, some, at[some]))
            at[some] = before.parents[at[some]]
    return found[::-1]
