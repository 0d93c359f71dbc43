"""Programs as one scale for each layer. No torch."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skiploop.programs.program import Program
from skiploop.programs.segment import Segment


def scaled_program(scales: Sequence[float]) -> Program:
    """Return the program that runs every layer once, and scales what each of them adds.

    Args:
        scales: One for each layer, 1 for a layer as it is.

    Raises:
        ProgramError: A scale is out of range.
    """
    blocks = [Segment(layer, layer + 1, 1, scale=scale) for layer, scale in enumerate(scales)]
    return Program.from_segments(blocks, len(blocks))


def scales_of(program: Program) -> list[float]:
    """Return the scale of each layer of a program; how often a layer runs is not looked at."""
    scales = [1.0] * program.n_layers
    for edit in program.edits:
        scales[edit.start : edit.stop] = [edit.scale] * len(edit)
    return scales


def shuffled_scales(program: Program, seed: int) -> Program:
    """Return a program of the same scales, each at a layer drawn at random, all layers once."""
    scales = scales_of(program)
    random.Random(seed).shuffle(scales)
    return scaled_program(scales)
