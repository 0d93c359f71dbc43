"""Greedy generation in mixed batches.

Shapes: B rows, T tokens of the longest prompt, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from skiploop.completion import Completion
from skiploop.engine.batch import Row, check_lengths, check_texts, encode, pad_left, split
from skiploop.engine.executor import Executor
from skiploop.engine.stop import StopFinder, cut, decode
from skiploop.errors import BatchError
from skiploop.program import Program
from skiploop.stack import LayerStack

SHRINK_AT = 0.75  # share of unfinished rows at which the finished ones leave the batch


@dataclass
class _Answer:
    """What a row has written so far."""

    row: Row
    finder: StopFinder
    tokens: list[int] = field(default_factory=list)
    logprob: float = 0.0
    stopped_by: Literal["stop", "eos", "length", "nan"] | None = None

    def append(self, token: int, logprob: float, eos: frozenset[int], max_new_tokens: int) -> None:
        self.logprob += logprob
        if math.isnan(logprob):
            self.stopped_by = "nan"
            return
        self.tokens.append(token)
        if token in eos:
            self.stopped_by = "eos"
        elif self.finder.found(self.tokens):
            self.stopped_by = "stop"
        elif len(self.tokens) == max_new_tokens:
            self.stopped_by = "length"


def generate(
    stack: LayerStack,
    prompts: Sequence[str],
    programs: Sequence[Program],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
) -> list[Completion]:
    """Continue every prompt greedily under its own program; see `LayerStack.generate`.

    Guarantees:
        In float32 the tokens of a row are those of `stack.view(program).generate` on it alone
        (tests/model/test_generate.py).
    """
    check_texts(prompts=prompts, stop=stop)
    if max_new_tokens < 1 or "" in stop:
        raise BatchError(
            f"max_new_tokens={max_new_tokens}, stop={list(stop)}: "
            "allow at least one token, and give no empty stop string"
        )
    encoded = encode(stack, prompts)
    rows = [Row(i, encoded[i], program) for i, program in enumerate(programs)]
    check_lengths(stack, rows, max_new_tokens)
    completions: dict[int, Completion] = {}
    for batch in split(rows, max_new_tokens):
        for answer in _generate_batch(stack, batch, max_new_tokens, stop):
            completions[answer.row.index] = _completion(stack, answer, stop)
    return [completions[index] for index in range(len(prompts))]


@torch.inference_mode()
def _generate_batch(
    stack: LayerStack, rows: Sequence[Row], max_new_tokens: int, stop: Sequence[str]
) -> list[_Answer]:
    executor = Executor(stack, [row.program.path for row in rows], use_cache=True)
    eos = _eos_ids(stack)
    answers = [_Answer(row, StopFinder(stack.tokenizer, stop)) for row in rows]
    running = answers
    tokens_BT, mask_BT = pad_left([row.tokens for row in rows], stack.device)
    while True:
        logprobs_B, chosen_B = _most_likely(executor.logits(tokens_BT, mask_BT, n_last=1)[:, -1])
        steps = zip(running, chosen_B.tolist(), logprobs_B.tolist(), strict=True)
        for answer, token, logprob in steps:
            if answer.stopped_by is None:
                answer.append(token, logprob, eos, max_new_tokens)
        unfinished = [i for i, answer in enumerate(running) if answer.stopped_by is None]
        if not unfinished:
            return answers
        if len(unfinished) <= SHRINK_AT * len(running):
            executor.keep(unfinished)
            running = [running[i] for i in unfinished]
            kept = torch.tensor(unfinished, device=stack.device)
            chosen_B, mask_BT = chosen_B[kept], mask_BT[kept]
        tokens_BT = chosen_B[:, None]
        mask_BT = torch.cat([mask_BT, torch.ones_like(tokens_BT)], dim=1)


def _most_likely(logits_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-probability and the id of each row's most likely token."""
    best_B, chosen_B = logits_BV.max(dim=-1)
    return best_B - logits_BV.logsumexp(dim=-1), chosen_B


def _eos_ids(stack: LayerStack) -> frozenset[int]:
    """Return the tokens that end an answer, as the model's own `generate` knows them."""
    ids = stack.model.generation_config.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)


def _completion(stack: LayerStack, answer: _Answer, stop: Sequence[str]) -> Completion:
    ended_by_token = answer.stopped_by == "eos"
    written = answer.tokens[:-1] if ended_by_token else answer.tokens
    return Completion(
        text=cut(decode(stack.tokenizer, written), stop),
        token_ids=tuple(answer.tokens),
        logprob=answer.logprob,
        program=answer.row.program,
        stopped_by=answer.stopped_by or "length",
    )
