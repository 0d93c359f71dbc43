"""One answer of the plain model, drawn at random at the temperature that suits the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from skiploop.engine.sampling import Sampling
from skiploop.errors import ConfigError
from skiploop.policies.base import Answer, Method
from skiploop.programs.program import Program
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator

TEMPERATURES = (0.3, 0.7, 1.0)


class Sampled(Method):
    """Draws one answer of the plain model to each question."""

    def __init__(self, n_layers: int, temperature: float, *, seed: int, name: str) -> None:
        self.program = Program.identity(n_layers)
        self.temperature = temperature
        self.seed = seed
        self.name = name

    @property
    def fingerprint(self) -> str:
        """See `Method`."""
        return f"{self.temperature} {self.seed}"

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return one answer a question."""
        samples = evaluator.sample_pairs(
            [(example, self.program) for example in examples],
            Sampling(temperature=self.temperature),
            [derive_seed(self.seed, "sampled", example.id) for example in examples],
        )
        return [
            [Answer.of_sample(example, completion, grade, evaluator)]
            for example, (completion, grade) in zip(examples, samples, strict=True)
        ]


def right_at(
    evaluator: Evaluator, examples: Sequence[Example], n_layers: int, seed: int
) -> dict[str, int]:
    """Return how many questions are answered right at each of `TEMPERATURES`.

    Raises:
        ConfigError: The questions have choices, of which the likeliest is picked.
    """
    if examples[0].choices:
        raise ConfigError(
            "answers are drawn at random, but these questions have choices, of which the likeliest "
            "is picked: use identity"
        )
    counts = {}
    for temperature in TEMPERATURES:
        method = Sampled(n_layers, temperature, seed=seed, name="")
        answers = method.answer(examples, evaluator)
        counts[str(temperature)] = sum(first.correct is True for first, *_ in answers)
    return counts


def best_temperature(right: Mapping[str, int]) -> float:
    """Return the temperature with most right answers; of equals, the lowest."""
    return min(map(float, right), key=lambda temperature: (-right[str(temperature)], temperature))
