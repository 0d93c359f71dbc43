"""The cache of a mixed batch: one Hugging Face cache layer for each call of the schedule.

Every row runs every one of its slots in exactly one call. So a call owns the keys and values (or
convolution and recurrent states) of its rows at their slots, with a batch dimension of exactly
these rows: nothing is gathered or scattered, and any type of cache layer works.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from transformers import Cache, DynamicCache, PreTrainedConfig
from transformers.cache_utils import CacheLayerMixin

from skiploop.engine.schedule import Call, keep_rows
from skiploop.errors import UnsupportedModelError


class CallCache(Cache):
    """A cache whose entry for a layer is that of the call that is running.

    A layer addresses the cache by its own index. Before a call runs, `enter` puts the cache layer
    of this call at that index. Masks are built between calls, and for all layers, also those that
    no row runs: they get their sizes from the number of tokens, which is the same in all slots.

    Args:
        config: Config of the plain model.
        calls: The schedule.

    Attributes:
        n_tokens: Tokens held by every slot, left padding included.
    """

    def __init__(self, config: PreTrainedConfig, calls: Sequence[Call]) -> None:
        empty = DynamicCache(config=config).layers
        super().__init__(layers=empty)
        self.calls = list(calls)
        self.slots = [copy.deepcopy(empty[call.layer]) for call in calls]
        self.windows = [
            layer.sliding_window if getattr(layer, "is_sliding", False) else None for layer in empty
        ]
        self.n_tokens = 0

    def enter(self, index: int) -> None:
        """Make the slot of call `index` the one that its layer reads and writes."""
        self.layers[self.calls[index].layer] = self.slots[index]

    def advance(self, n_tokens: int) -> None:
        """Count the tokens of a finished forward pass.

        Raises:
            UnsupportedModelError: A layer did not write them to its slot.
        """
        self.n_tokens += n_tokens
        for call, slot in zip(self.calls, self.slots, strict=True):
            if isinstance(slot, CacheLayerMixin) and slot.get_seq_length() != self.n_tokens:
                raise UnsupportedModelError(
                    f"layer {call.layer} holds {slot.get_seq_length()} of {self.n_tokens} tokens "
                    "after a forward pass: the family keeps keys and values elsewhere; "
                    "use stack.view(program).generate"
                )

    def keep(self, rows: Sequence[int]) -> None:
        """Drop all rows but `rows` (ascending), and the calls that have none left."""
        calls, slots = [], []
        for call, slot in zip(self.calls, self.slots, strict=True):
            kept_call, kept = keep_rows(call, rows)
            if not kept:
                continue
            if len(kept) < len(call.rows):
                slot.reorder_cache(torch.tensor(kept))
            calls.append(kept_call)
            slots.append(slot)
        self.calls, self.slots = calls, slots

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens before the current forward pass."""
        return self.n_tokens

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return how many keys a layer sees, and the position of the first one."""
        window = self.windows[layer_idx]
        kept = self.n_tokens if window is None else min(self.n_tokens, window - 1)
        return kept + query_length, self.n_tokens - kept

    def has_previous_state(
        self, layer_idx: int | None = None, *args: int | None, **kwargs: int | None
    ) -> bool:
        """Return whether a linear layer, or the batch as a whole, has seen tokens."""
        if layer_idx is None:
            return self.n_tokens > 0
        return bool(super().has_previous_state(layer_idx, *args, **kwargs))
