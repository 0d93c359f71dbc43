"""Decoding: one token for every row in each pass, until all rows have ended.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from skiploop.engine.decoding.cuda_graph import steps
from skiploop.engine.decoding.row_state import RowState, TokenColumn, TokenWriter
from skiploop.engine.forward.executor import Executor

SHRINK_AT = 0.75  # share of unfinished rows at which the finished ones leave the batch


def decode_rows(
    executor: Executor,
    mask_BK: Tensor,
    answers: Sequence[RowState],
    writer: TokenWriter,
    outgrown: list[RowState],
) -> Iterator[TokenColumn]:
    """Write all answers to their ends, or as far as their rotary tables go.

    Python looks at a row only where its newest token may end it, or when rows leave the batch.

    Args:
        executor: Holds the tokens so far but the last one of each answer, one row an answer.
        mask_BK: 1 at every token that the executor holds, 0 at padding.
        answers: Have at least one token each.
        writer: The rules of the call.
        outgrown: Gets the answers that need other rotary tables to go on.
    """
    tokens_B = torch.tensor([answer.tokens[-1] for answer in answers], device=mask_BK.device)
    held = _Columns(answers)
    n_most = writer.options.max_new_tokens - min(len(answer.tokens) for answer in answers)
    running = steps(executor, mask_BK, n_most)
    while held.open:
        logits_BV = running.logits(tokens_B)
        tokens_B, logprobs_B = writer.choose(logits_BV, held.answers, len(held.tokens))
        held.tokens.append(tokens_B)
        held.logprobs.append(logprobs_B)
        column = TokenColumn(held.numbers, tokens_B[held.places], {})
        may_end = writer.may_end(tokens_B, logprobs_B)
        if len(held.tokens) >= held.n_left:
            may_end.update(held.open)
        ended = set()
        for row, answer in held.previews(sorted(may_end.intersection(held.open)), writer):
            if stopped_by := writer.stopped_by(answer):
                column.finished[answer.row.index] = writer.completion(answer, stopped_by)
                ended.add(row)
            elif len(answer.tokens) == answer.row.n_most:
                outgrown.append(answer)
                ended.add(row)
        held.close(ended)
        yield column
        if held.open and len(held.open) <= SHRINK_AT * len(held.answers):
            n_most -= len(held.tokens)
            executor = running.executor.fork(held.open, range(len(held.open)), n_most)
            tokens_B, mask_BK = tokens_B[held.open], running.mask_BK[held.open]
            running = steps(executor, mask_BK, n_most)
            held = held.shrunk(writer)


class _Columns:
    """The rows of a batch and the tokens that they got since it was formed.

    Attributes:
        answers: One a row, without these tokens.
        tokens, logprobs: One vector for each step.
        open: The rows that have not ended.
        places: The same as an index; all rows are a slice, which needs no transfer.
        numbers: Their prompts.
        n_left: Tokens after which one of the answers that have not ended can get no more here.
    """

    def __init__(self, answers: Sequence[RowState]) -> None:
        self.answers = answers
        self.tokens: list[Tensor] = []
        self.logprobs: list[Tensor] = []
        self.open = list(range(len(answers)))
        self.places: slice | Tensor = slice(None)
        self.numbers = [answer.row.index for answer in answers]
        self.n_left = self._n_left()

    def previews(self, rows: Sequence[int], writer: TokenWriter) -> Iterator[tuple[int, RowState]]:
        """Yield some rows and their answers with all tokens."""
        if not rows:
            return
        tokens = torch.stack(self.tokens, dim=1)[rows].tolist()
        logprobs = torch.stack(self.logprobs, dim=1)[rows].tolist()
        for row, more, likely in zip(rows, tokens, logprobs, strict=True):
            answer = replace(self.answers[row], tokens=list(self.answers[row].tokens))
            writer.append(answer, more, likely)
            yield row, answer

    def close(self, rows: Collection[int]) -> None:
        """Note that some rows have ended."""
        if not rows:
            return
        self.open = [other for other in self.open if other not in rows]
        self.places = torch.tensor(self.open, device=self.tokens[-1].device)
        self.numbers = [self.answers[other].row.index for other in self.open]
        self.n_left = self._n_left()

    def _n_left(self) -> int:
        answers = [self.answers[row] for row in self.open]
        return min((answer.row.n_most - len(answer.tokens) for answer in answers), default=0)

    def shrunk(self, writer: TokenWriter) -> _Columns:
        """Return the rows that have not ended, their answers with all tokens."""
        return _Columns([answer for _, answer in self.previews(self.open, writer)])
