"""How a choice is learned: a regression of scores, its ridge, and a gate.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from skiploop.errors import ConfigError
from skiploop.policies.encoders import check_one_encoder
from skiploop.policies.selector.categories import (
    KnownCategories,
    distances_out_of_fold,
    limit_of,
)
from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.gate import tune
from skiploop.policies.selector.kernel import KernelRidge, out_of_fold


@dataclass(frozen=True, kw_only=True)
class SelectorConfig:
    """How a selector is trained.

    Attributes:
        layer: How many first layers of the language model a prompt runs through to be told from
            others; None for two thirds of them. Not used by a text encoder.
        text_encoder: Folder or hub id of a Hugging Face encoder that takes their place.
        ridges: Strengths of shrinking, of which the one with the smallest error on questions that
            were not learned from is taken.
        n_folds: Parts of the questions; what is said of one is learned from the others.
        seed: Decides the parts.

    Raises:
        ConfigError: A number is out of range, or both encoders are asked for.
    """

    layer: int | None = None
    text_encoder: str | None = None
    ridges: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0)
    n_folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_folds < 2 or not self.ridges or min(self.ridges) <= 0:
            raise ConfigError(f"{self}: give at least 2 folds, and ridges above 0")
        check_one_encoder(self.text_encoder, self.layer)


@dataclass(frozen=True)
class Expected:
    """What is expected of each question, from those of other folds.

    Attributes:
        predicted_QP: Score of each program.
        distance_Q: From the nearest category.
        ridge: Strength of shrinking that errs least.
    """

    predicted_QP: Tensor
    distance_Q: Tensor
    ridge: float


def expect(known: Answers, config: SelectorConfig) -> Expected:
    """Return what is expected of each question from those of other groups."""
    fold_Q = deal(known.group_Q, config.n_folds, config.seed)
    distance_Q = distances_out_of_fold(known.features_QF, known.category_Q, fold_Q)
    predicted = out_of_fold(
        known.features_QF, known.score_QP, known.weight_Q, config.ridges, fold_Q
    )
    errors = [
        float(known.weight_Q @ (found - known.score_QP).square().mean(1)) for found in predicted
    ]
    best = errors.index(min(errors))
    return Expected(predicted[best], distance_Q, config.ridges[best])


def fit_categories(
    known: Answers, chosen_Q: Tensor, distance_Q: Tensor, unseen_UF: Tensor
) -> KnownCategories:
    """Find the categories of known questions, and how far from them a choice is worth something.

    Args:
        known: The questions.
        chosen_Q: The column chosen for each by what is expected of it, see `Expected`.
        distance_Q: Theirs from the nearest category, see `Expected`.
        unseen_UF: Questions as new as those that will be asked; without any, known ones take their
            place.
    """
    right_Q = known.right_QP.gather(1, chosen_Q[:, None])[:, 0]
    gain_Q = (known.weight_Q * (right_Q - known.right_QP[:, 0])).nan_to_num()
    categories = KnownCategories.fit(known.features_QF, known.category_Q)
    new_M = categories.distances(unseen_UF) if len(unseen_UF) else distance_Q
    return replace(categories, limit=limit_of(new_M, distance_Q, gain_Q))


def choose(
    features_MF: Tensor,
    known: Answers,
    unseen_UF: Tensor,
    slots_P: Tensor,
    config: SelectorConfig,
) -> Tensor:
    """Return the column chosen for each new question, by nothing but what known ones teach.

    Args:
        features_MF: Of the new questions.
        known: What ridge, gate and regression are learned from.
        unseen_UF: As for `fit_categories`.
        slots_P: Layer passes of each program.
        config: How to learn.
    """
    found = expect(known, config)
    gate = tune(found.predicted_QP, known.right_QP, known.weight_Q, slots_P)
    (model,) = KernelRidge.fit(known.features_QF, known.score_QP, known.weight_Q, (found.ridge,))
    chosen_Q = gate.choose(found.predicted_QP, slots_P)
    categories = fit_categories(known, chosen_Q, found.distance_Q, unseen_UF)
    score_MP, far_M = model.look(features_MF)
    return gate.choose(score_MP, slots_P, far_M | categories.lack(features_MF))
