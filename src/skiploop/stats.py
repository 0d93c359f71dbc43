"""How sure a share is, and whether two paired shares differ.

scipy is imported on first use.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist, fmean

SIGNIFICANCE = 0.05
"""Largest p-value, adjusted where several are tested, that is called a difference."""


def wilson(count: float, total: float) -> tuple[float, float] | None:
    """Return the 95 % Wilson score interval of a share.

    Args:
        count: Hits.
        total: Tries; a fraction where that many independent ones would say as much.

    Returns:
        Low and high end in 0..1, or None without a try: nothing is known then.

    Raises:
        ValueError: `count` is not in `0..total`.

    Source:
        Wilson 1927, "Probable inference": the p with |p - count/total| <=
        z * sqrt(p * (1 - p) / total), without continuity correction.
    """
    if not 0 <= count <= total:
        raise ValueError(f"{count} hits in {total} tries: expected 0 <= hits <= tries")
    if total == 0:
        return None
    z = NormalDist().inv_cdf(0.975)
    half = z * math.sqrt(count * (total - count) / total + z * z / 4)
    center = count + z * z / 2
    return max(0.0, (center - half) / (total + z * z)), min(1.0, (center + half) / (total + z * z))


def sign_flip_exact(nets: Iterable[int]) -> float:
    """Return the two-sided p-value that two answerers are equally often right, group by group.

    Equal questions are answered alike, so they are no coins of their own. If the two answerers are
    equally good, the whole group of them is as likely to be decided the other way round:
    p = P(|e_1 d_1 + e_2 d_2 + ...| >= |d_1 + d_2 + ...|), where d are the nets and every e is 1 or
    -1 with probability 1/2. The statistic is the difference of right answers that tables show, and
    where all groups are single questions this is McNemar's exact test.

    Args:
        nets: For each group of questions, how many more of them the first answers right.

    Returns:
        The p-value, exact; 1.0 if no group makes a difference.

    Source:
        Fisher 1935, "The Design of Experiments", section 21 (signs of differences exchanged);
        groups in place of questions as in Gail et al. 1996, "On design considerations and
        randomization-based inference for community intervention trials".
    """
    import numpy as np
    from scipy.stats import binom

    nets = list(nets)
    chances = np.ones(1)  # of every sum, the lowest first
    for size, n_groups in Counter(abs(net) for net in nets if net).items():
        of_size = np.zeros(2 * size * n_groups + 1)
        of_size[:: 2 * size] = binom.pmf(np.arange(n_groups + 1), n_groups, 0.5)
        chances = np.convolve(chances, of_size)
    sums = np.arange(len(chances)) - len(chances) // 2
    is_as_far = abs(sums) >= abs(sum(nets))
    if not chances[~is_as_far].any():
        return 1.0  # not almost
    return float(chances[is_as_far].sum())


def mcnemar_exact(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value that two answerers are equally often right.

    Only questions on which exactly one of the two is right count. If the two are equally good,
    each such question is a fair coin: p = min(1, 2 * P(X <= min(b, c))), X ~ Binomial(b + c, 1/2).

    Args:
        only_first: Questions that only the first answers right (b).
        only_second: Questions that only the second answers right (c).

    Returns:
        The p-value; 1.0 if they never differ.

    Raises:
        ValueError: A count is negative.

    Source:
        McNemar 1947, in the exact form (binomial test on the discordant pairs).
    """
    if only_first < 0 or only_second < 0:
        raise ValueError(f"counts {only_first} and {only_second} must not be negative")
    return sign_flip_exact([1] * only_first + [-1] * only_second)


def paired_interval(only_first: float, only_second: float, total: float) -> tuple[float, float]:
    """Return the 95 % score interval of a difference of two shares of the same questions.

    Args:
        only_first: Questions that only the first answers right.
        only_second: Questions that only the second answers right.
        total: All questions, at least one; the three are fractions where that many independent
            ones would say as much.

    Returns:
        Low and high end in -1..1. Where the two never differ it is the Wilson interval of 0.

    Source:
        Tango 1998, "Equivalence test and confidence interval for the difference in proportions for
        the paired-sample design": all differences that the score test does not refuse.
    """
    from scipy.optimize import brentq

    z = NormalDist().inv_cdf(0.975)
    net, differing = only_first - only_second, only_first + only_second

    def refusal(difference: float) -> float:
        """Return a number above 0 where the score test refuses the difference."""
        linear = (2 * total - net) * difference - differing
        constant = -only_second * difference * (1 - difference)
        root = math.sqrt(max(0.0, linear * linear - 8 * total * constant))
        share = (root - linear) / (4 * total)  # of questions that only the second answers right
        spread = total * (2 * share + difference * (1 - difference))
        return (net - total * difference) ** 2 - z * z * spread

    def end(outer: float) -> float:
        inner = net / total + 1e-9 * outer  # where the test is surest, but not without spread
        if abs(net) == total and net * outer > 0:
            return outer
        return float(brentq(refusal, inner, outer)) if refusal(outer) > 0 else outer

    return end(-1.0), end(1.0)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being looked at together, in the order given.

    Calling everything with an adjusted value below 0.05 a difference keeps the chance of even one
    false call below 5 %, whatever the tests have in common.

    Source:
        Holm 1979, "A simple sequentially rejective multiple test procedure": the i-th smallest of
        m values becomes the running maximum of (m - i + 1) * p_i, at most 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for n_smaller, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - n_smaller) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def holm_tests(p_values: Sequence[float]) -> list[int]:
    """Return by how many tests `holm` multiplies each p-value, in the order given.

    Those that are no difference are all compared where the procedure stops, at the smallest one.
    """
    n_shown = sum(p < SIGNIFICANCE for p in holm(p_values))
    rank = {i: n for n, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__))}
    return [len(p_values) - min(rank[i], n_shown) for i in range(len(p_values))]


