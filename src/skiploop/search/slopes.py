"""How the log-probability of an answer changes with the scale of every layer.

A pass forward and one backward for a batch of questions, each under scales of its own. The scales
alone get a gradient, no weight does.

Shapes: S sequences, T tokens, V vocabulary, as in the engine; L layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skiploop.engine.batching.encoding import Pair
from skiploop.engine.forward.calling import (
    StandIn,
    as_returned,
    model_inputs,
    states_of,
    without_cache,
)
from skiploop.models.scaling import scaled
from skiploop.models.view import graft
from skiploop.stack import LayerStack

AT_ONCE = 4096
"""Tokens of one pass, about: what is kept for the pass backward grows with them."""


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


def slopes(stack: LayerStack, pairs: Sequence[Pair], scales_SL: np.ndarray) -> np.ndarray:
    """Return slope_SL: what log p of each answer gains for each unit that a scale grows.

    Args:
        stack: The frozen model.
        pairs: A prompt with its right answer, each.
        scales_SL: What the addition of each layer is multiplied by.

    Cost:
        Three passes of the model over all tokens of prompts and answers.
    """
    found_SL = np.empty(scales_SL.shape)
    for rows in _batches(stack, pairs):
        scales = torch.tensor(scales_SL[rows].T, dtype=torch.float32, device=stack.device)
        with torch.enable_grad():
            of_layers = [scales_S.requires_grad_() for scales_S in scales.unbind()]
            logprob_S = _logprobs(stack, [pairs[row] for row in rows], of_layers)
            gradients = torch.autograd.grad(logprob_S.sum(), of_layers)
        found_SL[rows] = torch.stack(gradients, dim=1).cpu().double().numpy()
    return found_SL


def _batches(stack: LayerStack, pairs: Sequence[Pair]) -> Iterator[list[int]]:
    """Yield the numbers of pairs that run together: of like length, or equal if need be."""
    order = sorted(range(len(pairs)), key=lambda row: len(pairs[row].whole))
    batch: list[int] = []
    for row in order:
        n_tokens = len(pairs[row].whole)
        is_full = (len(batch) + 1) * n_tokens > AT_ONCE
        is_other = batch and not stack.way.pads and len(pairs[batch[0]].whole) != n_tokens
        if batch and (is_full or is_other):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _logprobs(stack: LayerStack, pairs: Sequence[Pair], of_layers: Sequence[Tensor]) -> Tensor:
    """Return logprob_S of answers by a model whose layers are scaled, given scales_S of each."""
    n_returned = stack.calling.n_returned
    layers = [
        _Scaled(layer, scales_S, n_returned)
        for layer, scales_S in zip(stack.layers, of_layers, strict=True)
    ]
    model = graft(stack.model, stack.layers_path, nn.ModuleList(layers))
    # What stands behind a text changes nothing in it, so padding goes there, and is not masked:
    # a token that may attend to none is not a number in some families.
    tokens_ST = nn.utils.rnn.pad_sequence(
        [torch.tensor(pair.whole) for pair in pairs], batch_first=True
    ).to(stack.device)
    lengths_S = torch.tensor([len(pair.whole) for pair in pairs], device=stack.device)
    places_T = torch.arange(tokens_ST.shape[1], device=stack.device)
    inputs = model_inputs(stack, tokens_ST, torch.ones_like(tokens_ST))
    logits_STV = model(**inputs, **without_cache(stack)).logits
    starts_S = lengths_S - torch.tensor([p.n_continued for p in pairs], device=stack.device)
    is_answer_ST = (places_T >= starts_S[:, None]) & (places_T < lengths_S[:, None])
    sequences, places = is_answer_ST.nonzero(as_tuple=True)
    logprobs_NV = logits_STV[sequences, places - 1].log_softmax(-1, dtype=torch.float64)
    logprobs_N = logprobs_NV.gather(1, tokens_ST[sequences, places, None])[:, 0]
    logprob_S: Tensor = logprobs_N.new_zeros(len(pairs)).index_add(0, sequences, logprobs_N)
    return logprob_S
