"""How sure a share is, and whether two paired shares differ.

scipy is imported on first use.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

SIGNIFICANCE = 0.05
"""Largest p-value, adjusted where several are tested, that is called a difference."""


def wilson(count: int, total: int, *, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return the Wilson score interval of a share.

    Args:
        count: Hits.
        total: Tries.
        confidence: Share of intervals that cover the truth, in 0..1.

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
    from scipy.stats import binomtest

    interval = binomtest(count, total).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


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
    if only_first == only_second:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


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

    def to_dict(self) -> dict[str, object]:
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
    """

    only_first: int
    only_second: int
    total: int

    @classmethod
    def of(cls, pairs: Iterable[tuple[bool | None, bool | None]]) -> Paired:
        """Count pairs of verdicts (first, second); a pair with a None is left out."""
        known = [pair for pair in pairs if None not in pair]
        return cls(known.count((True, False)), known.count((False, True)), len(known))

    @property
    def difference(self) -> float | None:
        """Share of the first minus share of the second, in -1..1; None without a pair."""
        return (self.only_first - self.only_second) / self.total if self.total else None

    @cached_property
    def p(self) -> float:
        """The exact McNemar p-value."""
        return mcnemar_exact(self.only_first, self.only_second)

    def to_dict(self) -> dict[str, object]:
        """Return counts, difference and p-value as plain data."""
        return {
            "only_first": self.only_first,
            "only_second": self.only_second,
            "total": self.total,
            "difference": self.difference,
            "p": self.p,
        }
