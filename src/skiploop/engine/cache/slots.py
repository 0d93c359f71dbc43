"""The cache of a mixed batch: one cache layer for each call of the schedule.

Every node is computed by exactly one call. So a call owns the keys and values (or convolution and
recurrent states) of its nodes, with a batch dimension of exactly these nodes: nothing is gathered
or scattered while tokens are written, and any type of cache layer works.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedConfig, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

from skiploop.engine.plan.fork import Fork
from skiploop.engine.plan.indices import on_device
from skiploop.engine.plan.schedule import Call
from skiploop.engine.tuning import tuning_of
from skiploop.errors import UnsupportedModelError


class PrefixKV(NamedTuple):
    """Keys and values of earlier tokens, which some nodes go on from.

    Attributes:
        keys, values: [entries, heads, tokens, head size].
        entries: The one of each node.
    """

    keys: Tensor
    values: Tensor
    entries: Tensor


class AttentionSlot(CacheLayerMixin):
    """Keys and values of some nodes at one slot.

    Tokens that come one by one are written into a buffer with room for more, so that a new token
    does not copy those before it. The keys and values of a prefix, which many nodes share, are put
    together with theirs only while the layer runs.

    Shapes: [nodes, heads, tokens, head size].
    """

    is_sliding = False
    is_croppable = False

    def __init__(self, prefix: PrefixKV | None = None) -> None:
        super().__init__()
        self.prefix = prefix
        self.n_own = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take the first keys and values as they are; they are replaced when more come."""
        self.keys, self.values = key_states, value_states
        self.n_own = key_states.shape[-2]
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Append new keys and values, and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        else:
            total = self.n_own + key_states.shape[-2]
            if total > self.keys.shape[-2]:
                length = total + tuning_of(self.keys.device).growth
                self.keys = _with_room(self.keys[:, :, : self.n_own], length)
                self.values = _with_room(self.values[:, :, : self.n_own], length)
            self.keys[:, :, self.n_own : total] = key_states
            self.values[:, :, self.n_own : total] = value_states
            self.n_own = total
        return self.whole()

    def whole(self, nodes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return keys and values with the prefix, of all nodes or of some."""
        keys, values = self.keys[:, :, : self.n_own], self.values[:, :, : self.n_own]
        if nodes is not None:
            keys, values = keys.index_select(0, nodes), values.index_select(0, nodes)
        if self.prefix is None:
            return keys, values
        prefix_keys, prefix_values, entries = self.prefix
        entries = entries if nodes is None else entries[nodes]
        return (
            torch.cat([prefix_keys.index_select(0, entries), keys], dim=-2),
            torch.cat([prefix_values.index_select(0, entries), values], dim=-2),
        )

    def copied_to(self, nodes: Tensor, n_more: int) -> AttentionSlot:
        """Return a slot of new nodes, copies of some of this one, with room for `n_more` tokens."""
        n_held = self.get_seq_length()
        keys, values = self.whole(nodes)
        slot = AttentionSlot()
        length = aligned(n_held + n_more, keys.device)
        slot.lazy_initialization(_with_room(keys, length), _with_room(values, length))
        slot.n_own = n_held
        return slot

    def buffers(self, length: int) -> tuple[Tensor, Tensor]:
        """Return keys and values with so many places in all; zeros where no token is yet."""
        if self.prefix is None and self.keys.shape[-2] == length:
            return self.keys, self.values
        keys, values = self.whole()
        return _with_room(keys, length), _with_room(values, length)

    def get_seq_length(self) -> int:
        """Return the number of tokens held."""
        return self.n_own + (0 if self.prefix is None else self.prefix.keys.shape[-2])

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys the next query sees, and the position of the first one."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """Return -1: there is no maximum."""
        return -1


class CallCache(Cache):
    """A cache whose entry for a layer is that of the call that is running.

    A layer addresses the cache by its own index. Before a call runs, `enter` puts the cache layer
    of this call at that index. Masks are built between calls, and for all layers, also those that
    no row runs: they get their sizes from the number of tokens, which is the same in all slots.

    Args:
        config: Config of the plain model.
        calls: The schedule.
        prefixes: For each call, what its nodes go on from; none if they start from nothing.

    Attributes:
        n_tokens: Tokens held by every slot, padding included.
    """

    def __init__(
        self, config: PreTrainedConfig, calls: Sequence[Call], prefixes: Sequence[PrefixKV] = ()
    ) -> None:
        empty = DynamicCache(config=config).layers
        super().__init__(layers=empty)
        self.config = config
        self.slots: list[CacheLayerMixin] = []
        self.extend(calls, prefixes)
        self.windows = [
            layer.sliding_window if getattr(layer, "is_sliding", False) else None for layer in empty
        ]
        self.n_tokens = prefixes[0].keys.shape[-2] if prefixes else 0

    def extend(self, calls: Sequence[Call], prefixes: Sequence[PrefixKV]) -> None:
        """Go on with more calls in the same pass; those so far are the first of them."""
        self.calls = calls
        empty = DynamicCache(config=self.config).layers
        self.slots += [AttentionSlot(prefix) for prefix in prefixes] or [
            AttentionSlot() if type(layer) is DynamicLayer else copy.deepcopy(layer)
            for layer in (empty[call.layer] for call in calls[len(self.slots) :])
        ]

    def fork(self, fork: Fork, device: torch.device, n_more: int) -> CallCache:
        """Return the cache of rows that go on, with room for more; this one stays as it is."""
        cache = CallCache(self.config, ())
        cache.calls = fork.schedule.calls
        cache.n_tokens = self.n_tokens
        positions = on_device(fork.nodes, device)
        for index, nodes in zip(fork.calls, positions, strict=True):
            slot = self.slots[index]
            if isinstance(slot, AttentionSlot):
                slot = slot.copied_to(nodes, n_more)
            else:
                slot = copy.deepcopy(slot)
                slot.reorder_cache(nodes)
            cache.slots.append(slot)
        return cache

    @property
    def n_bytes(self) -> int:
        """Memory that the keys and values, or states, of all slots take."""
        return sum(map(_held_bytes, self.slots))

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


def attends_fully(model: PreTrainedModel) -> bool:
    """Whether every layer attends to the keys and values of all tokens, by their positions.

    Only then may a row have padding after its first token, or drop tokens at its end. Sliding
    windows and distances that are counted in keys would count the padding, and states would keep
    the dropped tokens. GPT-Neo's windows are in its config alone; ALiBi models take no positions.
    """
    layers = DynamicCache(config=model.config).layers
    by_position = "position_ids" in inspect.signature(model.forward).parameters
    windows = getattr(model.config.get_text_config(decoder=True), "attention_layers", None)
    return by_position and not windows and all(type(layer) is DynamicLayer for layer in layers)


def _held_bytes(slot: CacheLayerMixin) -> int:
    """Return the memory of all tensors of a slot."""
    values = list(vars(slot).values())
    nested = [v for value in values if isinstance(value, dict) for v in value.values()]
    nested += [v for value in values if isinstance(value, list | tuple) for v in value]
    return sum(value.nbytes for value in values + nested if isinstance(value, Tensor))


def aligned(n_tokens: int, device: torch.device) -> int:
    """Return the length of a buffer on a device that has room for so many tokens."""
    alignment = tuning_of(device).alignment
    return -(-n_tokens // alignment) * alignment


def _with_room(states: Tensor, n_tokens: int) -> Tensor:
    nodes, heads, n_held, size = states.shape
    roomy = states.new_empty(nodes, heads, n_tokens, size)
    roomy[:, :, :n_held] = states
    roomy[:, :, n_held:] = 0  # what is masked has to be a number
    return roomy
