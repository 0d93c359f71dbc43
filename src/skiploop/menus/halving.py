"""Successive halving: many candidates on few questions, then half of them on twice as many.

Source: Jamieson and Talwalkar 2016, Non-stochastic best arm identification.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.tasks.base import Example


def halving(examples: Sequence[Example]) -> list[Sequence[Example]]:
    """Return the questions of each round: the first quarter, the first half, all.

    The field is halved after every round but the last.
    """
    return [examples[: -(-len(examples) // share)] for share in (4, 2, 1)]


def half(field: Sequence[object]) -> int:
    """Return how many of a field stay, rounded up."""
    return -(-len(field) // 2)
