"""Routers that learn through a frozen model: its answers stay likely, and less of it runs.

The model takes part in the gradient and is not changed: no weight of it gets one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skiploop.engine.alone import answer_logprobs
from skiploop.engine.batching.encoding import Pair, encode_pairs
from skiploop.engine.batching.rows import Row, check_lengths
from skiploop.errors import ConfigError, DataError
from skiploop.policies.optimizing import cosine_with_warmup
from skiploop.programs.program import Program
from skiploop.seeds import derive_seed
from skiploop.stack import LayerStack

MAX_NORM = 1.0
"""Of the gradient of a step; a longer one is shortened."""

MOST_TOKENS = 2048
"""Of lessons that run together, padding counted."""


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
    """Some lessons on their way through the model.

    Attributes:
        layers: They stand in for those of the model, routers in them.
        penalty: Called after the pass; returns how much more of the model ran for each lesson than
            is wanted.
    """

    layers: nn.ModuleList
    penalty: Callable[[], Tensor]


def tune(
    stack: LayerStack,
    lessons: Sequence[Lesson],
    parameters: Sequence[nn.Parameter],
    passing: Callable[[Sequence[Pair]], Passing],
    config: TuningConfig,
) -> None:
    """Change some parameters so that right answers are likely and the penalty is small.

    Args:
        stack: The model.
        lessons: What to answer.
        parameters: What learns.
        passing: Makes the way of some lessons through the model, all of whose tokens but the last
            run; short ones have padding behind them.
        config: How to learn.

    Raises:
        BatchError: A prompt or an answer is empty or too long.
        DataError: There are no lessons.

    Cost:
        A forward and a backward pass through the model for each lesson and epoch.
    """
    if not lessons:
        raise DataError("there is no question to learn from: give training questions")
    pairs = encode_pairs(stack, *map(list, zip(*lessons, strict=True)))
    program = Program.identity(stack.n_layers)
    check_lengths(stack, [Row(i, pair.whole, program) for i, pair in enumerate(pairs)], 0)
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
        for some in _together([pairs[number] for number in batch]):
            way = passing(some)
            logprob_B = answer_logprobs(stack, some, way.layers)
            loss = (config.pressure * way.penalty() - logprob_B).sum() / len(batch)
            # Of these parameters alone: the model's own get no gradient.
            found = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, found, strict=True):
                if gradient is not None:
                    parameter.grad = gradient + (0 if parameter.grad is None else parameter.grad)
        nn.utils.clip_grad_norm_(parameters, MAX_NORM)
        optimizer.step()


def _together(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Yield lessons of a step that run together, the shortest first."""
    some: list[Pair] = []
    for pair in sorted(pairs, key=lambda pair: len(pair.whole)):
        if some and (len(some) + 1) * len(pair.whole) > MOST_TOKENS:
            yield some
            some = []
        some.append(pair)
    yield some
