"""Kernel ridge regression that keeps only some of the questions it learned from.

Shapes: the letters of learning (docs/reference/shapes.md).

Source: Nystroem approximation, Williams and Seeger 2001.
"""

from __future__ import annotations

import torch

from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.kernel import KernelRidge, standard

_JITTER = 1e-5  # of the mean diagonal: landmarks that are nearly equal leave no unique solution


def fit_landmarks(known: Answers, ridge: float, n_landmarks: int, seed: int) -> KernelRidge:
    """Learn from all questions a regression that compares new ones with some of them.

    The landmarks are in half precision, so that nothing changes when they are stored so.

    Args:
        known: What there is to learn from.
        ridge: As for `KernelRidge.fit`.
        n_landmarks: How many questions to keep; all of them if there are no more.
        seed: Decides which.

    Cost:
        Q * L * (F + L) multiplications.
    """
    center_F, scale_F = standard(known.features_QF)
    known_QF = (known.features_QF - center_F) / scale_F
    order = torch.randperm(len(known_QF), generator=torch.Generator().manual_seed(seed))
    landmarks_LF = known_QF[order[:n_landmarks]].half().float()
    distances_QL = torch.cdist(known_QF, landmarks_LF).square()
    bandwidth = max(float(distances_QL.median()), 1e-6)
    kernel_QL = torch.exp(-distances_QL / bandwidth).double()
    kernel_LL = torch.exp(-torch.cdist(landmarks_LF, landmarks_LF).square() / bandwidth).double()
    mean_P = known.weight_Q @ known.score_QP / known.weight_Q.sum()
    weighed_LQ = kernel_QL.T * known.weight_Q
    normal_LL = weighed_LQ @ kernel_QL + ridge * kernel_LL
    normal_LL.diagonal().add_(_JITTER * normal_LL.diagonal().mean())
    factor_LL = torch.linalg.cholesky(normal_LL)
    weights_LP = torch.cholesky_solve(weighed_LQ @ (known.score_QP - mean_P).double(), factor_LL)
    weights_LP = weights_LP.float().contiguous()  # as they are stored: the order changes last bits
    return KernelRidge(landmarks_LF, weights_LP, center_F, scale_F, mean_P, bandwidth)
