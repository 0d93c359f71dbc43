"""Rows that get their next token in one pass.

Shapes: B rows in the group, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from skiploop.engine.decoding.cuda_graph import steps
from skiploop.engine.decoding.open_rows import OpenRows
from skiploop.engine.decoding.row_state import RowState, TokenColumn, TokenWriter
from skiploop.engine.forward.executor import Executor


class Group:
    """Rows of one executor and the tokens that they got since the group was formed.

    Python looks at a row only where its newest token may end it, or when rows leave the executor.

    Attributes:
        states: One a row, without these tokens.
        open: The rows that have not ended.
        numbers: Of these rows, as columns name them.
    """

    def __init__(self, rows: OpenRows) -> None:
        self.states = rows.states
        self._stepper = steps(rows.executor, rows.mask_BK, rows.n_more)
        self._last_B = torch.tensor(
            [state.tokens[-1] for state in self.states], device=rows.mask_BK.device
        )
        self._tokens: list[Tensor] = []  # one vector for each step
        self._logprobs: list[Tensor] = []
        self._runs = _runs(self.states)
        self.open = list(range(len(self.states)))
        self._places: slice | Tensor = slice(None)  # as an index; a slice needs no transfer
        self.numbers = [state.row.index for state in self.states]
        self._n_left = self._next_end()

    def step(self, outgrown: list[RowState]) -> TokenColumn:
        """Write a token for each open row; those that need other rotary tables go to `outgrown`."""
        logits_BV = self._stepper.logits(self._last_B)
        n_more = len(self._tokens)
        chosen = [w.choose(logits_BV[some], self.states[some], n_more) for w, some in self._runs]
        tokens_B, logprobs_B = (torch.cat(parts) for parts in zip(*chosen, strict=True))
        self._last_B = tokens_B
        self._tokens.append(tokens_B)
        self._logprobs.append(logprobs_B)
        column = TokenColumn(self.numbers, tokens_B[self._places], logprobs_B[self._places], {})
        ended = set()
        for row, state in self._written(self._may_end()):
            if stopped_by := state.writer.stopped_by(state):
                column.finished[state.row.index] = state.writer.completion(state, stopped_by)
                ended.add(row)
            elif len(state.tokens) == state.row.n_most:
                outgrown.append(state)
                ended.add(row)
        self.close(ended)
        return column

    @property
    def executor(self) -> Executor:
        """What runs the rows."""
        return self._stepper.executor

    def close(self, rows: Collection[int]) -> None:
        """Note that some rows have ended; they leave the executor when the group is left."""
        if not rows:
            return
        self.open = [other for other in self.open if other not in rows]
        self._places = torch.tensor(self.open, device=self._last_B.device)
        self.numbers = [self.states[other].row.index for other in self.open]
        self._n_left = self._next_end()

    def left(self) -> OpenRows:
        """Return the open rows with all tokens, to go on elsewhere."""
        states = [state for _, state in self._written(self.open)]
        return OpenRows(self.executor, self.open, self._stepper.mask_BK[self.open], states)

    def _may_end(self) -> list[int]:
        """Return the open rows that their newest token may end."""
        if len(self._tokens) >= self._n_left:
            return self.open
        tokens_B, logprobs_B = self._tokens[-1], self._logprobs[-1]
        found = {
            some.start + row
            for writer, some in self._runs
            for row in writer.may_end(tokens_B[some], logprobs_B[some])
        }
        return sorted(found.intersection(self.open))

    def _written(self, rows: Sequence[int]) -> Iterator[tuple[int, RowState]]:
        """Yield some rows and their states with all tokens."""
        if not rows or not self._tokens:
            yield from ((row, self.states[row]) for row in rows)
            return
        tokens = torch.stack(self._tokens, dim=1)[rows].tolist()
        logprobs = torch.stack(self._logprobs, dim=1)[rows].tolist()
        for row, more, likely in zip(rows, tokens, logprobs, strict=True):
            state = replace(self.states[row], tokens=list(self.states[row].tokens))
            state.writer.append(state, more, likely)
            yield row, state

    def _next_end(self) -> int:
        """Return after how many tokens one of the open rows can get no more here."""
        left = [self.states[row].row.n_most - len(self.states[row].tokens) for row in self.open]
        return min(left, default=0)


def _runs(states: Sequence[RowState]) -> list[tuple[TokenWriter, slice]]:
    """Return the rows that follow each other under the same rules, and these rules."""
    starts = [
        row
        for row, state in enumerate(states)
        if row == 0 or state.writer is not states[row - 1].writer
    ]
    ends = itertools.pairwise([*starts, len(states)])
    return [(states[start].writer, slice(start, end)) for start, end in ends]
