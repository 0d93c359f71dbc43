"""Which solved questions a prompt shows: typical ones, of every category or form."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from skiploop.tasks.base import Example, take_turns

_MAX_CANDIDATES = 200
"""Questions among which the typical ones are looked for; bounds the time."""

_PIECE = re.compile(r"\d+|[^\W\d_]+|[^\w\s]")


def solved_lines(examples: Sequence[Example], n: int) -> list[Example]:
    """Return `n` questions to show with their answers.

    Categories take turns, the largest first. Within one, and where there are none, each question
    is the one that is most like those that no question before it is like: so the common forms of
    questions are covered, whether the file names them or not.

    Args:
        examples: Different questions in an order that is the same every time.
        n: How many; at most as many as there are.
    """
    categories: dict[str, list[Example]] = {}
    for example in examples:
        categories.setdefault(example.category, []).append(example)
    shown = sorted(categories.values(), key=len, reverse=True)[:n]
    n_candidates = max(n, _MAX_CANDIDATES // max(1, len(shown)))
    return take_turns([_typical(some[:n_candidates], n) for some in shown])[:n]


def _typical(examples: Sequence[Example], n: int) -> list[Example]:
    """Return at most `n` examples, the most typical first; of equals the shortest.

    Greedy facility location: each one makes the sum, over all examples, of the likeness to the
    closest one so far as large as it can.
    """
    likeness_EE = _likeness([_features(example) for example in examples])  # E examples
    closest_E = np.zeros(len(examples))
    left = list(range(len(examples)))
    picked: list[Example] = []
    while left and len(picked) < n:
        gain_E = np.maximum(likeness_EE - closest_E, 0).sum(1).round(6)
        best = min(left, key=lambda index: (-gain_E[index], len(examples[index].question)))
        left.remove(best)
        picked.append(examples[best])
        closest_E = np.maximum(closest_E, likeness_EE[best])
    return picked


def _likeness(features: Sequence[set[str]]) -> np.ndarray:
    """Return, for every two, the share of all their features that both have."""
    columns = {feature: i for i, feature in enumerate(sorted(set().union(*features)))}
    has_EF = np.zeros((len(features), len(columns)))
    for row, found in enumerate(features):
        has_EF[row, [columns[feature] for feature in found]] = 1
    n_E, both_EE = has_EF.sum(1), has_EF @ has_EF.T
    likeness_EE: np.ndarray = both_EE / np.maximum(1, n_E[:, None] + n_E - both_EE)
    return likeness_EE


def _features(example: Example) -> set[str]:
    """Return the words of a question, all numbers as one, and the forms of words and answer."""
    pieces = _PIECE.findall(example.question)
    words = {piece.casefold() for piece in pieces if not piece.isdigit()}
    answer = {f"answer {_form(piece)}" for piece in _PIECE.findall(example.gold)}
    return words | {f"form {_form(piece)}" for piece in pieces} | answer


def _form(piece: str) -> str:
    """Return `0`, `A`, `Aa` or `a` for a number or word, else the sign itself."""
    if piece[0].isdigit():
        return "0"
    if not piece[0].isalpha():
        return piece
    return "A" if piece.isupper() else "Aa" if piece[0].isupper() else "a"
