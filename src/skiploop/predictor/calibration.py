"""Whether answers are right as often as a selector expects.

Shapes: Q questions, P programs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.evaluation.stats import Share

N_BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Answers of which about the same was expected.

    Attributes:
        expected: Mean expected score.
        right: Right answers among them.
    """

    expected: float
    right: Share

    def to_dict(self) -> dict[str, object]:
        """Return all numbers as plain data."""
        return {"expected": self.expected, "right": self.right.to_dict()}


def calibration(predicted_QP: Tensor, right_QP: Tensor) -> list[CalibrationBin]:
    """Return answers in bins of equal size, from the least to the most expected.

    Args:
        predicted_QP: Scores expected by models that have not seen the question.
        right_QP: 1 where an answer is right, NaN where it could not be graded.
    """
    is_graded_QP = ~right_QP.isnan()
    predicted, right = predicted_QP[is_graded_QP], right_QP[is_graded_QP]
    order = predicted.argsort(stable=True)
    return [
        CalibrationBin(float(predicted[some].mean()), Share(int(right[some].sum()), len(some)))
        for some in torch.tensor_split(order, N_BINS)
        if len(some)
    ]
