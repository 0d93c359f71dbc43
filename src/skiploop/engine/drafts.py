"""Lossless checks of drafts: one pass over prompt and draft tells how far greedy decoding follows.

A greedy answer is a chain of most likely tokens. The pass gives the most likely token after the
prompt and after each token of the draft; while these are the tokens of the draft, they are also
what decoding would have written. The first different one is known, too.

Shapes: R rows, T tokens of the longest one, D hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from skiploop.engine.answer import Answer, Column, Writer
from skiploop.engine.batch import check_texts, encode
from skiploop.engine.executor import Executor
from skiploop.engine.options import Options
from skiploop.stack import LayerStack

MAX_HEAD_ROWS = 64  # rows whose logits are in memory at once


def draft_tokens(
    stack: LayerStack,
    prompts: Sequence[str],
    encoded: Sequence[tuple[int, ...]],
    options: Options,
) -> list[tuple[int, ...]]:
    """Return the tokens of each draft.

    A draft is left out where it cannot be checked: answers are drawn at random, or the tokenizer
    joins the draft with the end of the prompt.
    """
    none: list[tuple[int, ...]] = [()] * len(prompts)
    if options.drafts is None:
        return none
    check_texts(drafts=options.drafts)
    if options.sampling:
        return none
    wholes = encode(stack, [p + d for p, d in zip(prompts, options.drafts, strict=True)])
    return [
        whole[len(tokens) :][: options.max_new_tokens - 1] if whole[: len(tokens)] == tokens else ()
        for tokens, whole in zip(encoded, wholes, strict=True)
    ]


def scored_tokens(
    stack: LayerStack,
    prompts: Sequence[str],
    encoded: Sequence[tuple[int, ...]],
    drafts: Sequence[tuple[int, ...]],
    options: Options,
) -> list[tuple[int, ...]]:
    """Return the tokens of each draft and the first one of a stop string, where they are wanted.

    None are returned without a draft, or where the tokenizer joins its end with the stop string.
    """
    if options.drafts is None or not options.score_drafts:
        return [()] * len(prompts)
    end = "".join(options.stop[:1])
    wholes = encode(stack, [p + d + end for p, d in zip(prompts, options.drafts, strict=True)])
    starts = [tokens + draft for tokens, draft in zip(encoded, drafts, strict=True)]
    return [
        whole[len(tokens) : len(start) + 1] if draft and whole[: len(start)] == start else ()
        for tokens, draft, start, whole in zip(encoded, drafts, starts, wholes, strict=True)
    ]


def can_score(stack: LayerStack, prompt: str, options: Options) -> bool:
    """Whether a completion of a prompt gets the log-probability of its draft."""
    if stack.exact:
        return False
    encoded = encode(stack, [prompt])
    drafts = draft_tokens(stack, [prompt], encoded, options)
    return any(scored_tokens(stack, [prompt], encoded, drafts, options))


def score_drafts(executor: Executor, states_RTD: Tensor, answers: Sequence[Answer]) -> None:
    """Note in each answer the log-probability of the tokens that its row wants scored.

    Args:
        executor: Has run prompts and drafts.
        states_RTD: What it returned.
        answers: One a row.
    """
    wanted = [row for row, answer in enumerate(answers) if answer.row.scored]
    places: list[tuple[int, int]] = []
    targets: list[int] = []
    for row in wanted:
        n_draft, scored = len(answers[row].row.draft), answers[row].row.scored
        places += [(row, at - 1 - n_draft) for at in range(len(scored))]
        targets += scored
    logprobs: list[float] = []
    for start in range(0, len(places), MAX_HEAD_ROWS):
        rows, columns = zip(*places[start : start + MAX_HEAD_ROWS], strict=True)
        logits_NV = executor.head(states_RTD[list(rows), list(columns)][:, None])[:, -1]
        targets_N1 = torch.tensor(targets[start : start + MAX_HEAD_ROWS], device=logits_NV.device)
        chosen_N = logits_NV.gather(1, targets_N1[:, None])[:, 0]
        logprobs += (chosen_N - logits_NV.logsumexp(1)).tolist()
    for row in wanted:
        n_scored = len(answers[row].row.scored)
        answers[row].draft_logprob = sum(logprobs[:n_scored])
        logprobs = logprobs[n_scored:]


def check_drafts(
    executor: Executor, states_RTD: Tensor, answers: Sequence[Answer], writer: Writer
) -> Iterator[Column]:
    """Write the tokens that a pass over prompts and drafts tells: at least one for each row.

    Args:
        executor: Has run this pass.
        states_RTD: What it returned.
        answers: One a row, still empty.
        writer: The rules of the call.

    Yields:
        A column for each token. Rows that are in no `finished` go on after their last token.
    """
    running = list(range(len(answers)))
    n_checked = 0
    while running:
        places = [n_checked - 1 - len(answers[row].row.draft) for row in running]
        states_BND = states_RTD[running, places][:, None]
        tokens_B, logprobs_B = _choose(executor, states_BND, [answers[r] for r in running], writer)
        column = Column([answers[row].row.index for row in running], tokens_B, {})
        matching = []
        may_end = writer.may_end(tokens_B, logprobs_B)
        chosen = zip(running, tokens_B.tolist(), logprobs_B.tolist(), strict=True)
        for at, (row, token, logprob) in enumerate(chosen):
            answer = answers[row]
            writer.append(answer, [token], [logprob])
            is_full = len(answer.tokens) == writer.options.max_new_tokens
            stopped_by = writer.stopped_by(answer) if at in may_end or is_full else None
            if stopped_by is None and answer.row.draft[n_checked : n_checked + 1] == (token,):
                matching.append(row)
                continue
            if stopped_by is None and writer.is_settled(answer):
                stopped_by = "settled"
            if stopped_by is not None:
                column.finished[answer.row.index] = writer.completion(answer, stopped_by)
        yield column
        running = matching
        n_checked += 1


def _choose(
    executor: Executor, states_BND: Tensor, answers: Sequence[Answer], writer: Writer
) -> tuple[Tensor, Tensor]:
    """Run the head and choose tokens, some rows at a time."""
    parts = []
    for start in range(0, len(answers), MAX_HEAD_ROWS):
        stop = start + MAX_HEAD_ROWS
        logits_BV = executor.head(states_BND[start:stop])[:, -1]
        parts.append(writer.choose(logits_BV, answers[start:stop]))
    tokens, logprobs = zip(*parts, strict=True)
    return torch.cat(tokens), torch.cat(logprobs)
