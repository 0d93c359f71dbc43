"""From expected scores to a program: what a layer pass costs, and when the identity stays.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from skiploop.config import renamed

MARGINS = (0.0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16)
LAYER_COSTS = (0.0, *(0.0005 * 2**step for step in range(12)))


@dataclass(frozen=True)
class Gate:
    """Chooses the program of the highest expected score, less the cost of its layer passes.

    Attributes:
        margin: The identity stays unless another program is better by more than this.
        layer_cost: Score that one layer pass must bring.
    """

    margin: float
    layer_cost: float = renamed("price")

    def utility(self, score_QP: Tensor, slots_P: Tensor, far_Q: Tensor | None = None) -> Tensor:
        """Return utility_QP, by which programs are ranked.

        Args:
            score_QP: What is expected of each program.
            slots_P: Layer passes of each program.
            far_Q: Questions of which nothing is known: the identity stays.
        """
        utility_QP = score_QP - self.layer_cost * slots_P
        utility_QP[:, 0] += self.margin
        if far_Q is not None:
            utility_QP[far_Q, 0] = math.inf
        return utility_QP

    def choose(self, score_QP: Tensor, slots_P: Tensor, far_Q: Tensor | None = None) -> Tensor:
        """Return the column of the program of the highest utility for each question."""
        return self.utility(score_QP, slots_P, far_Q).argmax(1)


NEVER = Gate(float("inf"), 0.0)
"""Keeps the identity."""

ALWAYS = Gate(0.0, 0.0)
"""Takes the highest expected score, whatever it costs."""


def tune(
    predicted_QP: Tensor,
    right_QP: Tensor,
    weight_Q: Tensor,
    slots_P: Tensor,
    max_slots: float | None = None,
    far_Q: Tensor | None = None,
) -> Gate:
    """Return the gate under which right answers have most weight.

    Args:
        predicted_QP: Expected scores, from models that have not seen the question: a gate that is
            tuned on scores of seen questions trusts them too much.
        right_QP: 1 where an answer is right, NaN where it could not be graded.
        weight_Q: How much each question counts.
        slots_P: Layer passes of each program.
        max_slots: Most layer passes on average; no limit if not given.
        far_Q: Questions that keep the identity. They say what a gate is worth, as all do, but
            count with the layer passes of the identity.

    Returns:
        The best gate, of equals the more cautious one. The identity alone where no other gate
        keeps to `max_slots`.
    """

    def candidates() -> Iterator[tuple[float, float, float, Gate]]:
        for layer_cost, margin in product(LAYER_COSTS, MARGINS):
            gate = Gate(margin, layer_cost)
            chosen_Q = gate.choose(predicted_QP, slots_P)
            run_Q = chosen_Q if far_Q is None else chosen_Q.masked_fill(far_Q, 0)
            if max_slots is not None and slots_P[run_Q].mean() > max_slots:
                continue
            right = (weight_Q * right_QP[torch.arange(len(chosen_Q)), chosen_Q]).nansum()
            yield float(right), margin, -layer_cost, gate

    never = (-1.0, 0.0, 0.0, NEVER)
    return max(candidates(), key=lambda found: found[:3], default=never)[-1]
