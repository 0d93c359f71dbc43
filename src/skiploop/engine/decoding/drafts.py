"""Lossless checks of drafts: one pass over prompt and draft tells how far greedy decoding follows.

A greedy answer is a chain of most likely tokens. The pass gives the most likely token after the
prompt and after each token of the draft; while these are the tokens of the draft, they are also
what decoding would have written. The first different one is known, too.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skiploop.engine.batching.encoding import encode
from skiploop.engine.decoding.row_state import RowState, TokenColumn, TokenWriter
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.rotary import table_of
from skiploop.engine.options import Options
from skiploop.engine.plan.indices import on_device

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


def draft_tokens(
    stack: LayerStack,
    prompts: Sequence[str],
    encoded: Sequence[tuple[int, ...]],
    options: Options,
) -> list[tuple[int, ...]]:
    """Return the tokens of each draft.

    A draft is left out where it cannot be checked: answers are drawn at random, the tokenizer joins
    the draft with the end of the prompt, or prompt and draft have other rotary tables than the
    prompt alone.
    """
    none: list[tuple[int, ...]] = [()] * len(prompts)
    if options.drafts is None or options.sampling:
        return none
    wholes = encode(stack, [p + d for p, d in zip(prompts, options.drafts, strict=True)])
    return [
        whole[len(tokens) :][: options.max_new_tokens - 1]
        if whole[: len(tokens)] == tokens
        and table_of(stack, len(whole)) == table_of(stack, len(tokens))
        else ()
        for tokens, whole in zip(encoded, wholes, strict=True)
    ]


def can_score(stack: LayerStack, prompt: str, options: Options) -> bool:
    """Whether a completion of a prompt gets the log-probability of its draft."""
    if stack.exact:
        return False
    (draft,) = draft_tokens(stack, [prompt], encode(stack, [prompt]), options)
    return is_whole(draft, options)


def is_whole(draft: Sequence[int], options: Options) -> bool:
    """Whether there is a draft, and room for all of it and a token that ends it."""
    return 0 < len(draft) < options.max_new_tokens - 1


def score_drafts(
    executor: Executor, states_RTD: Tensor, answers: Sequence[RowState], endings: Tensor
) -> None:
    """Note in each answer how likely its draft was, with an end after it, where that is wanted."""
    wanted = [row for row, answer in enumerate(answers) if answer.row.is_scored]
    places, targets = [], []
    for row in wanted:
        draft = answers[row].row.draft
        places += [(row, at - 1 - len(draft)) for at in range(len(draft) + 1)]
        targets += [torch.tensor([token]) for token in draft] + [endings]
    logprobs = iter(log_probabilities(executor, states_RTD, places, targets))
    for row in wanted:
        n_scored = len(answers[row].row.draft) + 1
        answers[row].draft_logprob = sum(itertools.islice(logprobs, n_scored))


def log_probabilities(
    executor: Executor,
    states_RTD: Tensor,
    places: Sequence[tuple[int, int]],
    targets: Sequence[Tensor],
) -> list[float]:
    """Return how likely the next token is one of some, as a natural logarithm.

    Args:
        executor: Has the head.
        states_RTD: What it returned.
        places: Row and position of the token before, for each probability.
        targets: Its possible tokens.
    """
    found: list[float] = []
    for some, logits_NV in _logits(executor, states_RTD, places):
        wanted = [tokens.to(logits_NV.device) for tokens in targets[some]]
        chosen = [
            row_V[tokens].logsumexp(0) for row_V, tokens in zip(logits_NV, wanted, strict=True)
        ]
        found += (torch.stack(chosen) - logits_NV.logsumexp(1)).tolist()
    return found


def log_likelihoods(
    executor: Executor,
    states_RTD: Tensor,
    places: Sequence[tuple[int, int]],
    tokens: Sequence[int],
) -> list[tuple[float, bool]]:
    """Return how likely each next token is, as a natural logarithm, and whether none is likelier.

    Places are as for `log_probabilities`.
    """
    found: list[tuple[float, bool]] = []
    for some, logits_NV in _logits(executor, states_RTD, places):
        tokens_N = torch.tensor(tokens[some], device=logits_NV.device)
        # As Hugging Face models are judged elsewhere: log_softmax rounds otherwise than logsumexp.
        logprobs_N = logits_NV.log_softmax(1).gather(1, tokens_N[:, None])[:, 0]
        is_likeliest_N = logits_NV.argmax(1) == tokens_N
        found += zip(logprobs_N.tolist(), is_likeliest_N.tolist(), strict=True)
    return found


def _logits(
    executor: Executor, states_RTD: Tensor, places: Sequence[tuple[int, int]]
) -> Iterator[tuple[slice, Tensor]]:
    """Yield some of the places with logits_NV of what follows them, until all are done."""
    for some in _slices(executor, len(places)):
        rows, columns = zip(*places[some], strict=True)
        yield some, executor.head(states_RTD[list(rows), list(columns)][:, None])[:, -1]


def check_drafts(
    executor: Executor, states_RTD: Tensor, answers: Sequence[RowState], writer: TokenWriter
) -> Iterator[TokenColumn]:
    """Write the tokens that a pass over prompts and drafts tells: at least one for each row.

    Yields:
        A column for each token. Rows that are in no `finished` go on after their last token.
    """
    running = list(range(len(answers)))
    n_checked = 0
    while running:
        places = [n_checked - 1 - len(answers[row].row.draft) for row in running]
        states_BND = states_RTD[
            tuple(on_device([np.array(running), np.array(places)], states_RTD.device))
        ][:, None]
        tokens_B, logprobs_B = _choose(executor, states_BND, [answers[r] for r in running], writer)
        numbers = [answers[row].row.index for row in running]
        column = TokenColumn(numbers, tokens_B, logprobs_B, {})
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
            if stopped_by is None and writer.is_decided(answer):
                stopped_by = "decided"
            if stopped_by is not None:
                column.finished[answer.row.index] = writer.completion(answer, stopped_by)
        yield column
        running = matching
        n_checked += 1


def _choose(
    executor: Executor, states_BND: Tensor, answers: Sequence[RowState], writer: TokenWriter
) -> tuple[Tensor, Tensor]:
    """Run the head and choose tokens, some rows at a time."""
    parts = []
    for some in _slices(executor, len(answers)):
        logits_BV = executor.head(states_BND[some])[:, -1]
        parts.append(writer.choose(logits_BV, answers[some]))
    tokens, logprobs = zip(*parts, strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _slices(executor: Executor, n_rows: int) -> list[slice]:
    """Return the rows whose logits there is room for at once, one slice after the other."""
    n_most = executor.stack.tuning.head_rows
    return [slice(start, start + n_most) for start in range(0, n_rows, n_most)]
