"""The cache of rows from several batches that go on together.

Rows end at the same place. What the longest one does not have of the others is padding on their
left, which the mask hides as it hides that of a prompt.

Shapes: [nodes, heads, tokens, head size].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skiploop.engine.cache.slots import AttentionSlot, CallCache, aligned
from skiploop.engine.plan.indices import on_device
from skiploop.engine.plan.merge import Merge


class Held(NamedTuple):
    """A cache with attention in all layers, and how many of its last tokens are still needed."""

    cache: CallCache
    n_tokens: int


def joined(parts: Sequence[Held], merge: Merge, device: torch.device, n_more: int) -> CallCache:
    """Return the cache of rows that go on together; those that they come from stay as they are."""
    cache = CallCache(parts[0].cache.config, ())
    cache.calls = merge.schedule.calls
    cache.n_tokens = max(part.n_tokens for part in parts)
    pieces = [piece for some in merge.pieces for piece in some]
    indices = iter(on_device([i for p in pieces for i in (p.nodes, p.places)], device))
    length = aligned(cache.n_tokens + n_more, device)
    for call, some in zip(cache.calls, merge.pieces, strict=True):
        slot = AttentionSlot()
        for piece in some:
            held, n_tokens = parts[piece.part]
            states = held.slots[piece.call].whole(next(indices))
            if not slot.is_initialized:
                slot.lazy_initialization(
                    *(_room(each, call.stop - call.start, length) for each in states)
                )
            own = slice(cache.n_tokens - n_tokens, cache.n_tokens)
            places = next(indices)
            for buffer, each in zip((slot.keys, slot.values), states, strict=True):
                buffer[:, :, own].index_copy_(0, places, each[:, :, -n_tokens:])
        slot.n_own = cache.n_tokens
        cache.slots.append(slot)
    return cache


def _room(states: Tensor, n_nodes: int, length: int) -> Tensor:
    """Return a buffer of nodes for states such as these; zeros, as what is masked is a number."""
    _, heads, _, size = states.shape
    return states.new_zeros(n_nodes, heads, length, size)
