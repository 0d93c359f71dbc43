"""How a choice is learned: a regression of scores, its ridge, and a gate.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from skiploop.errors import ConfigError
from skiploop.policies.encoders import check_one_encoder
from skiploop.policies.selector.data import Answers
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.gate import tune
from skiploop.policies.selector.kernel import KernelRidge, out_of_fold


@dataclass(frozen=True, kw_only=True)
class SelectorConfig:
    """How a selector is trained.

    Attributes:
        layer: How many first layers of the language model a prompt runs through to be told from
            others; None for those that no program of the menu changes. Not used by a text encoder.
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


def expect(known: Answers, config: SelectorConfig) -> tuple[Tensor, float]:
    """Return predicted_QP for each question from other groups, and the ridge that errs least."""
    fold_Q = deal(known.group_Q, config.n_folds, config.seed)
    predicted = out_of_fold(
        known.features_QF, known.score_QP, known.weight_Q, config.ridges, fold_Q
    )
    errors = [
        float(known.weight_Q @ (found - known.score_QP).square().mean(1)) for found in predicted
    ]
    best = errors.index(min(errors))
    return predicted[best], config.ridges[best]


def choose(features_MF: Tensor, known: Answers, slots_P: Tensor, config: SelectorConfig) -> Tensor:
    """Return the column chosen for each new question, by nothing but what known ones teach."""
    predicted_QP, ridge = expect(known, config)
    gate = tune(predicted_QP, known.right_QP, known.weight_Q, slots_P)
    (model,) = KernelRidge.fit(known.features_QF, known.score_QP, known.weight_Q, (ridge,))
    score_MP, far_M = model.look(features_MF)
    return gate.choose(score_MP, slots_P, far_M)
