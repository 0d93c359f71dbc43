"""Kernel ridge regression: questions that look alike to the model are served alike.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: Saunders, Gammerman and Vovk 1998; the bandwidth is the median heuristic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FAR = 2.0
"""Bandwidths beyond which a question is of another sort. Where all features are noise, questions
are about one bandwidth from each other; new ones like those that are known stay below."""


@dataclass(frozen=True)
class KernelRidge:
    """Predicts the score of every program for a question from those of similar questions.

    The prediction for a question unlike all others is the mean over all questions, so what few
    questions say is shrunk to what all say.

    Attributes:
        features_QF: What new questions are compared with, standardised.
        weights_QP: Of each of these questions in a prediction.
        center_F, scale_F: By which features are standardised.
        mean_P: Weighted mean score of each program.
        bandwidth: Squared distance at which the similarity of two questions is 1/e: that which
            half of the known ones have from each other.
    """

    features_QF: Tensor
    weights_QP: Tensor
    center_F: Tensor
    scale_F: Tensor
    mean_P: Tensor
    bandwidth: float

    @classmethod
    def fit(
        cls, features_QF: Tensor, score_QP: Tensor, weight_Q: Tensor, ridges: Sequence[float]
    ) -> list[KernelRidge]:
        """Learn from some questions, once with each strength of shrinking.

        Args:
            features_QF: What is known of each question beforehand.
            score_QP: How well each program did.
            weight_Q: How much each question counts.
            ridges: By how much all is shrunk to the mean; 1 trusts a question as much as one
                identical to it.

        Cost:
            Q^2 * F multiplications once and Q^3 / 3 for each ridge, and 3 Q^2 numbers of memory.
        """
        center_F, scale_F = standard(features_QF)
        known_QF = (features_QF - center_F) / scale_F
        mean_P = weight_Q @ score_QP / weight_Q.sum()
        distances_QQ = torch.cdist(known_QF, known_QF).square()
        bandwidth = max(float(distances_QQ.median()), 1e-6)
        kernel_QQ = distances_QQ.div_(-bandwidth).exp_()
        fitted = []
        for ridge in ridges:
            shrunk_QQ = kernel_QQ.clone()
            shrunk_QQ.diagonal().add_(ridge / weight_Q)
            factor_QQ = torch.linalg.cholesky(shrunk_QQ)
            weights_QP = torch.cholesky_solve(score_QP - mean_P, factor_QQ)
            fitted.append(cls(known_QF, weights_QP, center_F, scale_F, mean_P, bandwidth))
        return fitted

    def predict(self, features_MF: Tensor) -> Tensor:
        """Return the expected score_MP of every program for new questions.

        Cost:
            Q * (F + P) multiplications for each new question.
        """
        return self.look(features_MF)[0]

    def look(self, features_MF: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `predict` does, and far_M, the new questions of which it tells nothing.

        Even the nearest known question is `FAR` bandwidths from them. What is predicted for them
        is the mean over questions of another sort.
        """
        new_MF = (features_MF - self.center_F) / self.scale_F
        distances_MQ = torch.cdist(new_MF, self.features_QF).square() / self.bandwidth
        score_MP = torch.exp(-distances_MQ) @ self.weights_QP + self.mean_P
        return score_MP, distances_MQ.amin(1) > FAR


def standard(features_QF: Tensor) -> tuple[Tensor, Tensor]:
    """Return center_F and scale_F of features; the scale of those that never change is 1."""
    center_F, scale_F = features_QF.mean(0), features_QF.std(0, correction=0)
    return center_F, torch.where(scale_F > 1e-6, scale_F, torch.ones_like(scale_F))


def out_of_fold(
    features_QF: Tensor,
    score_QP: Tensor,
    weight_Q: Tensor,
    ridges: Sequence[float],
    fold_Q: Tensor,
) -> list[Tensor]:
    """Return score_QP predicted for each question by a model that has not seen its fold.

    Args:
        features_QF: What is known of each question beforehand.
        score_QP: How well each program did.
        weight_Q: How much each question counts.
        ridges: As for `KernelRidge.fit`; there is one result for each.
        fold_Q: The fold of each question, numbered from 0.
    """
    predicted = [torch.empty_like(score_QP) for _ in ridges]
    for fold in range(int(fold_Q.max()) + 1):
        held = fold_Q == fold
        seen = ~held
        models = KernelRidge.fit(features_QF[seen], score_QP[seen], weight_Q[seen], ridges)
        for predicted_QP, model in zip(predicted, models, strict=True):
            predicted_QP[held] = model.predict(features_QF[held])
    return predicted
