"""The search that scales layers: it goes uphill in the log-probability of the right answer.

A program may scale what every layer adds to the states, at no further layer pass. These are as many
numbers as there are layers, and one pass backward tells how the log-probability changes with each
of them. So a search steps along its slopes, from the best program so far, until the answer is
right.

Shapes: L layers.
"""

from __future__ import annotations

import math

import numpy as np

from skiploop.errors import ProgramError
from skiploop.programs.program import Program
from skiploop.programs.scales import DIGITS, LARGEST, scaled_program
from skiploop.search.protocol import Outcome

FIRST, NEXT = 0.4, 0.25
"""Length of the first step and of those after it: the root of the sum of squares over all layers.
From 60 questions of arithmetic that the packaged model answers wrong."""

SHRINK = 0.5
"""What the length is multiplied by where a step leads no higher."""

SHORTEST = 0.02
"""Steps that would be shorter end the search."""


class GradientSearch:
    """The search for one question. It ends with the first right answer.

    Args:
        n_layers: Layers of the model.

    Guarantees:
        One program is proposed at a time, none twice.
    """

    def __init__(self, n_layers: int) -> None:
        self._asked: tuple[Program, np.ndarray] | None = None
        self._next: tuple[Program, np.ndarray] | None = (
            Program.identity(n_layers),
            np.ones(n_layers),
        )
        self._known: set[Program] = set()
        self._highest = -math.inf
        self._best_L, self._slopes_L = np.ones(n_layers), np.zeros(n_layers)
        self._length = FIRST

    def ask(self, n: int) -> list[Program]:
        """Propose the next program, the identity first; none where another waits for its outcome.

        Args:
            n: How many at most.
        """
        if not n or self._next is None:
            return []
        self._asked, self._next = self._next, None
        self._known.add(self._asked[0])
        return [self._asked[0]]

    def tell(self, program: Program, outcome: Outcome) -> None:
        """Report what came out of a proposed program.

        Raises:
            ProgramError: It was not asked for or was told already.
        """
        if self._asked is None or program != self._asked[0]:
            raise ProgramError(f"program {program} was not asked for, or was told already")
        (_, scales_L), self._asked = self._asked, None
        if outcome.correct:
            return
        logprob = outcome.gold_logprob
        if outcome.slopes is None or logprob is None or not logprob > self._highest:
            self._length *= SHRINK
        else:
            self._length = FIRST if program.is_identity else min(self._length, NEXT)
            self._highest, self._best_L = logprob, scales_L
            self._slopes_L = np.array(outcome.slopes)
        self._step()

    def _step(self) -> None:
        """Prepare the next program: a step uphill from the best one so far."""
        if not np.any(self._slopes_L):
            return
        way_L = self._slopes_L / np.linalg.norm(self._slopes_L)
        while self._length >= SHORTEST:
            scales_L = np.clip(self._best_L + self._length * way_L, 0, LARGEST).round(DIGITS)
            program = scaled_program(scales_L.tolist())
            if program not in self._known:
                self._next = program, scales_L
                return
            self._length *= SHRINK
