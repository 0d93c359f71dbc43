"""Weights of votes that are learned: the probability that an answer is right.

Shapes: the letters of learning (docs/reference/shapes.md); N answers.

Source: stacking, Wolpert 1992, with logistic regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from skiploop.policies.selector.policy import SelectorPolicy
from skiploop.programs.program import Program

RIDGE = 1.0
"""Strength of shrinking, in answers: programs with few answers count as all do."""

MIN_PROBABILITY = 1e-6
"""Answers are told apart by their probability down to this one, and as far from 1."""


class LearnedWeights:
    """Weighs an answer by how often answers like it were right.

    A logistic regression with an intercept for each program, and with the probability of the
    answer and the score that the selector expects of the program on this question.

    Args:
        selector: Expects scores.
        expected_QP: Scores that were expected from other questions.
        logprob_QP: Of each answer to the questions learned from, NaN where the logits were not
            numbers.
        right_QP: 1 for a right answer, 0 for a wrong one, NaN for one that could not be graded.
        weight_Q: How much each question counts.
    """

    def __init__(
        self,
        selector: SelectorPolicy,
        expected_QP: Tensor,
        logprob_QP: Tensor,
        right_QP: Tensor,
        weight_Q: Tensor,
    ) -> None:
        self.selector = selector
        programs = selector.menu.programs
        self._column_of = {program: column for column, program in enumerate(programs)}
        column_QP = torch.arange(len(programs)).expand(right_QP.shape)
        features_QPF = self._features(column_QP, logprob_QP, expected_QP)
        is_graded_QP = ~(right_QP.isnan() | logprob_QP.isnan())
        self._coefficients_F = fit_logistic(
            features_QPF[is_graded_QP],
            right_QP[is_graded_QP],
            weight_Q[:, None].expand(right_QP.shape)[is_graded_QP],
        )

    def __call__(
        self,
        prompts: Sequence[str],
        programs: Sequence[Sequence[Program]],
        logprobs: Sequence[Sequence[float | None]],
    ) -> list[list[float]]:
        """Return how likely each answer is to be right, 0 where the logits were not numbers."""
        column_QK = torch.tensor(
            [[self._column_of[program] for program in row] for row in programs]
        )
        logprob_QK = torch.tensor(
            [[math.nan if one is None else one for one in found] for found in logprobs],
            dtype=torch.float64,
        )
        expected_QK = self.selector.expected(prompts).gather(1, column_QK)
        features_QKF = self._features(column_QK, logprob_QK, expected_QK)
        weight_QK = (features_QKF @ self._coefficients_F).sigmoid().nan_to_num(0.0)
        return weight_QK.tolist()

    def _features(self, column_QK: Tensor, logprob_QK: Tensor, expected_QK: Tensor) -> Tensor:
        own_QKP = functional.one_hot(column_QK, len(self._column_of))
        logit_QK = logprob_QK.double().exp().logit(MIN_PROBABILITY)
        shared_QKF = torch.stack([torch.ones_like(logit_QK), logit_QK, expected_QK], dim=-1)
        return torch.cat([own_QKP, shared_QKF], dim=-1)


def fit_logistic(features_NF: Tensor, right_N: Tensor, weight_N: Tensor) -> Tensor:
    """Return coefficients_F of a logistic regression, shrunk a little.

    Args:
        features_NF: In double precision, a constant among them.
        right_N: 0 or 1.
        weight_N: How much each row counts.
    """
    coefficients_F = features_NF.new_zeros(features_NF.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients_F], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits_N = features_NF @ coefficients_F
        errors = functional.binary_cross_entropy_with_logits(
            logits_N, right_N.double(), weight_N.double(), reduction="sum"
        )
        total = errors + RIDGE / 2 * coefficients_F.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    return coefficients_F.detach()
