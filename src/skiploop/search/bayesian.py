"""The search that models what single edits gain, and asks for what is likeliest right.

Every outcome moves what is believed of the gains of all edits that resemble the one that ran. Asked
for programs, the search proposes those that are likeliest to reach the log-probability from which
answers are right: single edits, and pairs of those that helped. It is Bayesian optimisation by the
probability of improvement; all of it is closed form, and nothing is drawn.

Shapes: E single edits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations
from typing import TypeVar

import numpy as np
from scipy.special import ndtr

from skiploop.errors import ProgramError
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.search.belief import Belief
from skiploop.search.protocol import Outcome

FIRST = 4
"""Programs that are proposed before any but the identity was told: their outcomes choose better."""

PARTNERS = 12
"""Edits that pairs are made of: those that helped most so far."""

_WORST = -4.0
"""Gains below this one say no more than that an edit is harmful."""

_RIGHT_FROM, _RIGHT_WITHIN = -1.4, 0.55
"""Mean and deviation of the log-probability from which answers are right: of 188,560 trials of the
packaged model on arithmetic, 5 in 100 were right at -2.75, 60 at -1.25 and 92 at -0.85."""

_RIGHT, _WRONG = -0.5, -4.0
"""What stands for a log-probability that nobody knows."""

_PAIR_SHARE, _PAIR_LOSS, _PAIR_DEVIATION = 0.6, 0.85, 1.8
"""A pair brings such a share of the sum of both gains, less so much, and is off by so much: from
14,091 pairs on questions of which both edits were seen alone."""


Numbers = TypeVar("Numbers", float, np.ndarray)


class BayesianSearch:
    """The search for one question.

    Where the plain model is right, programs with fewer layer passes come first.

    Args:
        space: Single edits that may be proposed, and pairs of them.
        belief: What is believed of the gains of `space.single_edits` before anything has run.

    Attributes:
        belief: What is believed by now.

    Guarantees:
        No program is proposed twice.
    """

    def __init__(self, space: ProgramSpace, belief: Belief) -> None:
        self.belief = belief
        self._identity = Program.identity(space.n_layers)
        self._edits = space.single_edits
        self._single = [self._identity.with_edit(edit) for edit in self._edits]
        self._number = {program: number for number, program in enumerate(self._single)}
        self._gains: dict[int, float] = {}
        self._plain: Outcome | None = None
        self._is_told: dict[Program, bool] = {}

    def ask(self, n: int) -> list[Program]:
        """Propose the next programs to evaluate, the identity first and alone.

        Args:
            n: How many at most; none until the identity was told, and few until anything else was.
        """
        proposed: list[Program] = []
        if self._identity not in self._is_told:
            proposed = [self._identity][:n]
        elif self._plain is not None:
            proposed = self._likeliest(n if self._gains else min(n, FIRST))
        self._is_told |= dict.fromkeys(proposed, False)
        return proposed

    def tell(self, program: Program, outcome: Outcome) -> None:
        """Report what came out of a proposed program.

        Raises:
            ProgramError: It was not asked for or was told already.
        """
        if self._is_told.get(program, True):
            raise ProgramError(f"program {program} was not asked for, or was told already")
        self._is_told[program] = True
        if program.is_identity:
            self._plain = outcome
        elif program in self._number and outcome.correct is not None:
            number, gain = self._number[program], max(_logprob(outcome) - self._level, _WORST)
            self._gains[number] = gain
            self.belief = self.belief.told(number, gain)

    def _likeliest(self, n: int) -> list[Program]:
        """Return programs that were not proposed, the likeliest to be right first."""
        pairs = dict(self._pairs())
        programs = [*self._single, *pairs]
        is_open_P = np.array([program not in self._is_told for program in programs])
        is_short_P = np.array([program.n_slots < program.n_layers for program in programs])
        bonus_P = is_short_P * (self._plain is not None and self._plain.correct is True)
        belief, proposed = self.belief, list[Program]()
        while len(proposed) < n and is_open_P.any():
            chance_E = self._chance(belief.mean_E, belief.deviation_E)
            chance_P = np.concatenate([chance_E, list(pairs.values())])
            best = int(np.where(is_open_P, chance_P + bonus_P, -1).argmax())
            is_open_P[best] = False
            proposed.append(programs[best])
            if best < len(self._single):  # as if expected: what resembles it has less to tell
                belief = belief.told(best, belief.mean_E[best])
        return proposed

    def _pairs(self) -> Iterator[tuple[Program, float]]:
        """Yield pairs of the edits that helped most, and how likely they are right."""
        helpful = [number for number, gain in self._gains.items() if gain > 0]
        best = sorted(helpful, key=lambda number: -self._gains[number])[:PARTNERS]
        for one, other in combinations(sorted(best), 2):
            with suppress(ProgramError):  # both edit the same layers
                program = self._single[one].with_edit(self._edits[other])
                if program not in self._number:  # two skips side by side may be a single one
                    gain = _PAIR_SHARE * (self._gains[one] + self._gains[other]) - _PAIR_LOSS
                    yield program, float(self._chance(gain, _PAIR_DEVIATION))

    def _chance(self, gain: Numbers, deviation: Numbers) -> Numbers:
        """Return how likely answers are right after such gains, which may be off by so much."""
        missing = _RIGHT_FROM - self._level - gain
        chance: Numbers = ndtr(-missing / np.hypot(deviation, _RIGHT_WITHIN))
        return chance

    @property
    def _level(self) -> float:
        """The log-probability of the right answer under the identity."""
        return _WRONG if self._plain is None else _logprob(self._plain)


def _logprob(outcome: Outcome) -> float:
    if outcome.gold_logprob is None or math.isnan(outcome.gold_logprob):
        return _RIGHT if outcome.correct else _WRONG
    return outcome.gold_logprob
