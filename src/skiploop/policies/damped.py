"""One damped loop in the middle of the model, for all prompts: the middle one, or one of several.

Source: training-free looped transformers, arXiv 2605.23872, whose windows have four layers around
half the depth.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.programs.damping import RUNS
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

WINDOW = 4
"""Layers that run again."""

ANCHOR = 0.5
"""How much of the first pass stays (beta)."""

NEARBY = (0.35, 0.7)
"""Between which depths the middles of the windows lie that are tried."""

ANCHORS = (0.25, 0.5, 0.75)
"""Anchors that are tried."""

PASSES = (2, 3)
"""Numbers of passes that are tried."""


def damped_loop(n_layers: int) -> Program:
    """Return the program for a model of some depth; the window is shorter in tiny models."""
    start = max(n_layers // 2 - WINDOW // 2, 0)
    stop = min(start + WINDOW, n_layers - 1)
    if stop <= start:
        return Program.identity(n_layers)
    return Program(n_layers, (Segment(start, stop, RUNS, ANCHOR),))


def damped_windows(n_layers: int, anchors: Sequence[float] = ANCHORS) -> list[Program]:
    """Return the damped loops that are tried on a model; with anchor 1 each is the plain model.

    Without a layer before the last one there is none.
    """
    size = min(WINDOW, n_layers - 1)
    starts = range(n_layers - size) if size else range(0)  # a layer must follow
    first, last = NEARBY
    nearby = [start for start in starts if first <= (start + size / 2) / n_layers <= last]
    return [
        Program(n_layers, (Segment(start, start + size, runs, anchor),))
        for start in nearby or starts
        for runs in PASSES
        for anchor in anchors
    ]
