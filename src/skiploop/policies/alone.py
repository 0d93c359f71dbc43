"""Answers of methods that run each question alone, under layers that stand in for the model's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from skiploop.engine.alone import Sequencer, choose_alone, write_alone
from skiploop.engine.batching.encoding import encode
from skiploop.engine.completion import Completion
from skiploop.errors import ConfigError
from skiploop.policies.base import Answer, Cost
from skiploop.tasks.base import Example, Grade
from skiploop.trials.evaluator import Evaluator

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


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


def answers_alone(
    stack: LayerStack,
    examples: Sequence[Example],
    evaluator: Evaluator,
    begin: Callable[[int], Way],
) -> list[list[Answer]]:
    """Return the one answer to each question.

    Args:
        stack: The model.
        examples: Questions.
        evaluator: Grades.
        begin: Makes the way of a sequence, given the tokens of its prompt.

    Cost:
        Each question runs alone, each of its choices anew.
    """
    written = [_ask(stack, example, evaluator, begin) for example in examples]
    return graded(examples, written, evaluator)


def graded(
    examples: Sequence[Example], written: Sequence[tuple[Completion, Cost]], evaluator: Evaluator
) -> list[list[Answer]]:
    """Return the one answer to each question; where logits were not numbers it has no verdict.

    Args:
        examples: Questions.
        written: What was written to each of them, and what that took.
        evaluator: Grades.
    """
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


def threshold_within(
    most_passes: float, start: float, passes_at: Callable[[float], float]
) -> float:
    """Return a threshold, no lower than `start`, at which layer passes keep to a limit.

    Args:
        most_passes: The limit; kept to at the threshold at which nothing runs.
        start: Kept if it is enough.
        passes_at: Returns the layer passes at a threshold; the higher, the fewer.

    Cost:
        `N_HALVINGS` calls of `passes_at`.
    """
    if passes_at(start) <= most_passes:
        return start
    too_low, enough = start, NOTHING_RUNS
    for _ in range(N_HALVINGS):
        middle = (too_low + enough) / 2
        if passes_at(middle) <= most_passes:
            enough = middle
        else:
            too_low = middle
    return enough


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


def _ask(
    stack: LayerStack, example: Example, evaluator: Evaluator, begin: Callable[[int], Way]
) -> tuple[Completion, Cost]:
    """Return what is said to a question, and what that took."""
    ways: list[Way] = []

    def layers(n_prompt: int) -> nn.ModuleList:
        ways.append(begin(n_prompt))
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
