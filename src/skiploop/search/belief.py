"""What is believed of the gains of single edits: a normal distribution that outcomes move.

The gain of an edit is what it adds to the log-probability of the right answer. Gains on one
question resemble each other, more so the nearer the edits are, and most if they do the same to the
same layers.

Shapes: E single edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skiploop.programs.segment import Segment

_COMMON, _NEAR, _SAME, _OWN = 0.3, 0.1, 0.45, 0.15
"""Shares of the variance that a gain has in common with all edits, with those near it, with those
that do the same to the same layers, and with none: from 40 questions of arithmetic, 196 edits."""

_REACH = 4.0
"""Layers over which edits are near."""

_SKIPPED, _REPEATED = -0.7, -0.3
"""Expected gain for each layer that is skipped or runs again."""

_SLOPE, _DEVIATION = 0.3, 1.5
"""Expected share of a first-order gain that comes true, and what it is off by."""

_LEAST, _MOST = -4.0, 3.0
"""First-order gains beyond these say no more than these."""

NOISE = 0.05
"""Variance of a gain that is seen: it keeps sums finite."""


@dataclass(frozen=True)
class Belief:
    """A normal distribution.

    Attributes:
        mean_E: Expected gains.
        cov_EE: Their covariance.
    """

    mean_E: np.ndarray
    cov_EE: np.ndarray

    @property
    def deviation_E(self) -> np.ndarray:
        """What the expected gains may be off by."""
        return np.sqrt(np.maximum(np.diag(self.cov_EE), 0))

    def told(self, edit: int, gain: float) -> Belief:
        """Return what is believed once the gain of an edit, given by its number, was seen."""
        cov_E = self.cov_EE[edit]
        weight_E = cov_E / (cov_E[edit] + NOISE)
        surprise = gain - self.mean_E[edit]
        return Belief(self.mean_E + weight_E * surprise, self.cov_EE - np.outer(weight_E, cov_E))


def prior(edits: Sequence[Segment], effects_E: np.ndarray) -> Belief:
    """Return what is believed of a question before anything has run.

    Args:
        edits: All single edits.
        effects_E: Their gains to first order, zeros where nobody knows them.
    """
    expected = [len(edit) * (_REPEATED if edit.runs else _SKIPPED) for edit in edits]
    mean_E = np.array(expected) + _SLOPE * np.clip(effects_E, _LEAST, _MOST)
    return Belief(mean_E, _DEVIATION**2 * resemblance(edits))


def resemblance(edits: Sequence[Segment]) -> np.ndarray:
    """Return correlation_EE of the gains of edits on one question, before anything has run."""
    start_E, stop_E, runs_E = (
        np.array([vars(edit)[name] for edit in edits]) for name in ("start", "stop", "runs")
    )
    apart_EE = np.maximum.outer(start_E, start_E) - np.minimum.outer(stop_E, stop_E)
    union_EE = np.maximum.outer(stop_E, stop_E) - np.minimum.outer(start_E, start_E)
    near_EE = np.exp(-np.maximum(apart_EE, 0) / _REACH)
    same_EE = np.maximum(-apart_EE, 0) / union_EE * (runs_E[:, None] == runs_E)
    shared_EE = _COMMON + _NEAR * near_EE + _SAME * same_EE
    return np.asarray(shared_EE + _OWN * np.eye(len(edits)))
