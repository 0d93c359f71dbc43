"""Damped loops over every window in the middle of the model, of which the best one is kept.

`damped` is one of them, taken without a look at any question.

Source: training-free looped transformers, arXiv 2605.23872.

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.policies.damped import WINDOW
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

FIRST, LAST = 0.35, 0.7
"""Between which depths the middle of a window lies."""

ANCHORS = (0.25, 0.5, 0.75)
"""How much of the first pass stays (beta)."""

RUNS = (2, 3)
"""Passes over the window."""


def damped_windows(
    n_layers: int, anchors: Sequence[float] = ANCHORS, runs: Sequence[int] = RUNS
) -> list[Program]:
    """Return the damped loops that are tried on a model; with anchor 1 each is the plain model.

    Args:
        n_layers: Of the model; there is none where it has fewer than two.
        anchors: See above.
        runs: See above.
    """
    size = min(WINDOW, n_layers - 1)
    starts = range(n_layers - size)  # a layer must follow
    middles = {start: (start + size / 2) / n_layers for start in starts}
    return [
        Program(n_layers, (Segment(start, start + size, n_runs, anchor),))
        for start in starts
        if size and (FIRST <= middles[start] <= LAST or len(starts) == 1)
        for n_runs in runs
        for anchor in anchors
    ]
