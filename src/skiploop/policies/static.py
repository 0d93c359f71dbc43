"""The best single program for all questions, chosen on training questions only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from skiploop.menus.halving import survivors
from skiploop.programs.program import Program, shortest_first
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

N_CANDIDATES = 8
"""Programs of a search that enter the race, the identity not counted."""


def race(
    runner: TrialRunner, examples: Sequence[Example], candidates: Iterable[Program]
) -> list[Program]:
    """Return programs by right answers: those that successive halving leaves, then the others.

    The identity is left in any case and wins ties, then the shorter program.

    Cost:
        Verdicts on a quarter of the questions for every program, on half of them for every other
        one, and on all for a quarter of the programs, less what is known.
    """
    identity = Program.identity(runner.stack.n_layers)
    others = {program for program in candidates if not program.is_identity}

    def n_right(asked: Sequence[Example], field: Sequence[Program]) -> np.ndarray:
        trials = runner.grade_pairs([(e, p) for p in field for e in asked])
        right = np.array([trial.correct is True for trial in trials])
        return np.asarray(right.reshape(len(field), len(asked)).sum(1))

    field = [identity, *sorted(others, key=shortest_first)]
    left = survivors(examples, field, n_right)
    ranked = best_first(left, n_right(examples, left))
    return [*ranked, *(program for program in field if program not in ranked)]


def best_first(programs: Sequence[Program], n_right_P: np.ndarray) -> list[Program]:
    """Return programs by their right answers; the identity wins ties, then the shorter program."""
    ranked = sorted(
        zip(programs, n_right_P.tolist(), strict=True),
        key=lambda found: (-found[1], not found[0].is_identity, shortest_first(found[0])),
    )
    return [program for program, _ in ranked]


def promising(trials: Iterable[Trial]) -> list[Program]:
    """Return the programs with the best verdicts among some trials, the identity left out.

    A right answer counts 1, a wrong one -0.5, one that could not be graded 0.
    """
    worth = {True: 1.0, False: -0.5, None: 0.0}
    scores: dict[Program, float] = {}
    for trial in trials:
        scores[trial.program] = scores.get(trial.program, 0.0) + worth[trial.correct]
    edited = [program for program in scores if not program.is_identity]
    edited.sort(key=lambda p: (-scores[p], shortest_first(p)))
    return edited[:N_CANDIDATES]
