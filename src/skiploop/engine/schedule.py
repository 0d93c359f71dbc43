"""Which layer runs next, and for which rows. No torch.

Rows of one batch follow different paths through the same layers. The order in which the layers
run is found once for a batch; it is the same in every forward pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple


class Call(NamedTuple):
    """One execution of one layer for some rows of a batch.

    Attributes:
        layer: Which layer.
        rows: Rows that run it now, in ascending order, each at its own slot.
    """

    layer: int
    rows: tuple[int, ...]


def schedule(paths: Sequence[Sequence[int]]) -> list[Call]:
    """Return calls that take every row along its path.

    The rule: run the lowest layer that any row wants next, for all rows that want it. Rows that
    loop catch up with the rows that went ahead. The least number of calls is a shortest common
    supersequence, which is hard to find; for one path the rule gives its own length.

    Args:
        paths: Layers in the order they run, one path a row; none of them need be equal.

    Guarantees:
        The layers of the calls that hold a row, in order, are its path
        (tests/unit/test_schedule.py).
    """
    positions = [0] * len(paths)
    waiting: defaultdict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(paths):
        if path:
            waiting[path[0]].append(row)
    calls = []
    while waiting:
        layer = min(waiting)
        rows = sorted(waiting.pop(layer))
        calls.append(Call(layer, tuple(rows)))
        for row in rows:
            positions[row] += 1
            if positions[row] < len(paths[row]):
                waiting[paths[row][positions[row]]].append(row)
    return calls


def keep_rows(call: Call, rows: Sequence[int]) -> tuple[Call, list[int]]:
    """Return a call without the rows that left the batch.

    Args:
        call: A call of the batch as it was.
        rows: The rows that stay, ascending; row `rows[i]` becomes row `i`.

    Returns:
        The call, renumbered and perhaps without rows, and the positions in `call.rows` that stay.
    """
    renumbered = {old: new for new, old in enumerate(rows)}
    kept = [position for position, row in enumerate(call.rows) if row in renumbered]
    return Call(call.layer, tuple(renumbered[call.rows[p]] for p in kept)), kept
