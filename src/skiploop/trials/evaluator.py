"""What runs and grades for whatever answers questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from skiploop.programs.program import Program
from skiploop.tasks.base import Example, Grade
from skiploop.trials.store import Trial

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion
    from skiploop.engine.sampling import Sampling

Pair = tuple[Example, Program]


class Evaluator(Protocol):
    """Runs pairs of a question and a program, and grades what is written."""

    def prompt(self, example: Example) -> str:
        """Return what the model reads of a question."""

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        """Return the trial of each pair, in order, with the whole text of the answer."""

    def sample_pairs(
        self, pairs: Sequence[Pair], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, Grade]]:
        """Return one answer to each pair that is drawn at random, and its verdict."""
