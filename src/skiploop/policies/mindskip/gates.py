"""Gates in the place of attention: open, it runs; closed, it adds nothing and keeps nothing.

Shapes: the letters of learning (docs/reference/shapes.md); A layers whose attention may be skipped,
E numbers of a hidden state.

Source: arXiv 2410.13184: a linear map of the mean of what the attention is given, no bias. Its
released code computes the attention and multiplies it by the mask; here it is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from skiploop.engine.forward.calling import StandIn
from skiploop.errors import UnsupportedModelError
from skiploop.models.size import n_weights
from skiploop.models.view import graft, shallow_clone
from skiploop.policies.alone import HALF
from skiploop.stack import LayerStack

MOST = 16
"""Layers that may lose their attention, those before the last one; half of the model at most."""


class Gates(nn.Module):
    """The routers of a model, one for each layer whose attention may be skipped.

    They start at zero, where every score is a half and all attention runs.

    Args:
        layers: These layers.
        width: Numbers of a hidden state (E).
    """

    def __init__(self, layers: range, width: int) -> None:
        super().__init__()
        self.layers = layers
        self.weight_AE = nn.Parameter(torch.zeros(len(layers), width))

    def score(self, layer: int, states_TE: Tensor) -> Tensor:
        """Return the score of a layer, 0..1, by what its attention is given of the prompt."""
        return torch.sigmoid(self.weight_AE[self.layers.index(layer)] @ states_TE.float().mean(0))


class ClosingGate(StandIn):
    """Stands where the attention of a layer stands; the prompt decides once whether that runs.

    Args:
        attention: What may be skipped.
        n_returned: Entries of what it returns.
        n_prompt: Tokens of the prompt.
        is_open: Told what the attention is given of the prompt.
    """

    def __init__(
        self,
        attention: nn.Module,
        n_returned: int,
        n_prompt: int,
        is_open: Callable[[Tensor], bool],
    ) -> None:
        super().__init__(attention)
        self._n_returned = n_returned
        self._n_prompt = n_prompt
        self._is_open = is_open
        self._decided: bool | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as the attention
        """Return what the attention returns, or zeros in its form."""
        states_BTE: Tensor = args[0] if args else kwargs["hidden_states"]
        if self._decided is None:
            self._decided = self._is_open(states_BTE[0, : self._n_prompt])
        if self._decided:
            return self.layer(*args, **kwargs)
        return torch.zeros_like(states_BTE), *[None] * (self._n_returned - 1)


class LearningGate(StandIn):
    """Multiplies the attention by masks of 0 or 1 that have the gradients of its scores.

    Args:
        attention: What may be skipped; it always runs here.
        n_prompt_B: Tokens of the prompt of each sequence.
        score: Told what the attention is given of a prompt.

    Attributes:
        mask_B: After the pass, the mask of each sequence.
    """

    def __init__(
        self, attention: nn.Module, n_prompt_B: Sequence[int], score: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__(attention)
        self._n_prompt_B = n_prompt_B
        self._score = score
        self.mask_B = torch.ones(len(n_prompt_B))

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as the attention
        """Return what the attention returns, times the mask."""
        states_BTE: Tensor = args[0] if args else kwargs["hidden_states"]
        prompts = zip(states_BTE, self._n_prompt_B, strict=True)
        score_B = torch.stack([self._score(states_TE[:n]) for states_TE, n in prompts])
        self.mask_B = (score_B >= HALF).float() + score_B - score_B.detach()
        output_BTE, *others = self.layer(*args, **kwargs)
        return output_BTE * self.mask_B[:, None, None].to(output_BTE.dtype), *others


class _Noting(StandIn):
    """Notes what the attention in its place returns."""

    output: Any = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  as the attention
        """Return what the attention returns."""
        self.output = self.layer(*args, **kwargs)
        return self.output


class Attentions:
    """The attention of each layer of a model that may be skipped.

    Attributes:
        layers: The layers.
        share: Of the weights of such a layer, those of its attention.
        n_returned: Entries of what the attention returns.
        least_passes: Layer passes that are left without any of it.

    Raises:
        UnsupportedModelError: One of the layers has no attention that can be left out.
    """

    def __init__(self, stack: LayerStack) -> None:
        last = stack.n_layers - 1
        self.layers = range(last - min(MOST, stack.n_layers // 2), last)
        self._stack = stack
        self._names = {layer: self._name(layer) for layer in self.layers}
        if not self.layers:
            raise UnsupportedModelError(
                f"{stack.name} has {stack.n_layers} layer, before which none can be skipped"
            )
        first = stack.layers[self.layers[0]]
        self.share = n_weights(self._of(self.layers[0])) / n_weights(first)
        self.n_returned = self._count_returned()
        self.least_passes = stack.n_layers - len(self.layers) * self.share

    def capacity(self, most_passes: float) -> float:
        """Return the share of the attentions, 0..1, that layer passes within a limit can run."""
        n_saved = max(len(self._stack.layers) - most_passes, 0)
        return max(1 - n_saved / (len(self.layers) * self.share), 0.0)

    def _name(self, layer: int) -> str:
        """Return the name of the attention in a layer."""
        slots = DynamicCache(config=self._stack.model.config).layers
        named = [n for n, m in self._stack.layers[layer].named_children() if "layer_idx" in vars(m)]
        has_keys = type(slots[layer]) in (DynamicLayer, DynamicSlidingWindowLayer)
        if len(named) != 1 or not has_keys:
            raise UnsupportedModelError(
                f"layer {layer} of {type(self._stack.model).__name__} has no attention of its own "
                "that can be left out: use a family whose layers are attention and feed-forward"
            )
        return named[0]

    def _of(self, layer: int) -> nn.Module:
        return self._stack.layers[layer].get_submodule(self._names[layer])

    def _count_returned(self) -> int:
        """Return how many entries the attention returns."""
        notes: list[_Noting] = []

        def noting(_layer: int, attention: nn.Module) -> nn.Module:
            notes.append(_Noting(attention))
            return notes[-1]

        stack = self._stack
        model = graft(stack.model, stack.layers_path, self.gated(noting))
        with torch.inference_mode():
            model(input_ids=torch.zeros(1, 2, dtype=torch.long, device=stack.device))
        if {type(one.output) for one in notes} != {tuple}:
            raise UnsupportedModelError(
                f"the attention of {type(stack.model).__name__} is not called as others are: use "
                "another family"
            )
        return len(notes[0].output)

    def gated(self, gate: Callable[[int, nn.Module], nn.Module]) -> nn.ModuleList:
        """Return the layers of the model, with what `gate` makes of each such attention."""
        layers = list(self._stack.layers)
        for layer, name in self._names.items():
            clone = shallow_clone(layers[layer])
            clone._modules[name] = gate(layer, self._of(layer))
            layers[layer] = clone
        return nn.ModuleList(layers)
