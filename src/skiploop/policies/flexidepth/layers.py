"""Layers that tokens skip: those that answer, and those that learn.

Shapes: the letters of learning (docs/reference/shapes.md); E numbers of a hidden state, N tokens
that run.

Source: arXiv 2503.23798, section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skiploop.engine.forward.calling import StandIn, find_calling
from skiploop.errors import UnsupportedModelError
from skiploop.models.view import graft
from skiploop.policies.alone import HALF
from skiploop.policies.flexidepth.attention import PartialAttention
from skiploop.policies.flexidepth.network import Adapter, Router
from skiploop.stack import LayerStack

_PARTS = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")
_MAPS = ("q_proj", "k_proj", "v_proj", "o_proj")


class SkippingLayer(StandIn):
    """A layer that some tokens run, while the adapter takes its place for the others.

    All tokens leave keys and values. Nothing else of the layer is computed of those that skip it.

    Attributes:
        n_tokens: That have come here.
        n_run: Of these.
    """

    def __init__(
        self, layer: nn.Module, router: Router, adapter: Adapter, threshold: float
    ) -> None:
        super().__init__(layer)
        self._attend = PartialAttention(layer.get_submodule("self_attn"))
        self._route = router.forward
        self._adapt = adapter.forward
        self._threshold = threshold
        self.n_tokens = 0
        self.n_run = 0

    def forward(self, hidden_states: Tensor, **arguments: Any) -> Tensor:  # noqa: ANN401
        """Return the states after the layer, of one sequence."""
        normed_BTE = self.layer.input_layernorm(hidden_states)
        gate_T = self._route(normed_BTE.float())[0]
        runs_T = gate_T > self._threshold
        self.n_tokens += len(runs_T)
        self.n_run += int(runs_T.sum())
        states_TE = hidden_states[0].clone()
        states_TE[runs_T] += self._attend(normed_BTE, runs_T, arguments)
        normed_TE = self.layer.post_attention_layernorm(states_TE)
        gate_T1, normed = gate_T[:, None], normed_TE.float()
        if runs_T.any():
            ran_NE = self.layer.mlp(normed_TE[runs_T][None])[0] * gate_T1[runs_T]
            states_TE[runs_T] += ran_NE.to(states_TE.dtype)
        if not runs_T.all():
            adapted_NE = self._adapt(normed[~runs_T]) * (1 - gate_T1[~runs_T])
            states_TE[~runs_T] += adapted_NE.to(states_TE.dtype)
        return states_TE[None]


class LearningLayer(StandIn):
    """The same layer while its router and adapter learn: everything runs and is masked.

    The published gradient of the choice (SparseMixer) is not used: the mask of the attention has
    the gradient of the gate (straight-through), and the branches have it by their weight.

    Attributes:
        gate_BT: After the pass, that of every token.
    """

    def __init__(self, layer: nn.Module, router: Router, adapter: Adapter) -> None:
        super().__init__(layer)
        self._route = router.forward
        self._adapt = adapter.forward
        self.gate_BT = torch.ones(1, 1)

    def forward(self, hidden_states: Tensor, **arguments: Any) -> Tensor:  # noqa: ANN401
        """Return the states after the layer, of one sequence."""
        normed_BTE = self.layer.input_layernorm(hidden_states)
        self.gate_BT = self._route(normed_BTE.float())
        gate_BT1 = self.gate_BT[..., None]
        runs_BT1 = (gate_BT1 > HALF).float()
        attended_BTE = self.layer.self_attn(hidden_states=normed_BTE, **arguments)[0]
        mask_BT1 = runs_BT1 + gate_BT1 - gate_BT1.detach()
        states_BTE = hidden_states + (attended_BTE * mask_BT1).to(hidden_states.dtype)
        normed_BTE = self.layer.post_attention_layernorm(states_BTE)
        ran_BTE = self.layer.mlp(normed_BTE) * gate_BT1
        adapted_BTE = self._adapt(normed_BTE.float()) * (1 - gate_BT1)
        added_BTE = torch.where(runs_BT1 > 0, ran_BTE, adapted_BTE)
        output_BTE: Tensor = states_BTE + added_BTE.to(states_BTE.dtype)
        return output_BTE


def check_family(stack: LayerStack) -> None:
    """Refuse a model whose layers are not those that tokens can skip."""
    family = type(stack.model).__name__
    for layer in stack.layers:
        names = [name for name, _ in layer.named_children()]
        attention = dict(layer.named_children()).get("self_attn", layer)
        maps = [name for name, one in attention.named_children() if type(one) is nn.Linear]
        if sorted(names) != sorted(_PARTS) or not set(_MAPS) <= set(maps):
            raise UnsupportedModelError(
                f"tokens cannot skip the layers of {family}, which have the parts "
                f"{', '.join(names)}: use a family with layers as those of Llama, Mistral or Qwen"
            )
    if find_calling(stack).n_returned is not None or not _is_sum_of_parts(stack):
        raise UnsupportedModelError(
            f"tokens cannot skip the layers of {family}, which do not add attention and "
            "feed-forward part to their states as those of Llama do: use such a family"
        )


class _Sum(StandIn):
    """A layer as the sum of its parts."""

    def forward(self, hidden_states: Tensor, **arguments: Any) -> Tensor:  # noqa: ANN401
        normed_BTE = self.layer.input_layernorm(hidden_states)
        states = hidden_states + self.layer.self_attn(hidden_states=normed_BTE, **arguments)[0]
        summed: Tensor = states + self.layer.mlp(self.layer.post_attention_layernorm(states))
        return summed


def _is_sum_of_parts(stack: LayerStack) -> bool:
    """Whether the model says the same when its layers are put together from their parts."""
    summed = graft(stack.model, stack.layers_path, nn.ModuleList(map(_Sum, stack.layers)))
    tokens_BT = torch.arange(4, device=stack.device)[None] % stack.n_embeddings
    with torch.inference_mode():
        expected, found = (
            model(input_ids=tokens_BT).logits.float() for model in (stack.model, summed)
        )
    return torch.allclose(found, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
