"""A block runs several times, and the next layer is given the mean of what all passes lead to.

Source: inner loop inference, arXiv 2602.14759, the "uniform" way to combine looped states.

No torch.
"""

from __future__ import annotations

from skiploop.programs.program import Program
from skiploop.programs.segment import MEAN, Segment

LENGTHS = (1, 2, 4)
"""Layers of a block."""

RUNS = (2, 3)
"""Passes over it."""


def mean_loops(n_layers: int) -> list[Program]:
    """Return the loops that are tried on a model: every block that a layer follows."""
    return [
        Program(n_layers, (Segment(start, start + length, runs, MEAN),))
        for length in LENGTHS
        for start in range(n_layers - length)
        for runs in RUNS
    ]
