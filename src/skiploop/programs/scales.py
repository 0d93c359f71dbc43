"""Programs as one scale for each layer. No torch."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skiploop.programs.program import Program
from skiploop.programs.segment import Segment

LARGEST, DIGITS = 3.0, 3
"""Where a scale that follows a gradient stays below, and its decimals."""


def scaled_program(scales: Sequence[float]) -> Program:
    """Return the program that runs every layer once, and scales what each of them adds.

    Args:
        scales: One for each layer, 1 for a layer as it is; one of 0 is skipped.

    Raises:
        ProgramError: A scale is out of range.
    """
    blocks = [
        Segment(layer, layer + 1, 1, scale=scale) if scale else Segment(layer, layer + 1, 0)
        for layer, scale in enumerate(scales)
    ]
    return Program.from_segments(blocks, len(blocks))


def scales_of(program: Program) -> list[float]:
    """Return the scale of each layer of a program, 0 where it is skipped.

    How often a layer runs again is not looked at.
    """
    scales = [1.0] * program.n_layers
    for edit in program.edits:
        scales[edit.start : edit.stop] = [edit.scale if edit.runs else 0.0] * len(edit)
    return scales


def shuffled_scales(program: Program, seed: int, first_layer: int = 0) -> Program:
    """Return a program of the same scales, each at a layer drawn at random.

    Args:
        program: What runs no layer again.
        seed: The same seed gives the same program.
        first_layer: Layers before this one keep their scales.
    """
    scales = scales_of(program)
    drawn = scales[first_layer:]
    random.Random(seed).shuffle(drawn)
    return scaled_program(scales[:first_layer] + drawn)
