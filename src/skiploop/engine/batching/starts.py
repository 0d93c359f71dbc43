"""What prompts start with, known from one call to the next: of a server most start as others did.

Solved questions, or a message that says how to answer, come before every question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from skiploop.engine.batching.grouping import alike
from skiploop.engine.batching.prefix import SharedPrefix, shared_prefix
from skiploop.engine.batching.rows import Row

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

N_KEPT = 2
"""Starts that are known at once; they share the memory that there is for starts."""

_MUCH_LONGER = 2
"""So many times as long as a known start is one that is worth to be run anew."""


class KnownStarts:
    """The starts that prompts had last, with their keys and values.

    Args:
        stack: The model.

    Guarantees:
        In float32, tokens that follow a known start are those that follow it when it is run anew
        (tests/model/test_continuous.py).
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._known: list[SharedPrefix] = []  # that which was used last comes last

    def parts(self, rows: Sequence[Row]) -> Iterator[tuple[SharedPrefix, Sequence[Row]]]:
        """Yield rows in parts, each with what its prompts start with.

        What pays to be shared by the prompts of a part is known from then on.

        Args:
            rows: At least one.
        """
        left = list(rows)
        for known in sorted(self._known, key=lambda one: one.n_tokens, reverse=True):
            own = [row for row in left if known.begins(row.tokens)]
            if own:
                yield self._better(known, own), own
                left = [row for row in left if not known.begins(row.tokens)]
        for part in alike(self._stack, left) if left else ():
            yield self._noted(shared_prefix(self._stack, part, None, N_KEPT)), part

    def _better(self, known: SharedPrefix, rows: Sequence[Row]) -> SharedPrefix:
        """Return a known start, or one that some rows share and that is much longer."""
        new = shared_prefix(self._stack, rows, None, N_KEPT)
        return self._noted(new if new.n_tokens > _MUCH_LONGER * known.n_tokens else known)

    def _noted(self, start: SharedPrefix) -> SharedPrefix:
        """Know a start, if it is one, as the last one that was used."""
        if start.n_tokens:
            others = [one for one in self._known if one is not start]
            self._known = [*others[-(N_KEPT - 1) :], start]
        return start
