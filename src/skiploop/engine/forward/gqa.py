"""Attention whose heads share keys and values, without a copy of these for every head.

Where a mask is given, Hugging Face repeats keys and values of several new tokens for each head of
a group. The heads of a group see the same keys, so their queries can stand one after the other as
if they were further tokens of one head: the same products, and only queries and mask are copied.

Shapes: the letters of the engine (docs/reference/shapes.md); D head size.
"""

from __future__ import annotations

import copy
import dis
import inspect
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from skiploop.models.view import shallow_clone

GROUPED = "skiploop_grouped_sdpa"


def grouped_attention(
    module: nn.Module,
    query_BHTD: Tensor,
    key_BGKD: Tensor,
    value_BGKD: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Return attention as `sdpa` does, in the form that Hugging Face's layers call it.

    Where that does not pay, or is not the same, `sdpa_attention_forward` does it: without a mask,
    for heads with keys, masks or biases of their own, and for so many new tokens that copies of the
    mask would be larger than those of keys and values.

    Guarantees:
        The outputs of `sdpa_attention_forward` up to rounding (tests/model/test_grouped.py).
    """
    B, H, T, D = query_BHTD.shape
    G = key_BGKD.shape[1]
    pays = H // G * T < 2 * (H - G) * D  # numbers copied for each key: of the mask, of the others
    is_plain = others.get("position_bias") is None and others.get("softcap") is None
    if attention_mask is None or attention_mask.shape[1] > 1 or not (pays and is_plain):
        inputs = query_BHTD, key_BGKD, value_BGKD, attention_mask
        output, _ = sdpa_attention_forward(
            module, *inputs, dropout=dropout, scaling=scaling, **others
        )
        return output, None
    output = scaled_dot_product_attention(
        query_BHTD.reshape(B, G, -1, D),
        key_BGKD,
        value_BGKD,
        attn_mask=attention_mask.expand(-1, -1, T, -1).repeat(1, 1, H // G, 1),
        dropout_p=dropout,
        scale=scaling,
    )
    return output.reshape(B, H, T, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, grouped_attention)


def grouped(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Return layers with the same weights whose `sdpa` attention is grouped; others as they are."""
    configs: dict[int, Any] = {}
    return [_grouped(layer, configs) for layer in layers]


def _grouped(layer: nn.Module, configs: dict[int, Any]) -> nn.Module:
    """Return one such layer; layers of one config share its copy."""
    children = [name for name, child in layer.named_children() if _can_be_grouped(child)]
    if not children or "forward" in vars(layer):
        return layer
    clone = shallow_clone(layer)
    for name in children:
        attention: Any = shallow_clone(layer.get_submodule(name))
        if id(attention.config) not in configs:
            configs[id(attention.config)] = copy.deepcopy(attention.config)
            configs[id(attention.config)]._attn_implementation = GROUPED
        attention.config = configs[id(attention.config)]
        clone._modules[name] = attention
    return clone


def _can_be_grouped(module: Any) -> bool:  # noqa: ANN401  attributes of any attention
    """Whether heads share keys, attention is `sdpa`, and no hook replaces the forward pass."""
    is_shared = getattr(module, "num_key_value_groups", 1) > 1
    return (
        is_shared
        and module.config._attn_implementation == "sdpa"
        and "forward" not in vars(module)
        and _only_dispatches(type(module).forward)
    )


@lru_cache
def _only_dispatches(forward: Callable[..., object]) -> bool:
    """Whether the name of the implementation is read once: to look it up, and for nothing else.

    Sparse attention prepares another mask for `sdpa` than for a name that it does not know.
    """
    names = [step.argval for step in dis.get_instructions(inspect.unwrap(forward))]
    return names.count("_attn_implementation") == 1
