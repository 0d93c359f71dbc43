"""Routers that learn through a frozen model: its answers stay likely, and less of it runs.

The model takes part in the gradient and is not changed: no weight of it gets one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from skiploop.engine.alone import answer_logprob
from skiploop.errors import ConfigError, DataError
from skiploop.policies.optimizing import cosine_with_warmup
from skiploop.seeds import derive_seed

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

MAX_NORM = 1.0
"""Of the gradient of a step; a longer one is shortened."""


class Lesson(NamedTuple):
    """A prompt and a right answer to it, as a model would write it."""

    prompt: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class TuningConfig:
    """How routers learn.

    Attributes:
        epochs: Passes over all lessons.
        batch_size: Lessons a step.
        learning_rate: Highest rate of AdamW, without weight decay; a cosine takes it to 0.
        warmup_share: Share of the steps in which the rate rises from 0.
        second_beta: Of AdamW, the first one is 0.9.
        pressure: Weight of what a method adds to the loss for layers that run.
        seed: Decides first weights and the order of the lessons.

    Raises:
        ConfigError: A number is out of range.
    """

    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 1e-5
    warmup_share: float = 0.03
    second_beta: float = 0.999
    pressure: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1 or self.learning_rate <= 0 or self.pressure < 0:
            raise ConfigError(
                f"{self}: give at least 1 epoch and row, a rate above 0 and a pressure of 0 or more"
            )
        if not (0 <= self.warmup_share < 1 and 0 <= self.second_beta < 1):
            raise ConfigError(f"{self}: give a warmup_share and a second_beta from 0 to below 1")


class Passing(NamedTuple):
    """One lesson on its way through the model.

    Attributes:
        layers: They stand in for those of the model, routers in them.
        penalty: Called after the pass; returns how much more of the model ran than is wanted.
    """

    layers: nn.ModuleList
    penalty: Callable[[], Tensor]


def tune(
    stack: LayerStack,
    lessons: Sequence[Lesson],
    parameters: Sequence[nn.Parameter],
    passing: Callable[[int], Passing],
    config: TuningConfig,
) -> None:
    """Change some parameters so that right answers are likely and the penalty is small.

    Args:
        stack: The model.
        lessons: What to answer.
        parameters: What learns.
        passing: Makes the way of a lesson through the model, given the tokens of its prompt.
        config: How to learn.

    Raises:
        DataError: There are no lessons.

    Cost:
        A forward and a backward pass through the model for each lesson and epoch, one by one.
    """
    if not lessons:
        raise DataError("there is no question to learn from: give training questions")
    generator = torch.Generator().manual_seed(derive_seed(config.seed, "order"))
    orders = [torch.randperm(len(lessons), generator=generator) for _ in range(config.epochs)]
    batches = [some.tolist() for order in orders for some in order.split(config.batch_size)]
    optimizer = torch.optim.AdamW(
        parameters, lr=config.learning_rate, betas=(0.9, config.second_beta), weight_decay=0.0
    )
    warmup_steps = int(config.warmup_share * len(batches))
    for step, batch in enumerate(batches):
        share = cosine_with_warmup(step, warmup_steps=warmup_steps, n_steps=len(batches))
        optimizer.param_groups[0]["lr"] = config.learning_rate * share
        optimizer.zero_grad()
        for number in batch:
            loss = _loss(stack, lessons[number], passing, config.pressure) / len(batch)
            # Of these parameters alone: the model's own get no gradient.
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                if gradient is not None:
                    parameter.grad = gradient + (0 if parameter.grad is None else parameter.grad)
        nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()


def _loss(
    stack: LayerStack, lesson: Lesson, passing: Callable[[int], Passing], pressure: float
) -> Tensor:
    """Return the loss of one lesson."""
    ways: list[Passing] = []

    def begin(n_prompt: int) -> nn.ModuleList:
        ways.append(passing(n_prompt))
        return ways[0].layers

    logprob = answer_logprob(stack, *lesson, begin)
    return pressure * ways[0].penalty() - logprob


def digest(lessons: Sequence[Lesson]) -> str:
    """Return a hash of lessons, by which equal trainings are known."""
    return hashlib.sha256(json.dumps(lessons).encode()).hexdigest()[:16]
