"""Generation: prompts and drafts in one pass, then token by token what they leave open."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from skiploop.engine.batching.encoding import encode
from skiploop.engine.batching.grouping import alike
from skiploop.engine.batching.prefix import no_prefix, shared_prefix
from skiploop.engine.batching.rows import Row, check_lengths, n_most, row_bytes, split
from skiploop.engine.decoding.batch import decode_rows
from skiploop.engine.decoding.drafts import check_drafts, draft_tokens, is_whole, score_drafts
from skiploop.engine.decoding.prefill import FirstPass, first_pass, run_again, run_further
from skiploop.engine.decoding.prefill_choice import ChoosesInPrefill
from skiploop.engine.decoding.row_state import RowState, TokenColumn, TokenWriter
from skiploop.engine.forward.rotary import by_table, table_of
from skiploop.engine.options import Options
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

_log = logging.getLogger("skiploop")


@torch.inference_mode()
def generate(
    stack: LayerStack,
    prompts: Sequence[str],
    programs: Sequence[Program] | ChoosesInPrefill,
    options: Options,
) -> Iterator[TokenColumn]:
    """Continue every prompt under its own program; see `LayerStack.stream`.

    Guarantees:
        In float32 the greedy tokens of a row are those of `stack.view(program).generate` on it
        alone, with and without drafts (tests/model/test_generate.py and test_shared_work.py).
    """
    if stack.exact:
        options = replace(options, drafts=None, saved=None)
    late = None
    if isinstance(programs, ChoosesInPrefill):
        late, programs = programs, [programs.counted(stack)] * len(prompts)
        options = replace(options, saved=None)
    encoded = encode(stack, prompts)
    if any(table_of(stack, len(tokens)) > 1 for tokens in encoded):
        options = replace(options, saved=None)  # which holds states of the first table only
    drafts = draft_tokens(stack, prompts, encoded, options)
    rows = [
        Row(
            i,
            tokens,
            program,
            draft,
            is_scored=options.score_drafts and is_whole(draft, options),
            n_bytes=row_bytes(stack, tokens, program, options.max_new_tokens),
            n_most=n_most(stack, tokens, 0, options.max_new_tokens),
            seed=options.seeds[i] if options.sampling else 0,
        )
        for i, (tokens, program, draft) in enumerate(zip(encoded, programs, drafts, strict=True))
    ]
    check_lengths(stack, rows, options.max_new_tokens)
    writer = TokenWriter(stack, options)
    outgrown: list[RowState] = []
    for fitting, some in by_table(stack, rows, [len(row.tokens) for row in rows]):
        for part in alike(fitting, some) if options.saved is None else [some]:
            yield from _run_part(fitting, part, writer, late, outgrown)
    while outgrown:
        answers, outgrown = outgrown, []
        lengths = [len(answer.row.tokens) + len(answer.tokens) for answer in answers]
        for fitting, held in by_table(stack, answers, lengths):
            for open_rows in run_again(fitting, held, no_prefix(fitting)):
                yield from decode_rows(open_rows, outgrown)


def _run_part(
    stack: LayerStack,
    rows: Sequence[Row],
    writer: TokenWriter,
    late: ChoosesInPrefill | None,
    outgrown: list[RowState],
) -> Iterator[TokenColumn]:
    """Yield the tokens and completions of rows that start alike.

    Answers that need other rotary tables to go on are put into `outgrown`.
    """
    options = writer.options
    may_share = late is None or late.shares_start
    start = shared_prefix(stack, rows, options.saved) if may_share else no_prefix(stack)
    may_stop = options.decided is not None and all(row.draft for row in rows)
    n_passes = 1 if may_stop else 1 + options.max_new_tokens
    groups = [
        list(split(stack, group, n_passes=n_passes, n_shared=start.n_tokens))
        for group in start.groups(rows)
    ]
    n_batches = sum(map(len, groups))
    n_bytes = sum(row.n_bytes for row in rows)
    if n_bytes > stack.memory // 2:
        _log.info(
            "%d rows may need %.1f GB of keys and values, a batch has half of the %.1f GB of "
            "--memory: %d batches",
            len(rows),
            n_bytes / 1e9,
            stack.memory / 1e9,
            n_batches,
        )
    few = stack.tuning.few if n_batches > 1 else 0
    later: list[RowState] = []
    for number, batches in enumerate(groups):
        if number:
            start.forget()
        for batch in batches:
            # No name here for the first pass: it is to be gone once its rows go on.
            yield from _run_batch(
                first_pass(stack, batch, start, options.saved, may_go_on=options.saved is None)
                if late is None
                else late.first_pass(stack, batch, start),
                writer,
                few,
                later,
                outgrown,
                {},
            )
    # Few rows of many batches go on better together, even if they run again what they have.
    while later:
        answers, later = later, []
        held = {answer.row.index: answer for answer in answers}
        for batch in run_further(stack, answers, start):
            yield from _run_batch(
                first_pass(stack, batch, start, saved=None, may_go_on=True),
                writer,
                0,
                later,
                outgrown,
                held,
            )


def _run_batch(
    first: FirstPass,
    writer: TokenWriter,
    few: float,
    later: list[RowState],
    outgrown: list[RowState],
    held: Mapping[int, RowState],
) -> Iterator[TokenColumn]:
    """Yield the tokens and completions of some rows as they come.

    Answers are put into `later` where no more than the share `few` goes on, or none can go on from
    here, and into `outgrown` where they need other rotary tables. Those in `held`, by the numbers
    of their rows, have begun.
    """
    rows = first.rows
    answers = [held.get(row.index) or RowState(row, writer, first.shape) for row in rows]
    for answer in answers:
        answer.batch_shape = first.shape
    if writer.options.score_drafts and not held:
        score_drafts(first.executor, first.states_RTD, answers, writer.endings())
    finished: set[int] = set()
    for column in check_drafts(first.executor, first.states_RTD, answers, writer):
        finished.update(column.finished)
        yield column
    is_open = [row.index not in finished for row in rows]
    fits = [len(answer.tokens) < row.n_most for answer, row in zip(answers, rows, strict=True)]
    outgrown += [answers[i] for i in range(len(rows)) if is_open[i] and not fits[i]]
    going_on = [i for i in range(len(rows)) if is_open[i] and fits[i]]
    open_answers = [answers[i] for i in going_on]
    if first.can_go_on(open_answers) and len(going_on) > few * len(rows):
        open_rows = first.continued(going_on, open_answers)
        del first
        yield from decode_rows(open_rows, outgrown)
    else:
        later += open_answers
