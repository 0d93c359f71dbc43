"""Everything that runs prompts once and generates nothing: likelihoods, choices, hidden states.

Continuations of one prompt share its pass, and go on from there with what each has for itself.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from skiploop.engine.batching.encoding import Pair, encode, encode_pairs
from skiploop.engine.batching.grouping import alike, batches
from skiploop.engine.batching.prefix import (
    SharedPrefix,
    no_prefix,
    pad_behind,
    shared_prefix,
    shares_prefixes,
)
from skiploop.engine.batching.rows import Row, check_lengths, split
from skiploop.engine.completion import Completion
from skiploop.engine.decoding.drafts import log_likelihoods
from skiploop.engine.decoding.prefill import first_pass
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.rotary import by_table, table_of
from skiploop.engine.plan.beginnings import common_length
from skiploop.engine.plan.schedule import schedule
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


class Scored(NamedTuple):
    """What is known of a continuation.

    Attributes:
        logprob: Its log-probability.
        batch_shape: Of the batch in which it was found.
        is_greedy: Whether each of its tokens is known to be the likeliest one.
    """

    logprob: float
    batch_shape: tuple[int, int]
    is_greedy: bool = False


class _Tail(NamedTuple):
    """A continuation.

    Attributes:
        number: Its place in the caller's list.
        tokens: Prompt and continuation.
        n_scored: How many of them, at the end, are the continuation.
    """

    number: int
    tokens: tuple[int, ...]
    n_scored: int


@dataclass(frozen=True)
class _Stem:
    """What some continuations of one prompt under one program start with, run once for all.

    Attributes:
        row: The prompt; what the continuations have in common is its draft.
        tails: The continuations. The last token of each is scored but not run.
    """

    row: Row
    tails: Sequence[_Tail]

    @property
    def n_tokens(self) -> int:
        """Tokens that all continuations run through."""
        return len(self.row.tokens) + len(self.row.draft)

    @property
    def longest(self) -> _Tail:
        """The longest continuation; its rotary tables are those of all."""
        return max(self.tails, key=lambda tail: len(tail.tokens))


class _Ran(NamedTuple):
    """Tokens `start` to `stop` of a continuation, whose states are those of a row."""

    row: int
    tail: _Tail
    start: int
    stop: int


def loglikelihood(
    stack: LayerStack, pairs: Sequence[Pair], programs: Sequence[Program]
) -> list[Scored]:
    """Return log-probabilities of continuations; see `LayerStack.loglikelihood`."""
    scores: dict[int, Scored] = {}
    for batch in _scores(stack, pairs, programs):
        scores |= batch
    return [scores[index] for index in range(len(pairs))]


@torch.inference_mode()
def _scores(
    stack: LayerStack, pairs: Sequence[Pair], programs: Sequence[Program]
) -> Iterator[dict[int, Scored]]:
    """Yield the scores of one batch after the other, by the numbers of the continuations."""
    stems = _stems(stack, pairs, programs)
    for stem in stems:
        longest = stem.longest
        ran = replace(stem.row, index=longest.number, tokens=longest.tokens[:-1])
        check_lengths(stack, [ran], 0)
    lengths = [len(stem.longest.tokens) for stem in stems]
    for fitting, some in by_table(stack, stems, lengths):
        for batch, start in batches(fitting, [stem.row for stem in some]):
            yield _score_batch(fitting, [stems[row.index] for row in batch], start)


def _stems(stack: LayerStack, pairs: Sequence[Pair], programs: Sequence[Program]) -> list[_Stem]:
    """Put together what starts alike, where rows can go on from what others have run."""
    may_share = shares_prefixes(stack)
    together: dict[tuple[object, ...], list[_Tail]] = {}
    for index, (pair, program) in enumerate(zip(pairs, programs, strict=True)):
        table = table_of(stack, len(pair.whole))
        key = (pair.whole[: -pair.n_continued], program, table) if may_share else (index,)
        together.setdefault(key, []).append(_Tail(index, pair.whole, pair.n_continued))
    return [
        _stem(stack, number, tails, programs[tails[0].number])
        for number, tails in enumerate(together.values())
    ]


def _stem(stack: LayerStack, number: int, tails: Sequence[_Tail], program: Program) -> _Stem:
    common = tails[0].tokens[:-1]
    for tail in tails:
        common = common[: common_length(common, tail.tokens[:-1])]
    n_prompt = min(len(common), *(len(tail.tokens) - tail.n_scored for tail in tails))
    n_forks = sum(len(tail.tokens) - 1 > len(common) for tail in tails)
    longest = max(len(tail.tokens) for tail in tails)
    n_bytes = program.n_slots * longest * stack.token_bytes * (n_forks + 1 if n_forks else 0)
    row = Row(number, common[:n_prompt], program, common[n_prompt:], n_bytes=n_bytes)
    return _Stem(row, tails)


def _score_batch(
    stack: LayerStack, stems: Sequence[_Stem], start: SharedPrefix
) -> dict[int, Scored]:
    """Return the log-probabilities of all continuations of some stems.

    What continuations have for themselves goes on from their stem, in groups of equal length.
    """
    stem_runs, groups = [], defaultdict(list)
    for row, stem in enumerate(stems):
        for tail in stem.tails:
            last = len(tail.tokens) - 1
            stem_runs.append(_Ran(row, tail, 0, stem.n_tokens))
            if last > stem.n_tokens:
                groups[last - stem.n_tokens].append(_Ran(row, tail, stem.n_tokens, last))
    rows = [stem.row for stem in stems]
    first = first_pass(stack, rows, start, saved=None, may_go_on=bool(groups))
    nothing = Scored(0.0, first.shape, is_greedy=True)
    scores = dict.fromkeys((ran.tail.number for ran in stem_runs), nothing)
    _add(scores, stem_runs, first.executor, first.states_RTD)
    for runs in groups.values():
        numbers: dict[tuple[int, ...], int] = {}
        sources = [numbers.setdefault(ran.tail.tokens[: ran.stop], len(numbers)) for ran in runs]
        held = {source: ran for source, ran in zip(sources, runs, strict=True)}
        new_ST = torch.tensor(
            [ran.tail.tokens[ran.start : ran.stop] for ran in held.values()], device=stack.device
        )
        mask_SK = first.mask_RK[[ran.row for ran in held.values()]]
        mask_SK = torch.cat([mask_SK, torch.ones_like(new_ST)], dim=1)
        executor = first.executor.fork([ran.row for ran in runs], sources, new_ST.shape[1])
        states_RTD = executor.hidden(new_ST, mask_SK)
        runs = [ran._replace(row=row) for row, ran in enumerate(runs)]
        _add(scores, runs, executor, states_RTD)
    return scores


def _add(
    scores: dict[int, Scored], runs: Sequence[_Ran], executor: Executor, states_RTD: Tensor
) -> None:
    """Add what is known of the scored tokens that follow those that have run."""
    wanted = [
        (ran, at)
        for ran in runs
        for at in range(max(len(ran.tail.tokens) - ran.tail.n_scored, ran.start + 1), ran.stop + 1)
    ]
    places = [(ran.row, at - 1 - ran.stop) for ran, at in wanted]
    tokens = [ran.tail.tokens[at] for ran, at in wanted]
    found = log_likelihoods(executor, states_RTD, places, tokens)
    for (ran, _), (logprob, is_likeliest) in zip(wanted, found, strict=True):
        known = scores[ran.tail.number]
        scores[ran.tail.number] = known._replace(
            logprob=known.logprob + logprob, is_greedy=known.is_greedy and is_likeliest
        )


def choose(
    stack: LayerStack,
    prompts: Sequence[str],
    choices: Sequence[Sequence[str]],
    programs: Sequence[Program],
) -> Iterator[tuple[int, Completion]]:
    """Yield the number of each prompt and its likeliest choice, as they are found.

    See `LayerStack.choose`.
    """
    owners = [index for index, texts in enumerate(choices) for _ in texts]
    scored: defaultdict[int, dict[int, Scored]] = defaultdict(dict)
    pairs = encode_pairs(
        stack,
        [prompts[index] for index in owners],
        [choice for texts in choices for choice in texts],
    )
    for batch in _scores(stack, pairs, [programs[index] for index in owners]):
        for number, score in batch.items():
            scored[owners[number]][number] = score
        for index in {owners[number] for number in batch}:
            if len(scored[index]) == len(choices[index]):
                found = [score for _, score in sorted(scored.pop(index).items())]
                yield index, best_choice(choices[index], found, programs[index])


def best_choice(choices: Sequence[str], scored: Sequence[Scored], program: Program) -> Completion:
    """Return the likeliest choice by its log-probability over the number of characters."""
    shape = scored[0].batch_shape
    if any(math.isnan(score.logprob) for score in scored):
        return Completion("", (), math.nan, program, "nan", shape)
    each = [score.logprob / len(text) for score, text in zip(scored, choices, strict=True)]
    mean_length = sum(map(len, choices)) / len(choices)
    among = (torch.tensor(each, dtype=torch.float64) * mean_length).log_softmax(0).tolist()
    best = each.index(max(each))
    return Completion(
        choices[best], (), among[best], program, "choice", shape, choice_logprobs=tuple(among)
    )


@torch.no_grad()
def hidden_states(stack: LayerStack, prompts: Sequence[str], layer: int) -> list[Tensor]:
    """Return the inputs of a layer of the plain model; see `LayerStack.hidden_states`."""
    plain = Program.identity(stack.n_layers)
    rows = [Row(i, tokens, plain) for i, tokens in enumerate(encode(stack, prompts))]
    check_lengths(stack, rows, 0)
    states: dict[int, Tensor] = {}
    for fitting, some in by_table(stack, rows, [len(row.tokens) for row in rows]):
        for part in alike(fitting, some):
            # Embeddings are of no layer, so nothing of them is shared.
            start = shared_prefix(fitting, part, saved=None) if layer else no_prefix(fitting)
            for batch in split(fitting, part, n_shared=start.n_tokens):
                states |= _hidden_batch(fitting, batch, start, layer)
    return [states[index] for index in range(len(prompts))]


def _hidden_batch(
    stack: LayerStack, batch: Sequence[Row], start: SharedPrefix, layer: int
) -> dict[int, Tensor]:
    """Return float32 states_TD of each prompt of a batch, on the CPU."""
    common = tuple(range(layer))
    run = schedule([common] * len(batch))
    prefixes = start.prefixes(run.calls, run.beginnings)
    executor = Executor(stack, run, use_cache=bool(prefixes), prefixes=prefixes)
    own = [row.tokens[start.n_tokens :] for row in batch]
    tokens_BT, mask_BK = pad_behind(prefixes, own, stack.device)
    start_TD = start.states(common).float().cpu()
    states_BTD = executor.hidden(tokens_BT, mask_BK).float().cpu()
    return {
        row.index: torch.cat([start_TD, states_TD[-len(tokens) :]])
        for row, tokens, states_TD in zip(batch, own, states_BTD, strict=True)
    }
