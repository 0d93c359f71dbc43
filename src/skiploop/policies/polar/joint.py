"""Decoding all of a predictor's scores at once: each program with its own segmentation.

The published decoding (`policies.polar.decoding`) cuts first and then chooses operations, so a
boundary that is less likely than not is never used, and all candidates share one segmentation. Here
a program is as likely as its labels: at every layer whether a segment starts there, and the
operation of each segment that does. The best programs are found exactly, by dynamic programming.

With a prior, likely programs are ranked by how much more likely they are for this prompt than for
prompts on average.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from skiploop.errors import ConfigError
from skiploop.menus.menu import Menu
from skiploop.policies.polar.decoding import RankedProgram, log_softmax
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.programs.space import NO_LABEL, ProgramSpace


@dataclass(frozen=True)
class LabelScores:
    """Log-probabilities of the labels of every layer, or their differences to a prior.

    Attributes:
        starts: That a segment starts at a layer; 0 for the first, where one always does.
        insides: That none does.
        runs: Of each number of passes over a segment that starts there.
    """

    starts: Sequence[float]
    insides: Sequence[float]
    runs: Sequence[Sequence[float]]

    @classmethod
    def of(
        cls, boundary_logits: Sequence[float], run_logits: Sequence[Sequence[float]]
    ) -> LabelScores:
        """Read what a network says about one prompt."""
        return cls(
            [0.0, *(-_softplus(-logit) for logit in boundary_logits[1:])],
            [-_softplus(logit) for logit in boundary_logits],
            [log_softmax(logits) for logits in run_logits],
        )

    @classmethod
    def mean(cls, scores: Sequence[LabelScores]) -> LabelScores:
        """Return the logarithms of the mean probabilities over some prompts.

        Raises:
            ConfigError: There are no prompts.
        """
        if not scores:
            raise ConfigError("a prior is a mean over prompts: give at least one")
        return cls(
            _log_mean([one.starts for one in scores]),
            _log_mean([one.insides for one in scores]),
            [_log_mean(runs) for runs in zip(*(one.runs for one in scores), strict=True)],
        )

    def minus(self, prior: LabelScores) -> LabelScores:
        """Return how much more likely every label is than under a prior."""
        return LabelScores(
            _difference(self.starts, prior.starts),
            _difference(self.insides, prior.insides),
            [_difference(*runs) for runs in zip(self.runs, prior.runs, strict=True)],
        )

    def program(self, program: Program, space: ProgramSpace) -> float:
        """Return the sum over the labels of a program of the space."""
        return math.fsum(
            self.insides[layer]
            if n_runs == NO_LABEL
            else self.starts[layer] + self.runs[layer][n_runs]
            for layer, n_runs in enumerate(space.labels(program).runs)
        )


class _Partial(NamedTuple):
    """A cover of the first layers, as a linked list."""

    score: float
    segment: Segment | None
    before: _Partial | None


N_CANDIDATES = 16
"""Likeliest programs that are ranked against a prior; among all, unlikely ones would win."""


def rank_jointly(
    boundary_logits: Sequence[float],
    run_logits: Sequence[Sequence[float]],
    *,
    space: ProgramSpace,
    k: int,
) -> list[RankedProgram]:
    """Return the `k` likeliest programs of the space, the best first.

    Cost:
        About `10 * n_layers * max_block * (max_runs + 1) * k` steps; for 30 layers and `k` of 16,
        25 ms.
    """
    return _likeliest(LabelScores.of(boundary_logits, run_logits), space, k)


class PriorDecoding:
    """Ranks the likeliest programs of a space by how much likelier they are than on average.

    Args:
        prior: What the network says on average.
    """

    def __init__(self, prior: LabelScores) -> None:
        self.prior = prior

    def __call__(
        self,
        boundary_logits: Sequence[float],
        run_logits: Sequence[Sequence[float]],
        *,
        space: ProgramSpace,
        k: int,
    ) -> list[RankedProgram]:
        """Return `k` of the `N_CANDIDATES` likeliest programs, the best first."""
        scores = LabelScores.of(boundary_logits, run_logits)
        likely = [program for program, _ in _likeliest(scores, space, max(k, N_CANDIDATES))]
        return _best(likely, scores.minus(self.prior), space, k)


class MenuDecoding:
    """Ranks the programs of a menu by how much likelier they are than on average.

    Args:
        menu: The programs; those outside the space of a predictor, such as damped loops, come last.
        prior: What the network says on average.
    """

    def __init__(self, menu: Menu, prior: LabelScores) -> None:
        self.menu = menu
        self.prior = prior

    def __call__(
        self,
        boundary_logits: Sequence[float],
        run_logits: Sequence[Sequence[float]],
        *,
        space: ProgramSpace,
        k: int,
    ) -> list[RankedProgram]:
        """Return the `k` best programs of the menu, the best first."""
        scores = LabelScores.of(boundary_logits, run_logits)
        return _best(self.menu.programs, scores.minus(self.prior), space, k)


def _best(
    programs: Sequence[Program], table: LabelScores, space: ProgramSpace, k: int
) -> list[RankedProgram]:
    """Return the `k` programs of the highest sums; those outside the space come last."""
    ranked = [
        RankedProgram(p, table.program(p, space) if p in space else -math.inf) for p in programs
    ]
    return sorted(ranked, key=lambda one: -one.logprob)[:k]


def _likeliest(table: LabelScores, space: ProgramSpace, k: int) -> list[RankedProgram]:
    return [
        RankedProgram(Program.from_segments(_segments(cover), space.n_layers), cover.score)
        for cover in _best_covers(table, space, k)
    ]


def _best_covers(table: LabelScores, space: ProgramSpace, k: int) -> list[_Partial]:
    """Return the `k` best canonical covers of all layers that run something.

    In a canonical cover a kept or skipped segment that follows one of its own kind follows a full
    one, as runs of them are cut from the left.
    """
    # (layer, runs of the last segment, whether it was shorter than max_block, whether all skips)
    ends: dict[tuple[int, int, bool, bool], list[_Partial]] = {
        (0, -1, False, True): [_Partial(0.0, None, None)]
    }
    n_layers = space.n_layers
    for layer in range(n_layers):
        here = [(key, found) for key, found in ends.items() if key[0] == layer]
        for (_, last, was_short, skips), partials in here:
            best = heapq.nlargest(k, partials, key=lambda partial: partial.score)
            inside = 0.0
            for stop in range(layer + 1, min(layer + space.max_block, n_layers) + 1):
                inside += table.insides[stop - 1] if stop - 1 > layer else 0.0
                for runs, score in enumerate(table.runs[layer]):
                    if runs == last and runs < 2 and was_short:
                        continue
                    is_short = stop - layer < space.max_block
                    key = stop, runs, is_short, skips and not runs
                    gain = table.starts[layer] + inside + score
                    segment = Segment(layer, stop, runs)
                    ends.setdefault(key, []).extend(
                        _Partial(partial.score + gain, segment, partial) for partial in best
                    )
    complete = [
        partial
        for (layer, _, _, skips), partials in ends.items()
        if layer == n_layers and not skips
        for partial in partials
    ]
    return heapq.nlargest(k, complete, key=lambda partial: partial.score)


def _segments(cover: _Partial) -> list[Segment]:
    segments: list[Segment] = []
    partial: _Partial | None = cover
    while partial is not None and partial.segment is not None:
        segments.append(partial.segment)
        partial = partial.before
    return segments[::-1]


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _log_mean(columns: Sequence[Sequence[float]]) -> list[float]:
    n = len(columns)
    return [math.log(math.fsum(map(math.exp, values)) / n) for values in zip(*columns, strict=True)]


def _difference(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(one, other, strict=True)]
