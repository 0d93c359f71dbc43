"""How the log-probability of a right answer changes with the scale of every layer.

A pass forward and one backward for a batch of questions, each under scales of its own. The scales
alone get a gradient, no weight does.

Shapes: S sequences, T tokens, N tokens of answers, V vocabulary; L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from skiploop.engine.batching.encoding import Pair, encode_pairs
from skiploop.engine.forward.calling import (
    StandIn,
    as_returned,
    model_inputs,
    states_of,
    without_cache,
)
from skiploop.engine.plan.beginnings import common_length
from skiploop.models.scaling import scaled
from skiploop.models.view import graft
from skiploop.stack import LayerStack
from skiploop.tasks.base import Example, Task

AT_ONCE = 4096
"""Tokens of one pass, about: what is kept for the pass backward grows with them."""


class Slopes(NamedTuple):
    """What is known of some answers.

    Attributes:
        logprob_S: Their log-probabilities.
        slope_SL: What these gain for each unit that a scale grows.
    """

    logprob_S: np.ndarray
    slope_SL: np.ndarray


def right_answer(task: Task, example: Example) -> str | None:
    """Return the right answer of a question as the model would write it, if the task knows."""
    answer = f" {example.gold}" if example.choices else task.draft(example)
    return answer + ("\n" if "\n" in task.stop else "") if answer else None


class _Scaled(StandIn):
    """Scales what its layer adds to the states of each sequence."""

    def __init__(self, layer: nn.Module, scales_S: Tensor, n_returned: int | None) -> None:
        super().__init__(layer)
        self.scales_S = scales_S
        self.n_returned = n_returned

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> object:
        """Return what the layer returns, with scaled states."""
        after = states_of(self.layer(hidden_states, *args, **kwargs))
        return as_returned(scaled(hidden_states, after, self.scales_S), self.n_returned)


def slopes(
    stack: LayerStack, prompts: Sequence[str], answers: Sequence[str], scales_SL: np.ndarray
) -> Slopes:
    """Return the log-probabilities of answers, and their slopes.

    Args:
        stack: The frozen model.
        prompts: One for each answer.
        answers: What follows them.
        scales_SL: What the addition of each layer is multiplied by.

    Cost:
        Three passes of the model over all tokens of prompts and answers.
    """
    pairs = encode_pairs(stack, prompts, answers)
    logprobs_S, slopes_SL = np.empty(len(pairs)), np.empty(scales_SL.shape)
    for rows in _batches(stack, pairs):
        scales = torch.tensor(scales_SL[rows].T, dtype=torch.float32, device=stack.device)
        with torch.enable_grad():
            of_layers = [scales_S.requires_grad_() for scales_S in scales.unbind()]
            some = [pairs[row] for row in rows]
            logprob_S = answer_logprobs(stack, some, _scaled_layers(stack, of_layers))
            gradients = torch.autograd.grad(logprob_S.sum(), of_layers)
        logprobs_S[rows] = logprob_S.detach().cpu().numpy()
        slopes_SL[rows] = torch.stack(gradients, dim=1).cpu().double().numpy()
    return Slopes(logprobs_S, slopes_SL)


def root_slopes(
    stack: LayerStack, prompts: Sequence[str], answers: Sequence[str], scales_L: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the sum of `sqrt(p)` over answers of probability p under one program, and its slopes.

    Args:
        stack: The frozen model.
        prompts: One for each answer.
        answers: What follows them.
        scales_L: What the addition of each layer is multiplied by.

    Returns:
        The sum, and slope_L: what it gains for each unit that a scale grows.

    Cost:
        Three passes of the model over prompts and answers; what all prompts start with runs once,
        where the model attends fully.
    """
    pairs = encode_pairs(stack, prompts, answers)
    n_shared = _n_shared(pairs) if stack.attends_fully and stack.way.caches else 0
    total, slope_L = 0.0, np.zeros(len(scales_L))
    for rows in _batches(stack, pairs, n_shared):
        scales = torch.tensor(scales_L[:, None], dtype=torch.float32, device=stack.device)
        with torch.enable_grad():
            of_layers = [scale_1.requires_grad_() for scale_1 in scales.unbind()]
            layers, some = _scaled_layers(stack, of_layers), [pairs[row] for row in rows]
            root = (answer_logprobs(stack, some, layers, n_shared=n_shared) / 2).exp().sum()
            gradients = torch.autograd.grad(root, of_layers)
        total += float(root.detach())
        slope_L += torch.cat(gradients).cpu().double().numpy()
    return total, slope_L


