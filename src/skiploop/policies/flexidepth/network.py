"""A router and an adapter for each layer in the second half of a model.

Shapes: the letters of learning (docs/reference/shapes.md); E numbers of a hidden state, H of the
router's narrow part.

Source: arXiv 2503.23798, section 3. Names and order of operations are those of the released weights
(xuan-luo/FlexiDepth-Llama-3-8B-Instruct), as a port of them to another engine documents them
(AKafakA/sglang-vskiper): a norm, then tanh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from skiploop.errors import RunError
from skiploop.stack import LayerStack

REDUCTION = 16
"""How much narrower routers and adapters are than the model."""

_LAYER = re.compile(r"model\.layers\.(\d+)\.router(_proj)?\.")
_REMEDY = "give the folder of FlexiDepth weights for this model"


def is_of_router(name: str) -> bool:
    """Whether a tensor of this name is of a router or an adapter."""
    return bool(_LAYER.match(name))


class Router(nn.Module):
    """How likely each token is to run a layer, by what its attention would be given.

    Args:
        width: Numbers of a hidden state (E).
        narrow: Numbers in between (H).
        eps: Of the norm.
    """

    def __init__(self, width: int, narrow: int, eps: float) -> None:
        super().__init__()
        self.router_enc = nn.Linear(width, narrow, bias=False)
        self.router_norm = nn.RMSNorm(narrow, eps=eps)
        self.router_dec = nn.Linear(narrow, width, bias=False)
        self.router_head = nn.Linear(width, 1, bias=False)

    def forward(self, states_BTE: Tensor) -> Tensor:
        """Return gate_BT, 0..1."""
        logits_BT1: Tensor = self.router_head(self.router_dec(self.narrow(states_BTE)))
        return logits_BT1[..., 0].sigmoid()

    def narrow(self, states_BTE: Tensor) -> Tensor:
        """Return narrow_BTH, which a linear map makes logits of."""
        return torch.tanh(self.router_norm(self.router_enc(states_BTE)))


class Adapter(nn.Module):
    """What a token that skips a layer gets in place of its feed-forward part.

    Args:
        width: Numbers of a hidden state (E).
        inner: Numbers in between.
        activation: As the configuration of the model names it.
    """

    def __init__(self, width: int, inner: int, activation: str) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(inner, width, bias=False)
        self.activation = ACT2FN[activation]

    def forward(self, states_BTE: Tensor) -> Tensor:
        """Return what is added to the states, before it is weighted."""
        inner: Tensor = self.activation(self.gate_proj(states_BTE)) * self.down_proj(states_BTE)
        added_BTE: Tensor = self.up_proj(inner)
        return added_BTE


@dataclass(frozen=True)
class Skippers:
    """The routers and adapters of a model, by the layers that tokens may skip."""

    routers: Mapping[int, Router]
    adapters: Mapping[int, Adapter]

    @classmethod
    def of_size(cls, stack: LayerStack, layers: Sequence[int], narrow: int, inner: int) -> Skippers:
        """Return new ones, with random weights."""
        config = stack.model.config.get_text_config(decoder=True)
        width, eps, activation = config.hidden_size, config.rms_norm_eps, config.hidden_act
        return cls(
            {layer: Router(width, narrow, eps).to(stack.device) for layer in layers},
            {layer: Adapter(width, inner, activation).to(stack.device) for layer in layers},
        )

    @classmethod
    def of_second_half(cls, stack: LayerStack) -> Skippers:
        """Return new ones of the published sizes, for the second half of the model."""
        config = stack.model.config.get_text_config(decoder=True)
        sizes = config.hidden_size, config.intermediate_size
        narrow, inner = (max(size // REDUCTION, 1) for size in sizes)
        layers = range(stack.n_layers // 2, stack.n_layers)
        return cls.of_size(stack, layers, narrow, inner)

    @classmethod
    def from_weights(cls, stack: LayerStack, tensors: Mapping[str, Tensor], where: str) -> Skippers:
        """Return those whose weights have the names of the released ones.

        Raises:
            RunError: Weights are missing, or are for a model of another size.
        """
        found = {name: tensor for name, tensor in tensors.items() if is_of_router(name)}
        layers = sorted({int(match[1]) for match in map(_LAYER.match, found) if match})
        if not layers or layers[-1] >= stack.n_layers:
            raise RunError(
                f"{where} holds routers of the layers {layers}, {stack.name} has {stack.n_layers} "
                f"layers: {_REMEDY}"
            )
        sizes = [
            len(found.get(f"model.layers.{layers[0]}.{name}.weight", ()))
            for name in ("router.router_enc", "router_proj.gate_proj")
        ]
        skippers = cls.of_size(stack, layers, *(max(size, 1) for size in sizes))
        for name, weight in skippers.weights().items():
            if name not in found or found[name].shape != weight.shape:
                there = f"of shape {list(found[name].shape)}" if name in found else "missing"
                raise RunError(
                    f"{where}: {name} is {there}, {stack.name} needs {list(weight.shape)}: "
                    f"{_REMEDY}"
                )
            weight.copy_(found[name])
        return skippers

    def weights(self) -> dict[str, Tensor]:
        """Return all weights by the names of the released ones, as tensors without gradients."""
        parts: dict[str, Mapping[int, nn.Module]] = {
            "router": self.routers,
            "router_proj": self.adapters,
        }
        return {
            f"model.layers.{layer}.{part}.{name}": weight
            for part, modules in parts.items()
            for layer, module in modules.items()
            for name, weight in module.state_dict().items()
        }

    def parameters(self) -> list[nn.Parameter]:
        """Return all that can learn."""
        modules = [*self.routers.values(), *self.adapters.values()]
        return [parameter for module in modules for parameter in module.parameters()]
