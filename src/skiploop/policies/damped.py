"""One damped loop in the middle of the model, for all prompts and without any search.

Source: arXiv 2605.23872, whose windows have four layers around half the depth.
"""

from __future__ import annotations

from skiploop.programs.damping import RUNS
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

WINDOW = 4
"""Layers that run again."""

ANCHOR = 0.5
"""How much of the first pass stays."""


def damped_loop(n_layers: int) -> Program:
    """Return the program for a model of some depth; the window is shorter in tiny models."""
    start = max(n_layers // 2 - WINDOW // 2, 0)
    stop = min(start + WINDOW, n_layers - 1)
    if stop <= start:
        return Program.identity(n_layers)
    return Program(n_layers, (Segment(start, stop, RUNS, ANCHOR),))
