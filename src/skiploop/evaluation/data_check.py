"""What questions are good for, before anything runs: how many, what sorts, what they can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from skiploop.evaluation.blind import blind_accuracy
from skiploop.evaluation.power import Judged, least_gain, least_loss
from skiploop.stats import SIGNIFICANCE, Share
from skiploop.tasks.base import SPLITS, Example, Split, Task

CHANGED = 0.1
"""Share of answers that fixed and broken ones are, where a loss is to be ruled out: that of the
arithmetic table of the README."""


@dataclass(frozen=True, kw_only=True)
class DataCheck:
    """What is known of questions.

    Attributes:
        task: Name of the task.
        n_questions: By split.
        n_taught: Training questions that a choice is learned from.
        n_raced: Those of the training questions that choose the menu.
        n_validated: Those of them on which the choice is validated while it is learned.
        n_judged: Held-out questions that judge.
        categories: Questions of each category, the largest first.
        favourite: The answer that is right most often.
        n_favourite: How often that is.
        blind: Share of right answers of one who knows the category of a question and no more.
        least_gain: Smallest gain that is shown four times of five, in 0..1; None if none is.
        least_loss: Smallest loss that is ruled out where a tenth of the answers change.
    """

    task: str
    n_questions: dict[Split, int]
    n_taught: int
    n_raced: int
    n_validated: int
    n_judged: int
    categories: dict[str, int]
    favourite: str
    n_favourite: Share
    blind: float
    least_gain: float | None
    least_loss: float


def check_data(
    task: Task,
    taught: Sequence[Example],
    judged: Sequence[Example],
    *,
    n_raced: int,
    n_parts: int,
    n_tests: int,
) -> DataCheck:
    """Look at questions that are to be learned from and judged on.

    Args:
        task: Their task.
        taught: Training questions.
        judged: Held-out questions, not none.
        n_raced: So many of the first training questions choose the programs.
        n_parts: Parts of the others in which a choice is validated; the first one only teaches.
        n_tests: Policies that are judged.
    """
    raced = {example.group for example in taught[:n_raced]}
    n_left = len({example.group for example in taught} - raced)
    n_validated = n_left - round(n_left / n_parts)
    n_judged = len({example.group for example in judged})
    asked = [*taught, *judged]
    ((favourite, n_favourite),) = Counter(example.gold for example in asked).most_common(1)
    return DataCheck(
        task=task.name,
        n_questions={split: len(task.examples(split)) for split in SPLITS},
        n_taught=len(taught),
        n_raced=n_raced,
        n_validated=n_validated,
        n_judged=len(judged),
        categories=dict(Counter(example.category for example in asked).most_common()),
        favourite=favourite,
        n_favourite=Share(n_favourite, len(asked)),
        blind=blind_accuracy(asked) or 0.0,
        least_gain=least_gain([Judged(n_validated), Judged(n_judged, SIGNIFICANCE / n_tests)]),
        least_loss=least_loss(n_judged, CHANGED),
    )
