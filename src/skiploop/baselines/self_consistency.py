"""Self-consistency: the plain model answers several times at random, and the majority counts.

Source: Wang et al. 2023, arXiv 2203.11171.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.policy import IdentityPolicy
from skiploop.runner import TrialRunner
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Grade

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
    ) -> list[list[tuple[str, int, Grade]]]:
        """Return the texts, numbers of tokens and verdicts of the answers to each question.

        They are not stored: asked for again, they are drawn again, and are the same in float32.

        Cost:
            One run of the prompt, which all answers to a question share, and `n_samples` answers.
        """
        from skiploop.engine.sampling import Sampling  # loads torch

        asked = [example for example in examples for _ in range(self.n_samples)]
        completions = runner.stack.generate(
            [runner.task.prompt(example) for example in asked],
            self.programs[0],
            max_new_tokens=runner.task.max_new_tokens,
            stop=runner.task.stop,
            sampling=Sampling(temperature=TEMPERATURE),
            seeds=[
                derive_seed(self.seed, "self-consistency", example.id, number)
                for example in examples
                for number in range(self.n_samples)
            ],
        )
        grades = runner.task.grade_many(asked, [completion.text for completion in completions])
        answers = [
            (completion.text, len(completion.token_ids), grade)
            for completion, grade in zip(completions, grades, strict=True)
        ]
        return [
            answers[start : start + self.n_samples]
            for start in range(0, len(answers), self.n_samples)
        ]
