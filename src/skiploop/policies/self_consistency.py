"""Self-consistency: the plain model answers several times at random, and the majority counts.

Source: Wang et al. 2023, arXiv 2203.11171.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skiploop.policies.base import IdentityPolicy
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Grade
from skiploop.trials.runner import TrialRunner

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion

TEMPERATURE = 0.7


class SelfConsistency(IdentityPolicy):
    """Draws several answers of the plain model to each question.

    Args:
        n_layers: Of the model.
        n_samples: Answers to each question.
        seed: The same seed draws the same answers.
        name: Name in tables.
    """

    def __init__(self, n_layers: int, n_samples: int, *, seed: int, name: str) -> None:
        super().__init__(n_layers)
        self.n_samples = n_samples
        self.seed = seed
        self.name = name

    def sample(
        self, runner: TrialRunner, examples: Sequence[Example]
    ) -> list[list[tuple[Completion, Grade]]]:
        """Return the answers to each question, and the verdicts on them.

        They are not stored: asked for again, they are drawn again, and are the same in float32.

        Cost:
            One run of the prompt, which all answers to a question share, and `n_samples` answers.
        """
        from skiploop.engine.sampling import Sampling  # loads torch

        numbers = range(self.n_samples)
        asked = [(example, number) for example in examples for number in numbers]
        completions = runner.stack.generate(
            [runner.task.prompt(example) for example, _ in asked],
            self.programs[0],
            max_new_tokens=runner.task.max_new_tokens,
            stop=runner.task.stop,
            sampling=Sampling(temperature=TEMPERATURE),
            seeds=[derive_seed(self.seed, "self-consistency", e.id, number) for e, number in asked],
        )
        grades = runner.task.grade_many([e for e, _ in asked], [c.text for c in completions])
        answers = iter(zip(completions, grades, strict=True))
        return [[next(answers) for _ in numbers] for _ in examples]
