"""Successive halving: many candidates on few questions, then half of them on twice as many.

Source: Jamieson and Talwalkar 2016, Non-stochastic best arm identification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from skiploop.programs.program import Program
from skiploop.tasks.base import Example

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
    for share in (4, 2):
        worth_P = np.array(worth(examples[: -(-len(examples) // share)], field), dtype=float)
        worth_P[0] = np.inf
        best = np.argsort(-worth_P, kind="stable")[: -(-len(field) // 2)]
        field = [field[i] for i in sorted(best)]
    return field
