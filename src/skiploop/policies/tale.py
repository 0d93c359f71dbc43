"""TALE: layers are left out one after the other, each time the one without which most is right.

Source: arXiv 2510.22767.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.policies.dropping import without
from skiploop.programs.program import Program, shortest_first
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.score_table import collect

TOLERANCE = 0.08
"""Share of right answers below that of the plain model at which no more layers are left out."""


def shortenings(
    runner: TrialRunner, examples: Sequence[Example], n_most: int | None = None
) -> list[tuple[Program, float]]:
    """Return the plain model and what is left after each step, each with its right answers.

    Of layers without which equally much is right, that goes without which the right answers are
    likelier.

    Args:
        runner: Evaluates and remembers.
        examples: Questions on which layers are compared.
        n_most: Layers to leave out; None to stop where more than `TOLERANCE` would be lost.

    Returns:
        Programs and shares of right answers, the plain model first.

    Cost:
        Every question once for each layer that is left, at each step, less what is known.
    """
    n_layers = runner.stack.n_layers
    plain = Program.identity(n_layers)
    found = [(plain, _rated(runner, examples, [plain])[plain][0])]
    dropped: set[int] = set()
    while len(dropped) < (n_layers - 1 if n_most is None else n_most):
        left = [layer for layer in range(n_layers) if layer not in dropped]
        shorter = {without(n_layers, {*dropped, layer}): layer for layer in left}
        rated = _rated(runner, examples, list(shorter))
        best = max(rated, key=lambda program: rated[program])
        right = rated[best][0]
        if n_most is None and right < found[0][1] - TOLERANCE:
            break
        found.append((best, right))
        dropped.add(shorter[best])
    return found


def most_right(found: Sequence[tuple[Program, float]]) -> Program:
    """Return the program with most right answers; of equals, the shortest."""
    return min(found, key=lambda one: (-one[1], shortest_first(one[0])))[0]


def _rated(
    runner: TrialRunner, examples: Sequence[Example], programs: Sequence[Program]
) -> dict[Program, tuple[float, float]]:
    """Return the share of right answers of each program, and the mean score."""
    table = collect(runner, examples, programs)
    right_P, score_P = (table.right_QP == 1).mean(0), table.score_QP.mean(0)
    rated = zip(right_P.tolist(), score_P.tolist(), strict=True)
    return dict(zip(programs, rated, strict=True))
