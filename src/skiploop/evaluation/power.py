"""How large a gain must be so that so many questions can show it.

scipy is imported on first use.

Shapes: N numbers of questions on which two policies differ.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from skiploop.stats import SIGNIFICANCE, paired_interval

BROKEN_A_FIXED = 1 / 3
"""Questions that a policy breaks for each one that it fixes: 0.26 to 0.53 of those that ship."""

WANTED = 0.8
"""How often a gain has to be shown that is said to be visible."""

_STEPS_A_POINT = 10


@dataclass(frozen=True)
class Judged:
    """Questions on which a policy has to show its gain.

    Attributes:
        n_questions: Different ones.
        level: Largest p-value that shows it.
    """

    n_questions: int
    level: float = SIGNIFICANCE


def power(judged: Judged, fixed: float, broken: float) -> float:
    """Return how often McNemar's exact test finds a gain.

    Args:
        judged: How many questions, and at which level.
        fixed: Share of all questions that the policy alone answers right, in 0..1.
        broken: Share that the plain model alone answers right.

    Source:
        Connor 1987, "Sample size for testing differences in proportions for the paired-sample
        design": questions that differ are binomial, and so are the fixed ones among them; summed
        over both, not approximated.
    """
    import numpy as np
    from scipy.stats import binom

    if not fixed:
        return 0.0
    differing_N = np.arange(judged.n_questions + 1)
    enough_N = binom.isf(judged.level / 2, differing_N, 0.5) + 1
    chance_N = binom.pmf(differing_N, judged.n_questions, fixed + broken)
    return float(chance_N @ binom.sf(enough_N - 1, differing_N, fixed / (fixed + broken)))


def least_gain(judged: Sequence[Judged]) -> float | None:
    """Return the smallest gain, in whole tenths of a point, that is shown `WANTED` of the time.

    It has to be shown on every set of questions, which tell nothing of each other. Of four
    questions on which a policy differs it fixes three (`BROKEN_A_FIXED`).

    Returns:
        The difference of the shares of right answers, in 0..0.5; None where no such gain is shown.
    """

    def is_shown(step: int) -> bool:
        fixed = step / (100 * _STEPS_A_POINT) / (1 - BROKEN_A_FIXED)
        return prod(power(one, fixed, fixed * BROKEN_A_FIXED) for one in judged) >= WANTED

    steps = range(1, 50 * _STEPS_A_POINT + 1)  # all questions differ at the end
    first = bisect_left(steps, True, key=is_shown)
    return steps[first] / (100 * _STEPS_A_POINT) if first < len(steps) else None


def least_loss(n_questions: int, differing: float) -> float:
    """Return the smallest loss that is ruled out where as many questions are fixed as broken.

    Args:
        n_questions: Different ones.
        differing: Share of them that the policy fixes or breaks, in 0..1.
    """
    half = n_questions * differing / 2
    low, _ = paired_interval(half, half, n_questions)
    return -low
