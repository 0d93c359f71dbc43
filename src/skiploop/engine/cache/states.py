"""What layers have computed, kept from one call to the next.

A search runs many programs on one prompt, most of which start with the same layers. The states
after these layers need not be computed again; the later layers start from them. And many prompts
start with the same tokens, whose keys and values are the same under all programs that start with
the same layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from skiploop.engine.cache.slru import SegmentedLRU
from skiploop.engine.plan.beginnings import common_length
from skiploop.engine.plan.schedule import Passes
from skiploop.engine.tuning import CPU, Tuning
from skiploop.programs.damping import inside_loops

Tokens = tuple[int, ...]

_START = "keys and values of the start"


class StateCache:
    """States of prompts, and keys and values of what they all start with, within a budget.

    Attributes:
        start: The tokens that all prompts so far start with; None before the first one. States of
            prompts are those of the tokens after it.

    Guarantees:
        In float32, what starts from saved states equals what starts from the prompt, within the
        rounding that the shape of a batch makes (tests/model/test_shared_work.py).
    """

    def __init__(self, max_bytes: int, tuning: Tuning = CPU) -> None:
        self.max_bytes = max_bytes
        self._tuning = tuning
        self.start: Tokens | None = None
        self._held = SegmentedLRU(max_bytes, tuning.protected)

    @property
    def n_bytes(self) -> int:
        """What they take now."""
        return self._held.n_bytes

    @property
    def safe_bytes(self) -> int:
        """What is sure to stay if it is used again and again, and little else is."""
        return int(self._tuning.protected * self.max_bytes)

    def narrow(self, start: Tokens) -> None:
        """Let the common start end where some more prompts differ; then all else is forgotten."""
        if self.start is not None:
            start = start[: common_length(self.start, start)]
        if start != self.start:
            self.start = start
            self.clear()

    def clear(self) -> None:
        """Forget all states, keys and values."""
        self._held.clear()

    def longest(
        self, tokens: Tokens, path: Passes, most: int | None = None
    ) -> tuple[int, Tensor | None]:
        """Return how many layer passes of a path are known for some tokens, and their states.

        Args:
            tokens: The tokens.
            path: What is to be run.
            most: Passes at most; all of them if not given.

        Returns:
            The number of passes, and states_TD after them, from which the rest of the path can go
            on; 0 and None if none are known.
        """
        most = len(path) if most is None else most
        inside = inside_loops(path)
        stride = self._tuning.state_stride
        for n_passes in range(most - most % stride, 0, -stride):
            if n_passes in inside:
                continue
            if held := self._held.get((tokens, path[:n_passes])):
                return n_passes, held[0]
        return 0, None

    def add(self, tokens: Tokens, passes: Passes, states_TD: Tensor) -> None:
        """Keep the states of some tokens after some layer passes."""
        self._held.put((tokens, passes), (states_TD,))

    def keys_values(self, passes: Passes) -> tuple[Tensor, ...] | None:
        """Return what the last of some layer passes has computed for the start, if that is known.

        Returns:
            Keys and values, [heads, tokens, head size] each.
        """
        return self._held.get((_START, passes))

    def add_keys_values(self, passes: Passes, keys_values: tuple[Tensor, Tensor]) -> None:
        """Keep the keys and values of the start at the last of some layer passes."""
        self._held.put((_START, passes), keys_values)

    def takes(self, passes: Sequence[int]) -> bool:
        """Whether states after some layer passes are kept."""
        return len(passes) % self._tuning.state_stride == 0

    def __len__(self) -> int:
        return len(self._held)
