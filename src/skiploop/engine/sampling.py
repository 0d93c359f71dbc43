"""Choosing the next token of every row: the most likely one, or at random with a seed a row.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skiploop.arguments import number, whole_number
from skiploop.errors import ConfigError

_UINT64 = np.uint64


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw tokens.

    Attributes:
        temperature: Divides the logits, above 0.
        top_k: Draw among this many most likely tokens; None for all.
        top_p: Draw among the most likely tokens that together have this probability.

    Raises:
        ConfigError: A number is out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "temperature", number("temperature", self.temperature, error=ConfigError)
        )
        object.__setattr__(self, "top_p", number("top_p", self.top_p, error=ConfigError))
        if self.top_k is not None:
            object.__setattr__(self, "top_k", whole_number("top_k", self.top_k, error=ConfigError))
        in_range = self.temperature > 0 and 0 < self.top_p <= 1
        if not in_range or (self.top_k is not None and self.top_k < 1):
            raise ConfigError(
                f"temperature={self.temperature}, top_k={self.top_k}, top_p={self.top_p}: "
                "give a temperature above 0, top_k of at least 1 and top_p in 0..1"
            )


def most_likely(logits_BV: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most likely token of each row and its log-probability."""
    tokens_B = logits_BV.argmax(dim=-1)
    # One pass over the vocabulary, where max minus logsumexp takes four.
    return tokens_B, -cross_entropy(logits_BV, tokens_B, reduction="none")


def draw(
    logits_BV: Tensor, sampling: Sampling, seeds: Sequence[int], steps: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return a random token of each row and its log-probability under the model.

    One uniform number a row, a function of its seed and of how many tokens it has, picks a token
    from the cumulated probabilities in the order of the vocabulary. So a row draws the same tokens
    whatever else is in the batch: logits that differ by rounding move the bounds between tokens by
    as little, and nothing else.

    Args:
        logits_BV: Of the next tokens.
        sampling: How to draw.
        seeds: One a row.
        steps: Number of tokens that each row has written.
    """
    sorted_BV, order_BV = logits_BV.sort(dim=-1, descending=True, stable=True)
    probabilities_BV = (sorted_BV / sampling.temperature).softmax(dim=-1)
    if sampling.top_k is not None:
        probabilities_BV[:, sampling.top_k :] = 0
    before_BV = probabilities_BV.cumsum(dim=-1) - probabilities_BV
    probabilities_BV[before_BV >= sampling.top_p * probabilities_BV.sum(-1, keepdim=True)] = 0
    # Not in the order of likelihood, in which nearly equal logits change places by rounding.
    sums_BV = torch.zeros_like(sorted_BV).scatter(-1, order_BV, probabilities_BV).cumsum(dim=-1)
    total_B1 = sums_BV[:, -1:]
    uniform_B1 = torch.from_numpy(uniform(seeds, steps)).to(sums_BV)[:, None]
    below_B1 = total_B1.nextafter(torch.zeros_like(total_B1))  # rounding may reach the total
    points_B1 = (uniform_B1 * total_B1).minimum(below_B1)
    ranks_B1 = torch.searchsorted(sums_BV, points_B1, right=True)
    tokens_B1 = ranks_B1.clamp(max=logits_BV.shape[-1] - 1)  # of NaN, which is refused elsewhere
    logprobs_B = logits_BV.gather(-1, tokens_B1)[:, 0] - logits_BV.logsumexp(dim=-1)
    return tokens_B1[:, 0], logprobs_B


def uniform(seeds: Sequence[int], steps: Sequence[int]) -> np.ndarray:
    """Return a number in 0..1 for each pair, by the SplitMix64 mixing function.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
    """
    with np.errstate(over="ignore"):
        state = np.array([int(seed) % 2**64 for seed in seeds], dtype=_UINT64)
        for number in (np.zeros(len(seeds), dtype=_UINT64), np.array(steps, dtype=_UINT64)):
            state = state + (number + _UINT64(1)) * _UINT64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> _UINT64(30))) * _UINT64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> _UINT64(27))) * _UINT64(0x94D049BB133111EB)
            state = state ^ (state >> _UINT64(31))
    return (state >> _UINT64(11)).astype(np.float64) / 2**53
