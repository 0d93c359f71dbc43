"""Successive halving: many candidates on few questions, then half of them on twice as many.

Source: Jamieson and Talwalkar 2016, Non-stochastic best arm identification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from skiploop.programs.program import Program
from skiploop.tasks.base import Example

_SHARES = (4, 2)
"""Of the questions, in the rounds that halve the field."""

Worth = Callable[[Sequence[Example], Sequence[Program]], np.ndarray]
"""From questions and programs to how good each program is on them."""


def survivors(
    examples: Sequence[Example], programs: Sequence[Program], worth: Worth
) -> list[Program]:
    """Return the programs that are left when all questions are to be asked, in their order.

    A quarter of the questions halves the field, a half of them halves it again.

    Args:
        examples: Questions.
        programs: The first one always stays; of equals, the one before.
        worth: Says how good they are.
    """
    field = list(programs)
    for share in _SHARES:
        worth_P = np.array(worth(examples[: -(-len(examples) // share)], field), dtype=float)
        worth_P[0] = np.inf
        best = np.argsort(-worth_P, kind="stable")[: -(-len(field) // 2)]
        field = [field[i] for i in sorted(best)]
    return field


def n_pairs(n_questions: int, n_programs: int) -> int:
    """Return how many pairs `survivors` asks, with those of all questions and who is left."""
    n_pairs = n_before = 0
    for share in (*_SHARES, 1):
        n_asked = -(-n_questions // share)
        n_pairs += (n_asked - n_before) * n_programs
        n_before, n_programs = n_asked, -(-n_programs // 2)
    return n_pairs