@dataclass(frozen=True)
class Share:
    """So many of so many.

    Attributes:
        count: Hits.
        total: Tries whose result is known.
    """

    count: int
    total: int

    @classmethod
    def of(cls, verdicts: Iterable[bool | None]) -> Share:
        """Count the true ones; None is left out, neither right nor wrong."""
        known = [verdict for verdict in verdicts if verdict is not None]
        return cls(sum(known), len(known))

    @property
    def value(self) -> float | None:
        """The share in 0..1, None without a try."""
        return self.count / self.total if self.total else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval, None without a try."""
        return wilson(self.count, self.total)

    def figures(self) -> dict[str, object]:
        """Return counts, share and interval as plain data."""
        low, high = self.interval or (None, None)
        return {
            "count": self.count,
            "total": self.total,
            "value": self.value,
            "low": low,
            "high": high,
        }


@dataclass(frozen=True)
class Paired:
    """Two answerers on the same questions.

    Attributes:
        only_first: Questions that only the first answers right.
        only_second: Questions that only the second answers right.
        total: Questions on which both verdicts are known.
        tied: Those two counts within each group that holds several such questions.
    """

    only_first: int
    only_second: int
    total: int
    tied: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(
        cls,
        pairs: Iterable[tuple[bool | None, bool | None]],
        groups: Iterable[Hashable] | None = None,
    ) -> Paired:
        """Count pairs of verdicts (first, second); a pair with a None is left out.

        Args:
            pairs: Of each question.
            groups: Of each question, equal for questions that are one, see `Example.group`; each
                question is its own if not given.
        """
        pairs = list(pairs)
        groups = range(len(pairs)) if groups is None else groups
        known = [(pair, of) for pair, of in zip(pairs, groups, strict=True) if None not in pair]
        differing: dict[Hashable, list[bool]] = {}
        for (first, second), group in known:
            if first != second:
                differing.setdefault(group, []).append(bool(first))
        counts = [(found.count(True), found.count(False)) for found in differing.values()]
        return cls(
            sum(first for first, _ in counts),
            sum(second for _, second in counts),
            len(known),
            tuple(count for count in counts if sum(count) > 1),
        )

    @property
    def difference(self) -> float | None:
        """Share of the first minus share of the second, in -1..1; None without a pair."""
        return (self.only_first - self.only_second) / self.total if self.total else None

    @cached_property
    def p(self) -> float:
        """The p-value of `sign_flip_exact`: McNemar's exact one if no questions are tied."""
        n_first = self.only_first - sum(first for first, _ in self.tied)
        n_second = self.only_second - sum(second for _, second in self.tied)
        nets = [first - second for first, second in self.tied]
        return sign_flip_exact([*nets, *[1] * n_first, *[-1] * n_second])

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the difference, from `paired_interval`; None without a pair.

        Tied questions count as many independent ones as explain the spread of their groups.
        """
        if not self.total:
            return None
        differing = self.only_first + self.only_second
        nets = [first - second for first, second in self.tied]
        n_alone = differing - sum(map(sum, self.tied))
        spread = n_alone + sum(net * net for net in nets)
        times = max(1.0, spread / differing) if differing else 1.0
        return paired_interval(
            *(n / times for n in (self.only_first, self.only_second, self.total))
        )

    def figures(self) -> dict[str, object]:
        """Return counts, difference and p-value as plain data."""
        return {
            "only_first": self.only_first,
            "only_second": self.only_second,
            "total": self.total,
            "tied": [list(counts) for counts in self.tied],
            "difference": self.difference,
            "p": self.p,
        }


@dataclass(frozen=True)
class Mean:
    """A mean over questions.

    Attributes:
        value: The mean.
        error: Its standard error, infinite if nothing is known of it.
        total: Groups of questions that tell nothing of each other.
    """

    value: float
    error: float
    total: int

    @classmethod
    def of(cls, numbers: Sequence[float], groups: Sequence[Hashable] | None = None) -> Mean:
        """Return the mean of at least one number.

        Args:
            numbers: One of each question.
            groups: As for `Paired.of`.
        """
        value = fmean(numbers)
        off: dict[Hashable, float] = {}
        for number, group in zip(numbers, groups or range(len(numbers)), strict=True):
            off[group] = off.get(group, 0.0) + number - value
        n, total = len(numbers), len(off)
        squares = math.fsum(one * one for one in off.values())
        error = math.sqrt(squares * total / (total - 1)) / n if total > 1 else math.inf
        return cls(value, error, total)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Student's t."""
        from scipy.stats import t

        half = float(t.isf(0.025, max(self.total - 1, 1))) * self.error
        return self.value - half, self.value + half

    @cached_property
    def p(self) -> float:
        """The two-sided p-value that the mean is 0, by Student's t."""
        from scipy.stats import t

        distance = abs(self.value) / max(self.error, 1e-9)  # rounding is no difference
        return float(2 * t.sf(distance, max(self.total - 1, 1)))

    def figures(self) -> dict[str, object]:
        """Return all numbers as plain data, infinite ones as None."""
        low, high = self.interval if math.isfinite(self.error) else (None, None)
        return {"value": self.value, "low": low, "high": high, "total": self.total, "p": self.p}
