"""Methods that run each question alone, under layers that stand in for the model's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Protocol

import torch
from torch import Tensor, nn

from skiploop.engine.alone import Sequencer, choose_alone, write_alone
from skiploop.engine.batching.encoding import encode
from skiploop.engine.completion import Completion
from skiploop.errors import ConfigError
from skiploop.jsontext import digest
from skiploop.policies.base import Answer, Cost, Method
from skiploop.policies.tensors import checksum_of
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Grade
from skiploop.trials.evaluator import Evaluator

HALF = 0.5
"""Score from which a part of a layer runs, as published."""

NOTHING_RUNS = 1 + 1e-6
"""A threshold above all scores, which are 0..1."""

N_HALVINGS = 12
"""Of the interval in which a threshold is looked for."""


class Way(Protocol):
    """The way of one sequence through the model.

    Attributes:
        layers: They stand in for those of the model.
    """

    layers: nn.ModuleList

    def n_passes(self) -> float:
        """Return the mean layer passes of the tokens that have run."""

    def with_slots(self) -> Sequence[int]:
        """Return the layers that have kept keys and values."""


class AnswersAlone(Method):
    """Answers one question after the other while parts of layers are skipped by their scores.

    Attributes:
        threshold: Score from which a part runs.
    """

    def __init__(self, stack: LayerStack, name: str) -> None:
        self.name = name
        self.threshold = HALF
        self._stack = stack

    @abstractmethod
    def way(self, n_prompt: int) -> Way:
        """Return the way of one sequence through the model, given the tokens of its prompt."""

    @property
    @abstractmethod
    def least_passes(self) -> float:
        """Layer passes that are left where everything is skipped that can be."""

    @abstractmethod
    def weights(self) -> Mapping[str, Tensor]:
        """Return all that scores and stand-ins have learned."""

    @property
    def fingerprint(self) -> str:
        """See `Method`."""
        return digest([self.threshold, checksum_of(self.weights())])

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answer to each question.

        Cost:
            Each question runs alone, each of its choices anew.
        """
        written = [self._ask(example, evaluator) for example in examples]
        return graded(examples, written, evaluator)

    def within(self, most_passes: float, prompts: Sequence[str]) -> None:
        """Raise the threshold until prompts take so many layer passes on average, no more.

        Args:
            most_passes: How many are allowed.
            prompts: Of questions that nothing was learned from.

        Raises:
            ConfigError: Skipping all that can be skipped is not enough.

        Cost:
            One run of each prompt, and `N_HALVINGS` more where the threshold has to be raised.
        """
        check_limit(self.name, most_passes, self.least_passes)

        def is_within(threshold: float) -> bool:
            self.threshold = threshold
            return mean_passes(self._stack, prompts, self.way) <= most_passes

        too_low, enough = self.threshold, NOTHING_RUNS
        if is_within(too_low):
            return
        for _ in range(N_HALVINGS):
            middle = (too_low + enough) / 2
            if is_within(middle):
                enough = middle
            else:
                too_low = middle
        self.threshold = enough

    def _ask(self, example: Example, evaluator: Evaluator) -> tuple[Completion, Cost]:
        """Return what is said to a question, and what that took."""
        stack, ways = self._stack, list[Way]()

        def layers(n_prompt: int) -> nn.ModuleList:
            ways.append(self.way(n_prompt))
            return ways[-1].layers

        prompt, task = evaluator.prompt(example), evaluator.task
        if example.choices:
            completion = choose_alone(stack, prompt, [f" {one}" for one in example.choices], layers)
        else:
            completion = write_alone(
                stack, prompt, layers, max_new_tokens=task.max_new_tokens, stop=task.stop
            )
        n_tokens = len(encode(stack, [prompt])[0]) + max(len(completion.token_ids) - 1, 0)
        kv_bytes = stack.kv_size.of(ways[0].with_slots(), n_tokens)
        return completion, Cost(n_passes=fmean(way.n_passes() for way in ways), kv_bytes=kv_bytes)


def graded(
    examples: Sequence[Example], written: Sequence[tuple[Completion, Cost]], evaluator: Evaluator
) -> list[list[Answer]]:
    """Return the one answer to each question; where logits were not numbers it has no verdict."""
    known = [i for i, (completion, _) in enumerate(written) if completion.stopped_by != "nan"]
    texts = [written[i][0].text for i in known]
    grades = evaluator.grade_texts([examples[i] for i in known], texts)
    verdicts = dict(zip(known, grades, strict=True))
    return [
        [Answer.of_completion(completion, verdicts.get(i, Grade(None)), cost)]
        for i, (completion, cost) in enumerate(written)
    ]


def mean_passes(stack: LayerStack, prompts: Sequence[str], begin: Callable[[int], Way]) -> float:
    """Return the mean layer passes of the tokens of each prompt, on average over the prompts.

    Cost:
        One run of each prompt.
    """
    found = []
    for tokens in encode(stack, prompts):
        way = begin(len(tokens))
        with torch.inference_mode():
            Sequencer(stack, way.layers).logits(tokens, 1)
        found.append(way.n_passes())
    return fmean(found)


def check_limit(name: str, most_passes: float, least_passes: float) -> None:
    """Refuse a limit that is not kept even where everything is skipped that can be.

    Raises:
        ConfigError: The limit is too low.
    """
    if most_passes < least_passes:
        raise ConfigError(
            f"{name}: layer passes are at least {least_passes:.4g} where all is skipped that can "
            f"be, but {most_passes:g} were allowed: allow more"
        )
