"""Whether a choice is shown to help, judged on questions that neither it nor its gate has seen.

Shapes: Q questions in G groups, P programs, of which the first is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.evaluation.stats import SIGNIFICANCE, Paired
from skiploop.predictor.folds import deal
from skiploop.predictor.gate import tune

N_PARTS = 5
N_FLIPS = 20_000


@dataclass(frozen=True)
class Validation:
    """A choice against the identity.

    Attributes:
        paired: Verdicts on the choice (first) and on the identity (second).
        gain: Difference of the shares of right answers, -1..1, in which all right answers of a
            kind count alike: another favourite answer is no gain.
        p: Probability of such a gain, or loss, if each group of questions were as likely to be
            decided the other way round (sign-flip test, see `sign_flip_exact`).
    """

    paired: Paired
    gain: float
    p: float

    @property
    def is_shown_to_help(self) -> bool:
        """Whether the gain is significant."""
        return self.gain > 0 and self.p < SIGNIFICANCE

    def to_dict(self) -> dict[str, object]:
        """Return all numbers as plain data."""
        return {**self.paired.to_dict(), "balanced_gain": self.gain, "balanced_p": self.p}


def validate(
    predicted_QP: Tensor,
    right_QP: Tensor,
    weight_Q: Tensor,
    slots_P: Tensor,
    group_Q: Tensor | None = None,
) -> Validation:
    """Judge the choices of gates that were tuned on other questions.

    Args:
        predicted_QP: Expected scores, from models that have not seen the question.
        right_QP: 1 where an answer is right, NaN where it could not be graded.
        weight_Q: How much each question counts.
        slots_P: Layer passes of each program.
        group_Q: Equal numbers for questions that are one; each is its own if not given.
    """
    if group_Q is None:
        group_Q = torch.arange(len(right_QP))
    chosen_Q = cross_fitted(predicted_QP, right_QP, weight_Q, slots_P, group_Q)
    first_Q, second_Q = right_QP.gather(1, chosen_Q[:, None])[:, 0], right_QP[:, 0]
    known_Q = ~(first_Q.isnan() | second_Q.isnan())
    first_Q, second_Q, weight_Q = first_Q[known_Q], second_Q[known_Q], weight_Q[known_Q]
    group_Q = group_Q[known_Q]
    gained_Q = (weight_Q * (first_Q - second_Q)).double()
    gained_G = torch.zeros(len(right_QP), dtype=torch.double).index_add_(0, group_Q, gained_Q)
    pairs = zip((first_Q == 1).tolist(), (second_Q == 1).tolist(), strict=True)
    return Validation(
        Paired.of(pairs, group_Q.tolist()),
        float(gained_Q.sum() / max(float(weight_Q.sum()), 1e-9)),
        _sign_flip_p(gained_G[gained_G != 0]),
    )


def _sign_flip_p(gained_G: Tensor) -> float:
    """Return the share of random signs under which the sum is as far from 0."""
    generator = torch.Generator().manual_seed(0)
    n_as_far = 0
    for _ in range(N_FLIPS // 1000):
        signs = torch.randint(0, 2, (1000, len(gained_G)), generator=generator).double() * 2 - 1
        n_as_far += int(((signs @ gained_G).abs() >= gained_G.sum().abs() - 1e-9).sum())
    return (1 + n_as_far) / (1 + N_FLIPS)


def cross_fitted(
    predicted_QP: Tensor,
    right_QP: Tensor,
    weight_Q: Tensor,
    slots_P: Tensor,
    group_Q: Tensor | None = None,
) -> Tensor:
    """Return the column that is chosen for each question by a gate that was tuned on others.

    What a gate gains on the questions that tuned it says too much.

    Args:
        predicted_QP: As for `tune`.
        right_QP: As for `tune`.
        weight_Q: As for `tune`.
        slots_P: As for `tune`.
        group_Q: As for `validate`.
    """
    fold_Q = deal(torch.arange(len(right_QP)) if group_Q is None else group_Q, N_PARTS, seed=0)
    chosen_Q = torch.zeros(len(predicted_QP), dtype=torch.long)
    for fold in fold_Q.unique():
        held = fold_Q == fold
        gate = tune(predicted_QP[~held], right_QP[~held], weight_Q[~held], slots_P)
        chosen_Q[held] = gate.choose(predicted_QP[held], slots_P)
    return chosen_Q
