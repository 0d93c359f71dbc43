"""Whether a question is of a category that was learned from.

A category that nobody named before lies apart from the known ones in the directions in which these
lie apart from each other. In others questions of one category differ as much, so distances among
all features do not show it.

Shapes: the letters of learning (docs/reference/shapes.md), and C: category, D: direction.

Source: linear discriminants, Fisher 1936; distance to the nearest class, arXiv 1807.03888.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from skiploop.policies.selector.kernel import standard

KEPT = 0.9
"""Share of new questions of known categories, and of what a choice gains, that the limit keeps."""

_SHRINKAGE = 0.3  # share of the scatter that is taken to be alike in all directions
_SMALLEST = 1e-6  # variance, in units of the standardised features, that counts as none


@dataclass(frozen=True)
class KnownCategories:
    """The categories of some questions, in the directions that tell them apart.

    One category alone is told from nothing: then no question is of another one.

    Attributes:
        directions_FD: In which the categories differ most from each other, compared with questions
            of one category. Along each of them these have a variance of about 1.
        centers_CD: Where the categories are.
        limit: Distance from the nearest of them beyond which a question is of another one, see
            `limit_of`.
    """

    directions_FD: Tensor
    centers_CD: Tensor
    limit: float

    @classmethod
    def fit(cls, features_QF: Tensor, category_Q: Tensor) -> KnownCategories:
        """Find the categories of some questions, with no limit yet.

        Args:
            features_QF: What is known of each question beforehand.
            category_Q: Equal numbers for questions of one category.

        Cost:
            Q * F^2 + F^3 / 3 multiplications; none where there is one category.
        """
        if len(category_Q.unique()) == 1:
            return cls.none(features_QF.shape[1])
        center_F, scale_F = standard(features_QF)
        known_QF = ((features_QF - center_F) / scale_F).double()
        index_Q = category_Q.unique(return_inverse=True)[1]
        member_QC = one_hot(index_Q).double()
        centers_CF = (member_QC.T @ known_QF) / member_QC.sum(0)[:, None]
        within_QF = known_QF - centers_CF[index_Q]
        scatter_FF = within_QF.T @ within_QF / len(within_QF)
        alike = max(float(scatter_FF.diagonal().mean()), _SMALLEST)
        scatter_FF *= 1 - _SHRINKAGE
        scatter_FF.diagonal().add_(_SHRINKAGE * alike)
        apart_FC = (centers_CF - centers_CF.mean(0)).T
        solved_FC = torch.cholesky_solve(apart_FC, torch.linalg.cholesky(scatter_FF))
        variance_D, mix_CD = torch.linalg.eigh(apart_FC.T @ solved_FC)
        some_D = variance_D > _SMALLEST
        mix_CD = mix_CD[:, some_D] / variance_D[some_D].sqrt()
        directions_FD = solved_FC @ mix_CD / scale_F[:, None]
        means_CF = centers_CF * scale_F + center_F
        return cls(directions_FD.float(), (means_CF @ directions_FD).float(), math.inf)

    @classmethod
    def none(cls, n_features: int) -> KnownCategories:
        """Return no categories, for which no question is of another one."""
        return cls(torch.empty(n_features, 0), torch.empty(1, 0), math.inf)

    def distances(self, features_MF: Tensor) -> Tensor:
        """Return the distance of new questions from the nearest category."""
        return torch.cdist(features_MF @ self.directions_FD, self.centers_CD).amin(1)

    def lack(self, features_MF: Tensor) -> Tensor:
        """Return which new questions are of another category."""
        return self.distances(features_MF) > self.limit


def distances_out_of_fold(features_QF: Tensor, category_Q: Tensor, fold_Q: Tensor) -> Tensor:
    """Return the distance of each question from the nearest category, as other folds know them.

    Args:
        features_QF: What is known of each question beforehand.
        category_Q: Equal numbers for questions of one category.
        fold_Q: The fold of each question.
    """
    distance_Q = torch.empty(len(features_QF))
    for fold in fold_Q.unique().tolist():
        held_Q = fold_Q == fold
        others = KnownCategories.fit(features_QF[~held_Q], category_Q[~held_Q])
        distance_Q[held_Q] = others.distances(features_QF[held_Q])
    return distance_Q


def limit_of(new_M: Tensor, distance_Q: Tensor, gain_Q: Tensor) -> float:
    """Return the distance within which `KEPT` of the new questions are, and `KEPT` of the gain.

    Args:
        new_M: Distances of questions of known categories that are as new as those that will be
            asked: where words are new, they are farther than those that were learned from.
        distance_Q: From `distances_out_of_fold`.
        gain_Q: What a choice gains on each of these questions.
    """
    limit = float(torch.quantile(new_M, KEPT))
    nearest_first = distance_Q.argsort()
    gained_Q = gain_Q[nearest_first].double().cumsum(0)
    if gained_Q[-1] <= 0:
        return limit
    too_little_Q = gained_Q < KEPT * gained_Q[-1]
    n_too_few = int((too_little_Q * torch.arange(1, len(gained_Q) + 1)).max())
    return max(limit, float(distance_Q[nearest_first[n_too_few]]))
