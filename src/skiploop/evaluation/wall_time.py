"""Measured wall times of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from skiploop.errors import DataError
from skiploop.evaluation.policy_table import REFERENCE
from skiploop.stats import Mean


@dataclass(frozen=True)
class Timing:
    """Wall time of policies that all generate the same number of tokens.

    Attributes:
        n_tokens: New tokens, all prompts together, in every repetition of every policy.
        wall_s: By policy, the seconds of every repetition; the time of choosing is not in it.
        choosing_s: By policy, the seconds that choosing took, for each prompt.
        n_prompts: Prompts of every repetition.
        prompt_s: By policy, the median seconds of each prompt.

    Raises:
        DataError: A policy has no repetition, or one that took no time.
    """

    n_tokens: int
    wall_s: Mapping[str, Sequence[float]]
    choosing_s: Mapping[str, float] = field(default_factory=dict)
    n_prompts: int = 1
    prompt_s: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for policy, seconds in self.wall_s.items():
            if not seconds or min(seconds) <= 0:
                raise DataError(
                    f"wall times of {policy!r} are {seconds!r}: expected some above 0 s"
                )

    def ratio(self, policy: str) -> float | None:
        """Return median time over the median of the identity, None if one was not measured."""
        if policy not in self.wall_s or REFERENCE not in self.wall_s:
            return None
        return median(self.wall_s[policy]) / median(self.wall_s[REFERENCE])

    def spread(self, policy: str) -> float | None:
        """Return how far the ends of the ratio's 95 % interval are from it, over other prompts.

        None if one of the two, or fewer than two prompts, was measured.

        Source:
            Cochran 1977, "Sampling Techniques", section 2.11: the variance of a ratio of means.
        """
        ours, plain = self.prompt_s.get(policy, ()), self.prompt_s.get(REFERENCE, ())
        if len(ours) < 2 or len(plain) < 2:
            return None
        ratio = sum(ours) / sum(plain)
        left = Mean.of([one - ratio * other for one, other in zip(ours, plain, strict=True)])
        low, high = left.interval
        return (high - low) / 2 / fmean(plain)

    def is_sure_to(self, width: float) -> bool:
        """Whether the intervals of all ratios are known and end no further away than this."""
        spreads = [self.spread(policy) for policy in self.wall_s]
        return all(spread is not None and spread <= width for spread in spreads)

    def ratio_with_choosing(self, policy: str) -> float | None:
        """Return the ratio with the time of choosing a program for each prompt in it.

        The identity, by which it is divided, has nothing to choose.
        """
        ratio = self.ratio(policy)
        if ratio is None or policy not in self.choosing_s:
            return None
        choosing_s = self.choosing_s[policy] * self.n_prompts
        return ratio + choosing_s / median(self.wall_s[REFERENCE])

    def figures(self) -> dict[str, object]:
        """Return measurements, medians and ratios by name."""
        return {
            "n_tokens": self.n_tokens,
            "wall_s": self.wall_s,
            "median_s": {policy: median(seconds) for policy, seconds in self.wall_s.items()},
            "ratio_to_identity": {policy: self.ratio(policy) for policy in self.wall_s},
            "choosing_s": self.choosing_s,
            "n_prompts": self.n_prompts,
            "prompt_s": self.prompt_s,
            "ratio_spread": {policy: self.spread(policy) for policy in self.wall_s},
            "ratio_with_choosing": {
                policy: self.ratio_with_choosing(policy) for policy in self.wall_s
            },
        }
