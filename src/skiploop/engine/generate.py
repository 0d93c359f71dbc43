"""Generation: prompts and drafts in one pass, then token by token for the rows that are not done.

Shapes: S token sequences, R rows of a batch, T tokens of the longest sequence, K with the prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from skiploop.engine.answer import Answer, Column, Options, Writer
from skiploop.engine.batch import Row, check_lengths, check_texts, encode, number_sources, pad_left
from skiploop.engine.batch import split
from skiploop.engine.decode import decode_rows
from skiploop.engine.drafts import check_drafts, draft_tokens, without_wrong_tokens
from skiploop.engine.executor import Executor
from skiploop.engine.prefix import PromptPrefix, run_prefix
from skiploop.engine.schedule import schedule
from skiploop.program import Program
from skiploop.stack import LayerStack


def generate(
    stack: LayerStack, prompts: Sequence[str], programs: Sequence[Program], options: Options
) -> Iterator[Column]:
    """Continue every prompt under its own program; see `LayerStack.stream`.

    Guarantees:
        In float32 the greedy tokens of a row are those of `stack.view(program).generate` on it
        alone, with and without drafts (tests/model/test_generate.py).
    """
    check_texts(prompts=prompts)
    options.check(len(prompts))
    encoded = encode(stack, prompts)
    drafts = draft_tokens(stack, prompts, encoded, options)
    rows = [
        Row(i, tokens, program, draft, _n_bytes(stack, tokens, program, options))
        for i, (tokens, program, draft) in enumerate(zip(encoded, programs, drafts, strict=True))
    ]
    check_lengths(stack, rows, options.max_new_tokens)
    if not rows:
        return
    writer = Writer(stack, options)
    prefix = run_prefix(stack, rows)
    n_shared = prefix.n_tokens if prefix else 0
    for batch in split(rows, stack.memory, n_shared=n_shared):
        yield from _run_batch(stack, batch, prefix, writer)


@torch.inference_mode()
def _run_batch(
    stack: LayerStack, rows: Sequence[Row], prefix: PromptPrefix | None, writer: Writer
) -> Iterator[Column]:
    """Yield the tokens and completions of some rows as they come."""
    firsts, sources = number_sources(rows)
    executor, tokens_ST, mask_SK = _first_inputs(stack, rows, firsts, sources, prefix)
    answers = [Answer(row) for row in rows]
    finished: set[int] = set()
    for column in check_drafts(executor, executor.hidden(tokens_ST, mask_SK), answers, writer):
        finished.update(column.finished)
        yield column
    going_on = [i for i, row in enumerate(rows) if row.index not in finished]
    if not going_on:
        return
    answers = [answers[i] for i in going_on]
    mask_BK = without_wrong_tokens(mask_SK[[sources[i] for i in going_on]], answers)
    executor = executor.fork(going_on, range(len(going_on)), share=False)
    yield from decode_rows(executor, answers, mask_BK, writer)


def _first_inputs(
    stack: LayerStack,
    rows: Sequence[Row],
    firsts: Sequence[Row],
    sources: Sequence[int],
    prefix: PromptPrefix | None,
) -> tuple[Executor, Tensor, Tensor]:
    """Return an executor for some rows, and the tokens and the mask of their sequences."""
    n_shared = prefix.n_tokens if prefix else 0
    tokens_ST, mask_SK = pad_left(
        [row.tokens[n_shared:] + row.draft for row in firsts], stack.device
    )
    if prefix is None:
        paths = [row.program.path for row in rows]
        return Executor(stack, schedule(paths, sources), use_cache=True), tokens_ST, mask_SK
    continued = [prefix.row_of[row.program] for row in rows]
    shared_SK = mask_SK.new_ones(len(mask_SK), n_shared)
    executor = prefix.executor.fork(continued, sources, share=True)
    return executor, tokens_ST, torch.cat([shared_SK, mask_SK], dim=1)


def _n_bytes(
    stack: LayerStack, tokens: Sequence[int], program: Program, options: Options
) -> int:
    """Return the most memory that the keys and values of one row take."""
    return program.n_slots * (len(tokens) + options.max_new_tokens) * stack.token_bytes
