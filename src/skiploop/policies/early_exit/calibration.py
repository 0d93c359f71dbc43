"""How sure an exit must be, found on answers of the plain model to validation questions.

Confidences of different layers do not mean the same. So each exit gets a threshold of its own, at
which its tokens agree with those of the whole model as often as at every other exit, and that
share is the one thing that is chosen.

Shapes: T new tokens of an answer, N of all answers, E exits, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skiploop.engine.batching.encoding import encode, encode_pairs
from skiploop.engine.windows import logits_after
from skiploop.errors import ConfigError, DataError
from skiploop.programs.program import Program
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task

N_EXITS = 8
"""Exits at most: each costs a pass of the head."""

LEVELS = np.linspace(1, 0, 101)
"""Shares of tokens that agree, of which the largest that meets a limit is taken."""


@dataclass(frozen=True)
class Watched:
    """What the exits said while the plain model answered one question.

    Attributes:
        n_prompt: Tokens of the prompt.
        confidence_TE: Probability of the likeliest next token at each exit.
        agrees_TE: Whether it is that of the whole model.
    """

    n_prompt: int
    confidence_TE: list[list[float]]
    agrees_TE: list[list[bool]]


def exits_of(n_layers: int) -> list[int]:
    """Return after how many layers tokens may exit: at equal distances, never after the last."""
    step = math.ceil(n_layers / N_EXITS)
    return [*range(step, n_layers, step)]


def watch(stack: LayerStack, task: Task, examples: Sequence[Example]) -> list[Watched]:
    """Let the plain model answer questions, and look at the exits.

    Cost:
        An answer and a further pass over it for each question, with the head at every exit.
    """
    exits = exits_of(stack.n_layers)
    watched = []
    for tokens, n_new in _answered(stack, task, examples):
        logits = logits_after(stack, tokens[:-1], [*exits, stack.n_layers], n_last=n_new)
        best_ET = np.array([logits_TV.argmax(-1).tolist() for logits_TV in logits])
        sure_ET = np.array([logits_TV.softmax(-1).max(-1)[0].tolist() for logits_TV in logits])
        agrees_ET = best_ET[:-1] == best_ET[-1]
        n_prompt = len(tokens) - n_new
        watched.append(Watched(n_prompt, sure_ET[:-1].T.tolist(), agrees_ET.T.tolist()))
    return watched


def thresholds_within(
    name: str, watched: Sequence[Watched], n_layers: int, limit: float
) -> list[float]:
    """Return for each exit the threshold at which `limit` layer passes a token are not exceeded.

    Returns:
        The most careful thresholds within the limit; infinite where no token is to exit.

    Raises:
        ConfigError: The limit is below what the first exit takes.
        DataError: Nothing was watched.
    """
    exits = exits_of(n_layers)
    if limit >= n_layers:
        return [math.inf] * len(exits)
    if not watched:
        raise DataError(
            f"{name}: the model writes nothing to the validation questions, so no exit is known to "
            "be sure enough: use another task"
        )
    for level in LEVELS:
        thresholds = thresholds_at(watched, float(level))
        if mean_passes(watched, thresholds, n_layers) <= limit:
            return thresholds
    least = exits[0] if exits else n_layers
    raise ConfigError(
        f"{name}: no token exits before layer {least} of {n_layers}: allow at least {least} layer "
        "passes"
    )


def thresholds_at(watched: Sequence[Watched], level: float) -> list[float]:
    """Return for each exit the lowest confidence from which on so many tokens agree."""
    confidence_NE = np.concatenate([one.confidence_TE for one in watched])
    agrees_NE = np.concatenate([one.agrees_TE for one in watched])
    found = []
    for confidence_N, agrees_N in zip(confidence_NE.T, agrees_NE.T, strict=True):
        order_N = np.argsort(-confidence_N, kind="stable")
        share_N = agrees_N[order_N].cumsum() / np.arange(1, len(order_N) + 1)
        enough = np.flatnonzero(share_N >= level)
        found.append(float(confidence_N[order_N[enough[-1]]]) if len(enough) else math.inf)
    return found


def mean_passes(watched: Sequence[Watched], thresholds: Sequence[float], n_layers: int) -> float:
    """Return the mean layer passes a token if tokens had exited in these answers."""
    bounds = [*pairwise((0, *exits_of(n_layers), n_layers))]
    means = []
    for one in watched:
        n_new = len(one.confidence_TE)
        sure_TE = np.array(one.confidence_TE) >= np.array(thresholds)
        n_blocks_T = np.where(sure_TE.any(1), sure_TE.argmax(1) + 1, len(bounds))
        n_passes = 0
        for number, (start, stop) in enumerate(bounds, start=1):
            going_on = np.flatnonzero(n_blocks_T >= number)
            if len(going_on):  # all tokens before the last of them run with it
                n_passes += (stop - start) * (one.n_prompt + int(going_on[-1]))
        means.append(n_passes / (one.n_prompt + n_new - 1))
    return float(np.mean(means))


def _answered(
    stack: LayerStack, task: Task, examples: Sequence[Example]
) -> list[tuple[tuple[int, ...], int]]:
    """Return the tokens of each question with its answer, and how many of them are the answer."""
    plain = Program.identity(stack.n_layers)
    prompts = [task.prompt(example) for example in examples]
    if examples[0].choices:
        choices = [[f" {choice}" for choice in example.choices] for example in examples]
        picked = [one.text for one in stack.choose(prompts, choices, plain)]
        return [(whole, n) for whole, n in encode_pairs(stack, prompts, picked)]
    written = stack.generate(prompts, plain, max_new_tokens=task.max_new_tokens, stop=task.stop)
    return [
        ((*prompt, *one.token_ids), len(one.token_ids))
        for prompt, one in zip(encode(stack, prompts), written, strict=True)
        if one.token_ids
    ]
