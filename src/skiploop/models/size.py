"""How many weights a token meets on its way: what operations are counted from.

A model without numbers, as `declared.build_empty` makes one, is enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from skiploop.models.finding import find_layers, module_list

_TOP = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "top_k")
_ALL = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True)
class Size:
    """Weights of a model, and those that one token is multiplied with.

    Attributes:
        n_layers: Layers.
        layer: Weights that a token meets in a layer, mean over layers; of experts the share that
            is asked.
        head: Weights of the head.
        total: All weights.
    """

    n_layers: int
    layer: float
    head: int
    total: int

    def flops(self, layer_tokens: float, head_tokens: float) -> float:
        """Return the operations of so many passes of a token through a layer, and of the head.

        Two for each weight; those between tokens in attention are left out, which for texts of a
        few hundred tokens are a few percent.
        """
        return 2 * (self.layer * layer_tokens + self.head * head_tokens)


def size_of(model: PreTrainedModel) -> Size:
    """Return the size of a model, with or without numbers."""
    layers = module_list(model, find_layers(model))
    config = model.config.get_text_config().to_dict()
    share = _share_of_experts(config)
    met = sum(
        weight.numel() * (share if ".experts." in f".{name}." else 1.0)
        for layer in layers
        for name, weight in layer.named_parameters()
    )
    head = model.get_output_embeddings()
    return Size(
        n_layers=len(layers),
        layer=met / len(layers),
        head=0 if head is None else sum(weight.numel() for weight in head.parameters()),
        total=sum(weight.numel() for weight in model.parameters()),
    )


def n_weights(module: nn.Module) -> int:
    """Return the weights of a module that states are multiplied with as matrices."""
    return sum(weight.numel() for weight in module.parameters() if weight.ndim > 1)


def _share_of_experts(config: dict[str, object]) -> float:
    """Return the share of the experts that a token asks, 1 where there are none or nobody says."""
    asked = next((config[key] for key in _TOP if isinstance(config.get(key), int)), None)
    known = next((config[key] for key in _ALL if isinstance(config.get(key), int)), None)
    if not isinstance(asked, int) or not isinstance(known, int) or known < asked:
        return 1.0
    return asked / known
