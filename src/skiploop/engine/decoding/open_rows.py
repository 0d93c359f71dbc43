"""Rows that have not ended, and the executor that holds what they have run.

Shapes: B rows, K tokens so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from skiploop.engine.batching.prefix import shares_prefixes
from skiploop.engine.decoding.row_state import RowState
from skiploop.engine.forward.executor import Executor, Ongoing


@dataclass(frozen=True, eq=False)
class OpenRows:
    """Rows that go on with further tokens.

    Attributes:
        executor: Holds their tokens so far but the last one of each.
        places: These rows in it.
        mask_BK: 1 at every token of theirs that it holds, 0 at padding.
        states: What they have written, at least one token each.
    """

    executor: Executor
    places: Sequence[int]
    mask_BK: Tensor
    states: Sequence[RowState]

    @property
    def n_more(self) -> int:
        """Most tokens that one of them may still get here."""
        return max(state.row.n_most - len(state.tokens) for state in self.states)

    @cached_property
    def n_tokens(self) -> int:
        """Last places of the executor that they need: those before are padding in all of them."""
        return self.mask_BK.shape[1] - int(self.mask_BK.any(0).int().argmax())

    def alone(self) -> OpenRows:
        """Return these rows in an executor that holds no others."""
        rows = range(len(self.states))
        executor = self.executor.fork(self.places, rows, self.n_more)
        return OpenRows(executor, rows, self.mask_BK, self.states)

    def can_join(self, other: OpenRows) -> bool:
        """Whether these and other rows can share an executor.

        Not with other rotary tables, nor where padding may not come after the first token of a row
        or every row runs alone, nor where it would take more memory than a batch has.
        """
        stack = self.executor.stack
        is_alike = stack is other.executor.stack and shares_prefixes(stack)
        return is_alike and bytes_together([self, other]) <= stack.memory // 2


def joined(parts: Sequence[OpenRows]) -> OpenRows:
    """Return all rows in one executor, each at the positions that it has; they can be joined."""
    if len(parts) == 1:
        return parts[0]
    n_tokens = max(part.n_tokens for part in parts)
    mask_BK = torch.cat(
        [pad(part.mask_BK[:, -part.n_tokens :], (n_tokens - part.n_tokens, 0)) for part in parts]
    )
    executor = Executor.joined(
        [Ongoing(part.executor, part.places, part.n_tokens) for part in parts],
        max(part.n_more for part in parts),
    )
    states = [state for part in parts for state in part.states]
    return OpenRows(executor, range(len(states)), mask_BK, states)


def bytes_together(parts: Sequence[OpenRows]) -> int:
    """Return the most memory that the keys and values of some rows take in one executor."""
    n_slots = sum(state.row.program.n_slots for part in parts for state in part.states)
    n_tokens = max(part.n_tokens for part in parts) + max(part.n_more for part in parts)
    return n_slots * n_tokens * parts[0].executor.stack.token_bytes
