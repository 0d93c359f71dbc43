"""Whether one program for all prompts is better than the plain model on questions of its own.

What is best of many on some questions is too good there. So it is judged once more, on questions
that did not choose it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skiploop.programs.program import Program
from skiploop.stats import SIGNIFICANCE, mcnemar_exact
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner


@dataclass(frozen=True)
class HeldOut:
    """How a program did beside the plain model.

    Attributes:
        n_questions: On which both were judged.
        fixed: Questions that it alone answers right.
        broken: Questions that the plain model alone answers right.
    """

    n_questions: int
    fixed: int
    broken: int

    @property
    def shows_gain(self) -> bool:
        """Whether more is fixed than broken, by McNemar's exact test."""
        return self.fixed > self.broken and mcnemar_exact(self.fixed, self.broken) < SIGNIFICANCE


def judge(runner: TrialRunner, examples: Sequence[Example], program: Program) -> HeldOut:
    """Compare a program with the plain model.

    Cost:
        Two answers a question, less what is known.
    """
    plain = Program.identity(program.n_layers)
    pairs = [(example, one) for example in examples for one in (plain, program)]
    verdicts = [trial.correct is True for trial in runner.grade_pairs(pairs)]
    both = list(zip(verdicts[::2], verdicts[1::2], strict=True))
    fixed = sum(is_now and not was for was, is_now in both)
    broken = sum(was and not is_now for was, is_now in both)
    return HeldOut(len(examples), fixed, broken)
