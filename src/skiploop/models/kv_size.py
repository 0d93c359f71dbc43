"""How much memory keys and values take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True)
class KVSize:
    """Memory of keys and values, layer by layer.

    Attributes:
        token_bytes: Bytes that one token takes in one slot of each layer; empty where layers
            share slots or keep something else.
        n_kept: Tokens that a slot of each layer keeps at most; None if it keeps all.
        widest: Most bytes that one token takes in one slot of any layer that keeps keys, 1 at
            least.
    """

    token_bytes: tuple[int, ...]
    n_kept: tuple[int | None, ...]
    widest: int

    def of(self, path: Sequence[int], n_tokens: int) -> int | None:
        """Return the bytes that are held after some tokens; None where nobody can tell.

        Args:
            path: The layers that ran, one a slot.
            n_tokens: How many ran through all of them.
        """
        if not self.token_bytes:
            return None
        kept = [n_tokens if n is None else min(n_tokens, n) for n in self.n_kept]
        return sum(self.token_bytes[layer] * kept[layer] for layer in path)


def find_kv_size(model: PreTrainedModel, n_layers: int) -> KVSize:
    """Return how much memory keys and values take: found by running one token."""
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        model(input_ids=token, past_key_values=cache, use_cache=True)
    held = [(vars(layer).get("keys"), vars(layer).get("values")) for layer in cache.layers]
    sizes = [tuple(0 if one is None else one.nbytes for one in both) for both in held]
    known = len(sizes) == n_layers and all(map(any, sizes))
    windows = [vars(layer).get("sliding_window") for layer in cache.layers]
    return KVSize(
        tuple(map(sum, sizes)) if known else (),
        tuple(None if window is None else window - 1 for window in windows),
        widest=max((2 * max(both) for both in sizes), default=0) or 1,
    )
