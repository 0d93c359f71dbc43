"""The first pass of a batch: prompts and drafts through the layers, from wherever is known.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skiploop.engine.batching.prefix import SharedPrefix, pad_behind
from skiploop.engine.batching.rows import Row, n_most, split
from skiploop.engine.cache.states import StateCache, Tokens
from skiploop.engine.decoding.open_rows import OpenRows
from skiploop.engine.decoding.row_state import RowState
from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.indices import on_device
from skiploop.engine.plan.schedule import Passes, schedule

if TYPE_CHECKING:
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

    def can_go_on(self, answers: Sequence[RowState]) -> bool:
        """Whether the executor can write more of some answers.

        Not where it lacks slots, or where drafts were wrong and their tokens cannot be masked.
        """
        all_right = not any(map(_n_wrong, answers))
        return self.is_complete and (all_right or self.stack.attends_fully)

    def continued(self, going_on: Sequence[int], states: Sequence[RowState]) -> OpenRows:
        """Return some rows with what they have written, in an executor of their own.

        Tokens of a draft that were not written are masked like padding.

        Args:
            going_on: The rows.
            states: Of these rows; the last token of each has not run yet.
        """
        (of_row, n_right) = on_device(
            [np.array(going_on), np.array([-_n_wrong(state) for state in states])],
            self.stack.device,
        )
        mask_BK = self.mask_RK.index_select(0, of_row)
        n_tokens = mask_BK.shape[1]
        places_K = torch.arange(n_tokens, device=mask_BK.device)
        mask_BK[places_K >= (n_tokens + n_right)[:, None]] = 0
        return OpenRows(self.executor, going_on, mask_BK, states).alone()


def first_pass(
    stack: LayerStack,
    rows: Sequence[Row],
    start: SharedPrefix,
    saved: StateCache | None,
    *,
    may_go_on: bool,
) -> FirstPass:
    """Run the prompts and drafts of a batch, from wherever is known.

    Args:
        stack: The model.
        rows: The batch.
        start: What the prompts start with.
        saved: States of the tokens after the start, to go on from and to add to.
        may_go_on: Whether keys and values are kept for further tokens.
    """
    numbers: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    starts: dict[int, Tensor] = {}
    sources, n_known = [], []
    for row in rows:
        tokens, path = row.tokens + row.draft, row.program.layer_inputs
        n_passes, states_TD = saved.longest(tokens, path) if saved else (0, None)
        sources.append(numbers.setdefault((tokens, path[:n_passes]), len(numbers)))
        n_known.append(n_passes)
        if states_TD is not None:
            starts[sources[-1]] = states_TD
    paths = [row.program.layer_inputs[n:] for row, n in zip(rows, n_known, strict=True)]
    batch = schedule(paths, sources)
    keys = list(numbers)
    passes_of = batch.beginnings_after([known for _, known in keys])
    prefixes = start.prefixes(batch.calls, passes_of)
    use_cache = may_go_on or start.n_tokens > 0
    executor = Executor(stack, batch, use_cache=use_cache, prefixes=prefixes)
    own = [tokens[start.n_tokens :] for tokens, _ in keys]
    tokens_ST, mask_SK = pad_behind(prefixes, own, stack.device)
    to_save: dict[int, tuple[Tokens, Passes]] = {}
    if saved is not None:
        to_save = {
            node: (keys[batch.sources[node]][0], passes_of.of(node))
            for node in range(batch.n_sources, len(batch.sources))
            if saved.takes(passes_of.of(node))
        }
    states_RTD = executor.hidden(tokens_ST, mask_SK, starts=starts, keep=to_save)
    if saved is not None:
        for node, (tokens, passes) in to_save.items():
            states_TD = executor.kept.pop(node)[start.n_tokens - len(tokens) :]  # no padding
            saved.add(tokens, passes, states_TD)
    is_complete = use_cache and not any(n_known)
    (of_row,) = on_device([np.array(sources)], stack.device)
    mask_RK = mask_SK.index_select(0, of_row)
    return FirstPass(stack, rows, executor, states_RTD, mask_RK, is_complete)


def run_again(
    stack: LayerStack, answers: Sequence[RowState], start: SharedPrefix
) -> Iterator[OpenRows]:
    """Yield answers that go on, a batch of them at a time: they run what they have in one pass."""
    for answer in answers:
        _renew(stack, answer)
    rows = [
        replace(answer.row, tokens=(*answer.row.tokens, *answer.tokens[:-1])) for answer in answers
    ]
    held = {answer.row.index: answer for answer in answers}
    for batch in _batches(stack, answers, rows, start):
        going_on = [held[row.index] for row in batch]
        first = first_pass(stack, batch, start, saved=None, may_go_on=True)
        for answer in going_on:
            answer.batch_shape = first.shape
        open_rows = first.continued(range(len(batch)), going_on)
        del first  # frees what rows shared
        yield open_rows


def run_further(
    stack: LayerStack, answers: Sequence[RowState], start: SharedPrefix
) -> Iterator[list[Row]]:
    """Yield what answers that left their drafts are to run, in batches: all that they have.

    What was written in the place of a token of the draft, such as a space, may be followed by the
    rest of the draft. So that is checked in the same pass, where it can be masked if it is wrong.
    """
    for answer in answers:
        rest = answer.row.draft[len(answer.tokens) - 1 :] if stack.attends_fully else ()
        _renew(stack, answer, rest)
        answer.n_before = len(answer.tokens)
    rows = [replace(answer.row, tokens=(*answer.row.tokens, *answer.tokens)) for answer in answers]
    return _batches(stack, answers, rows, start)


def _renew(stack: LayerStack, answer: RowState, draft: tuple[int, ...] = ()) -> None:
    """Let an answer go on as far as rotary tables allow now, with what fits of another draft."""
    n_new = answer.writer.options.max_new_tokens
    most = n_most(stack, answer.row.tokens, len(answer.tokens), n_new)
    n_fitting = max(most - len(answer.tokens) - 1, 0)
    answer.row = replace(answer.row, draft=draft[:n_fitting], n_most=most)


def _batches(
    stack: LayerStack, answers: Sequence[RowState], rows: Sequence[Row], start: SharedPrefix
) -> Iterator[list[Row]]:
    """Yield what some answers run in batches that fit."""
    n_passes = 1 + max((answer.writer.options.max_new_tokens for answer in answers), default=0)
    return split(stack, rows, n_passes=n_passes, n_shared=start.n_tokens)


def _n_wrong(answer: RowState) -> int:
    """Return how many tokens of its draft an answer did not take over."""
    return max(len(answer.row.draft) + 1 - (len(answer.tokens) - answer.n_before), 0)
