"""Everything that runs prompts once and generates nothing: likelihoods, choices, hidden states.

Shapes: S token sequences, R rows, T tokens of the longest one, N scored tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skiploop.completion import Completion
from skiploop.engine.batch import (
    MAX_ROWS,
    Row,
    check_lengths,
    check_texts,
    encode,
    number_sources,
    pad_left,
    split,
)
from skiploop.engine.executor import Executor
from skiploop.engine.schedule import schedule
from skiploop.errors import BatchError
from skiploop.program import Program
from skiploop.stack import LayerStack

MAX_LOGITS = 2**27  # numbers in the logits of one batch: half a gigabyte in float32


class Scored(NamedTuple):
    """The log-probability of a continuation, and the shape of the batch in which it was found."""

    logprob: float
    batch_shape: tuple[int, int]


def loglikelihood(
    stack: LayerStack,
    prompts: Sequence[str],
    continuations: Sequence[str],
    programs: Sequence[Program],
) -> list[Scored]:
    """Return log-probabilities of continuations; see `LayerStack.loglikelihood`."""
    check_texts(prompts=prompts, continuations=continuations)
    if len(prompts) != len(continuations):
        raise BatchError(f"{len(prompts)} prompts but {len(continuations)} continuations")
    wholes = encode(stack, [p + c for p, c in zip(prompts, continuations, strict=True)])
    heads = encode(stack, [prompt.rstrip() for prompt in prompts])
    n_scored = []
    for index, (whole, head) in enumerate(zip(wholes, heads, strict=True)):
        n_scored.append(len(whole) - len(head))
        if n_scored[-1] < 1:
            raise BatchError(
                f"continuation {index} {continuations[index]!r} adds no token to its prompt: "
                "give it a text of its own"
            )
    rows = [Row(i, whole, programs[i]) for i, whole in enumerate(wholes)]
    check_lengths(stack, rows, 0)
    vocabulary = stack.model.config.get_text_config(decoder=True).vocab_size
    max_rows = MAX_LOGITS // (vocabulary * max(n_scored, default=1))
    scores: dict[int, Scored] = {}
    for batch in split(stack, rows, max_rows=min(max(max_rows, 1), MAX_ROWS)):
        scores |= _score_batch(stack, batch, n_scored)
    return [scores[index] for index in range(len(prompts))]


@torch.inference_mode()
def _score_batch(
    stack: LayerStack, rows: Sequence[Row], n_scored: Sequence[int]
) -> dict[int, Scored]:
    """Return the log-probability of the last `n_scored[row.index]` tokens of every row."""
    firsts, sources = number_sources(rows)
    paths = [row.program.path for row in rows]
    executor = Executor(stack, schedule(paths, sources), use_cache=False)
    tokens_ST, mask_ST = pad_left([row.tokens for row in firsts], stack.device)
    n_last = max(n_scored[row.index] for row in rows)
    logits_RNV = executor.logits(tokens_ST[:, :-1], mask_ST[:, :-1], n_last=n_last)
    targets_RN = tokens_ST[sources, -n_last:]
    logprobs_RN = logits_RNV.gather(-1, targets_RN[..., None])[..., 0] - logits_RNV.logsumexp(-1)
    shape = len(rows), tokens_ST.shape[1]
    return {
        row.index: Scored(sum(logprobs[-n_scored[row.index] :]), shape)
        for row, logprobs in zip(rows, logprobs_RN.tolist(), strict=True)
    }


def choose(
    stack: LayerStack,
    prompts: Sequence[str],
    choices: Sequence[Sequence[str]],
    programs: Sequence[Program],
) -> list[Completion]:
    """Pick the most likely choice, for each character of it; see `LayerStack.choose`."""
    check_texts(prompts=prompts)
    if len(choices) != len(prompts) or not all(choices):
        raise BatchError(
            f"{len(prompts)} prompts but {len(choices)} lists of choices: "
            "give one list for each prompt, none of them empty"
        )
    for texts in choices:
        check_texts(choices=texts)
    pairs = [(index, choice) for index, texts in enumerate(choices) for choice in texts]
    scores = loglikelihood(
        stack,
        [prompts[index] for index, _ in pairs],
        [choice for _, choice in pairs],
        [programs[index] for index, _ in pairs],
    )
    scored: list[list[Scored]] = [[] for _ in prompts]
    for (index, _), score in zip(pairs, scores, strict=True):
        scored[index].append(score)
    return [_best(*row) for row in zip(choices, scored, programs, strict=True)]


def _best(choices: Sequence[str], scored: Sequence[Scored], program: Program) -> Completion:
    shape = scored[0].batch_shape
    if any(math.isnan(score.logprob) for score in scored):
        return Completion("", (), math.nan, program, "nan", shape)
    likelihoods = [score.logprob / len(c) for c, score in zip(choices, scored, strict=True)]
    best = likelihoods.index(max(likelihoods))
    return Completion(choices[best], (), scored[best].logprob, program, "choice", shape)


@torch.no_grad()
def hidden_states(stack: LayerStack, prompts: Sequence[str], layer: int) -> list[Tensor]:
    """Return the inputs of a layer of the plain model; see `LayerStack.hidden_states`."""
    check_texts(prompts=prompts)
    if not 0 <= layer <= stack.n_layers:
        raise BatchError(f"layer {layer} is outside 0..{stack.n_layers} of {stack.name}")
    plain = Program.identity(stack.n_layers)
    rows = [Row(i, tokens, plain) for i, tokens in enumerate(encode(stack, prompts))]
    check_lengths(stack, rows, 0)
    states: dict[int, Tensor] = {}
    for batch in split(stack, rows):
        executor = Executor(stack, schedule([range(layer)] * len(batch)), use_cache=False)
        tokens_BT, mask_BT = pad_left([row.tokens for row in batch], stack.device)
        hidden_BTD = executor.hidden(tokens_BT, mask_BT).float().cpu()
        for row, hidden_TD in zip(batch, hidden_BTD, strict=True):
            states[row.index] = hidden_TD[-len(row.tokens) :].clone()
    return [states[index] for index in range(len(prompts))]
