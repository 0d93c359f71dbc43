"""Decoding: one token for every row in each step; rows join and leave between steps.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import torch

from skiploop.engine.decoding.group import Group
from skiploop.engine.decoding.open_rows import OpenRows, bytes_together, joined
from skiploop.engine.decoding.row_state import RowState, TokenColumn
from skiploop.errors import BatchError


class DecodeBatch:
    """Open rows, each with its own program and its own rules to end.

    A group of rows runs in one pass. Rows that join become part of a group where the family attends
    fully: shorter rows are padded on the left. Elsewhere they are a group of their own, which steps
    beside the others: in families with windows or recurrent states, where nothing is padded or
    cached, with `exact`, under other rotary tables, and where padding would take more memory than
    one batch has.

    Attributes:
        outgrown: Rows that have left because they need other rotary tables to go on; whoever runs
            the batch takes them.

    Guarantees:
        In float32 rows that join and leave change no other row's tokens
        (tests/model/test_join.py).

    Cost:
        `step`: one pass for each group. `join`: a copy of the keys and values of a group, and on a
        GPU a new recording of its steps. `drop`: nothing; rows leave memory when a quarter of their
        group has ended, or when others join.
    """

    def __init__(self) -> None:
        self.outgrown: list[RowState] = []
        self._groups: list[Group] = []

    @property
    def rows(self) -> list[int]:
        """The open rows, by their numbers."""
        return [number for group in self._groups for number in group.numbers]

    @torch.inference_mode()
    def step(self) -> TokenColumn:
        """Write one token for every open row.

        Returns:
            The tokens, and the rows that ended with theirs.

        Raises:
            BatchError: No row is open.
        """
        if not self._groups:
            raise BatchError("the batch has no open row: let rows join before the next step")
        self._groups = [_shrunk(group) for group in self._groups]
        columns = [group.step(self.outgrown) for group in self._groups]
        self._groups = [group for group in self._groups if group.open]
        return columns[0] if len(columns) == 1 else _side_by_side(columns)

    @torch.inference_mode()
    def join(self, rows: OpenRows) -> None:
        """Add rows whose prompts have run.

        Args:
            rows: With numbers that no open row has.

        Raises:
            BatchError: A number is taken, or the rows need more memory than a batch has.
        """
        numbers = Counter([*self.rows, *(state.row.index for state in rows.states)])
        if taken := [number for number, count in numbers.items() if count > 1]:
            raise BatchError(
                f"row {taken[0]} is already in the batch: give every row a number of its own"
            )
        running = [group.left() for group in self._groups]
        place = next((i for i, some in enumerate(running) if some.can_join(rows)), None)
        together = [rows] if place is None else [running[place], rows]
        apart = [some for i, some in enumerate(running) if i != place]
        if running:
            _check_memory([together, *([some] for some in apart)])
        groups = [group for i, group in enumerate(self._groups) if i != place]
        self._groups = [*groups, Group(joined(together))]

    def drop(self, rows: Collection[int]) -> None:
        """Let rows leave as they are, such as those that nobody waits for any more.

        Raises:
            BatchError: One of them is not open.
        """
        if unknown := sorted(set(rows).difference(self.rows)):
            raise BatchError(f"row {unknown[0]} is not in the batch: drop rows that are open")
        for group in self._groups:
            group.close({row for row in group.open if group.states[row].row.index in rows})
        self._groups = [group for group in self._groups if group.open]


def decode_rows(rows: OpenRows, outgrown: list[RowState]) -> Iterator[TokenColumn]:
    """Write all rows to their ends; those that need other rotary tables go to `outgrown`."""
    batch = DecodeBatch()
    batch.join(rows)
    while batch.rows:
        yield batch.step()
    outgrown += batch.outgrown


def _shrunk(group: Group) -> Group:
    """Return a group without the rows that have ended, if these are many."""
    if len(group.open) > group.executor.stack.tuning.shrink_at * len(group.states):
        return group
    return Group(group.left().alone())


def _side_by_side(columns: Sequence[TokenColumn]) -> TokenColumn:
    """Return the columns of several groups as one."""
    return TokenColumn(
        [row for column in columns for row in column.rows],
        torch.cat([column.tokens_B for column in columns]),
        torch.cat([column.logprobs_B for column in columns]),
        {row: done for column in columns for row, done in column.finished.items()},
    )


def _check_memory(groups: Sequence[Sequence[OpenRows]]) -> None:
    """Refuse rows whose keys and values do not fit beside those that run."""
    stack = groups[0][-1].executor.stack
    n_bytes = sum(map(bytes_together, groups))
    if n_bytes > stack.memory // 2:
        raise BatchError(
            f"the rows that join and those that run need {n_bytes:,} bytes of keys and values, but "
            f"one batch has {stack.memory // 2:,}: let them join after others have ended, or raise "
            "it with load(..., memory=...) or --memory"
        )