def _n_shared(pairs: Sequence[Pair]) -> int:
    """Return with how many tokens all prompts start; the last one of a prompt is not counted."""
    first = pairs[0].whole
    most = min(len(pair.whole) - pair.n_continued for pair in pairs) - 1
    return min(most, *(common_length(first, pair.whole) for pair in pairs))


def _batches(stack: LayerStack, pairs: Sequence[Pair], n_shared: int = 0) -> Iterator[list[int]]:
    """Yield the numbers of pairs that run together: of like length, or equal if need be."""
    order = sorted(range(len(pairs)), key=lambda row: len(pairs[row].whole))
    batch: list[int] = []
    for row in order:
        n_tokens = len(pairs[row].whole)
        is_full = (len(batch) + 1) * (n_tokens - n_shared) > AT_ONCE
        is_other = batch and not stack.way.pads and len(pairs[batch[0]].whole) != n_tokens
        if batch and (is_full or is_other):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _scaled_layers(stack: LayerStack, of_layers: Sequence[Tensor]) -> list[_Scaled]:
    """Return stand-ins of all layers, given scales_S of each; one scale serves all sequences."""
    n_returned = stack.calling.n_returned
    return [
        _Scaled(layer, scales_S, n_returned)
        for layer, scales_S in zip(stack.layers, of_layers, strict=True)
    ]


def answer_logprobs(
    stack: LayerStack, pairs: Sequence[Pair], layers: Sequence[nn.Module], *, n_shared: int = 0
) -> Tensor:
    """Return logprob_S of answers by a model with other layers in the place of its own.

    Args:
        stack: The frozen model.
        pairs: They run together.
        layers: What stands for each layer.
        n_shared: Tokens with which all pairs start; they run once, as a sequence of their own.
    """
    model = graft(stack.model, stack.layers_path, nn.ModuleList(layers))
    # What stands behind a text changes nothing in it, so padding goes there, and is not masked:
    # a token that may attend to none is not a number in some families.
    tokens_ST = nn.utils.rnn.pad_sequence(
        [torch.tensor(pair.whole) for pair in pairs], batch_first=True
    ).to(stack.device)
    lengths_S = torch.tensor([len(pair.whole) for pair in pairs], device=stack.device)
    starts_S = lengths_S - torch.tensor([p.n_continued for p in pairs], device=stack.device)
    logits_SNV = _last_logits(stack, model, tokens_ST, int(starts_S.min()) - 1, n_shared)
    n_before = tokens_ST.shape[1] - logits_SNV.shape[1]
    places_T = torch.arange(tokens_ST.shape[1], device=stack.device)
    is_answer_ST = (places_T >= starts_S[:, None]) & (places_T < lengths_S[:, None])
    sequences, places = is_answer_ST.nonzero(as_tuple=True)
    logprobs_NV = logits_SNV[sequences, places - 1 - n_before].log_softmax(-1, dtype=torch.float64)
    logprobs_N = logprobs_NV.gather(1, tokens_ST[sequences, places, None])[:, 0]
    logprob_S: Tensor = logprobs_N.new_zeros(len(pairs)).index_add(0, sequences, logprobs_N)
    return logprob_S


def _last_logits(
    stack: LayerStack, model: nn.Module, tokens_ST: Tensor, first: int, n_shared: int
) -> Tensor:
    """Return logits of all tokens from `first` on, or of more; some run once for all sequences."""
    mask_ST, extra = torch.ones_like(tokens_ST), without_cache(stack)
    keeps = "logits_to_keep" in stack.accepted
    if keeps:
        extra["logits_to_keep"] = tokens_ST.shape[1] - first
    if n_shared:
        cache = DynamicCache(config=stack.model.config)
        inputs = model_inputs(stack, tokens_ST[:1, :n_shared], mask_ST[:1, :n_shared])
        one = {"logits_to_keep": 1} if keeps else {}
        model(**inputs, past_key_values=cache, use_cache=True, **one)
        cache.batch_repeat_interleave(len(tokens_ST))
        extra |= {"past_key_values": cache, "use_cache": True}
    logits_SNV: Tensor = model(
        **model_inputs(stack, tokens_ST[:, n_shared:], mask_ST), **extra
    ).logits
    return logits_SNV
