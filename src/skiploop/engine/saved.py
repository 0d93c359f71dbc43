"""States between layers, kept from one call to the next.

A search runs many programs on one prompt, most of which start with the same layers. The states
after these layers need not be computed again; the later layers start from them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 2
"""States are kept after every second layer pass: half the memory, one layer more to run."""


class SavedStates:
    """The states of prompts after the first layers of programs, the least recently used dropped.

    Args:
        max_bytes: What all of them together may take.

    Attributes:
        n_bytes: What they take now.

    Guarantees:
        In float32, what starts from saved states equals what starts from the prompt, within the
        rounding that the shape of a batch makes (tests/model/test_shared_work.py).
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._states: OrderedDict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = OrderedDict()

    def longest(self, tokens: tuple[int, ...], path: tuple[int, ...]) -> tuple[int, Tensor | None]:
        """Return how many layer passes of a path are known for some tokens, and their states.

        Returns:
            The number of passes, and states_TD after them; 0 and None if none are known.
        """
        for n_passes in range(len(path) - len(path) % STRIDE, 0, -STRIDE):
            key = tokens, path[:n_passes]
            if key in self._states:
                self._states.move_to_end(key)
                return n_passes, self._states[key]
        return 0, None

    def add(self, tokens: tuple[int, ...], passes: tuple[int, ...], states_TD: Tensor) -> None:
        """Keep the states of some tokens after some layer passes."""
        key = tokens, passes
        if key not in self._states:
            self.n_bytes += states_TD.nbytes
        self._states[key] = states_TD
        self._states.move_to_end(key)
        while self.n_bytes > self.max_bytes:
            self.n_bytes -= self._states.popitem(last=False)[1].nbytes

    def __len__(self) -> int:
        return len(self._states)


def worth_saving(path: Sequence[int], n_known: int) -> list[int]:
    """Return the numbers of passes of a path after which to keep states, `n_known` known so far."""
    return [n for n in range(STRIDE, len(path), STRIDE) if n > n_known]
