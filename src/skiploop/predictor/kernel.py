"""Kernel ridge regression: questions that look alike to the model are served alike.

Shapes: Q questions, M new questions, F features, P programs.

Source: Saunders, Gammerman and Vovk 1998; the bandwidth is the median heuristic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KernelRidge:
    """Predicts the score of every program for a question from those of similar questions.

    The prediction for a question unlike all others is the mean over all questions, so what few
    questions say is shrunk to what all say.

    Attributes:
        features_QF: What was learned from, standardised.
        weights_QP: Of each question in a prediction.
        center_F, scale_F: By which features are standardised.
        mean_P: Weighted mean score of each program.
        bandwidth: Squared distance at which the similarity of two questions is 1/e.
    """

    features_QF: Tensor
    weights_QP: Tensor
    center_F: Tensor
    scale_F: Tensor
    mean_P: Tensor
    bandwidth: float

    @classmethod
    def fit(
        cls, features_QF: Tensor, score_QP: Tensor, weight_Q: Tensor, ridge: float
    ) -> KernelRidge:
        """Learn from some questions.

        Args:
            features_QF: What is known of each question beforehand.
            score_QP: How well each program did.
            weight_Q: How much each question counts.
            ridge: By how much all is shrunk to the mean; 1 trusts a question as much as one
                identical to it.

        Cost:
            Q^3 / 3 multiplications, and Q^2 numbers of memory.
        """
        center_F, scale_F = features_QF.mean(0), features_QF.std(0, correction=0)
        scale_F = torch.where(scale_F > 1e-6, scale_F, torch.ones_like(scale_F))
        known_QF = (features_QF - center_F) / scale_F
        mean_P = weight_Q @ score_QP / weight_Q.sum()
        distances_QQ = torch.cdist(known_QF, known_QF).square()
        bandwidth = max(float(distances_QQ.median()), 1e-6)
        kernel_QQ = torch.exp(-distances_QQ / bandwidth)
        kernel_QQ.diagonal().add_(ridge / weight_Q)
        factor_QQ = torch.linalg.cholesky(kernel_QQ)
        weights_QP = torch.cholesky_solve(score_QP - mean_P, factor_QQ)
        return cls(known_QF, weights_QP, center_F, scale_F, mean_P, bandwidth)

    def predict(self, features_MF: Tensor) -> Tensor:
        """Return the expected score_MP of every program for new questions.

        Cost:
            Q * (F + P) multiplications for each new question.
        """
        new_MF = (features_MF - self.center_F) / self.scale_F
        distances_MQ = torch.cdist(new_MF, self.features_QF).square()
        return torch.exp(-distances_MQ / self.bandwidth) @ self.weights_QP + self.mean_P


def out_of_fold(
    features_QF: Tensor, score_QP: Tensor, weight_Q: Tensor, ridge: float, fold_Q: Tensor
) -> Tensor:
    """Return score_QP predicted for each question by a model that has not seen its fold.

    Args:
        features_QF: What is known of each question beforehand.
        score_QP: How well each program did.
        weight_Q: How much each question counts.
        ridge: As for `KernelRidge.fit`.
        fold_Q: The fold of each question, numbered from 0.
    """
    predicted_QP = torch.empty_like(score_QP)
    for fold in range(int(fold_Q.max()) + 1):
        held = fold_Q == fold
        seen = ~held
        model = KernelRidge.fit(features_QF[seen], score_QP[seen], weight_Q[seen], ridge)
        predicted_QP[held] = model.predict(features_QF[held])
    return predicted_QP
