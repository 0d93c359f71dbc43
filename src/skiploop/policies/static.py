"""The best single program for all questions, chosen on training questions only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from skiploop.menus.halving import half, halving
from skiploop.policies.base import FixedPolicy
from skiploop.programs.program import Program, shortest_first
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

N_CANDIDATES = 8
"""Programs that enter the race, the identity not counted."""


class StaticPolicy(FixedPolicy):
    """Gives every prompt the program that was best on training questions.

    Args:
        programs: By accuracy on the training questions, the best first.
    """

    def __init__(self, programs: Sequence[Program]) -> None:
        super().__init__(programs, name="static")


def race(
    runner: TrialRunner, examples: Sequence[Example], candidates: Sequence[Program]
) -> list[Program]:
    """Return programs by their right answers, by successive halving with the identity in it.

    A quarter of the questions halves the field, another quarter halves it again, and the rest
    run all questions. The identity is never eliminated and wins ties, then the shorter program.

    Args:
        runner: Evaluates and remembers.
        examples: Training questions.
        candidates: Programs that may win.

    Cost:
        At most `(len(candidates) + 1) * len(examples)` runs of the model, less what is known.
    """
    if not examples:
        raise ValueError("a race needs at least one question")
    identity = Program.identity(runner.stack.n_layers)
    field = [identity, *(p for p in dict.fromkeys(candidates) if not p.is_identity)]
    eliminated: list[Program] = []
    rounds = halving(examples)
    for number, asked in enumerate(rounds, start=1):
        right = n_right(runner.grade_pairs([(e, p) for p in field for e in asked]))
        field.sort(key=lambda p: (-right.get(p, 0), not p.is_identity, shortest_first(p)))
        n_kept = half(field) if number < len(rounds) else len(field)
        kept = [p for i, p in enumerate(field) if i < n_kept or p.is_identity]
        eliminated = [p for p in field if p not in kept] + eliminated
        field = kept
    return field + eliminated


def promising(trials: Iterable[Trial]) -> list[Program]:
    """Return the programs with the best verdicts among some trials, the identity left out.

    A right answer counts 1, a wrong one -0.5, one that could not be graded 0.

    Args:
        trials: What a search recorded.
    """
    worth = {True: 1.0, False: -0.5, None: 0.0}
    scores: dict[Program, float] = {}
    for trial in trials:
        scores[trial.program] = scores.get(trial.program, 0.0) + worth[trial.correct]
    edited = [program for program in scores if not program.is_identity]
    edited.sort(key=lambda p: (-scores[p], shortest_first(p)))
    return edited[:N_CANDIDATES]


def n_right(trials: Iterable[Trial]) -> Mapping[Program, int]:
    """Return how many trials of each program are right."""
    counts: dict[Program, int] = {}
    for trial in trials:
        counts[trial.program] = counts.get(trial.program, 0) + (trial.correct is True)
    return counts
