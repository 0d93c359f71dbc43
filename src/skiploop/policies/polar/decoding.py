"""From a predictor's per-layer scores to ranked programs.

The boundaries are decided first, so all candidates of one question share one segmentation and
differ in the operations only. Given the boundaries the operations are independent, so the beam
finds the best products of the two likeliest operations of each segment.

Source: arXiv 2606.06574, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from skiploop.errors import ConfigError
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.programs.space import ProgramSpace

MIN_BEAM = 16
"""Fewest candidates that `likeliest_programs` keeps while it searches."""


class Candidate(NamedTuple):
    """One choice of operations for a segmentation; it may skip everything.

    Attributes:
        segments: Every layer in exactly one of them, kept ones included.
        logprob: Sum of the log-probabilities of the chosen operations, natural logarithm.
    """

    segments: tuple[Segment, ...]
    logprob: float


def spans(boundary_logits: Sequence[float], *, max_block: int) -> list[range]:
    """Cut the layers where a boundary is at least as likely as not.

    Args:
        boundary_logits: One a layer. A logit of 0 is a boundary; the first is not read.
        max_block: Longest span; a longer one is cut from the left, the remainder last.

    Returns:
        Neighbouring ranges of layers that cover all of them.
    """
    n_layers = len(boundary_logits)
    starts = [0, *(layer for layer in range(1, n_layers) if boundary_logits[layer] >= 0)]
    return [
        range(start, min(start + max_block, stop))
        for left, stop in zip(starts, [*starts[1:], n_layers], strict=True)
        for start in range(left, stop, max_block)
    ]


def beam(
    blocks: Sequence[range],
    run_logits: Sequence[Sequence[float]],
    *,
    beam_size: int,
    n_choices: int = 2,
) -> list[Candidate]:
    """Return the `beam_size` best choices of operations, the best first.

    Equal scores stay in the order in which they were made: by the choice at the first layer,
    then the next, the likelier operation (ties: fewer runs) first.

    Args:
        blocks: The segmentation, as `spans` returns it.
        run_logits: One row a layer, one entry for each number of runs from 0; read where a
            block starts.
        beam_size: Most candidates to keep and to return.
        n_choices: Likeliest operations to try at each block.
    """
    # A row is the chosen runs and their log-probabilities. fsum does not depend on the order of
    # what it adds, so equal products stay equal.
    rows: list[tuple[tuple[int, ...], tuple[float, ...]]] = [((), ())]
    for block in blocks:
        logprobs = log_softmax(run_logits[block.start])
        choices = sorted(range(len(logprobs)), key=lambda c: -logprobs[c])[:n_choices]
        grown = [((*runs, c), (*parts, logprobs[c])) for runs, parts in rows for c in choices]
        rows = sorted(grown, key=lambda row: -math.fsum(row[1]))[:beam_size]
    return [Candidate(_segments(blocks, runs), math.fsum(parts)) for runs, parts in rows]


def likeliest_programs(
    boundary_logits: Sequence[float],
    run_logits: Sequence[Sequence[float]],
    *,
    space: ProgramSpace,
    k: int,
) -> list[tuple[Program, float]]:
    """Return the `k` best programs of the beam, the best first, never none and all different.

    Only the two likeliest operations of each segment are tried, as published. The candidate that
    skips every layer is no program and is left out. Fewer than `k` come back if the segmentation
    and these operations allow no more. Each comes with the sum of the log-probabilities of its
    operations.

    Args:
        boundary_logits: One a layer, see `spans`.
        run_logits: One row a layer with `space.max_runs + 1` entries, see `beam`.
        space: Gives the depth and the longest block.
        k: How many to return.

    Raises:
        ConfigError: `k` is less than 1, or the scores are of another depth or number of runs.
    """
    shape = (len(boundary_logits), len(run_logits), *{len(row) for row in run_logits})
    if shape != (space.n_layers, space.n_layers, space.max_runs + 1):
        raise ConfigError(f"scores of shape {shape} (layers, layers, runs) do not fit {space}")
    if k < 1:
        raise ConfigError(f"cannot rank {k} programs: ask for at least 1")
    blocks = spans(boundary_logits, max_block=space.max_block)
    candidates = beam(blocks, run_logits, beam_size=max(4 * k, MIN_BEAM))
    ranked = [
        (Program.from_segments(segments, space.n_layers), logprob)
        for segments, logprob in candidates
        if any(segment.runs for segment in segments)
    ]
    return ranked[:k]


def _segments(blocks: Sequence[range], runs: Sequence[int]) -> tuple[Segment, ...]:
    return tuple(Segment(b.start, b.stop, r) for b, r in zip(blocks, runs, strict=True))


def log_softmax(logits: Sequence[float]) -> list[float]:
    """Return the logarithms of the probabilities that belong to some logits."""
    top = max(logits)
    normaliser = top + math.log(math.fsum(math.exp(logit - top) for logit in logits))
    return [logit - normaliser for logit in logits]
