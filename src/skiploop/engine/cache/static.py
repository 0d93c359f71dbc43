"""The cache of a mixed batch with its final length from the start, for steps that are recorded.

Shapes: [nodes, heads, tokens, head size].
"""

from __future__ import annotations

from torch import Tensor

from skiploop.engine.cache.slots import AttentionSlot, CallCache


class StaticSlot(AttentionSlot):
    """Keys and values in buffers that stay where they are.

    Args:
        slot: The tokens so far.
        length: Tokens that there is room for.
        place_1: Where the next token goes; one tensor for all slots.
    """

    def __init__(self, slot: AttentionSlot, length: int, place_1: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(*slot.buffers(length))
        self.n_own = slot.get_seq_length()
        self._place_1 = place_1

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Put one new token in its place, and return the buffers with all that is masked."""
        self.keys.index_copy_(2, self._place_1, key_states)
        self.values.index_copy_(2, self._place_1, value_states)
        return self.keys, self.values


class StaticCallCache(CallCache):
    """A cache of fixed slots.

    To layers it looks as if the last place was written now: the mask hides what is not there yet.

    Args:
        cache: The tokens so far, attention in all layers; it is empty afterwards.
        length: Tokens that there is room for.
        place_1: Where the next token goes.
    """

    def __init__(self, cache: CallCache, length: int, place_1: Tensor) -> None:
        super().__init__(cache.config, ())
        self.calls = cache.calls
        self.n_tokens = cache.n_tokens
        self._length = length
        while cache.slots:  # one after the other: there may not be room for all twice
            self.slots.append(StaticSlot(cache.slots.pop(0), length, place_1))

    def advance(self, n_tokens: int) -> None:
        """Do nothing: a pass that is recorded has not run, one that is replayed is not seen."""

    def count(self) -> None:
        """Count a token that every slot has got."""
        self.n_tokens += 1
        for slot in self.slots:
            slot.n_own += 1

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of places before the last one."""
        return self._length - 1

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return that a layer sees all places, from the first one."""
        return self._length, 0
