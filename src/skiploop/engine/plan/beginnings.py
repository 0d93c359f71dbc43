"""What sequences have in common at their start."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache


def count_nodes(paths: Sequence[Sequence[int]]) -> int:
    """Return how many different beginnings some paths have: the nodes of their trie."""
    return _count_nodes(tuple(sorted({tuple(path) for path in paths})))


@lru_cache(maxsize=64)  # questions of a table have the same programs
def _count_nodes(ordered: tuple[tuple[int, ...], ...]) -> int:
    shared = (common_length(one, other) for one, other in itertools.pairwise(ordered))
    return sum(map(len, ordered)) - sum(shared)


def common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many entries two sequences have in common at their start."""
    for length, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return length
    return min(len(one), len(other))
