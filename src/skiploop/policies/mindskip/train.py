"""Training of MindSkip's gates: right answers stay likely, and a share of the attention runs.

Source: arXiv 2410.13184 and its released script, whose penalty is switched off there.

Shapes: the letters of learning (docs/reference/shapes.md); A, E as in `gates`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from skiploop.engine.batching.encoding import Pair
from skiploop.policies.mindskip.gates import Attentions, Gates, LearningGate
from skiploop.policies.router_tuning import Lesson, Passing, TuningConfig, tune
from skiploop.stack import LayerStack


def train_gates(
    stack: LayerStack,
    attentions: Attentions,
    lessons: Sequence[Lesson],
    capacity: float,
    config: TuningConfig,
) -> Gates:
    """Learn whose attention each prompt can do without.

    Args:
        stack: The model.
        attentions: What may be skipped.
        lessons: Prompts and right answers.
        capacity: Share of the attentions beyond which running costs, 0..1.
        config: How to learn; its pressure is the weight of that cost.

    Raises:
        DataError: There are no lessons.
    """
    gates = Gates(attentions.layers, stack.width).to(stack.device)

    def passing(pairs: Sequence[Pair]) -> Passing:
        n_prompt_B = [len(pair.whole) - pair.n_continued for pair in pairs]
        made: list[LearningGate] = []

        def gate(layer: int, attention: nn.Module) -> nn.Module:
            score = partial(gates.score, layer)
            made.append(LearningGate(attention, n_prompt_B, score))
            return made[-1]

        def penalty() -> Tensor:
            return torch.relu(torch.stack([one.mask_B for one in made]).mean(0) - capacity)

        return Passing(attentions.gated(gate), penalty)

    tune(stack, lessons, [gates.weight_AE], passing, config)
    return gates
