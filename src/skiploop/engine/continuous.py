"""Requests that start and end at any time, each with its own program and rules, in one batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from skiploop.engine.batching.encoding import encode
from skiploop.engine.batching.grouping import in_batches
from skiploop.engine.batching.prefix import no_prefix
from skiploop.engine.batching.rows import Row, check_lengths, n_most, row_bytes
from skiploop.engine.batching.starts import KnownStarts
from skiploop.engine.decoding.batch import DecodeBatch
from skiploop.engine.decoding.drafts import check_drafts
from skiploop.engine.decoding.prefill import FirstPass, first_pass, run_again
from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill
from skiploop.engine.decoding.row_state import RowState, TokenColumn, TokenWriter
from skiploop.engine.forward.rotary import by_table, longest
from skiploop.engine.options import Options
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_N_WRITERS = 256
"""Sets of rules that are kept for requests to come."""


@dataclass(frozen=True, eq=False)
class Job:
    """One prompt that is to be continued.

    Attributes:
        number: One that no other job of the batch has.
        tokens: Of the prompt.
        program: What it runs, or what chooses that while the prompt runs.
        options: How the answer is written; drafts, seeds and saved states are not used.
        seed: Of its random draws, if its tokens are drawn.
    """

    number: int
    tokens: tuple[int, ...]
    program: Program | ChoosesInPrefill
    options: Options
    seed: int = 0


@dataclass
class _Size:
    """What a job needs of the memory for keys and values."""

    n_slots: int
    n_tokens: int
    n_more: int


class ContinuousBatch:
    """Runs jobs together: they start and are dropped between two tokens.

    One thread uses it, and the model with its tokenizer.

    Guarantees:
        In float32 the tokens of a job are those of `LayerStack.generate` for it alone, whatever
        starts, ends or is dropped beside it (tests/model/test_continuous.py).

    Cost:
        `start`: the prompts, without what is known of their starts, and a copy of the keys and
        values of what runs. `step`: one pass, or a few in families that do not attend fully; see
        `DecodeBatch`.
    """

    def __init__(self, stack: LayerStack) -> None:
        self._stack = stack
        self._batch = DecodeBatch()
        self._starts = KnownStarts(stack)
        self._sizes: dict[int, _Size] = {}
        self.writer = lru_cache(_N_WRITERS)(lambda options: TokenWriter(stack, options))

    @property
    def numbers(self) -> list[int]:
        """The jobs that are running."""
        return list(self._sizes)

    def tokens(self, prompt: str) -> tuple[int, ...]:
        """Return the tokens of a prompt.

        Raises:
            BatchError: It has none, or one that the model does not know.
        """
        (tokens,) = encode(self._stack, [prompt])
        return tokens

    def n_room(self, tokens: Sequence[int]) -> int | None:
        """Return how many tokens the model has positions for after a prompt; None if any number."""
        limit = longest(self._stack)
        return None if limit is None else limit - len(tokens)

    def check(self, job: Job) -> None:
        """Refuse a job that can never be started.

        Raises:
            BatchError: It is too long for the model or its memory.
            ProgramError: Its program is for another model.
        """
        check_lengths(self._stack, [self._row(self._stack, job)], job.options.max_new_tokens)

    def n_bytes(self, jobs: Sequence[Job] = ()) -> int:
        """Return the most memory of keys and values of what runs, and of further jobs beside it."""
        sizes = [*self._sizes.values(), *map(self._size, jobs)]
        if not sizes:
            return 0
        n_tokens = max(size.n_tokens for size in sizes) + max(size.n_more for size in sizes)
        return sum(size.n_slots for size in sizes) * n_tokens * self._stack.token_bytes

    def fits(self, jobs: Sequence[Job]) -> bool:
        """Whether jobs can start now, as far as memory goes: half is for copies of rows."""
        return self.n_bytes(jobs) <= self._stack.memory // 2

    @torch.inference_mode()
    def start(self, jobs: Sequence[Job]) -> list[TokenColumn]:
        """Run some prompts and let them join what runs.

        Args:
            jobs: That fit.

        Returns:
            The first token of each job, with the completions of those that it ends.
        """
        groups: defaultdict[tuple[Options, ChoosesInPrefill | None], list[Job]] = defaultdict(list)
        for job in jobs:
            late = job.program if isinstance(job.program, ChoosesInPrefill) else None
            groups[job.options, late].append(job)
        columns = []
        for (options, late), some in groups.items():
            writer, lengths = self.writer(options), [len(job.tokens) for job in some]
            for fitting, held in by_table(self._stack, some, lengths):
                rows = [self._row(fitting, job) for job in held]
                starts = self._starts if fitting is self._stack else KnownStarts(fitting)
                for first in _first_passes(fitting, starts, rows, late, options.max_new_tokens):
                    columns.append(self._join(first, writer))
        self._run_outgrown()
        return columns

    @torch.inference_mode()
    def step(self) -> TokenColumn:
        """Write one token for every job.

        Raises:
            BatchError: No job is running.
        """
        column = self._batch.step()
        for number in column.rows:
            self._sizes[number].n_tokens += 1
            self._sizes[number].n_more -= 1
        self._forget(column.finished)
        self._run_outgrown()
        return column

    def drop(self, numbers: Collection[int]) -> None:
        """Let jobs end as they are.

        Raises:
            BatchError: One of them is not running.
        """
        self._batch.drop(numbers)
        self._forget(numbers)

    def _row(self, stack: LayerStack, job: Job) -> Row:
        program, n_new = self._counted(job), job.options.max_new_tokens
        return Row(
            job.number,
            job.tokens,
            program,
            n_bytes=row_bytes(stack, job.tokens, program, n_new),
            n_most=n_most(stack, job.tokens, 0, n_new),
            seed=job.seed,
        )

    def _size(self, job: Job) -> _Size:
        n_slots = self._counted(job).n_slots
        return _Size(n_slots, len(job.tokens), job.options.max_new_tokens)

    def _counted(self, job: Job) -> Program:
        """Return the program by which the memory of a job is counted."""
        if isinstance(job.program, ChoosesInPrefill):
            return job.program.counted(self._stack)
        return self._stack.check(job.program)

    def _join(self, first: FirstPass, writer: TokenWriter) -> TokenColumn:
        """Take the first token of some rows and let those that go on join what runs."""
        states = [RowState(row, writer, first.shape) for row in first.rows]
        (column,) = check_drafts(first.executor, first.states_RTD, states, writer)
        is_open = [row.index not in column.finished for row in first.rows]
        going_on = [i for i, state in enumerate(states) if is_open[i] and state.row.n_most > 1]
        if going_on:
            self._batch.join(first.continued(going_on, [states[i] for i in going_on]))
        for is_going_on, state in zip(is_open, states, strict=True):
            if is_going_on:
                n_more = writer.options.max_new_tokens - 1
                size = _Size(state.row.program.n_slots, len(state.row.tokens) + 1, n_more)
                self._sizes[state.row.index] = size
                if state.row.n_most == 1:
                    self._batch.outgrown.append(state)
        return column

    def _run_outgrown(self) -> None:
        """Let rows that need other rotary tables go on with these."""
        states, self._batch.outgrown = self._batch.outgrown, []
        lengths = [len(state.row.tokens) + len(state.tokens) for state in states]
        for fitting, held in by_table(self._stack, states, lengths):
            for open_rows in run_again(fitting, held, no_prefix(fitting)):
                self._batch.join(open_rows)

    def _forget(self, numbers: Collection[int]) -> None:
        for number in numbers:
            del self._sizes[number]


def _first_passes(
    stack: LayerStack,
    starts: KnownStarts,
    rows: Sequence[Row],
    late: ChoosesInPrefill | None,
    n_new: int,
) -> Iterator[FirstPass]:
    """Yield rows whose prompts have run, in batches; what they start with alike runs once."""
    may_share = late is None or late.shares_start
    for start, part in starts.parts(rows) if may_share else [(no_prefix(stack), rows)]:
        for batch in in_batches(stack, start, part, n_passes=1 + n_new):
            if late is None:
                yield first_pass(stack, batch, start, saved=None, may_go_on=True)
            else:
                yield late.first_pass(stack, batch, start)
