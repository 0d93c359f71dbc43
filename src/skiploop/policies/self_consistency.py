"""Self-consistency: the plain model answers several times at random, and the majority counts.

Source: Wang et al. 2023, arXiv 2203.11171.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skiploop.engine.completion import Completion
from skiploop.engine.sampling import Sampling
from skiploop.policies.base import Answer, Method, held_by_all
from skiploop.policies.vote import elect, spoken
from skiploop.programs.program import Program
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Grade
from skiploop.trials.evaluator import Evaluator

TEMPERATURE = 0.7


class SelfConsistency(Method):
    """Draws several answers of the plain model to each question; the most frequent one counts."""

    def __init__(self, n_layers: int, n_samples: int, *, seed: int, name: str) -> None:
        self.program = Program.identity(n_layers)
        self.n_samples = n_samples
        self.seed = seed
        self.name = name

    @property
    def fingerprint(self) -> str:
        """See `Method`."""
        return f"{self.n_samples} {TEMPERATURE} {self.seed}"

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return all samples, one that most agree on first.

        Cost:
            One run of the prompt, which all answers to a question share, and `n_samples` answers.
        """
        asked = [(example, number) for example in examples for number in range(self.n_samples)]
        samples = iter(
            evaluator.sample_pairs(
                [(example, self.program) for example, _ in asked],
                Sampling(temperature=TEMPERATURE),
                [derive_seed(self.seed, "self-consistency", e.id, number) for e, number in asked],
            )
        )
        return [
            self._counted(example, [next(samples) for _ in range(self.n_samples)], evaluator)
            for example in examples
        ]

    def _counted(
        self,
        example: Example,
        samples: Sequence[tuple[Completion, Grade]],
        evaluator: Evaluator,
    ) -> list[Answer]:
        found = [grade.answer for _, grade in samples]
        written = [completion.text for completion, _ in samples]
        said = spoken(found, written)
        answers = [
            replace(
                Answer.of_sample(example, completion, grade, evaluator),
                confidence=said.count(words) / len(samples),
            )
            for (completion, grade), words in zip(samples, said, strict=True)
        ]
        outcome = elect(found, written, [1.0] * len(samples))
        first, *others = outcome.winner_first(answers)
        cost = replace(first.cost, kv_bytes=held_by_all(answers))
        return [replace(first, cost=cost), *others]
