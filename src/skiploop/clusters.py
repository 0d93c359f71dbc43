"""Groups of questions that look alike, found from their texts or from what a model makes of them.

A task names categories of questions, but one name may stand for several kinds of them, with answers
of their own.

Shapes: the letters of learning (docs/reference/shapes.md); Q points, C columns of a sketch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

MIN_SIZE = 30
"""Points of a group, on average at least; fewer say little about what is common among them."""

_DIGITS = re.compile(r"\d+")
_N_GRAM = 3
_N_COLUMNS = 512
_N_DIRECTIONS = 16
_N_STARTS = 4


def clusters(points_QF: np.ndarray, size: int = MIN_SIZE) -> np.ndarray:
    """Return the group of each point, numbered from 0, the same ones every time.

    The points are compared along the directions in which they differ most.

    Args:
        points_QF: At least one.
        size: Points of a group: `Q // size` groups are looked for, and one with less than half as
            many points joins the nearest.

    Cost:
        `Q * F` times at most 512 multiplications.

    Source:
        Lloyd 1982 (k-means), after Pearson 1901 (principal components).
    """
    from scipy.cluster.vq import kmeans, vq

    n_groups = len(points_QF) // size
    main_QD = _main_directions(np.asarray(points_QF, dtype=float))
    if n_groups < 2 or not main_QD.shape[1]:
        return np.zeros(len(points_QF), dtype=int)
    rng = np.random.default_rng(0)
    starts = [rng.permutation(main_QD)[:n_groups] for _ in range(_N_STARTS)]
    centers_GD, _ = min((kmeans(main_QD, start) for start in starts), key=lambda found: found[1])
    while True:
        labels_Q, _ = vq(main_QD, centers_GD)
        counts_G = np.bincount(labels_Q, minlength=len(centers_GD))
        if len(centers_GD) == 1 or 2 * counts_G.min() >= size:
            return np.asarray(labels_Q)
        centers_GD = np.delete(centers_GD, counts_G.argmin(), axis=0)


def text_clusters(texts: Sequence[str], size: int = MIN_SIZE) -> np.ndarray:
    """Return the group of each text, as `clusters` finds them by short runs of characters.

    Which numbers a text holds plays no part.
    """
    if len(texts) < 2 * size:
        return np.zeros(len(texts), dtype=int)
    return clusters(np.log1p(run_counts(texts)), size)


def run_counts(texts: Sequence[str]) -> np.ndarray:
    """Return counts_QF of short runs of characters, hashed into columns; all numbers are one."""
    counts_QF = np.zeros((len(texts), _N_COLUMNS))
    for row_F, text in zip(counts_QF, texts, strict=True):
        padded = f" {_DIGITS.sub('0', ' '.join(text.casefold().split()))} "
        grams = (padded[i : i + _N_GRAM] for i in range(len(padded) - _N_GRAM + 1))
        np.add.at(row_F, [crc32(gram.encode()) % _N_COLUMNS for gram in grams], 1)
    return counts_QF


def _main_directions(points_QF: np.ndarray) -> np.ndarray:
    """Return the points along those directions in which they differ most, none if nowhere."""
    if points_QF.shape[1] > _N_COLUMNS:  # distances hardly change when they are mixed at random
        mixing_FC = np.random.default_rng(0).standard_normal((points_QF.shape[1], _N_COLUMNS))
        points_QF = points_QF @ mixing_FC
    centred_QF = points_QF - points_QF.mean(0)
    spreads, directions_FF = np.linalg.eigh(centred_QF.T @ centred_QF)
    is_kept = spreads > 1e-9 * max(spreads[-1], 1e-9)
    return np.asarray(centred_QF @ directions_FF[:, is_kept][:, -_N_DIRECTIONS:])
