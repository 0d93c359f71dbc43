"""Whether programs do as well as a selector expects.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.stats import Mean, Share

N_BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """Answers of which about the same was expected.

    Attributes:
        expected: Mean expected score.
        observed: Mean score; those of one question are no evidence of their own.
        right: Right answers among them. The score is the mean of verdict and probability, so the
            two shares differ by themselves.
    """

    expected: float
    observed: Mean
    right: Share


def calibration(predicted_QP: Tensor, score_QP: Tensor, right_QP: Tensor) -> list[CalibrationBin]:
    """Return answers in bins of equal size, from the least to the most expected.

    Args:
        predicted_QP: Scores expected by models that have not seen the question.
        score_QP: The scores.
        right_QP: 1 where an answer is right, NaN where it could not be graded.
    """
    is_graded_QP = ~right_QP.isnan()
    question_QP = torch.arange(len(right_QP))[:, None].expand(right_QP.shape)
    predicted, score, right, question = (
        cells[is_graded_QP] for cells in (predicted_QP, score_QP, right_QP, question_QP)
    )
    order = predicted.argsort(stable=True)
    return [
        CalibrationBin(
            float(predicted[some].mean()),
            Mean.of(score[some].tolist(), question[some].tolist()),
            Share(int(right[some].sum()), len(some)),
        )
        for some in torch.tensor_split(order, N_BINS)
        if len(some)
    ]
