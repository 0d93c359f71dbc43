"""Tensors by key within a memory budget; what was used once again outlives what was only added."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from torch import Tensor

from skiploop.engine.cache.arena import DeviceMemory, PagedMemory, n_bytes


class SegmentedLRU:
    """A mapping that drops first what was added longest ago and not used since.

    Of what a search computes, most is never used again. In one queue it would push out the states
    that many programs go on from.

    Args:
        max_bytes: What all tensors together may take.
        protected: Share of that for what was used again.

    Attributes:
        n_bytes: What they take now.

    Source: Karedla, Love, Wherry 1994, Caching strategies to improve disk system performance.
    """

    def __init__(self, max_bytes: int, protected: float) -> None:
        self.max_bytes = max_bytes
        self._protected_bytes = protected * max_bytes
        self.n_bytes = 0
        self._n_used_bytes = 0
        self._memory: Any = PagedMemory(max_bytes)  # or DeviceMemory, by the first tensors
        self._added: OrderedDict[Hashable, Any] = OrderedDict()
        self._used: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> tuple[Tensor, ...] | None:
        """Return copies of the tensors of a key, if they are still held."""
        if key in self._added:
            stored = self._used[key] = self._added.pop(key)
            self._n_used_bytes += stored.n_bytes
        elif key in self._used:
            stored = self._used[key]
            self._used.move_to_end(key)
        else:
            return None
        tensors: tuple[Tensor, ...] = self._memory.read(stored)
        while self._n_used_bytes > self._protected_bytes:
            self._drop(next(iter(self._used)))
        return tensors

    def put(self, key: Hashable, tensors: tuple[Tensor, ...]) -> None:
        """Hold copies of tensors, in place of those that the key had."""
        self._drop(key)
        if not self.n_bytes and tensors[0].device.type != "cpu":
            self._memory = DeviceMemory(self.max_bytes)
        needed = n_bytes(tensors)
        if needed > self._memory.n_bytes - self._n_used_bytes:
            return
        while needed > self._memory.n_free:
            self._drop(next(iter(self._added)))
        self._added[key] = self._memory.write(tensors)
        self.n_bytes += needed

    def clear(self) -> None:
        """Drop everything."""
        for key in [*self._added, *self._used]:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        """Drop the tensors of a key, if it has any."""
        for queue in (self._added, self._used):
            if key in queue:
                stored = queue.pop(key)
                self._memory.release(stored)
                self.n_bytes -= stored.n_bytes
                self._n_used_bytes -= stored.n_bytes if queue is self._used else 0

    def __len__(self) -> int:
        return len(self._added) + len(self._used)
