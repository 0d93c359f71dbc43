"""The first pass of a batch: prompts and drafts through the layers, from wherever is known.

Shapes: S token sequences, R rows, B rows that go on, T tokens of the longest sequence, K with the
shared prefix, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.engine.answer import Answer
from skiploop.engine.batch import Row, number_sources, pad_left
from skiploop.engine.cache import attends_fully
from skiploop.engine.executor import Executor
from skiploop.engine.prefix import PromptPrefix
from skiploop.engine.saved import SavedStates, worth_saving
from skiploop.engine.schedule import schedule
from skiploop.stack import LayerStack


@dataclass(frozen=True)
class FirstPass:
    """A batch after its first pass.

    Attributes:
        stack: The model.
        rows: The batch.
        executor: Has run the pass.
        states_RTD: What it returned.
        mask_RK: 1 at every token of a row, its draft included, 0 at padding.
        is_complete: Whether the executor holds the keys and values of all slots of the rows.
    """

    stack: LayerStack
    rows: Sequence[Row]
    executor: Executor
    states_RTD: Tensor
    mask_RK: Tensor
    is_complete: bool

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and tokens of the longest one with what comes before it."""
        return len(self.rows), self.mask_RK.shape[1]

    def can_go_on(self, answers: Sequence[Answer]) -> bool:
        """Whether the executor can write more of some answers.

        Not where it lacks slots, or where drafts were wrong and their tokens cannot be masked.
        """
        all_right = not any(map(_n_wrong, answers))
        return self.is_complete and (all_right or attends_fully(self.stack.model))

    def continued(
        self, going_on: Sequence[int], answers: Sequence[Answer]
    ) -> tuple[Executor, Tensor]:
        """Return an executor that holds some rows and what they have written, and its mask_BK.

        The last token of each answer has not run yet. Tokens of a draft that were not written are
        masked like padding.

        Args:
            going_on: The rows.
            answers: Of these rows.
        """
        mask_BK = self.mask_RK[list(going_on)]
        for row, answer in enumerate(answers):
            mask_BK[row, mask_BK.shape[1] - _n_wrong(answer) :] = 0
        return self.executor.fork(going_on, range(len(going_on)), share=False), mask_BK


def first_pass(
    stack: LayerStack,
    rows: Sequence[Row],
    prefix: PromptPrefix | None,
    saved: SavedStates | None,
) -> FirstPass:
    """Run the prompts and drafts of a batch.

    Args:
        stack: The model.
        rows: The batch.
        prefix: What the prompts start with, if that has run.
        saved: States to start from and to add to, if there is no prefix.
    """
    if saved is not None:
        return _from_saved(stack, rows, saved)
    firsts, sources = number_sources(rows)
    n_shared = prefix.n_tokens if prefix else 0
    tokens_ST, mask_SK = pad_left(
        [row.tokens[n_shared:] + row.draft for row in firsts], stack.device
    )
    if prefix is None:
        paths = [row.program.path for row in rows]
        executor = Executor(stack, schedule(paths, sources), use_cache=True)
    else:
        continued = [prefix.row_of[row.program] for row in rows]
        executor = prefix.executor.fork(continued, sources, share=True)
        mask_SK = torch.cat([mask_SK.new_ones(len(mask_SK), n_shared), mask_SK], dim=1)
    states_RTD = executor.hidden(tokens_ST, mask_SK)
    return FirstPass(stack, rows, executor, states_RTD, mask_SK[sources], is_complete=True)


def _from_saved(stack: LayerStack, rows: Sequence[Row], saved: SavedStates) -> FirstPass:
    """Run the layers whose results are not known, and save these."""
    numbers: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    starts: dict[int, Tensor] = {}
    firsts: list[tuple[int, ...]] = []
    sources, n_known = [], []
    for row in rows:
        tokens, path = row.tokens + row.draft, row.program.path
        n_passes, states_TD = saved.longest(tokens, path)
        source = numbers.setdefault((tokens, path[:n_passes]), len(numbers))
        if source == len(firsts):
            firsts.append(tokens)
        if states_TD is not None:
            starts[source] = states_TD
        sources.append(source)
        n_known.append(n_passes)
    paths = [row.program.path[n:] for row, n in zip(rows, n_known, strict=True)]
    executor = Executor(stack, schedule(paths, sources), use_cache=False)
    tokens_ST, mask_ST = pad_left(firsts, stack.device)
    to_save: dict[int, tuple[Row, int]] = {}
    for index, row in enumerate(rows):
        chain = executor.schedule.chain(index)
        for n_passes in worth_saving(row.program.path, n_known[index]):
            to_save[chain[n_passes - n_known[index] - 1]] = row, n_passes
    states_RTD = executor.hidden(tokens_ST, mask_ST, starts=starts, keep=to_save)
    for cell, (row, n_passes) in to_save.items():
        tokens = row.tokens + row.draft
        states_TD = executor.kept.pop(cell)[-len(tokens) :].clone()  # without the padding
        saved.add(tokens, row.program.path[:n_passes], states_TD)
    return FirstPass(stack, rows, executor, states_RTD, mask_ST[sources], is_complete=False)


def _n_wrong(answer: Answer) -> int:
    """Return how many tokens of its draft an answer did not take over."""
    return max(len(answer.row.draft) + 1 - len(answer.tokens), 0)
