"""MindSkip: the prompt decides once whose attention runs, and what is skipped is not computed.

Skipping the attention of a layer is no program: its feed-forward part runs. So prompts are answered
one by one, by layers that have gates.

Source: arXiv 2410.13184, sequence level, attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from skiploop.arguments import texts
from skiploop.engine.alone import Sequencer
from skiploop.engine.batching.encoding import encode
from skiploop.errors import ConfigError
from skiploop.policies.alone import answers_alone
from skiploop.policies.base import Answer, Method
from skiploop.policies.mindskip.gates import HALF, Attentions, ClosingGate, Gates
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

N_STEPS = 12
"""Halvings of the interval in which a threshold is looked for."""


class MindSkip(Method):
    """Answers without the attention of the layers whose gates the prompt closes.

    Args:
        stack: The model.
        attentions: What may be skipped.
        gates: Trained for it.
        threshold: Score from which attention runs.
        name: Name in tables.
    """

    def __init__(
        self,
        stack: LayerStack,
        attentions: Attentions,
        gates: Gates,
        *,
        threshold: float = HALF,
        name: str = "mindskip",
    ) -> None:
        self.name = name
        self.threshold = threshold
        self._stack = stack
        self._attentions = attentions
        self._gates = gates.to(stack.device)

    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return no program for any prompt: an attention alone is skipped by none."""
        return [[] for _ in texts("prompts", prompts)]

    def answer_with(
        self,
        examples: Sequence[Example],
        chosen: Sequence[Sequence[Program]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answer to each question.

        Cost:
            Each question runs alone.
        """
        return answers_alone(self._stack, examples, evaluator, self._way)

    def kept(self, prompt: str) -> list[int]:
        """Return the layers whose attention runs for a prompt.

        Cost:
            One run of the prompt.
        """
        (tokens,) = encode(self._stack, [prompt])
        way = self._way(len(tokens))
        with torch.inference_mode():
            Sequencer(self._stack, way.layers).logits(tokens, 1)
        return way.with_slots()

    def within(self, most_passes: float, prompts: Sequence[str]) -> None:
        """Raise the threshold until prompts take so many layer passes on average, no more.

        A layer without its attention counts as the share of its weights that is left.

        Args:
            most_passes: How many are allowed.
            prompts: Of questions that nothing was learned from.

        Raises:
            ConfigError: Skipping all that can be skipped is not enough.
        """
        n_layers, n_gates = self._stack.n_layers, len(self._attentions.layers)
        least = n_layers - n_gates * self._attentions.share
        if most_passes < least:
            raise ConfigError(
                f"{self.name}: without any of the {n_gates} attentions that can be skipped "
                f"{least:.4g} layer passes are left, {most_passes:g} were allowed: allow more"
            )
        too_low, enough = self.threshold, 1.0
        if self._mean_passes(prompts, too_low) <= most_passes:
            return
        for _ in range(N_STEPS):
            middle = (too_low + enough) / 2
            if self._mean_passes(prompts, middle) <= most_passes:
                enough = middle
            else:
                too_low = middle
        self.threshold = enough

    def _mean_passes(self, prompts: Sequence[str], threshold: float) -> float:
        self.threshold = threshold
        n_layers = self._stack.n_layers
        n_skipped = fmean(n_layers - len(self.kept(prompt)) for prompt in prompts)
        return n_layers - n_skipped * self._attentions.share

    def _way(self, n_prompt: int) -> _Way:
        return _Way(self._stack, self._attentions, self._gates, self.threshold, n_prompt)


class _Way:
    """The way of one sequence, as `Way`; its gates decide by the prompt."""

    def __init__(
        self,
        stack: LayerStack,
        attentions: Attentions,
        gates: Gates,
        threshold: float,
        n_prompt: int,
    ) -> None:
        self._n_layers = stack.n_layers
        self._share = attentions.share
        self._skipped: set[int] = set()

        def gate(layer: int, attention: nn.Module) -> nn.Module:
            def is_open(states_TE: Tensor) -> bool:
                is_kept = bool(gates.score(layer, states_TE) >= threshold)
                if not is_kept:
                    self._skipped.add(layer)
                return is_kept

            return ClosingGate(attention, attentions.n_returned, n_prompt, is_open)

        self.layers = attentions.gated(gate)

    def n_passes(self) -> float:
        """Return the mean layer passes; attention counts as its share of a layer's weights."""
        return self._n_layers - len(self._skipped) * self._share

    def with_slots(self) -> list[int]:
        """Return the layers whose attention runs."""
        return [layer for layer in range(self._n_layers) if layer not in self._skipped]
