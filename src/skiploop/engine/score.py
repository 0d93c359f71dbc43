"""Everything that runs prompts once and generates nothing: likelihoods, choices, hidden states.

Shapes: B rows, T tokens of the longest row, N scored tokens, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from skiploop.completion import Completion
from skiploop.engine.batch import MAX_ROWS, Row, check_lengths, check_texts, encode, pad_left, split
from skiploop.engine.executor import Executor
from skiploop.engine.schedule import schedule
from skiploop.errors import BatchError
from skiploop.program import Program
from skiploop.stack import LayerStack

MAX_LOGITS = 2**27  # numbers in the logits of one batch: half a gigabyte in float32


def loglikelihood(
    stack: LayerStack,
    prompts: Sequence[str],
    continuations: Sequence[str],
    programs: Sequence[Program],
) -> list[float]:
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
    scores: dict[int, float] = {}
    for batch in split(rows, stack.memory, max_rows=min(max(max_rows, 1), MAX_ROWS)):
        scores |= _score_batch(stack, batch, n_scored)
    return [scores[index] for index in range(len(prompts))]


@torch.inference_mode()
def _score_batch(
    stack: LayerStack, rows: Sequence[Row], n_scored: Sequence[int]
) -> dict[int, float]:
    """Return the log-probability of the last `n_scored[row.index]` tokens of every row."""
    executor = Executor(stack, schedule([row.program.path for row in rows]), use_cache=False)
    tokens_BT, mask_BT = pad_left([row.tokens for row in rows], stack.device)
    n_last = max(n_scored[row.index] for row in rows)
    logits_BNV = executor.logits(tokens_BT[:, :-1], mask_BT[:, :-1], n_last=n_last)
    targets_BN = tokens_BT[:, -n_last:]
    logprobs_BN = logits_BNV.gather(-1, targets_BN[..., None])[..., 0] - logits_BNV.logsumexp(-1)
    scores = {}
    for row, logprobs in zip(rows, logprobs_BN.tolist(), strict=True):
        scores[row.index] = sum(logprobs[-n_scored[row.index] :])
    return scores


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
    logprobs: list[list[float]] = [[] for _ in prompts]
    for (index, _), score in zip(pairs, scores, strict=True):
        logprobs[index].append(score)
    return [_best(*row) for row in zip(choices, logprobs, programs, strict=True)]


def _best(choices: Sequence[str], logprobs: Sequence[float], program: Program) -> Completion:
    if any(map(math.isnan, logprobs)):
        return Completion("", (), math.nan, program, "nan")
    likelihoods = [logprob / len(c) for c, logprob in zip(choices, logprobs, strict=True)]
    best = likelihoods.index(max(likelihoods))
    return Completion(choices[best], (), logprobs[best], program, "choice")


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
    for batch in split(rows, stack.memory):
        executor = Executor(stack, schedule([range(layer)] * len(batch)), use_cache=False)
        tokens_BT, mask_BT = pad_left([row.tokens for row in batch], stack.device)
        hidden_BTD = executor.hidden(tokens_BT, mask_BT).float().cpu()
        for row, hidden_TD in zip(batch, hidden_BTD, strict=True):
            states[row.index] = hidden_TD[-len(row.tokens) :].clone()
    return [states[index] for index in range(len(prompts))]
